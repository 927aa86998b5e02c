//! Requests of guests to other hosts, each held against what its binding grants.
//!
//! Before it: the sandbox, with a request as a guest made it. After it: the network. Names are resolved here, every address
//! is looked at, and only what was looked at is connected to. Redirects are not followed. All connections live on the
//! gateway's own runtime, so that a guest that leaves takes none of them with it.

mod address;
mod allow;
mod client;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use portcullis_sandbox::{HttpError, HttpRequest, HttpResponse, Outside, Scope};
use prometheus::{IntCounterVec, Opts, Registry};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::{debug, warn};

use crate::model::HttpGrant;
use crate::telemetry::RequestId;

pub(crate) use address::is_public;
use allow::Allowed;
pub use allow::InvalidAllowance;
use client::Client;

const TIMEOUT_MS_DEFAULT: u32 = 1_000;
const REQUEST_BYTES_DEFAULT: u32 = 64 << 10;
const RESPONSE_BYTES_DEFAULT: u32 = 1 << 20;
const CONCURRENT_DEFAULT: u32 = 32;

/// What all bindings' requests have in common.
pub(super) struct OutboundRoom {
    runtime: Handle,
    tracker: TaskTracker,
    requests: IntCounterVec,
    tls: Arc<OnceLock<rustls::ClientConfig>>,
}

impl OutboundRoom {
    pub(super) fn new(
        (runtime, tracker): (Handle, TaskTracker),
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let requests = IntCounterVec::new(
            Opts::new(
                "portcullis_guest_http_requests_total",
                "Requests of plugins to other hosts, by outcome: ok, invalid, denied, busy, unreachable, timeout, too-large, broken",
            ),
            &["tenant", "binding", "outcome"],
        )?;
        registry.register(Box::new(requests.clone()))?;
        Ok(Self {
            runtime,
            tracker,
            requests,
            tls: Arc::default(),
        })
    }

    /// What one binding's guests may send.
    pub(super) fn of_binding(&self, grant: &HttpGrant) -> Result<Outbound, InvalidAllowance> {
        let bytes = |bytes: u32| usize::try_from(bytes).unwrap_or(usize::MAX);
        let concurrent = grant.concurrent_max.unwrap_or(CONCURRENT_DEFAULT);
        Ok(Outbound {
            allowed: Allowed::new(grant)?,
            client: Client::new(&grant.networks, Arc::clone(&self.tls)),
            places: Semaphore::new(bytes(concurrent)),
            timeout_ms: grant.timeout_ms.unwrap_or(TIMEOUT_MS_DEFAULT),
            request_bytes_max: bytes(grant.request_bytes_max.unwrap_or(REQUEST_BYTES_DEFAULT)),
            response_bytes_max: bytes(grant.response_bytes_max.unwrap_or(RESPONSE_BYTES_DEFAULT)),
            runtime: self.runtime.clone(),
            tracker: self.tracker.clone(),
            requests: self.requests.clone(),
        })
    }
}

/// Sends what the guests of one binding ask for.
pub(super) struct Outbound {
    allowed: Allowed,
    client: Client,
    places: Semaphore,
    timeout_ms: u32,
    request_bytes_max: usize,
    response_bytes_max: usize,
    runtime: Handle,
    tracker: TaskTracker,
    requests: IntCounterVec,
}

#[async_trait]
impl Outside for Outbound {
    async fn send(&self, scope: &Scope, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let request_id = RequestId::current().map(tracing::field::display);
        let (method, url) = (request.method.clone(), request.url.clone());
        let outcome = self.try_send(request).await;
        let label = match &outcome {
            Ok(_) => "ok",
            Err(error) => label(error),
        };
        let Scope {
            tenant, binding, ..
        } = scope;
        self.requests
            .with_label_values(&[tenant.as_str(), binding.as_str(), label])
            .inc();
        // A query may hold what is nobody's to read.
        let to = url.split(['?', '#']).next().unwrap_or_default();
        match &outcome {
            Ok(response) => {
                debug!(request_id, tenant, binding, %method, to, status = response.status, "a policy sent a request");
            }
            Err(error) => {
                warn!(request_id, tenant, binding, %method, to, outcome = label, error = ?error, "a policy's request failed");
            }
        }
        outcome
    }
}

impl Outbound {
    async fn try_send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let timeout_ms = request.timeout_ms.unwrap_or(self.timeout_ms);
        let time = Duration::from_millis(timeout_ms.min(self.timeout_ms).into());
        let request = self.checked(request)?;
        let _place = self.places.try_acquire().map_err(|_full| HttpError::Busy)?;
        let client = self.client.clone();
        let response_bytes_max = self.response_bytes_max;
        let sent = self.tracker.spawn_on(
            async move {
                let answer = client.send(request, response_bytes_max);
                let answer = tokio::time::timeout(time, answer).await;
                answer.unwrap_or(Err(HttpError::Timeout))
            },
            &self.runtime,
        );
        let ended = |_| Err(HttpError::Broken("the gateway is stopping".into()));
        AbortOnDropHandle::new(sent).await.unwrap_or_else(ended)
    }

    /// The request, if it is one and the grant covers it.
    fn checked(&self, request: HttpRequest) -> Result<Request<Full<Bytes>>, HttpError> {
        let uri = self.allowed.uri(&request.method, &request.url)?;
        let body = request.body.unwrap_or_default();
        if body.len() > self.request_bytes_max {
            return Err(HttpError::TooLarge);
        }
        let mut checked = Request::builder().method(request.method.as_str()).uri(uri);
        for (name, value) in allow::headers(&request.headers)? {
            checked = checked.header(name, value);
        }
        checked
            .body(Full::new(Bytes::from(body)))
            .map_err(|err| HttpError::Invalid(err.to_string()))
    }
}

fn label(error: &HttpError) -> &'static str {
    match error {
        HttpError::Invalid(_) => "invalid",
        HttpError::Denied(_) => "denied",
        HttpError::Busy => "busy",
        HttpError::Unreachable(_) => "unreachable",
        HttpError::Timeout => "timeout",
        HttpError::TooLarge => "too-large",
        HttpError::Broken(_) => "broken",
    }
}

#[cfg(test)]
mod tests;
