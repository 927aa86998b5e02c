//! An MCP server of the session era, without sessions, that answers nobody without a token of its authorization server.
//!
//! Its tools are `read` and `write`. Each needs the scope of its name, and says for whom it was done.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::Listening;
use super::server::{Access, AuthorizationServer};
use crate::mcp::{SESSION_REVISION, STATELESS_REVISION};

const SCOPE_ALWAYS: &str = "read";
/// The resource that can be watched.
pub const WATCHED: &str = "guarded://news";

/// What may be changed while it runs.
#[derive(Debug, Clone, Default)]
pub struct GuardedRules {
    /// Whether it refuses every token.
    pub refuses_all: bool,
    /// A tool whose calls it refuses, whatever the token.
    pub refused_tool: Option<&'static str>,
    /// Whether its refusals say nothing but their status.
    pub is_terse: bool,
    /// Authorization servers that it names in place of its own.
    pub servers: Option<Vec<String>>,
    /// The resource that it says it is, in place of its URL.
    pub resource: Option<String>,
    /// Whether it is of the stateless era, where it has a resource to watch as well.
    pub is_stateless: bool,
}

/// A running server.
pub struct Guarded {
    inner: Arc<Inner>,
    _serving: JoinSet<()>,
}

/// What a token is good for.
type Look = Box<dyn Fn(&str) -> Option<Access> + Send + Sync>;

struct Inner {
    url: String,
    issuer: String,
    access: Look,
    state: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    rules: GuardedRules,
    authorizations: Vec<Option<String>>,
    calls: usize,
}

impl Guarded {
    /// Starts one in front of an authorization server.
    pub async fn start(server: &AuthorizationServer) -> Self {
        let listening = Listening::new().await;
        let inner = Arc::new(Inner {
            url: format!("{}/mcp", listening.url),
            issuer: server.url().to_owned(),
            access: Box::new(server.access()),
            state: Mutex::default(),
        });
        let app = Router::new()
            .route("/mcp", post(mcp))
            .route("/.well-known/oauth-protected-resource/mcp", get(metadata))
            .with_state(Arc::clone(&inner));
        Self {
            inner,
            _serving: listening.serve(app),
        }
    }

    /// Where it is served.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    /// Changes its rules.
    pub fn change(&self, change: impl FnOnce(&mut GuardedRules)) {
        change(&mut self.inner.lock().rules);
    }

    /// The `Authorization` of every request so far.
    #[must_use]
    pub fn authorizations(&self) -> Vec<Option<String>> {
        self.inner.lock().authorizations.clone()
    }

    /// Calls that it has served.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.inner.lock().calls
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses a request for what it lacks (RFC 6750, section 3).
    fn refuse(&self, status: StatusCode, error: &str, scope: &str) -> Response {
        let metadata = self
            .url
            .replace("/mcp", "/.well-known/oauth-protected-resource/mcp");
        let mut response = status.into_response();
        if !self.lock().rules.is_terse {
            let challenge = format!(
                r#"Bearer error="{error}", scope="{scope}", resource_metadata="{metadata}""#
            );
            let challenge = challenge.parse().expect("a header");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }

    fn answer(&self, message: &Value, access: &Access) -> Response {
        if self.lock().rules.is_stateless
            && let Some(answer) = stateless(message, access)
        {
            return answer;
        }
        let result = match message["method"].as_str().unwrap_or_default() {
            "initialize" => json!({
                "protocolVersion": SESSION_REVISION, "capabilities": { "tools": {} },
                "serverInfo": { "name": "guarded", "version": "1" },
            }),
            "tools/list" => {
                let tool =
                    |name: &str| json!({ "name": name, "inputSchema": { "type": "object" } });
                json!({ "tools": [tool("read"), tool("write")] })
            }
            "tools/call" => {
                let tool = message["params"]["name"].as_str().unwrap_or_default();
                if self.lock().rules.refused_tool == Some(tool) {
                    return self.refuse(StatusCode::UNAUTHORIZED, "invalid_token", SCOPE_ALWAYS);
                }
                if !access.scopes.iter().any(|scope| scope == tool) {
                    return self.refuse(StatusCode::FORBIDDEN, "insufficient_scope", tool);
                }
                self.lock().calls += 1;
                json!({ "content": [{ "type": "text", "text": format!("{tool} for {}", access.subject) }] })
            }
            method if method.starts_with("notifications/") => {
                return StatusCode::ACCEPTED.into_response();
            }
            _ => {
                let error = json!({ "code": -32601, "message": "Method not found" });
                let body = json!({ "jsonrpc": "2.0", "id": message["id"], "error": error });
                return (StatusCode::BAD_REQUEST, axum::Json(body)).into_response();
            }
        };
        axum::Json(json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }))
            .into_response()
    }
}

/// What a server of the stateless era says to the requests that are its own. An update is for whom it is.
fn stateless(message: &Value, access: &Access) -> Option<Response> {
    let result = match message["method"].as_str().unwrap_or_default() {
        "server/discover" => json!({
            "resultType": "complete", "supportedVersions": [STATELESS_REVISION],
            "capabilities": { "resources": { "subscribe": true } }, "ttlMs": 0, "cacheScope": "private",
        }),
        "resources/list" => json!({
            "resultType": "complete", "resources": [{ "uri": WATCHED, "name": "news" }],
            "ttlMs": 0, "cacheScope": "private",
        }),
        "subscriptions/listen" => {
            let meta = json!({ "io.modelcontextprotocol/subscriptionId": message["id"] });
            let notification = |method: &str, params: Value| {
                let body = json!({ "jsonrpc": "2.0", "method": method, "params": params });
                format!("data: {body}\n\n")
            };
            let acknowledged = json!({ "_meta": meta, "notifications": {} });
            let updated = json!({ "_meta": meta, "uri": WATCHED, "for": access.subject });
            let events = [
                notification("notifications/subscriptions/acknowledged", acknowledged),
                notification("notifications/resources/updated", updated),
            ];
            let kind = [(header::CONTENT_TYPE, "text/event-stream")];
            return Some((kind, events.concat()).into_response());
        }
        _ => return None,
    };
    let body = json!({ "jsonrpc": "2.0", "id": message["id"], "result": result });
    Some(axum::Json(body).into_response())
}

async fn metadata(State(inner): State<Arc<Inner>>) -> Response {
    let rules = inner.lock().rules.clone();
    let servers = rules.servers.unwrap_or_else(|| vec![inner.issuer.clone()]);
    let resource = rules.resource.unwrap_or_else(|| inner.url.clone());
    axum::Json(json!({ "resource": resource, "authorization_servers": servers })).into_response()
}

async fn mcp(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: String) -> Response {
    let shown = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let refuses_all = {
        let mut state = inner.lock();
        state.authorizations.push(shown.map(str::to_owned));
        state.rules.refuses_all
    };
    let access = shown
        .and_then(|shown| shown.strip_prefix("Bearer "))
        .and_then(|token| (inner.access)(token));
    let access = access.filter(|access| !refuses_all && access.resource == inner.url);
    let message: Value = serde_json::from_str(&body).unwrap_or_default();
    match access {
        Some(access) => inner.answer(&message, &access),
        None => inner.refuse(StatusCode::UNAUTHORIZED, "invalid_token", SCOPE_ALWAYS),
    }
}
