//! An operator who is asked for consent, and the browser that brings it back.

use reqwest::redirect::Policy;

use portcullis_tests::admin::{Admin, Tenant};

/// Consents to the use of an upstream, where that is what it waits for.
///
/// # Errors
/// Why there is nothing to be had by consenting.
pub(crate) async fn give(admin: &Admin, tenant: &Tenant, upstream: &str) -> Result<(), String> {
    let path = tenant.path(&format!("/upstreams/{upstream}/authorization"));
    let view = admin.get(&path).await.body();
    if view["state"] != "consent-required" {
        return Err(format!("[{} {}]", view["state"], view["error"]));
    }
    let asked = admin.post(&path, &serde_json::Value::Null).await;
    if asked.status != 201 {
        return Err(format!("[{}]", asked.text));
    }
    let page = asked.json()["authorization_url"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    // The suite's server needs no person: its page sends the browser back at once.
    let browser = reqwest::Client::builder()
        .no_proxy()
        .redirect(Policy::limited(3))
        .build();
    let browser = browser.expect("a browser");
    let brought = browser
        .get(page)
        .send()
        .await
        .map_err(|error| error.to_string())?;
    if brought.status().is_success() {
        Ok(())
    } else {
        Err(format!(
            "[{}]",
            brought.text().await.unwrap_or_default().trim()
        ))
    }
}
