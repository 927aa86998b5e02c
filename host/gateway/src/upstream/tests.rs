//! Upstreams against real peers: servers of the tests' own that misbehave, the example server, processes.

use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderMap;
use async_trait::async_trait;
use http_body_util::BodyExt as _;
use portcullis_protocol::revision::{Era, Revision};
use prometheus::Registry;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use super::*;
use crate::model::Grant;
use crate::store::{Grants, StoreError};

mod alone;
mod ears;
mod eras;
mod errors;
mod example;
mod faults;
mod lists;
mod peer;
mod process;
mod renewals;
mod sessions;
mod sse;
mod together;

/// Everything an upstream needs, of its own for each test.
struct Bed {
    upstreams: Arc<Upstreams>,
    registry: Registry,
    tracker: TaskTracker,
}

impl Bed {
    fn new() -> Self {
        Self::with(UpstreamLimits::default())
    }

    fn with(limits: UpstreamLimits) -> Self {
        Self::over(limits, Arc::new(NoGrants))
    }

    fn over(limits: UpstreamLimits, grants: Arc<dyn Grants>) -> Self {
        let (registry, tracker) = (Registry::new(), TaskTracker::new());
        let upstreams = Upstreams::new(&registry, limits, tracker.clone(), grants).unwrap();
        Self {
            upstreams,
            registry,
            tracker,
        }
    }

    fn get(&self, spec: Value) -> Arc<Upstream> {
        self.upstreams
            .get("acme", "crm", &serde_json::from_value(spec).unwrap())
    }

    fn url(&self, url: &str) -> Arc<Upstream> {
        self.get(json!({"url": url, "timeout_ms": 10_000}))
    }

    /// The value of a counter or gauge, all its series together.
    fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        family.map_or(0.0, |family| {
            let series = family.get_metric().iter();
            series
                .map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value())
                .sum()
        })
    }

    /// Waits for the short tasks that outlive calls.
    async fn settle(&self) {
        self.tracker.close();
        self.tracker.wait().await;
        self.tracker.reopen();
    }
}

/// The store of tests that authorize nothing.
#[derive(Debug)]
struct NoGrants;

#[async_trait]
impl Grants for NoGrants {
    async fn grant(&self, tenant: &str, upstream: &str) -> Result<Option<Grant>, StoreError> {
        panic!("{tenant}/{upstream}: nothing is authorized here")
    }

    async fn put_grant(&self, tenant: &str, name: &str, _: &Grant) -> Result<(), StoreError> {
        panic!("{tenant}/{name}: nothing is authorized here")
    }

    async fn delete_grant(&self, tenant: &str, upstream: &str) -> Result<(), StoreError> {
        panic!("{tenant}/{upstream}: nothing is authorized here")
    }
}

/// One call, its texts being JSON.
#[derive(Clone, Copy)]
struct Ask<'a> {
    era: Era,
    id: &'a str,
    method: &'a str,
    params: &'a str,
}

fn tool<'a>(era: Era, id: &'a str, params: &'a str) -> Ask<'a> {
    Ask {
        era,
        id,
        method: "tools/call",
        params,
    }
}

async fn ask(
    upstream: &Arc<Upstream>,
    conversation: &Conversation,
    ask: Ask<'_>,
) -> Result<UpstreamReply, UpstreamError> {
    let headers = HeaderMap::new();
    upstream
        .request(conversation, outgoing_of(ask, &headers))
        .await
}

fn outgoing_of<'a>(ask: Ask<'a>, headers: &'a HeaderMap) -> Outgoing<'a> {
    Outgoing {
        era: ask.era,
        revision: Revision::newest_of(ask.era),
        id: ask.id,
        method: ask.method,
        params: Some(ask.params),
        original: None,
        headers,
        capabilities: "{}",
        log_level: None,
        mirrored: None,
    }
}

/// The params of a stateless client's call.
fn stateless_params(name: &str, arguments: Value, token: Option<Value>) -> String {
    let mut meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    if let Some(token) = token {
        meta["progressToken"] = token;
    }
    json!({"name": name, "arguments": arguments, "_meta": meta}).to_string()
}

async fn text(reply: UpstreamReply) -> String {
    let body = reply.body.collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

/// The messages of a reply of either kind.
async fn messages(reply: UpstreamReply) -> Vec<Value> {
    let kind = reply.kind;
    let text = text(reply).await;
    match kind {
        ReplyKind::Json => vec![serde_json::from_str(&text).unwrap()],
        ReplyKind::Events => {
            let mut decoder = portcullis_protocol::sse::Decoder::new(1 << 20);
            decoder.push(text.as_bytes()).unwrap();
            std::iter::from_fn(|| decoder.next_event())
                .filter(portcullis_protocol::sse::Event::is_message)
                .map(|event| serde_json::from_str(&event.data).unwrap())
                .collect()
        }
    }
}

/// Waits for a condition.
async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("waited in vain: {what}");
}
