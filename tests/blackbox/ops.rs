//! Operations: probes, metrics, settings, the API's own description.

mod ending;
mod logs;

use portcullis_tests::admin::{binding, http};
use portcullis_tests::gateway::Gateway;
use portcullis_tests::mcp::{Era, Peer};
use portcullis_tests::shared::Shared;
use portcullis_tests::stage::Stage;
use serde_json::{Value, json};

static STAGE: Shared<Stage> = Shared::new();

#[tokio::test]
async fn probes_need_no_token() {
    let stage = STAGE.get(Stage::set).await;
    let http = http();
    for base in [stage.gateway.url(), stage.gateway.admin_url()] {
        for path in ["/health", "/health/live", "/health/ready", "/ready"] {
            let answer = http
                .get(format!("{base}{path}"))
                .send()
                .await
                .expect("an answer");
            assert_eq!(answer.status(), 200, "{base}{path}");
        }
    }
    for path in ["/metrics", "/openapi.json", "/config", "/stats"] {
        let answer = http
            .get(format!("{}{path}", stage.gateway.admin_url()))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 401, "{path}");
    }
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let stage = STAGE.get(Stage::set).await;
    let admin = stage.admin();
    let (tenant, alice) = stage.guest_tenant("measured").await;
    let access = admin.push("access-control").await;
    let rules =
        json!({ "default": "allow", "rules": [{ "effect": "deny", "tools": ["demo__delete_*"] }] });
    stage.chain(&tenant, &[binding(&access, &[], rules)]).await;
    let peer = Peer::connect(Era::Session, &stage.gateway.mcp("measured-tools"), &alice).await;
    for _ in 0..3 {
        let reply = peer.call("demo__echo", json!({ "message": "x" })).await;
        assert_eq!(reply.text_content(), "x");
    }
    assert_eq!(
        peer.call("demo__delete_customer", json!({ "id": "C-1" }))
            .await
            .status,
        403
    );
    assert_eq!(
        peer.stolen_by("pk_guess")
            .call("demo__echo", json!({ "message": "x" }))
            .await
            .status,
        401
    );
    let metrics = admin.metrics().await;
    let requests = |outcome| {
        metrics.sum(
            "portcullis_requests_total",
            &[
                ("tenant", "measured"),
                ("server", "measured-tools"),
                ("method", "tools/call"),
                ("outcome", outcome),
            ],
        )
    };
    assert_eq!(
        [
            requests("ok"),
            requests("forbidden"),
            requests("unauthenticated")
        ],
        [3.0, 1.0, 1.0]
    );
    let seconds = metrics.sum(
        "portcullis_request_duration_seconds_count",
        &[("tenant", "measured"), ("method", "tools/call")],
    );
    assert_eq!(seconds, 5.0);
    let hooks = |plugin, hook, outcome| {
        metrics.sum(
            "portcullis_hook_outcomes_total",
            &[
                ("tenant", "measured"),
                ("plugin", plugin),
                ("hook", hook),
                ("outcome", outcome),
            ],
        )
    };
    assert_eq!(
        [
            hooks("access-control", "admit", "denied"),
            hooks("api-key-auth", "authenticate", "denied")
        ],
        [1.0, 1.0]
    );
    assert!(hooks("access-control", "admit", "ok") >= 3.0);
    assert!(
        metrics.sum(
            "portcullis_hook_duration_seconds_count",
            &[("tenant", "measured"), ("plugin", "access-control")]
        ) >= 4.0
    );
    assert!(metrics.sum("portcullis_instances_idle", &[("tenant", "measured")]) >= 1.0);
    assert_eq!(
        metrics.sum("portcullis_generation_revision", &[("tenant", "measured")]),
        2.0
    );
    assert!(metrics.sum("portcullis_sessions", &[]) >= 1.0);
    assert!(
        metrics
            .0
            .lines()
            .any(|line| line.starts_with("portcullis_upstream")),
        "nothing of upstreams"
    );
    for line in metrics.0.lines().filter(|line| !line.starts_with('#')) {
        assert!(
            line.rsplit_once(' ')
                .is_some_and(|(_, value)| value.parse::<f64>().is_ok()),
            "{line}"
        );
    }
}

#[tokio::test]
async fn the_api_describes_itself() {
    let stage = STAGE.get(Stage::set).await;
    let document = stage.admin().get("/openapi.json").await.ok();
    assert!(
        document["openapi"]
            .as_str()
            .is_some_and(|version| version.starts_with("3.")),
        "{}",
        document["openapi"]
    );
    let mut listed = Vec::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            assert!(
                operation["responses"]
                    .as_object()
                    .is_some_and(|responses| !responses.is_empty()),
                "{method} {path}"
            );
            assert!(
                operation["summary"].is_string() || operation["description"].is_string(),
                "{method} {path} says nothing"
            );
            listed.push(format!("{} {path}", method.to_uppercase()));
        }
    }
    listed.sort();
    insta::assert_snapshot!(listed.join("\n"), @r#"
    DELETE /api/v1/plugins/{plugin}
    DELETE /api/v1/tenants/{tenant}
    DELETE /api/v1/tenants/{tenant}/issuers/{name}
    DELETE /api/v1/tenants/{tenant}/keys/{id}
    DELETE /api/v1/tenants/{tenant}/samples
    DELETE /api/v1/tenants/{tenant}/servers/{name}
    DELETE /api/v1/tenants/{tenant}/upstreams/{name}
    DELETE /api/v1/tenants/{tenant}/upstreams/{name}/authorization
    GET /api/v1/plugins
    GET /api/v1/plugins/{plugin}
    GET /api/v1/plugins/{plugin}/signatures
    GET /api/v1/tenants
    GET /api/v1/tenants/{tenant}
    GET /api/v1/tenants/{tenant}/issuers
    GET /api/v1/tenants/{tenant}/issuers/{name}
    GET /api/v1/tenants/{tenant}/keys
    GET /api/v1/tenants/{tenant}/policies
    GET /api/v1/tenants/{tenant}/policies/diff
    GET /api/v1/tenants/{tenant}/policies/revisions
    GET /api/v1/tenants/{tenant}/policies/revisions/{revision}
    GET /api/v1/tenants/{tenant}/rollouts
    GET /api/v1/tenants/{tenant}/rollouts/{rollout}
    GET /api/v1/tenants/{tenant}/samples
    GET /api/v1/tenants/{tenant}/servers
    GET /api/v1/tenants/{tenant}/servers/{name}
    GET /api/v1/tenants/{tenant}/trust
    GET /api/v1/tenants/{tenant}/upstreams
    GET /api/v1/tenants/{tenant}/upstreams/{name}
    GET /api/v1/tenants/{tenant}/upstreams/{name}/authorization
    GET /config
    GET /metrics
    GET /stats
    PATCH /api/v1/tenants/{tenant}/rollouts/{rollout}
    POST /api/v1/plugins
    POST /api/v1/plugins/pull
    POST /api/v1/plugins/{plugin}/signatures
    POST /api/v1/tenants/{tenant}/explain
    POST /api/v1/tenants/{tenant}/keys
    POST /api/v1/tenants/{tenant}/policies/rollback
    POST /api/v1/tenants/{tenant}/rollouts
    POST /api/v1/tenants/{tenant}/rollouts/{rollout}/promote
    POST /api/v1/tenants/{tenant}/rollouts/{rollout}/rollback
    POST /api/v1/tenants/{tenant}/upstreams/{name}/authorization
    PUT /api/v1/tenants/{tenant}
    PUT /api/v1/tenants/{tenant}/issuers/{name}
    PUT /api/v1/tenants/{tenant}/policies
    PUT /api/v1/tenants/{tenant}/servers/{name}
    PUT /api/v1/tenants/{tenant}/trust
    PUT /api/v1/tenants/{tenant}/upstreams/{name}
    "#);
    references_resolve(&document, &document);
}

/// Whether every `$ref` of the document leads to something in it.
fn references_resolve(document: &Value, at: &Value) {
    match at {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                let pointer = reference
                    .strip_prefix('#')
                    .expect("references stay in the document");
                assert!(
                    document.pointer(pointer).is_some(),
                    "{reference} leads nowhere"
                );
            }
            members
                .values()
                .for_each(|value| references_resolve(document, value));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| references_resolve(document, item)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn the_settings_are_shown_without_secrets() {
    let token = "an-admin-token-of-the-operator";
    let gateway = Gateway::configured(&format!(
        "admin_token: {token}\nlimits:\n  body_bytes_max: 65536\n"
    ))
    .await;
    assert_eq!(gateway.admin_token(), token);
    let shown = gateway.admin().get("/config").await;
    assert!(!shown.text.contains(token), "{}", shown.text);
    assert_eq!(shown.ok()["limits"]["body_bytes_max"], 65_536);
}
