//! Who is calling: `api-key-auth` and `jwt-auth`.

use portcullis_tests::admin::binding;
use portcullis_tests::fakes::{Answer, Fake};
use portcullis_tests::mcp::{Peer, Wire, initialize};
use portcullis_tests::stage::Stage;
use portcullis_tests::tokens::{self, AUDIENCE, ISSUER, SECRET, token};
use serde_json::json;

use super::STAGE;

#[tokio::test]
async fn api_key_auth_takes_keys_in_either_header() {
    let stage = STAGE.get(Stage::set).await;
    let url = stage.url();
    let opening = initialize().to_string();
    assert_eq!(
        Wire::new(&url, &stage.alice)
            .send(opening.clone(), &[])
            .await
            .status,
        200
    );
    assert_eq!(
        Wire::unknown(&url)
            .send(opening.clone(), &[("x-api-key", &stage.alice)])
            .await
            .status,
        200
    );
    let refused = Wire::unknown(&url)
        .send(opening, &[("x-api-key", "pk_guess")])
        .await;
    assert_eq!(refused.status, 401);
    let challenge = refused.header("www-authenticate").unwrap_or_default();
    assert!(
        challenge.starts_with("Bearer error=\"invalid_token\""),
        "{challenge}"
    );
}

#[tokio::test]
async fn callers_that_nobody_knows_get_in_where_the_chain_says_so() {
    let stage = STAGE.get(Stage::set).await;
    let (tenant, _) = stage.guest_tenant("open").await;
    let chain = json!({ "bindings": [stage.by_key()], "anonymous": true });
    stage
        .admin()
        .put(&tenant.path("/policies"), &chain)
        .await
        .ok();
    let wire = Wire::unknown(&stage.gateway.mcp("open-tools"));
    let opening = initialize().to_string();
    assert_eq!(wire.send(opening.clone(), &[]).await.status, 200);
    let wrong = wire.send(opening, &[("x-api-key", "pk_guess")]).await;
    assert_eq!(wrong.status, 401, "a wrong key is not the same as none");
}

#[tokio::test]
async fn jwt_auth_finds_the_caller_in_the_claims() {
    let stage = STAGE.get(Stage::set).await;
    let admin = stage.admin();
    let (jwt_auth, access) = (
        admin.push("jwt-auth").await,
        admin.push("access-control").await,
    );
    let (tenant, _) = stage.guest_tenant("claims").await;
    tenant
        .issuer("login", json!({ "issuer": ISSUER, "secret": SECRET }))
        .await;
    let config = json!({ "issuers": [ISSUER], "audiences": [AUDIENCE], "claims": { "roles": "/realm/roles", "team": "group" } });
    let rules = json!({ "rules": [
        { "effect": "allow", "tools": ["demo__echo"], "subjects": ["ali*"] },
        { "effect": "allow", "tools": ["demo__add"], "roles": ["adder"] },
        { "effect": "allow", "tools": ["demo__whoami"], "teams": ["core"] },
        { "effect": "allow", "tools": ["demo__stats"], "scopes": ["stats:read"] },
    ] });
    tenant
        .chain(&[
            binding(&jwt_auth, &["jwt"], config),
            binding(&access, &[], rules),
        ])
        .await;
    let url = stage.gateway.mcp("claims-tools");
    let cases = [
        ("alice", json!({}), vec!["demo__echo"]),
        (
            "bob",
            json!({ "realm": { "roles": ["adder"] } }),
            vec!["demo__add"],
        ),
        ("bob", json!({ "group": "core" }), vec!["demo__whoami"]),
        (
            "bob",
            json!({ "scope": "openid stats:read" }),
            vec!["demo__stats"],
        ),
        (
            "bob",
            json!({ "aud": ["https://other.test", AUDIENCE] }),
            vec![],
        ),
    ];
    for (subject, claims, want) in cases {
        let tools = Peer::stateless(&url, &token(subject, &claims))
            .tools()
            .await;
        assert_eq!(tools, want, "{subject} {claims}");
    }
}

#[tokio::test]
async fn jwt_auth_takes_keys_from_an_issuers_address() {
    let stage = STAGE.get(Stage::set).await;
    let issuer = Fake::start(|_| Answer::json(&tokens::jwks())).await;
    let jwt_auth = stage.admin().push("jwt-auth").await;
    let (tenant, _) = stage.guest_tenant("jwks").await;
    tenant
        .issuer(
            "login",
            json!({ "issuer": ISSUER, "jwks_url": issuer.url() }),
        )
        .await;
    tenant
        .chain(&[binding(&jwt_auth, &["jwt"], json!({ "issuers": [ISSUER] }))])
        .await;
    let peer = Peer::stateless(
        &stage.gateway.mcp("jwks-tools"),
        &tokens::signed_by_key("alice"),
    );
    // Keys are fetched behind the request's back; until they are there, callers are told to try again.
    portcullis_tests::wait::until("the issuer's keys", || async {
        let reply = peer.request("tools/list", json!({})).await;
        assert!([200, 503].contains(&reply.status), "{}", reply.shown());
        (reply.status == 200).then_some(())
    })
    .await;
    let forged = Peer::stateless(
        &stage.gateway.mcp("jwks-tools"),
        &token("alice", &json!({})),
    );
    assert_eq!(
        forged.request("tools/list", json!({})).await.refusal(),
        (401, -32001)
    );
}
