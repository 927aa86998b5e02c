//! Servers that do not do what they should, and what callers and operators are told of it.

use portcullis_tests::wait;
use serde_json::json;

use super::{Scene, machine, stage};

const REFUSED: &str = "The upstream \"guarded\" asks for an authorization that this gateway does not have. Ask the operator of this gateway to authorize it.";

/// What the operator reads.
async fn error(scene: &Scene) -> String {
    let view = scene.view().await;
    assert_eq!(view["state"], "failed", "{view}");
    view["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_caller_learns_whom_to_ask_and_the_operator_learns_why() {
    let stage = stage().await;
    for (name, metadata, why) in [
        (
            "other-issuer",
            json!({ "issuer": "https://evil.example" }),
            "says that it is of https://evil.example",
        ),
        (
            "no-document",
            json!({ "token_endpoint": null }),
            "something that is no authorization server metadata",
        ),
        (
            "plain",
            json!({ "token_endpoint": "http://login.example/token" }),
            "plain http is only used where the operator wrote it",
        ),
        (
            "local",
            json!({ "token_endpoint": "http://169.254.169.254/token" }),
            "plain http is only used where the operator wrote it",
        ),
        (
            "gone",
            json!({ "token_endpoint": "http://127.0.0.1:1/token" }),
            "http://127.0.0.1:1/token cannot be reached",
        ),
    ] {
        let scene = Scene::of_machine(&stage, name).await;
        scene.server.change(|rules| rules.metadata = metadata);
        assert_eq!(scene.call("read").await.unwrap_err(), REFUSED, "{name}");
        let shown = error(&scene).await;
        assert!(shown.contains(why), "{name}: {shown}");
    }
}

#[tokio::test]
async fn a_client_with_the_wrong_secret_is_told_so() {
    let stage = stage().await;
    let scene = Scene::set(&stage, "wrong-secret", machine()).await;
    scene.server.client("gateway", "another secret");
    assert_eq!(scene.call("read").await.unwrap_err(), REFUSED);
    assert_eq!(
        error(&scene).await,
        "the authorization server refused: invalid_client: no: invalid_client"
    );
}

#[tokio::test]
async fn metadata_of_something_else_is_not_used() {
    let stage = stage().await;
    let scene = Scene::of_machine(&stage, "other-resource").await;
    scene
        .guarded
        .change(|rules| rules.resource = Some("https://evil.example/mcp".to_owned()));
    assert_eq!(scene.call("read").await.unwrap_err(), REFUSED);
    let shown = error(&scene).await;
    assert!(
        shown.contains("is about https://evil.example/mcp"),
        "{shown}"
    );
    assert!(scene.server.asked("/token").is_empty());
}

#[tokio::test]
async fn an_upstream_that_refuses_every_token_does_not_keep_the_server_busy() {
    let stage = stage().await;
    let scene = Scene::of_machine(&stage, "insatiable").await;
    scene.guarded.change(|rules| rules.refuses_all = true);
    for _ in 0..20 {
        assert_eq!(scene.call("read").await.unwrap_err(), REFUSED);
    }
    let asked = scene.server.asked("/token").len();
    assert!((1..=10).contains(&asked), "{asked}");
    let why = &scene.view().await["error"];
    assert_eq!(
        why,
        "the upstream refuses the access token that it was just given"
    );
    scene.guarded.change(|rules| rules.refuses_all = false);
    wait::until("a call to be served", || async {
        scene.call("read").await.ok()
    })
    .await;
}

#[tokio::test]
async fn a_call_that_no_token_helps_costs_others_nothing() {
    let stage = stage().await;
    for name in ["spoilt-machine", "spoilt-people"] {
        let scene = if name == "spoilt-machine" {
            Scene::of_machine(&stage, name).await
        } else {
            let scene = Scene::of_people(&stage, name).await;
            scene.server.change(|rules| rules.refreshes = false);
            assert_eq!(scene.consent().await.status, 200);
            scene
        };
        scene.served("read").await;
        scene
            .guarded
            .change(|rules| rules.refused_tool = Some("write"));
        for _ in 0..5 {
            assert_eq!(scene.call("write").await.unwrap_err(), REFUSED, "{name}");
            scene.served("read").await;
        }
        assert!(scene.server.asked("/token").len() <= 5, "{name}");
    }
}

#[tokio::test]
async fn a_server_that_is_down_is_not_asked_by_every_call() {
    let stage = stage().await;
    let scene = Scene::of_machine(&stage, "down").await;
    scene.server.change(|rules| rules.is_down = true);
    for _ in 0..20 {
        assert_eq!(scene.call("read").await.unwrap_err(), REFUSED);
    }
    let asked = scene.server.asked("/metadata").len();
    assert!((1..=10).contains(&asked), "{asked}");
    assert!(
        error(&scene)
            .await
            .contains("answered with HTTP status 503")
    );
    scene.server.change(|rules| rules.is_down = false);
    wait::until("a call to be served", || async {
        scene.call("read").await.ok()
    })
    .await;
    assert_eq!(scene.view().await["state"], "authorized");
}

#[tokio::test]
async fn a_token_stays_in_use_while_the_server_is_down() {
    let stage = stage().await;
    let scene = Scene::of_machine(&stage, "outage").await;
    scene.served("read").await;
    scene.server.change(|rules| rules.is_down = true);
    scene.served("read").await;
    // More than it is good for is not to be had, and what it is good for goes on.
    assert!(scene.call("write").await.is_err());
    scene.served("read").await;
}
