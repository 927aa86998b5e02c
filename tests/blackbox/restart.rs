//! What a gateway was told, it knows after a restart, and after an end without warning.

use portcullis_tests::admin::{Admin, binding};
use portcullis_tests::gateway::Gateway;
use portcullis_tests::mcp::{Era, Peer};
use portcullis_tests::stage::{Stage, TENANT};
use portcullis_tests::tokens::{ISSUER, SECRET, token};
use serde_json::{Value, json};

/// Everything that the admin API shows of a tenant, and the plugins.
async fn desired_state(admin: &Admin) -> Vec<(String, Value)> {
    let tenant = format!("/api/v1/tenants/{TENANT}");
    let below = [
        "",
        "/upstreams",
        "/servers",
        "/issuers",
        "/keys",
        "/trust",
        "/policies",
        "/policies/revisions",
        "/policies/revisions/1",
    ];
    let mut paths: Vec<String> = below
        .iter()
        .map(|below| format!("{tenant}{below}"))
        .collect();
    paths.extend(["/api/v1/tenants".to_owned(), "/api/v1/plugins".to_owned()]);
    let mut state = Vec::new();
    for path in paths {
        let body = admin.get(&path).await.ok();
        state.push((path, body));
    }
    state
}

#[tokio::test]
async fn everything_survives() {
    let mut stage = Stage::on(Gateway::start().await).await;
    let admin = stage.admin();
    let tenant = stage.tenant();
    let (jwt_auth, rate_limit, access) = (
        admin.push("jwt-auth").await,
        admin.push("rate-limit").await,
        admin.push("access-control").await,
    );
    tenant
        .issuer("login", json!({ "issuer": ISSUER, "secret": SECRET }))
        .await;
    let limit = json!({ "limits": [{ "name": "calls", "key": ["subject"], "rate": 100, "period_ms": 3_600_000 }] });
    let rules =
        json!({ "default": "allow", "rules": [{ "effect": "deny", "tools": ["demo__delete_*"] }] });
    let by_token = json!({ "issuers": [ISSUER], "pass_unknown_issuers": true });
    stage
        .chain(&tenant, &[binding(&access, &[], rules.clone())])
        .await;
    let revision = stage
        .chain(
            &tenant,
            &[
                binding(&jwt_auth, &["jwt"], by_token),
                binding(&rate_limit, &["quota"], limit),
                binding(&access, &[], rules),
            ],
        )
        .await;
    let before = desired_state(&admin).await;
    let (url_of_admin, admin_token) = (
        stage.gateway.admin_url().to_owned(),
        stage.gateway.admin_token().to_owned(),
    );

    for kind in ["restart", "crash"] {
        let old_session = Peer::connect(Era::Session, &stage.url(), &stage.alice).await;
        match kind {
            "restart" => stage.gateway.restart().await,
            _ => stage.gateway.crash().await,
        }
        assert_ne!(stage.gateway.admin_url(), url_of_admin, "it took new ports");
        assert_eq!(stage.gateway.admin_token(), admin_token, "{kind}");
        let admin = stage.admin();
        assert_eq!(desired_state(&admin).await, before, "{kind}");
        assert_eq!(
            admin
                .metrics()
                .await
                .sum("portcullis_generation_revision", &[("tenant", TENANT)]),
            revision as f64,
            "{kind}"
        );
        for (era, key) in [
            (Era::Session, stage.alice.clone()),
            (Era::Stateless, token("carol", &json!({}))),
        ] {
            let peer = Peer::connect(era, &stage.url(), &key).await;
            assert_eq!(
                peer.call("demo__add", json!({ "a": 1, "b": 2 }))
                    .await
                    .text_content(),
                "3",
                "{kind} {era:?}"
            );
            assert_eq!(
                peer.call("demo__delete_customer", json!({ "id": "C-1" }))
                    .await
                    .refusal(),
                (403, -32003),
                "{kind} {era:?}"
            );
        }
        let lost = old_session
            .carried_to(&stage.url(), &stage.alice)
            .request("tools/list", json!({}))
            .await;
        assert_eq!(
            lost.refusal(),
            (404, -32600),
            "{kind}: sessions are in memory, and clients are told to open another"
        );
    }
    let revision_after = stage.chain(&stage.tenant(), &[]).await;
    assert_eq!(revision_after, revision + 1, "revisions are counted on");
}

#[tokio::test]
async fn compiled_plugins_are_found_again() {
    let mut gateway = Gateway::start().await;
    let admin = gateway.admin();
    let reference = admin.push("api-key-auth").await;
    let listed = admin.get("/api/v1/plugins").await.ok();
    gateway.restart().await;
    let admin = gateway.admin();
    assert_eq!(admin.get("/api/v1/plugins").await.ok(), listed);
    assert_eq!(
        admin.push("api-key-auth").await,
        reference,
        "pushing it again changes nothing"
    );
    let tenant = admin.tenant(TENANT).await;
    tenant
        .chain(&[binding(&reference, &["keys"], json!({}))])
        .await;
    let refused = admin.delete(&format!("/api/v1/plugins/{reference}")).await;
    assert_eq!(
        (refused.status, refused.json()["type"].clone()),
        (409, json!("in-use"))
    );
}
