//! Definitions and servers that change under a running gateway: no token and no secret ends up where it does not belong.

use portcullis_tests::oauth::{AuthorizationServer, Guarded};
use serde_json::json;

use super::{Scene, machine, stage};

#[tokio::test]
async fn a_token_is_shown_to_the_upstream_that_it_was_given_for_alone() {
    let stage = stage().await;
    let scene = Scene::of_people(&stage, "moved").await;
    assert_eq!(scene.consent().await.status, 200);
    scene.served("read").await;

    let elsewhere = Guarded::start(&scene.server).await;
    let spec =
        json!({ "url": elsewhere.url(), "auth": { "oauth": { "grant": "authorization-code" } } });
    scene.tenant.upstream("guarded", spec).await;
    assert!(scene.call("read").await.is_err());
    assert!(!elsewhere.authorizations().is_empty());
    assert_eq!(elsewhere.authorizations().iter().flatten().count(), 0);
    assert_eq!(scene.view().await["state"], "consent-required");
}

#[tokio::test]
async fn a_change_of_anything_else_keeps_the_token() {
    let stage = stage().await;
    let scene = Scene::of_people(&stage, "kept").await;
    assert_eq!(scene.consent().await.status, 200);
    scene.served("read").await;
    let oauth = json!({ "oauth": { "grant": "authorization-code" } });
    let spec = json!({ "url": scene.guarded.url(), "auth": oauth, "timeout_ms": 9_000 });
    scene.tenant.upstream("guarded", spec).await;
    let before = scene.guarded.authorizations().len();
    scene.served("read").await;
    let shown = scene.guarded.authorizations().split_off(before);
    assert!(shown.iter().all(Option::is_some), "{shown:?}");
    assert_eq!(scene.server.asked("/token").len(), 1);
}

#[tokio::test]
async fn another_authorization_server_means_another_registration() {
    let stage = stage().await;
    let scene = Scene::of_people(&stage, "migrated").await;
    assert_eq!(scene.consent().await.status, 200);
    scene.served("read").await;

    let other = AuthorizationServer::start().await;
    scene
        .guarded
        .change(|rules| rules.servers = Some(vec![other.url().to_owned()]));
    scene.server.revoke();
    assert!(scene.call("read").await.is_err());
    assert_eq!(
        scene.tokens("refresh_token"),
        0,
        "the other server's is not for it, and its own is not asked any more"
    );
    assert_eq!(scene.consent().await.status, 200);
    let (first, second) = (scene.server.asked("/register"), other.asked("/register"));
    assert_eq!((first.len(), second.len()), (1, 1));
    let id = scene.server.asked("/authorize")[0].params["client_id"].clone();
    for asked in other
        .asked("/authorize")
        .into_iter()
        .chain(other.asked("/token"))
    {
        assert_ne!(asked.params.get("client_id"), Some(&id));
        assert!(!asked.params.contains_key("refresh_token"));
    }
    assert_eq!(scene.view().await["issuer"], other.url());
}

#[tokio::test]
async fn a_client_that_was_registered_by_hand_stays_with_its_server() {
    let stage = stage().await;
    let scene = Scene::of_machine(&stage, "bound").await;
    scene.served("read").await;

    let thief = AuthorizationServer::start().await;
    scene
        .guarded
        .change(|rules| rules.servers = Some(vec![thief.url().to_owned()]));
    scene.server.revoke();
    assert!(scene.call("read").await.is_err());
    assert!(thief.asked("/token").is_empty());
    let view = scene.view().await;
    let why = format!(
        "the upstream names the authorization server {}, but this client belongs to {}",
        thief.url(),
        scene.server.url()
    );
    assert!(
        view["error"]
            .as_str()
            .is_some_and(|error| error.starts_with(&why)),
        "{view}"
    );

    // The operator may say that it is right.
    thief.client("gateway", "the client's secret");
    assert_eq!(scene.admin.delete(&scene.path()).await.status, 204);
    assert!(
        scene.call("read").await.is_err(),
        "the upstream still takes the first server's tokens alone"
    );
    assert_eq!(thief.asked("/token").len(), 1);
}

#[tokio::test]
async fn an_operator_names_the_server() {
    let stage = stage().await;
    let scene = Scene::of_machine(&stage, "named").await;
    let thief = AuthorizationServer::start().await;
    scene
        .guarded
        .change(|rules| rules.servers = Some(vec![thief.url().to_owned()]));
    let mut oauth = machine();
    oauth["issuer"] = json!(scene.server.url());
    scene.authorize_with(oauth).await;
    assert!(scene.call("read").await.is_err());
    assert!(thief.asked("/metadata").is_empty());
    scene.guarded.change(|rules| rules.servers = None);
    portcullis_tests::wait::until("a call to be served", || async {
        scene.call("read").await.ok()
    })
    .await;
}
