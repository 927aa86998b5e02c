//! Tokens that a person has to consent to.

use std::time::Duration;

use portcullis_tests::gateway::Gateway;
use portcullis_tests::stage::Stage;
use portcullis_tests::{tokens, wait};
use serde_json::{Value, json};

use super::{Scene, open, stage};

#[tokio::test]
async fn an_upstream_waits_for_a_persons_consent() {
    let stage = stage().await;
    let scene = Scene::of_people(&stage, "consent").await;
    let refused = scene.call("read").await.unwrap_err();
    assert_eq!(
        refused,
        "The upstream \"guarded\" asks for an authorization that this gateway does not have. Ask the operator of this gateway to authorize it."
    );
    assert_eq!(scene.view().await["state"], "consent-required");
    assert!(
        scene.server.asked("/register").is_empty(),
        "nobody has asked for a consent yet"
    );

    let brought = scene.consent().await;
    assert_eq!(brought.status, 200, "{}", brought.shown());
    assert!(brought.text.contains("is authorized"), "{}", brought.text);
    assert_eq!(brought.header("cache-control"), Some("no-store"));
    scene.served("read").await;

    let registered = &scene.server.asked("/register")[0].params;
    assert_eq!(registered["application_type"], "native");
    let asked = &scene.server.asked("/authorize")[0].params;
    assert_eq!(asked["scope"], "read");
    assert!(
        asked["redirect_uri"].ends_with("/oauth/callback"),
        "{asked:?}"
    );
    let view = scene.view().await;
    assert_eq!(view["state"], "authorized");
    assert_eq!(view["client_id"], json!(asked["client_id"]));
    assert_eq!(view["is_renewable"], true);
}

#[tokio::test]
async fn a_consent_may_come_before_the_first_call() {
    let stage = stage().await;
    let scene = Scene::of_people(&stage, "early").await;
    assert_eq!(scene.view().await["state"], "consent-required");
    assert_eq!(scene.consent().await.status, 200);
    scene.served("read").await;
    assert_eq!(scene.server.asked("/authorize")[0].params["scope"], "read");
}

#[tokio::test]
async fn its_tools_are_there_as_soon_as_it_is_authorized() {
    let stage = stage().await;
    let scene = Scene::of_people(&stage, "beside").await;
    scene
        .tenant
        .server("beside-guarded", &["demo", "guarded"])
        .await;
    let peer = scene.alice().await;
    let tools = peer.tools().await;
    assert!(tools.contains(&"demo__echo".to_owned()), "{tools:?}");
    assert!(!tools.contains(&"guarded__read".to_owned()), "{tools:?}");
    assert_eq!(scene.consent().await.status, 200);
    wait::until("its tools", || async {
        peer.tools()
            .await
            .contains(&"guarded__read".to_owned())
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn more_is_asked_for_on_top_of_what_was_consented_to() {
    let stage = stage().await;
    let scene = Scene::of_people(&stage, "more").await;
    assert_eq!(scene.consent().await.status, 200);
    scene.served("read").await;
    assert!(scene.call("write").await.is_err());
    // What was consented to goes on.
    scene.served("read").await;
    let view = scene.view().await;
    assert_eq!(view["state"], "consent-required");
    assert_eq!(
        (&view["scopes"], &view["scopes_lacking"]),
        (&json!(["read"]), &json!(["write"]))
    );
    assert_eq!(scene.consent().await.status, 200);
    scene.served("write").await;
    assert_eq!(
        scene.server.asked("/authorize")[1].params["scope"],
        "read write"
    );
    assert_eq!(scene.server.asked("/register").len(), 1);
    assert_eq!(scene.view().await["state"], "authorized");
}

#[tokio::test]
async fn what_was_consented_to_is_renewed_without_anybody() {
    let stage = stage().await;
    let scene = Scene::of_people(&stage, "refreshed").await;
    assert_eq!(scene.consent().await.status, 200);
    for round in 1..=3 {
        scene.server.revoke_access();
        scene.served("read").await;
        assert_eq!(scene.tokens("refresh_token"), round);
    }
    let refreshed: Vec<String> = scene
        .server
        .asked("/token")
        .iter()
        .filter_map(|asked| asked.params.get("refresh_token").cloned())
        .collect();
    assert!(
        refreshed.windows(2).all(|pair| pair[0] != pair[1]),
        "each is good once"
    );
    assert_eq!(scene.server.asked("/authorize").len(), 1);
}

#[tokio::test]
async fn a_consent_that_was_withdrawn_is_asked_for_again() {
    let stage = stage().await;
    let scene = Scene::of_people(&stage, "withdrawn").await;
    assert_eq!(scene.consent().await.status, 200);
    scene.served("read").await;
    scene.server.revoke();
    assert!(scene.call("read").await.is_err());
    let view = scene.view().await;
    assert_eq!(
        (&view["state"], &view["is_renewable"]),
        (&json!("consent-required"), &json!(false))
    );
    assert_eq!(scene.consent().await.status, 200);
    scene.served("read").await;
    assert_eq!(scene.server.asked("/register").len(), 1);
}

#[tokio::test]
async fn a_consent_survives_a_restart_and_a_crash() {
    let mut stage = Stage::on(Gateway::start().await).await;
    let mut scene = Scene::of_people(&stage, "lasting").await;
    assert_eq!(scene.consent().await.status, 200);
    scene.served("read").await;
    stage.gateway.restart().await;
    scene.move_to(&stage, "lasting");
    scene.served("read").await;
    assert_eq!(
        scene.tokens("refresh_token"),
        0,
        "the access token was good still"
    );

    // What was rotated a moment before the end is there as well.
    scene.server.revoke_access();
    scene.served("read").await;
    stage.gateway.crash().await;
    scene.move_to(&stage, "lasting");
    scene.server.revoke_access();
    scene.served("read").await;
    assert_eq!(scene.tokens("refresh_token"), 2);
    assert_eq!(scene.server.asked("/authorize").len(), 1);
    assert_eq!(scene.server.asked("/register").len(), 1);
}

#[tokio::test]
async fn a_token_that_ended_while_the_gateway_was_away_is_renewed_first() {
    let mut stage = Stage::on(Gateway::start().await).await;
    let mut scene = Scene::of_people(&stage, "slept").await;
    scene
        .server
        .change(|rules| rules.lifetime = Some(Duration::from_secs(1)));
    assert_eq!(scene.consent().await.status, 200);
    let ends_at_ms = scene.view().await["expires_at_ms"]
        .as_u64()
        .expect("an end");
    stage.gateway.restart().await;
    scene.move_to(&stage, "slept");
    wait::so("the end of the token", || tokens::now_ms() > ends_at_ms).await;
    scene
        .server
        .change(|rules| rules.lifetime = Some(Duration::from_secs(600)));
    let before = scene.guarded.authorizations().len();
    scene.served("read").await;
    assert_eq!(scene.tokens("refresh_token"), 1);
    let shown = scene.guarded.authorizations().split_off(before);
    let fresh = shown.iter().flatten().next().expect("a token");
    assert!(
        shown.iter().all(|shown| shown.as_ref() == Some(fresh)),
        "{shown:?}"
    );
}

#[tokio::test]
async fn an_operator_may_forget_it_all() {
    let stage = stage().await;
    let scene = Scene::of_people(&stage, "forgotten").await;
    assert_eq!(scene.consent().await.status, 200);
    scene.served("read").await;
    assert_eq!(scene.admin.delete(&scene.path()).await.status, 204);
    assert_eq!(scene.view().await["state"], "consent-required");
    assert!(scene.call("read").await.is_err());
    assert_eq!(scene.consent().await.status, 200);
    scene.served("read").await;
    assert_eq!(scene.server.asked("/register").len(), 2);
}

#[tokio::test]
async fn an_answer_is_taken_once_and_from_the_server_that_was_asked() {
    let stage = stage().await;
    let scene = Scene::of_people(&stage, "answers").await;
    let callback = format!("{}/oauth/callback", stage.gateway.admin_url());

    let unknown = open(&format!("{callback}?state=made-up&code=made-up")).await;
    assert_eq!(unknown.status, 400);
    assert!(
        unknown.text.contains("Nobody waits for this answer"),
        "{}",
        unknown.text
    );
    assert_eq!(open(&callback).await.status, 400);

    scene
        .server
        .change(|rules| rules.answers_as = Some("https://evil.example".to_owned()));
    let forged = scene.consent().await;
    assert_eq!(forged.status, 400);
    assert!(
        forged.text.contains("does not come from the server"),
        "{}",
        forged.text
    );
    assert_eq!(
        scene.tokens("authorization_code"),
        0,
        "its code was shown to nobody"
    );
    let view = scene.view().await;
    assert_eq!(
        view["error"],
        "the answer does not come from the authorization server that was asked"
    );

    scene.server.change(|rules| {
        rules.answers_as = None;
        rules.denies = true;
    });
    let denied = scene.consent().await;
    assert_eq!(denied.status, 400);
    assert!(
        denied.text.contains("No consent was given"),
        "{}",
        denied.text
    );
    assert_eq!(
        scene.view().await["error"],
        "no consent was given: access_denied"
    );

    scene.server.change(|rules| rules.denies = false);
    let page = scene.page().await;
    let browser = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none());
    let sent_back = browser.build().unwrap().get(page).send().await.unwrap();
    let back = sent_back.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(open(&back).await.status, 200);
    assert_eq!(open(&back).await.status, 400);
    assert_eq!(scene.tokens("authorization_code"), 1);
    scene.served("read").await;
}

#[tokio::test]
async fn a_server_without_registration_wants_a_client_that_it_knows() {
    let stage = stage().await;
    let scene = Scene::of_people(&stage, "unregistered").await;
    scene.server.change(|rules| rules.registers = false);
    let refused = scene.admin.post(&scene.path(), &Value::Null).await;
    assert_eq!(refused.status, 502);
    assert!(
        refused.text.contains("give `client.id`"),
        "{}",
        refused.text
    );

    let client = json!({ "id": "by-hand", "secret": "the client's secret" });
    scene.server.client("by-hand", "the client's secret");
    scene
        .authorize_with(json!({ "grant": "authorization-code", "client": client }))
        .await;
    assert_eq!(scene.consent().await.status, 200);
    scene.served("read").await;
    assert_eq!(
        scene.server.asked("/authorize")[0].params["client_id"],
        "by-hand"
    );
}

#[tokio::test]
async fn a_client_may_be_known_by_the_url_of_its_metadata() {
    let stage = stage().await;
    let url = "https://gateway.example/oauth/client.json";
    let oauth = json!({ "grant": "authorization-code", "client": { "metadata_url": url } });
    let scene = Scene::set(&stage, "by-url", oauth).await;
    assert_eq!(scene.consent().await.status, 200);
    assert_eq!(
        scene.server.asked("/register").len(),
        1,
        "the server does not take such ids"
    );
    assert_eq!(scene.admin.delete(&scene.path()).await.status, 204);

    scene.server.public_client(url);
    scene
        .server
        .change(|rules| rules.metadata = json!({ "client_id_metadata_document_supported": true }));
    assert_eq!(scene.consent().await.status, 200);
    scene.served("read").await;
    assert_eq!(scene.view().await["client_id"], url);
    assert_eq!(scene.server.asked("/register").len(), 1);
}
