//! What must be seen by nobody but those that it is for: tokens, codes, secrets, and what the caller presented.

use serde_json::{Value, json};

use super::{Scene, machine, stage};

#[tokio::test]
async fn secrets_are_in_no_log_answer_or_metric() {
    let stage = stage().await;
    let people = Scene::of_people(&stage, "discreet").await;
    assert_eq!(people.consent().await.status, 200);
    people.served("read").await;
    people.server.revoke_access();
    people.served("read").await;
    assert!(people.call("write").await.is_err());
    people.server.revoke();
    assert!(people.call("read").await.is_err());
    let machine = Scene::of_machine(&stage, "discreet-machine").await;
    machine.served("write").await;

    let admin = stage.admin();
    let mut seen: String = stage.gateway.log().iter().map(Value::to_string).collect();
    assert!(
        seen.contains("an upstream is authorized"),
        "the log was read"
    );
    for path in [
        people.path(),
        machine.path(),
        people.tenant.path("/upstreams"),
        machine.tenant.path("/upstreams/guarded"),
        "/metrics".to_owned(),
        "/config".to_owned(),
    ] {
        let answer = admin.get(&path).await;
        assert_eq!(answer.status, 200, "{path}");
        seen.push_str(&answer.text);
    }
    let mut secrets = people.server.issued();
    secrets.extend(machine.server.issued());
    assert!(secrets.len() >= 6, "{secrets:?}");
    secrets.insert("the client's secret".to_owned());
    for asked in people.server.asked("/token") {
        secrets.extend(asked.params.get("code_verifier").cloned());
    }
    for secret in secrets {
        assert!(!seen.contains(&secret), "{secret}");
    }
}

#[tokio::test]
async fn what_the_caller_presents_goes_nowhere() {
    let stage = stage().await;
    let scene = Scene::of_people(&stage, "own-token").await;
    assert_eq!(scene.consent().await.status, 200);
    scene.served("read").await;
    let shown = scene.guarded.authorizations();
    assert!(
        shown
            .iter()
            .flatten()
            .all(|shown| !shown.contains(&scene.alice)),
        "{shown:?}"
    );
    for path in ["/token", "/authorize", "/register"] {
        for asked in scene.server.asked(path) {
            assert!(
                asked
                    .params
                    .values()
                    .all(|value| !value.contains(&scene.alice)),
                "{asked:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_definition_is_shown_without_secrets_and_can_be_put_back() {
    let stage = stage().await;
    let scene = Scene::of_machine(&stage, "put-back").await;
    let path = scene.tenant.path("/upstreams/guarded");
    let shown = scene.admin.get(&path).await.ok();
    assert_eq!(
        shown["auth"]["oauth"]["client"],
        json!({ "id": "gateway", "secret": "***" })
    );
    let put = scene.admin.put(&path, &shown).await;
    assert_eq!(put.ok(), shown);
    scene.served("read").await;
}

#[tokio::test]
async fn a_definition_that_cannot_work_is_refused_by_name() {
    let stage = stage().await;
    let scene = Scene::of_machine(&stage, "refused-spec").await;
    let path = scene.tenant.path("/upstreams/other");
    let machine = machine();
    let mut cases = Vec::new();
    for (title, spec) in [
        (
            "for a command",
            json!({ "command": ["x"], "auth": { "oauth": machine } }),
        ),
        (
            "beside a header",
            json!({ "url": "https://a.example", "headers": { "authorization": "x" }, "auth": { "oauth": machine } }),
        ),
        (
            "of another kind",
            json!({ "url": "https://a.example", "auth": { "kerberos": {} } }),
        ),
        (
            "by another grant",
            json!({ "url": "https://a.example", "auth": { "oauth": { "grant": "password" } } }),
        ),
        (
            "without a client",
            json!({ "url": "https://a.example", "auth": { "oauth": { "grant": "client-credentials" } } }),
        ),
        (
            "with a key that is none",
            json!({ "url": "https://a.example", "auth": { "oauth": { "grant": "client-credentials", "client": { "id": "c", "private_key": "x" } } } }),
        ),
        (
            "with nothing to keep",
            json!({ "url": "https://a.example", "auth": { "oauth": { "grant": "client-credentials", "client": { "id": "c", "secret": "***" } } } }),
        ),
        (
            "with an odd field",
            json!({ "url": "https://a.example", "auth": { "oauth": { "grant": "authorization-code", "scope": "a" } } }),
        ),
    ] {
        cases.push((title, scene.admin.put(&path, &spec).await.shown()));
    }
    cases.push((
        "without `auth`",
        scene
            .admin
            .get(&scene.tenant.path("/upstreams/demo/authorization"))
            .await
            .shown(),
    ));
    cases.push((
        "of no upstream",
        scene
            .admin
            .post(
                &scene.tenant.path("/upstreams/none/authorization"),
                &Value::Null,
            )
            .await
            .shown(),
    ));
    cases.push((
        "where nobody need consent",
        scene.admin.post(&scene.path(), &Value::Null).await.shown(),
    ));
    insta::assert_snapshot!(portcullis_tests::show::listing(&cases), @r#"
for a command
    422
    {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"`auth` is for an upstream with `url`: remove it","pointer":"/auth"}
beside a header
    422
    {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"`auth` sets this header: keep one of the two","pointer":"/headers/authorization"}
of another kind
    422
    {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"unknown value `kerberos`: use one of oauth","pointer":"/auth"}
by another grant
    422
    {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"unknown value `password`: use one of client-credentials, authorization-code, token-exchange","pointer":"/auth/oauth/grant"}
without a client
    422
    {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"client credentials are those of a client: give its `id`","pointer":"/auth/oauth/client/id"}
with a key that is none
    422
    {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"this is no private key in PEM: RSA, P-256, P-384 or Ed25519, not encrypted","pointer":"/auth/oauth/client/private_key"}
with nothing to keep
    422
    {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"`***` keeps the value that is stored, and none is stored here: send the secret itself","pointer":"/auth/oauth/client/secret"}
with an odd field
    422
    {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"unknown key `scope`: did you mean `scopes`?","pointer":"/auth/oauth/scope"}
without `auth`
    404
    {"type":"not-found","title":"Not found","status":404,"detail":"the upstream `demo` has no `auth`: there is nothing to authorize"}
of no upstream
    404
    {"type":"not-found","title":"Not found","status":404,"detail":"there is no upstream `none`"}
where nobody need consent
    409
    {"type":"no-consent-needed","title":"The change conflicts with what is there","status":409,"detail":"this upstream's tokens need nobody's consent"}
"#);
}
