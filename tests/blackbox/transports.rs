//! The other transports: HTTP+SSE and WebSocket, towards clients and towards upstreams.

use portcullis_tests::admin::{Admin, Tenant, binding};
use portcullis_tests::shared::Shared;
use portcullis_tests::stage::Stage;
use serde_json::{Value, json};

mod older_upstreams;
mod sse;
mod websocket;

static STAGE: Shared<Stage> = Shared::new();

/// Answers of one hook of a tenant's policies, so far.
async fn hooks(admin: &Admin, tenant: &str, hook: &str) -> f64 {
    let labels = [("tenant", tenant), ("hook", hook)];
    let metrics = admin.metrics().await;
    metrics.sum("portcullis_hook_outcomes_total", &labels)
}

/// Gives a tenant a chain that admits everything but `demo__delete_customer`.
async fn refuse_deletion(stage: &Stage, tenant: &Tenant) {
    let plugin = stage.admin().push("access-control").await;
    let rules = json!({ "default": "allow", "rules": [{ "effect": "deny", "tools": ["demo__delete_customer"] }] });
    stage.chain(tenant, &[binding(&plugin, &[], rules)]).await;
}

/// The text of a tool's result.
fn text_of(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"]
        .as_str()
        .unwrap_or_else(|| panic!("no text: {answer}"))
}
