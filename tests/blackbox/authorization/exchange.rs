//! Callers who are known to an upstream themselves: their tokens are exchanged, one by one.

use portcullis_tests::admin::binding;
use portcullis_tests::mcp::{Era, Peer, Stream};
use portcullis_tests::oauth::{AuthorizationServer, WATCHED};
use portcullis_tests::stage::Stage;
use portcullis_tests::tokens::{AUDIENCE, ISSUER, SECRET, token};
use serde_json::{Value, json};

use super::{Scene, machine, stage};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// Callers present tokens of the tenant's own issuer, which the upstream's server takes in exchange for its own.
async fn scene(stage: &Stage, name: &str) -> Scene {
    let scene = Scene::of_machine(stage, name).await;
    let mut oauth = machine();
    oauth["grant"] = json!("token-exchange");
    oauth["issuer"] = json!(scene.server.url());
    scene.authorize_with(oauth).await;
    let login = json!({ "issuer": ISSUER, "secret": SECRET });
    scene.tenant.issuer("login", login).await;
    let jwt_auth = stage.admin().push("jwt-auth").await;
    let config =
        json!({ "issuers": [ISSUER], "audiences": [AUDIENCE], "pass_unknown_issuers": true });
    let chain = [stage.by_key(), binding(&jwt_auth, &["jwt"], config)];
    scene.tenant.chain(&chain).await;
    scene
}

/// Somebody whom the upstream's server knows.
fn known(server: &AuthorizationServer, subject: &str) -> String {
    let token = token(subject, &json!({}));
    server.subject(&token, subject);
    token
}

async fn read(era: Era, scene: &Scene, token: &str) -> Result<String, String> {
    let peer = Peer::connect(era, &scene.url, token).await;
    let reply = peer.call("guarded__read", json!({})).await;
    let message: Value = reply.messages().pop().expect("an answer");
    match message["error"]["message"].as_str() {
        Some(error) => Err(error.to_owned()),
        None => Ok(reply.text_content()),
    }
}

#[tokio::test]
async fn each_caller_is_served_as_itself() {
    let stage = stage().await;
    let scene = scene(&stage, "exchange").await;
    let callers = ["ann", "ben", "eve"].map(|name| (name, known(&scene.server, name)));
    for era in [Era::Session, Era::Stateless] {
        for _ in 0..2 {
            for (name, token) in &callers {
                assert_eq!(
                    read(era, &scene, token).await.unwrap(),
                    format!("read for {name}"),
                    "{era:?}"
                );
            }
        }
    }
    assert_eq!(scene.tokens(EXCHANGE), callers.len(), "one for each");
    assert_eq!(
        scene.tokens("client_credentials"),
        1,
        "the gateway's own, for lists"
    );
    let shown = scene.guarded.authorizations();
    for (name, token) in &callers {
        assert!(
            !shown.iter().flatten().any(|shown| shown.contains(token)),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_caller_who_is_not_known_gets_nothing_of_the_gateways_own() {
    let stage = stage().await;
    let scene = scene(&stage, "strangers").await;
    let known = known(&scene.server, "ann");
    assert_eq!(
        read(Era::Session, &scene, &known).await.unwrap(),
        "read for ann"
    );
    let stranger = token("mallory", &json!({}));
    let refused = read(Era::Session, &scene, &stranger).await.unwrap_err();
    assert!(
        refused.contains("Ask the operator of this gateway"),
        "{refused}"
    );

    // Recognised by another header: there is nothing to exchange.
    let key = scene.tenant.key("bob").await;
    let wire = portcullis_tests::mcp::Wire::unknown(&scene.url);
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "guarded__read", "arguments": {},
        "_meta": { "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} },
    } });
    let headers = [
        ("x-api-key", key.as_str()),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "guarded__read"),
    ];
    let reply = wire.send(body.to_string(), &headers).await;
    assert!(
        reply.error().1.contains("Ask the operator of this gateway"),
        "{}",
        reply.shown()
    );
    assert_eq!(scene.guarded.calls(), 1);
}

#[tokio::test]
async fn a_callers_token_is_shown_to_the_configured_server_alone() {
    let stage = stage().await;
    let scene = scene(&stage, "harvest").await;
    let thief = AuthorizationServer::start().await;
    thief.client("gateway", "the client's secret");
    scene
        .guarded
        .change(|rules| rules.servers = Some(vec![thief.url().to_owned()]));
    let ann = known(&scene.server, "ann");
    assert!(read(Era::Session, &scene, &ann).await.is_err());
    assert!(thief.asked("/token").is_empty());

    let unnamed = json!({ "grant": "token-exchange", "client": { "id": "c", "secret": "s" } });
    let spec = json!({ "url": scene.guarded.url(), "auth": { "oauth": unnamed } });
    let refused = scene
        .admin
        .put(&scene.tenant.path("/upstreams/unnamed"), &spec)
        .await;
    assert_eq!(
        (refused.status, &refused.json()["pointer"]),
        (422, &json!("/auth/oauth/issuer"))
    );
}

#[tokio::test]
async fn each_caller_watches_with_its_own_token() {
    let stage = stage().await;
    let scene = scene(&stage, "watchers").await;
    scene.guarded.change(|rules| rules.is_stateless = true);
    for name in ["ann", "ben"] {
        let peer = Peer::stateless(&scene.url, &known(&scene.server, name));
        let filter = json!({ "notifications": { "resourceSubscriptions": [WATCHED] } });
        let listening = peer.build("subscriptions/listen", filter);
        let mut told = Stream::open(listening).await;
        let updated = told.method("notifications/resources/updated").await;
        assert_eq!(updated["params"]["uri"], WATCHED);
        assert_eq!(updated["params"]["for"], name);
    }
    assert_eq!(scene.tokens(EXCHANGE), 2, "one for each");
}

#[tokio::test]
async fn an_exchanged_token_is_renewed_for_its_caller() {
    let stage = stage().await;
    let scene = scene(&stage, "exchange-again").await;
    let (ann, ben) = (known(&scene.server, "ann"), known(&scene.server, "ben"));
    let peers = [
        (Peer::session(&scene.url, &ann).await, "ann"),
        (Peer::session(&scene.url, &ben).await, "ben"),
    ];
    for round in 1..=2 {
        for (peer, name) in &peers {
            let said = peer.call("guarded__read", json!({})).await.text_content();
            assert_eq!(said, format!("read for {name}"));
        }
        assert_eq!(scene.tokens(EXCHANGE), round * peers.len());
        scene.server.revoke();
    }
}
