//! One plugin that waits in every hook: each step of the walk can be waited in.

use portcullis_tests::guests;
use portcullis_tests::mcp::{Era, Peer};
use portcullis_tests::stage::Stage;
use portcullis_tests::wait;
use serde_json::{Value, json};

use super::STAGE;

/// What the plugin answers with, from its file.
const RESULT: &str = r#"{"content":[{"type":"text","text":"from a file"}]}"#;

/// A binding that may read the folder `lists` of its tenant.
async fn reader(stage: &Stage, select: Value) -> Value {
    let plugin = stage
        .admin()
        .admit(guests::waits_everywhere("waits-everywhere"))
        .await;
    json!({ "plugin": plugin, "grants": [{ "fs": { "folder": "lists" } }], "select": select, "limits": { "deadline_ms": 20_000 } })
}

/// Puts the file where the gateway looks for it.
fn put_file(stage: &Stage, tenant: &str) {
    let folder = stage
        .gateway
        .data_dir()
        .join("plugin-files")
        .join(tenant)
        .join("lists");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("list"), RESULT).unwrap();
}

#[tokio::test]
async fn every_hook_may_wait() {
    let shared = STAGE.get(Stage::set).await;
    let stage = &*shared;
    let (tenant, key) = stage.guest_tenant("everywhere").await;
    put_file(stage, "everywhere");
    // First of all, so that it is asked who is calling.
    let chain = [reader(stage, json!({})).await, stage.by_key()];
    tenant.chain(&chain).await;
    let url = stage.gateway.mcp("everywhere-tools");
    for era in [Era::Session, Era::Stateless] {
        let peer = Peer::connect(era, &url, &key).await;
        assert_eq!(peer.tools().await, Vec::<String>::new(), "{era:?}");
        let reply = peer.call("demo__echo", json!({ "message": "x" })).await;
        assert_eq!(reply.text_content(), "from a file", "{era:?}");
        assert_eq!(
            Peer::stateless(&url, "pk_guess")
                .call("demo__echo", json!({}))
                .await
                .status,
            401
        );
    }
    let metrics = stage.admin().metrics().await;
    for hook in [
        "authenticate",
        "admit",
        "route",
        "transform-call",
        "transform-reply",
        "transform-listing",
    ] {
        let labels = [
            ("tenant", "everywhere"),
            ("plugin", "waits-everywhere"),
            ("hook", hook),
            ("outcome", "ok"),
        ];
        assert!(
            metrics.sum("portcullis_hook_outcomes_total", &labels) >= 2.0,
            "{hook}"
        );
    }
}

#[tokio::test]
async fn a_stream_waits_for_its_policies_and_loses_nothing() {
    let shared = STAGE.get(Stage::set).await;
    let stage = &*shared;
    let (tenant, key) = stage.guest_tenant("streamed").await;
    put_file(stage, "streamed");
    stage
        .chain(&tenant, &[reader(stage, json!({})).await])
        .await;
    let peer = Peer::session(&stage.gateway.mcp("streamed-tools"), &key).await;
    // The upstream reports progress, then answers: each is admitted on its way down.
    let params = json!({ "name": "demo__progress", "arguments": { "steps": 1 }, "_meta": { "progressToken": "p" } });
    let reply = peer.request("tools/call", params).await;
    assert_eq!(reply.text_content(), "from a file", "{}", reply.shown());
    assert_eq!(reply.notified("notifications/progress").len(), 3);
}

#[tokio::test]
async fn a_shadow_may_wait() {
    let shared = STAGE.get(Stage::set).await;
    let stage = &*shared;
    let (tenant, key) = stage.guest_tenant("shadow-waits").await;
    put_file(stage, "shadow-waits");
    let bindings = [
        stage.by_key(),
        reader(stage, json!({ "methods": ["tools/call"] })).await,
    ];
    let plan = json!({ "strategy": "shadow", "policies": { "bindings": bindings } });
    let started = stage.admin().post(&tenant.path("/rollouts"), &plan).await;
    assert_eq!(started.status, 201, "{}", started.shown());
    let id = started.json()["id"].as_u64().unwrap();
    let peer = Peer::stateless(&stage.gateway.mcp("shadow-waits-tools"), &key);
    assert_eq!(
        peer.call("demo__echo", json!({ "message": "x" }))
            .await
            .text_content(),
        "x"
    );
    let differences = wait::until("the difference", async || {
        let shown = stage
            .admin()
            .get(&tenant.path(&format!("/rollouts/{id}")))
            .await
            .json();
        let differences = shown["figures"]["differences"].as_array().unwrap().clone();
        (!differences.is_empty()).then_some(differences)
    })
    .await;
    assert_eq!(differences[0]["what"], "arguments", "{differences:?}");
}
