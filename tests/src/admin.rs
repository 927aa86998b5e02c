//! A client of the admin API, and tenants made with it.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};

use crate::places;
use crate::show::Answer;

/// The admin API of one gateway. It belongs to the runtime of the test that made it.
#[derive(Clone)]
pub struct Admin(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    url: String,
    token: String,
}

/// An HTTP client that talks to loopback alone.
///
/// # Panics
/// When the system cannot set one up.
#[must_use]
pub fn http() -> reqwest::Client {
    let builder = reqwest::Client::builder()
        .no_proxy()
        .timeout(crate::wait::BOUND);
    builder.build().expect("an HTTP client")
}

impl Admin {
    /// The API at `url`, with this token.
    #[must_use]
    pub fn new(url: &str, token: &str) -> Self {
        Self(Arc::new(Inner {
            http: http(),
            url: url.to_owned(),
            token: token.to_owned(),
        }))
    }

    /// A request that can still be changed.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let Inner { http, url, token } = self.0.as_ref();
        http.request(method, format!("{url}{path}"))
            .bearer_auth(token)
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::DELETE, path)).await
    }

    /// `PUT` of a JSON document.
    pub async fn put(&self, path: &str, document: &Value) -> Answer {
        Answer::of(self.request(Method::PUT, path).json(document)).await
    }

    /// `POST` of a JSON document.
    pub async fn post(&self, path: &str, document: &Value) -> Answer {
        Answer::of(self.request(Method::POST, path).json(document)).await
    }

    /// Publishes a component, whatever becomes of it.
    pub async fn publish(&self, component: Vec<u8>) -> Answer {
        let request = self
            .request(Method::POST, "/api/v1/plugins")
            .header("content-type", "application/wasm");
        Answer::of(request.body(component)).await
    }

    /// Publishes a component that must be admitted; its `name@version`.
    pub async fn admit(&self, component: Vec<u8>) -> String {
        let info = self.publish(component).await.ok();
        format!(
            "{}@{}",
            info["name"].as_str().expect("a name"),
            info["version"].as_str().expect("a version")
        )
    }

    /// Publishes a shipped plugin; its `name@version`.
    ///
    /// # Panics
    /// When it was not built, or is not admitted.
    pub async fn push(&self, plugin: &str) -> String {
        self.admit(std::fs::read(places::plugin(plugin)).expect("a plugin"))
            .await
    }

    /// Creates a tenant.
    pub async fn tenant(&self, name: &str) -> Tenant {
        self.put(
            &format!("/api/v1/tenants/{name}"),
            &json!({ "description": "of a test" }),
        )
        .await
        .ok();
        Tenant {
            admin: self.clone(),
            name: name.to_owned(),
        }
    }

    /// A tenant that is there already.
    #[must_use]
    pub fn existing(&self, name: &str) -> Tenant {
        Tenant {
            admin: self.clone(),
            name: name.to_owned(),
        }
    }

    /// The text of `/metrics`.
    pub async fn metrics(&self) -> Metrics {
        Metrics(self.get("/metrics").await.text)
    }
}

/// One tenant of a gateway.
#[derive(Clone)]
pub struct Tenant {
    admin: Admin,
    name: String,
}

impl Tenant {
    /// Path of something that belongs to it.
    #[must_use]
    pub fn path(&self, below: &str) -> String {
        format!("/api/v1/tenants/{}{below}", self.name)
    }

    /// Deletes it with everything that is its own.
    pub async fn remove(&self) {
        self.admin.delete(&self.path("")).await.ok();
    }

    /// Creates or replaces an upstream.
    pub async fn upstream(&self, name: &str, spec: Value) {
        self.admin
            .put(&self.path(&format!("/upstreams/{name}")), &spec)
            .await
            .ok();
    }

    /// Creates or replaces a server over upstreams of these names.
    pub async fn server(&self, name: &str, upstreams: &[&str]) {
        let mounts: Vec<Value> = upstreams
            .iter()
            .map(|name| json!({ "name": name }))
            .collect();
        self.server_spec(name, json!({ "upstreams": mounts })).await;
    }

    /// Creates or replaces a server.
    pub async fn server_spec(&self, name: &str, spec: Value) {
        self.admin
            .put(&self.path(&format!("/servers/{name}")), &spec)
            .await
            .ok();
    }

    /// Creates or replaces a token issuer.
    pub async fn issuer(&self, name: &str, spec: Value) {
        self.admin
            .put(&self.path(&format!("/issuers/{name}")), &spec)
            .await
            .ok();
    }

    /// Makes an API key for a subject.
    pub async fn key(&self, subject: &str) -> String {
        self.key_spec(json!({ "name": subject, "subject": subject }))
            .await
    }

    /// Makes an API key.
    pub async fn key_spec(&self, spec: Value) -> String {
        let made = self.admin.post(&self.path("/keys"), &spec).await.ok();
        made["key"].as_str().expect("the key").to_owned()
    }

    /// Makes these bindings the live chain; its revision.
    pub async fn chain(&self, bindings: &[Value]) -> u64 {
        let applied = self.try_chain(bindings).await.ok();
        applied["revision"].as_u64().expect("a revision")
    }

    /// Makes these bindings the live chain, which lets in whom none of them recognises.
    pub async fn open_chain(&self, bindings: &[Value]) {
        let chain = json!({ "bindings": bindings, "anonymous": true });
        self.admin.put(&self.path("/policies"), &chain).await.ok();
    }

    /// As [`Tenant::chain`], whatever becomes of it.
    pub async fn try_chain(&self, bindings: &[Value]) -> Answer {
        self.admin
            .put(&self.path("/policies"), &json!({ "bindings": bindings }))
            .await
    }
}

/// Deadline of hooks that are not meant to miss it. It is wall-clock time, and a machine that runs many tests at once
/// may keep a thread waiting for longer than the default.
const DEADLINE_MS: u32 = 1_000;

/// A binding of a plugin.
#[must_use]
pub fn binding(plugin: &str, grants: &[&str], config: Value) -> Value {
    let limits = json!({ "deadline_ms": DEADLINE_MS });
    json!({ "plugin": plugin, "grants": grants, "config": config, "limits": limits })
}

/// Metrics in Prometheus' text format.
pub struct Metrics(pub String);

impl Metrics {
    /// The sum over all samples of a family whose labels include these.
    #[must_use]
    pub fn sum(&self, family: &str, labels: &[(&str, &str)]) -> f64 {
        let matching = self.0.lines().filter(|line| {
            let named = line
                .strip_prefix(family)
                .is_some_and(|rest| rest.starts_with(['{', ' ']));
            named
                && labels
                    .iter()
                    .all(|(label, value)| line.contains(&format!("{label}=\"{value}\"")))
        });
        matching
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }
}
