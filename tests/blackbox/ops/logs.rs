//! Logs: one JSON object a line, which says what it is about and holds no secret.

use portcullis_tests::admin::binding;
use portcullis_tests::guests;
use portcullis_tests::mcp::{Era, Peer};
use portcullis_tests::stage::Stage;
use portcullis_tests::wait;
use serde_json::{Value, json};

use super::STAGE;

#[tokio::test]
async fn logs_say_which_request_which_tenant_and_which_plugin() {
    let stage = STAGE.get(Stage::set).await;
    let (tenant, alice) = stage.guest_tenant("logged").await;
    let peer = Peer::connect(Era::Session, &stage.gateway.mcp("logged-tools"), &alice).await;
    let guest = stage
        .admin()
        .admit(guests::admitter("logged-trap", guests::TRAP))
        .await;
    stage
        .chain(&tenant, &[binding(&guest, &[], json!({}))])
        .await;
    let failed = peer.call("demo__echo", json!({ "message": "x" })).await;
    assert_eq!(failed.status, 503);
    let request_id = failed
        .header("x-request-id")
        .expect("a request id")
        .to_owned();
    let lines = wait::until("the log", || {
        let lines: Vec<Value> = stage
            .gateway
            .log()
            .into_iter()
            .filter(|line| line["request_id"] == request_id.as_str())
            .collect();
        async move { (lines.len() >= 2).then_some(lines) }
    })
    .await;
    assert!(
        lines
            .iter()
            .all(|line| line["tenant"] == "logged" && line["timestamp"].is_string()),
        "{lines:?}"
    );
    let of_plugin = lines
        .iter()
        .find(|line| line["plugin"] == "logged-trap")
        .expect("a line of the plugin's failure");
    assert_eq!(
        (&of_plugin["hook"], &of_plugin["failure"]),
        (&json!("admit"), &json!("trap"))
    );
}

#[tokio::test]
async fn logs_and_answers_hold_no_secret() {
    let stage = STAGE.get(Stage::set).await;
    let (_, alice) = stage.guest_tenant("secrets").await;
    let peer = Peer::connect(Era::Session, &stage.gateway.mcp("secrets-tools"), &alice).await;
    peer.tools().await;
    let guess = "pk_a-guess-that-must-not-be-logged";
    let refused = peer
        .stolen_by(guess)
        .call("demo__echo", json!({ "message": "x" }))
        .await;
    assert!(!refused.shown().contains(guess));
    let admin = stage.admin();
    for path in [
        "/api/v1/tenants/secrets/keys",
        "/metrics",
        "/config",
        "/stats",
    ] {
        assert!(!admin.get(path).await.text.contains(&alice), "{path}");
    }
    let log = stage
        .gateway
        .log()
        .iter()
        .map(Value::to_string)
        .collect::<String>();
    for secret in [
        alice.as_str(),
        guess,
        stage.gateway.admin_token(),
        peer.session_id(),
    ] {
        assert!(!log.contains(secret), "the log holds {secret}");
    }
}
