//! A real HTTP server on a free port, that answers as the test says and remembers what it was asked.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderMap, Method};
use serde_json::{Value, json};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: Method,
    /// Path and query.
    pub path: String,
    pub headers: HeaderMap,
    pub text: String,
    /// `null` where there was no JSON.
    pub body: Value,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn rpc(&self) -> &str {
        self.body["method"].as_str().unwrap_or_default()
    }
}

type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;

/// The server; it ends with the test's runtime.
pub struct Peer {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Peer {
    pub async fn start<F, A>(answer: F) -> Self
    where
        F: Fn(Seen) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Response> + Send + 'static,
    {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let app = axum::Router::new().fallback(move |request: Request| -> Answer {
            let (log, answer) = (Arc::clone(&log), answer.clone());
            Box::pin(async move {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
                let one = Seen {
                    method: parts.method,
                    path: parts.uri.to_string(),
                    headers: parts.headers,
                    text: String::from_utf8(body.to_vec()).unwrap(),
                    body: serde_json::from_slice(&body).unwrap_or(Value::Null),
                };
                log.lock().unwrap().push(one.clone());
                answer(one).await
            })
        });
        tokio_util::task::TaskTracker::new().spawn(async move { axum::serve(listener, app).await });
        Self { url, seen }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How often a method was called.
    pub fn count(&self, rpc: &str) -> usize {
        self.seen().iter().filter(|seen| seen.rpc() == rpc).count()
    }
}

pub fn reply(status: u16, content_type: &str, body: impl Into<Body>) -> Response {
    Response::builder()
        .status(status)
        .header("content-type", content_type)
        .body(body.into())
        .unwrap()
}

pub fn result(seen: &Seen, result: &Value) -> Response {
    let body = json!({"jsonrpc": "2.0", "id": seen.body["id"], "result": result});
    reply(200, "application/json", body.to_string())
}

pub fn rpc_error(status: u16, id: &Value, code: i64, message: &str) -> Response {
    let body = json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}});
    reply(status, "application/json; charset=utf-8", body.to_string())
}

/// What a server of the session era does beside its work: its lifecycle. `None` for anything else.
pub fn lifecycle(seen: &Seen, session: &str) -> Option<Response> {
    if seen.method == Method::DELETE {
        return Some(reply(200, "text/plain", ""));
    }
    match seen.rpc() {
        "server/discover" => Some(rpc_error(
            400,
            &Value::Null,
            -32000,
            "Bad Request: not initialized",
        )),
        "initialize" => {
            let mut response = result(
                seen,
                &json!({"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "p", "version": "1"}}),
            );
            if !session.is_empty() {
                response
                    .headers_mut()
                    .insert("mcp-session-id", session.parse().unwrap());
            }
            Some(response)
        }
        method if method.starts_with("notifications/") => Some(reply(202, "text/plain", "")),
        _ => None,
    }
}

/// The answer of a server that speaks the stateless era alone to `server/discover`.
pub fn discovery(seen: &Seen, versions: &[&str]) -> Option<Response> {
    (seen.rpc() == "server/discover").then(|| {
        let found =
            json!({"resultType": "complete", "supportedVersions": versions, "capabilities": {}});
        result(seen, &found)
    })
}
