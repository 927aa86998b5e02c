//! An operator who is asked for consent, and the browser that brings it back.

use portcullis_tests::admin::{Admin, Tenant};
use portcullis_tests::show::Answer;
use serde_json::Value;

/// Consents to the use of an upstream, where that is what it waits for.
///
/// # Errors
/// Why there is nothing to be had by consenting.
pub async fn give(admin: &Admin, tenant: &Tenant, upstream: &str) -> Result<(), String> {
    let path = tenant.path(&format!("/upstreams/{upstream}/authorization"));
    let view = admin.get(&path).await.body();
    if view["state"] != "consent-required" {
        return Err(format!("[{} {}]", view["state"], view["error"]));
    }
    let asked = admin.post(&path, &Value::Null).await;
    if asked.status != 201 {
        return Err(format!("[{}]", asked.text));
    }
    let asked = asked.json();
    let page = asked["authorization_url"].as_str().unwrap_or_default();
    // The suite's server needs no person: its page sends the browser back at once.
    let brought = Answer::of(portcullis_tests::admin::http().get(page)).await;
    match brought.status {
        200 => Ok(()),
        _ => Err(format!("[{}]", brought.text.trim())),
    }
}
