//! Isolation: what belongs to one tenant, or to one caller, means nothing to another.

use portcullis_tests::admin::binding;
use portcullis_tests::mcp::{Era, Peer, Wire};
use portcullis_tests::shared::Shared;
use portcullis_tests::stage::{SERVER, Stage};
use portcullis_tests::tokens::{ISSUER, SECRET, token};
use serde_json::json;

static STAGE: Shared<Stage> = Shared::new();

#[tokio::test]
async fn a_key_opens_its_own_tenant_alone() {
    let stage = STAGE.get(Stage::set).await;
    let (_, globex) = stage.guest_tenant("keyed").await;
    let theirs = stage.gateway.mcp("keyed-tools");
    assert_eq!(
        Peer::stateless(&theirs, &globex)
            .call("demo__add", json!({ "a": 1, "b": 1 }))
            .await
            .text_content(),
        "2"
    );
    for era in [Era::Session, Era::Stateless] {
        let foreign = [
            (theirs.clone(), stage.alice.clone()),
            (stage.url(), globex.clone()),
        ];
        for (url, key) in foreign {
            let opening = portcullis_tests::mcp::initialize().to_string();
            let refused = match era {
                Era::Session => Wire::new(&url, &key).send(opening, &[]).await,
                Era::Stateless => {
                    Peer::stateless(&url, &key)
                        .call("demo__add", json!({ "a": 1, "b": 1 }))
                        .await
                }
            };
            assert_eq!(refused.refusal(), (401, -32001), "{era:?} {url}");
        }
    }
}

#[tokio::test]
async fn a_session_is_its_callers_alone() {
    let stage = STAGE.get(Stage::set).await;
    let (_, globex) = stage.guest_tenant("sessions").await;
    let session = stage.alice(Era::Session).await;
    let stolen = session.stolen_by(&stage.bob);
    assert_eq!(
        stolen.request("tools/list", json!({})).await.refusal(),
        (404, -32600),
        "by bob of the same tenant"
    );
    assert_eq!(stolen.end().await.status, 404, "bob cannot end it either");
    let carried = session.carried_to(&stage.gateway.mcp("sessions-tools"), &globex);
    assert_eq!(
        carried.request("tools/list", json!({})).await.refusal(),
        (404, -32600),
        "by alice of another tenant"
    );
    assert!(
        !session.tools().await.is_empty(),
        "it goes on for its owner"
    );
    assert!(session.end().await.status < 300);
    assert_eq!(
        session.request("tools/list", json!({})).await.refusal(),
        (404, -32600),
        "it has ended"
    );
}

#[tokio::test]
async fn a_token_holds_where_its_issuer_is_registered() {
    let stage = STAGE.get(Stage::set).await;
    let jwt_auth = stage.admin().push("jwt-auth").await;
    let by_token = binding(&jwt_auth, &["jwt"], json!({ "issuers": [ISSUER] }));
    let alice = token("alice", &json!({}));
    let mut seen = Vec::new();
    for (name, secret) in [
        ("token-a", SECRET),
        ("token-b", "another secret, also of thirty-two bytes"),
    ] {
        let (tenant, _) = stage.guest_tenant(name).await;
        tenant
            .issuer("login", json!({ "issuer": ISSUER, "secret": secret }))
            .await;
        tenant.chain(std::slice::from_ref(&by_token)).await;
        let peer = Peer::stateless(&stage.gateway.mcp(&format!("{name}-tools")), &alice);
        seen.push(peer.request("tools/list", json!({})).await.status);
    }
    assert_eq!(seen, [200, 401]);
}

#[tokio::test]
async fn quotas_are_counted_apart() {
    let stage = STAGE.get(Stage::set).await;
    let rate_limit = stage.admin().push("rate-limit").await;
    let limit = json!({ "limits": [{ "name": "calls", "rate": 2, "period_ms": 3_600_000 }] });
    let mut peers = Vec::new();
    for name in ["quota-a", "quota-b"] {
        let (tenant, key) = stage.guest_tenant(name).await;
        stage
            .chain(&tenant, &[binding(&rate_limit, &["quota"], limit.clone())])
            .await;
        peers.push(Peer::stateless(
            &stage.gateway.mcp(&format!("{name}-tools")),
            &key,
        ));
    }
    let mut seen = Vec::new();
    for peer in [
        &peers[0], &peers[0], &peers[0], &peers[1], &peers[1], &peers[1],
    ] {
        seen.push(
            peer.call("demo__echo", json!({ "message": "x" }))
                .await
                .status,
        );
    }
    assert_eq!(seen, [200, 200, 429, 200, 200, 429]);
}

#[tokio::test]
async fn one_plugin_serves_tenants_with_configurations_of_their_own() {
    let stage = STAGE.get(Stage::set).await;
    let access = stage.admin().push("access-control").await;
    let mut seen = Vec::new();
    for (name, hidden) in [("config-a", "demo__add"), ("config-b", "demo__echo")] {
        let (tenant, key) = stage.guest_tenant(name).await;
        let rules =
            json!({ "default": "allow", "rules": [{ "effect": "deny", "tools": [hidden] }] });
        stage.chain(&tenant, &[binding(&access, &[], rules)]).await;
        let tools = Peer::stateless(&stage.gateway.mcp(&format!("{name}-tools")), &key)
            .tools()
            .await;
        seen.push(["demo__add", "demo__echo"].map(|tool| tools.contains(&tool.to_owned())));
    }
    assert_eq!(seen, [[false, true], [true, false]]);
}

#[tokio::test]
async fn what_is_taken_away_is_gone_at_once() {
    let stage = STAGE.get(Stage::set).await;
    let admin = stage.admin();
    let (tenant, alice) = stage.guest_tenant("leaving").await;
    let peer = Peer::stateless(&stage.gateway.mcp("leaving-tools"), &alice);
    assert!(!peer.tools().await.is_empty());
    let keys = admin.get(&tenant.path("/keys")).await.ok();
    let id = keys["items"][0]["id"].as_str().expect("an id");
    assert_eq!(
        admin
            .delete(&tenant.path(&format!("/keys/{id}")))
            .await
            .status,
        204
    );
    assert_eq!(
        peer.request("tools/list", json!({})).await.refusal(),
        (401, -32001),
        "the key is gone"
    );
    assert_eq!(admin.delete(&tenant.path("")).await.status, 204);
    assert_eq!(
        peer.request("tools/list", json!({})).await.refusal(),
        (404, -32600),
        "the tenant is gone"
    );
    assert!(
        !stage.alice(Era::Stateless).await.tools().await.is_empty(),
        "others go on"
    );
}

#[tokio::test]
async fn names_of_servers_belong_to_the_first_who_takes_them() {
    let stage = STAGE.get(Stage::set).await;
    let (tenant, _) = stage.guest_tenant("late").await;
    let mounts = json!({ "upstreams": [{ "name": "demo" }] });
    let refused = stage
        .admin()
        .put(&tenant.path(&format!("/servers/{SERVER}")), &mounts)
        .await;
    assert_eq!(
        (refused.status, refused.json()["type"].clone()),
        (409, json!("name-taken"))
    );
    assert!(!stage.alice(Era::Stateless).await.tools().await.is_empty());
}

#[tokio::test]
async fn a_new_tenant_lets_nobody_in() {
    let stage = STAGE.get(Stage::set).await;
    let tenant = stage.admin().tenant("empty").await;
    tenant.upstream("demo", stage.upstream.spec()).await;
    tenant.server("empty-tools", &["demo"]).await;
    let key = tenant.key("alice").await;
    let refused = Peer::stateless(&stage.gateway.mcp("empty-tools"), &key)
        .request("tools/list", json!({}))
        .await;
    assert_eq!(refused.refusal(), (401, -32001));
}
