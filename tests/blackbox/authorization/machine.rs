//! Tokens that the gateway obtains by itself.

use std::time::Duration;

use portcullis_tests::mcp::{Era, Peer};
use portcullis_tests::wait;
use serde_json::json;

use super::{Scene, machine, stage};

/// A key pair of the P-256 curve that the whole world knows.
const PRIVATE_KEY: &str = include_str!("../../../host/gateway/src/cli/token/testkeys/p256.pem");
const PUBLIC_KEY: &str = include_str!("../../../host/gateway/src/cli/token/testkeys/p256.pub.pem");

#[tokio::test]
async fn a_token_is_obtained_when_the_upstream_asks_for_one() {
    let stage = stage().await;
    let scene = Scene::of_machine(&stage, "machine").await;
    assert_eq!(scene.view().await["state"], "not-needed-yet");
    scene.served("read").await;
    let asked = scene.server.asked("/token");
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].params["resource"], scene.guarded.url());
    assert_eq!(asked[0].params["scope"], "read");
    let view = scene.view().await;
    assert_eq!(
        (&view["state"], &view["client_id"]),
        (&json!("authorized"), &json!("gateway"))
    );
    assert_eq!(
        (&view["issuer"], &view["scopes"]),
        (&json!(scene.server.url()), &json!(["read"]))
    );
    let shown = scene.guarded.authorizations();
    assert_eq!(shown[0], None, "nobody had asked yet");
    assert!(shown[1..].iter().all(Option::is_some), "{shown:?}");
}

#[tokio::test]
async fn many_callers_cost_one_token() {
    let stage = stage().await;
    let scene = Scene::of_machine(&stage, "many").await;
    let mut calls = Vec::new();
    for era in [Era::Session, Era::Stateless] {
        for _ in 0..10 {
            let peer = Peer::connect(era, &scene.url, &scene.alice).await;
            calls.push(peer.begin_call("guarded__read", json!({})));
        }
    }
    for call in calls {
        assert!(call.reply().await.text_content().starts_with("read"));
    }
    assert_eq!(scene.tokens("client_credentials"), 1);
    assert_eq!(scene.server.asked("/metadata").len(), 1);
}

#[tokio::test]
async fn the_client_proves_who_it_is_as_the_server_wants() {
    let stage = stage().await;
    let secret = machine();
    let key = json!({
        "grant": "client-credentials",
        "client": { "id": "signer", "private_key": PRIVATE_KEY, "key_id": "k1" },
    });
    for (method, oauth) in [
        ("client_secret_basic", secret.clone()),
        ("client_secret_post", secret),
        ("private_key_jwt", key),
    ] {
        let scene = Scene::set(&stage, &method.replace('_', "-"), oauth).await;
        scene.server.client("gateway", "the client's secret");
        scene.server.client_with_key("signer", PUBLIC_KEY);
        scene
            .server
            .change(|rules| rules.auth_methods = vec![method]);
        scene.served("read").await;
    }
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends() {
    let stage = stage().await;
    let scene = Scene::of_machine(&stage, "renewed").await;
    scene
        .server
        .change(|rules| rules.lifetime = Some(Duration::from_secs(5)));
    scene.served("read").await;
    let peer = scene.alice().await;
    wait::until("another token", || async {
        let said = peer.call("guarded__read", json!({})).await.text_content();
        assert!(said.starts_with("read"), "{said}");
        (scene.tokens("client_credentials") > 1).then_some(())
    })
    .await;
    // Ahead of its end, so the upstream has refused nothing but the request that came without.
    let shown = scene.guarded.authorizations();
    assert_eq!(shown.iter().filter(|shown| shown.is_none()).count(), 1);
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_once() {
    let stage = stage().await;
    let scene = Scene::of_machine(&stage, "revoked").await;
    scene.served("read").await;
    let peer = scene.alice().await;
    scene.server.revoke();
    let said = peer.call("guarded__read", json!({})).await.text_content();
    assert!(said.starts_with("read"), "{said}");
    assert_eq!(scene.tokens("client_credentials"), 2);
    assert_eq!(
        scene.guarded.calls(),
        2,
        "the refused request was not served twice"
    );
}

#[tokio::test]
async fn a_want_of_scope_is_met_with_a_token_that_is_good_for_more() {
    let stage = stage().await;
    let scene = Scene::of_machine(&stage, "step-up").await;
    scene.served("read").await;
    scene.served("write").await;
    scene.served("read").await;
    let asked: Vec<String> = scene
        .server
        .asked("/token")
        .iter()
        .map(|asked| asked.params["scope"].clone())
        .collect();
    assert_eq!(asked, ["read", "read write"]);
}

#[tokio::test]
async fn an_operator_says_what_to_ask_for() {
    let mut oauth = machine();
    oauth["scopes"] = json!(["read", "write"]);
    let stage = stage().await;
    let scene = Scene::set(&stage, "scoped", oauth).await;
    scene.server.client("gateway", "the client's secret");
    scene.served("write").await;
    assert_eq!(
        scene.server.asked("/token")[0].params["scope"],
        "read write"
    );
}

#[tokio::test]
async fn an_upstream_may_refuse_without_a_word() {
    let stage = stage().await;
    let scene = Scene::of_machine(&stage, "terse").await;
    scene.guarded.change(|rules| rules.is_terse = true);
    // Without a scope to ask for, the server gives what it gives: here, nothing.
    let refused = scene.call("read").await.unwrap_err();
    assert!(refused.contains("403"), "{refused}");
    assert_eq!(scene.tokens("client_credentials"), 1);
}
