//! Tokens that do not hold.

use portcullis_tests::admin::binding;
use portcullis_tests::mcp::Peer;
use portcullis_tests::show::listing;
use portcullis_tests::tokens::{AUDIENCE, ISSUER, SECRET, now_s, signed_with, token};
use serde_json::json;

use super::{STAGE, set};

#[tokio::test]
async fn each_says_what_is_wrong_with_it() {
    let stage = STAGE.get(set).await;
    let jwt_auth = stage.admin().push("jwt-auth").await;
    let (tenant, _) = stage.guest_tenant("bad-tokens").await;
    tenant
        .issuer("login", json!({ "issuer": ISSUER, "secret": SECRET }))
        .await;
    tenant
        .chain(&[binding(
            &jwt_auth,
            &["jwt"],
            json!({ "issuers": [ISSUER], "audiences": [AUDIENCE] }),
        )])
        .await;
    let url = stage.gateway.mcp("bad-tokens-tools");
    let (past, future) = (now_s() - 600, now_s() + 600);
    let good = token("alice", &json!({}));
    let (head, signature) = good.rsplit_once('.').expect("three parts");
    let unsigned = format!("{head}.");
    let cases = [
        ("expired", token("alice", &json!({ "exp": past }))),
        ("not yet valid", token("alice", &json!({ "nbf": future }))),
        (
            "another audience",
            token("alice", &json!({ "aud": "https://other.test" })),
        ),
        ("no audience", token("alice", &json!({ "aud": null }))),
        (
            "another issuer",
            token("alice", &json!({ "iss": "https://evil.test" })),
        ),
        ("no issuer", token("alice", &json!({ "iss": null }))),
        ("no end", token("alice", &json!({ "exp": null }))),
        ("no subject", token("alice", &json!({ "sub": null }))),
        (
            "another signature",
            signed_with("a secret of thirty-two other bytes", "alice", &json!({})),
        ),
        ("no signature", unsigned),
        ("malformed", format!("e30.e30.{signature}")),
        ("no token at all", "hello".to_owned()),
    ];
    let mut shown = Vec::new();
    for (title, token) in cases {
        let refused = Peer::stateless(&url, &token)
            .request("tools/list", json!({}))
            .await;
        assert_eq!(
            refused.refusal(),
            (401, -32001),
            "{title}: {}",
            refused.shown()
        );
        assert!(
            refused
                .header("www-authenticate")
                .is_some_and(|challenge| challenge.starts_with("Bearer")),
            "{title}"
        );
        shown.push((title, refused.shown()));
    }
    insta::assert_snapshot!(listing(&shown), @r#"
    expired
        401
        www-authenticate: Bearer error="invalid_token", error_description="The token has expired"
        {"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"The token has expired."}}
    not yet valid
        401
        www-authenticate: Bearer error="invalid_token", error_description="The token is not valid yet"
        {"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"The token is not valid yet."}}
    another audience
        401
        www-authenticate: Bearer error="invalid_token", error_description="The token is meant for another audience"
        {"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"The token is meant for another audience."}}
    no audience
        401
        www-authenticate: Bearer error="invalid_token", error_description="The token is meant for another audience"
        {"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"The token is meant for another audience."}}
    another issuer
        401
        www-authenticate: Bearer error="invalid_token", error_description="The token's issuer is not trusted here"
        {"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"The token's issuer is not trusted here."}}
    no issuer
        401
        www-authenticate: Bearer error="invalid_token", error_description="The token's issuer is not trusted here"
        {"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"The token's issuer is not trusted here."}}
    no end
        401
        www-authenticate: Bearer error="invalid_token", error_description="The token cannot be read"
        {"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"The token cannot be read."}}
    no subject
        401
        www-authenticate: Bearer error="invalid_token", error_description="The token does not say who is calling"
        {"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"The token does not say who is calling."}}
    another signature
        401
        www-authenticate: Bearer error="invalid_token", error_description="The token's signature does not hold"
        {"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"The token's signature does not hold."}}
    no signature
        401
        www-authenticate: Bearer error="invalid_token", error_description="The token's signature does not hold"
        {"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"The token's signature does not hold."}}
    malformed
        401
        www-authenticate: Bearer error="invalid_token", error_description="The token cannot be read"
        {"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"The token cannot be read."}}
    no token at all
        401
        www-authenticate: Bearer
        {"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"no credentials that this tenant accepts; send a token or an API key in `Authorization: Bearer …`"}}
    "#);
    assert_eq!(
        Peer::stateless(&url, &good)
            .request("tools/list", json!({}))
            .await
            .status,
        200
    );
}
