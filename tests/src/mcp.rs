//! A raw MCP client of both eras: it sends what a test tells it to, right or wrong, and shows what came back.
//!
//! The official SDKs are peers elsewhere; this one exists for the messages that no SDK would send.

use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::admin::http;
use crate::show::Answer;

mod reply;
mod stream;

pub use reply::Reply;
pub use stream::{Event, Stream};

/// The newest revision of the session era.
pub const SESSION_REVISION: &str = "2025-11-25";
/// The stateless revision.
pub const STATELESS_REVISION: &str = "2026-07-28";

/// Which life a client leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// `initialize`, then a session.
    Session,
    /// Every request stands alone.
    Stateless,
}

impl Era {
    /// Its newest revision.
    #[must_use]
    pub fn revision(self) -> &'static str {
        match self {
            Self::Session => SESSION_REVISION,
            Self::Stateless => STATELESS_REVISION,
        }
    }
}

/// Requests to one endpoint, with nothing added but the caller's key and what HTTP needs.
#[derive(Clone)]
pub struct Wire {
    http: reqwest::Client,
    url: String,
    bearer: Option<String>,
}

impl Wire {
    /// An endpoint, and the key or token to present there.
    #[must_use]
    pub fn new(url: &str, bearer: &str) -> Self {
        Self {
            http: http(),
            url: url.to_owned(),
            bearer: Some(bearer.to_owned()),
        }
    }

    /// An endpoint where nothing is presented.
    #[must_use]
    pub fn unknown(url: &str) -> Self {
        Self {
            http: http(),
            url: url.to_owned(),
            bearer: None,
        }
    }

    /// A request that can still be changed.
    pub fn request(&self, method: Method) -> RequestBuilder {
        let request = self.http.request(method, &self.url);
        match &self.bearer {
            Some(bearer) => request.bearer_auth(bearer),
            None => request,
        }
    }

    /// A `POST` that can still be changed; its headers are those of any MCP client.
    pub fn post(&self, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.request(Method::POST)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(body)
    }

    /// Sends a body with further headers.
    pub async fn send(&self, body: impl Into<reqwest::Body>, headers: &[(&str, &str)]) -> Reply {
        let request = headers
            .iter()
            .fold(self.post(body), |request, (name, value)| {
                request.header(*name, *value)
            });
        Reply(Answer::of(request).await)
    }
}

/// A client of one server.
pub struct Peer {
    /// What it sends with.
    pub wire: Wire,
    era: Era,
    session: Option<String>,
    next_id: AtomicU64,
}

impl Peer {
    /// Connects in either era.
    pub async fn connect(era: Era, url: &str, bearer: &str) -> Self {
        match era {
            Era::Session => Self::session(url, bearer).await,
            Era::Stateless => Self::stateless(url, bearer),
        }
    }

    /// Opens a session.
    ///
    /// # Panics
    /// When the server opens none.
    pub async fn session(url: &str, bearer: &str) -> Self {
        Self::session_with(url, bearer, json!({})).await
    }

    /// Opens a session and offers these capabilities to the server.
    ///
    /// # Panics
    /// When the server opens none.
    pub async fn session_with(url: &str, bearer: &str, capabilities: Value) -> Self {
        let wire = Wire::new(url, bearer);
        let mut opening = initialize();
        opening["params"]["capabilities"] = capabilities;
        let opened = wire.send(opening.to_string(), &[]).await;
        assert_eq!(
            opened.result()["protocolVersion"],
            SESSION_REVISION,
            "{}",
            opened.shown()
        );
        let session = opened
            .header("mcp-session-id")
            .expect("a session id")
            .to_owned();
        let peer = Self {
            wire,
            era: Era::Session,
            session: Some(session),
            next_id: AtomicU64::new(2),
        };
        let initialized = peer.notify("notifications/initialized", json!({})).await;
        assert_eq!(initialized.status, 202, "{}", initialized.shown());
        peer
    }

    /// A client that needs no session.
    #[must_use]
    pub fn stateless(url: &str, bearer: &str) -> Self {
        Self {
            wire: Wire::new(url, bearer),
            era: Era::Stateless,
            session: None,
            next_id: AtomicU64::new(1),
        }
    }

    /// The same session, presented with another key.
    #[must_use]
    pub fn stolen_by(&self, bearer: &str) -> Self {
        let wire = Wire {
            bearer: Some(bearer.to_owned()),
            ..self.wire.clone()
        };
        Self {
            wire,
            era: self.era,
            session: self.session.clone(),
            next_id: AtomicU64::new(1_000),
        }
    }

    /// The same session, presented at another endpoint with another key.
    #[must_use]
    pub fn carried_to(&self, url: &str, bearer: &str) -> Self {
        Self {
            wire: Wire::new(url, bearer),
            era: self.era,
            session: self.session.clone(),
            next_id: AtomicU64::new(1_000),
        }
    }

    /// Its session id.
    ///
    /// # Panics
    /// In the stateless era.
    #[must_use]
    pub fn session_id(&self) -> &str {
        self.session.as_deref().expect("a session")
    }

    /// One request, as its era writes it; it can still be changed. Who has no session offers nothing, unless the params
    /// say so.
    ///
    /// # Panics
    /// Never.
    pub fn build(&self, method: &str, mut params: Value) -> RequestBuilder {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        if self.era == Era::Stateless {
            let meta = params
                .as_object_mut()
                .expect("params are an object")
                .entry("_meta")
                .or_insert_with(|| json!({}));
            let meta = meta.as_object_mut().expect("_meta is an object");
            meta.insert(
                "io.modelcontextprotocol/protocolVersion".into(),
                json!(STATELESS_REVISION),
            );
            meta.entry("io.modelcontextprotocol/clientCapabilities")
                .or_insert_with(|| json!({}));
        }
        let name = params
            .get("name")
            .or(params.get("uri"))
            .and_then(Value::as_str)
            .map(str::to_owned);
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let request = self.wire.post(body.to_string());
        match (self.era, &self.session) {
            (Era::Session, Some(session)) => request
                .header("mcp-session-id", session)
                .header("mcp-protocol-version", SESSION_REVISION),
            (Era::Session, None) => request,
            (Era::Stateless, _) => {
                let request = request
                    .header("mcp-protocol-version", STATELESS_REVISION)
                    .header("mcp-method", method);
                match name {
                    Some(name) => request.header("mcp-name", name),
                    None => request,
                }
            }
        }
    }

    /// Sends one request.
    pub async fn request(&self, method: &str, params: Value) -> Reply {
        Reply(Answer::of(self.build(method, params)).await)
    }

    /// Calls a tool and does not wait for the answer.
    pub fn begin_call(&self, tool: &str, arguments: Value) -> Begun {
        let request = self.build(
            "tools/call",
            json!({ "name": tool, "arguments": arguments }),
        );
        Begun(tokio::spawn(
            async move { Reply(Answer::of(request).await) },
        ))
    }

    /// Calls a tool.
    pub async fn call(&self, tool: &str, arguments: Value) -> Reply {
        self.request(
            "tools/call",
            json!({ "name": tool, "arguments": arguments }),
        )
        .await
    }

    /// Names of the tools that it is shown.
    ///
    /// # Panics
    /// When there is no list.
    pub async fn tools(&self) -> Vec<String> {
        let reply = self.request("tools/list", json!({})).await;
        let listed = reply.result();
        let tools = listed["tools"].as_array().expect("a list of tools").iter();
        tools
            .map(|tool| tool["name"].as_str().expect("a name").to_owned())
            .collect()
    }

    /// Sends a notification of the session era.
    pub async fn notify(&self, method: &str, params: Value) -> Reply {
        let body = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        let session = self.session.as_deref().unwrap_or_default();
        self.wire
            .send(
                body.to_string(),
                &[
                    ("mcp-session-id", session),
                    ("mcp-protocol-version", SESSION_REVISION),
                ],
            )
            .await
    }

    /// Ends the session.
    pub async fn end(&self) -> Reply {
        let request = self
            .wire
            .request(Method::DELETE)
            .header("mcp-session-id", self.session_id());
        Reply(Answer::of(request.header("mcp-protocol-version", SESSION_REVISION)).await)
    }
}

/// A call under way.
pub struct Begun(JoinHandle<Reply>);

impl Begun {
    /// Its answer.
    ///
    /// # Panics
    /// When there is none.
    pub async fn reply(self) -> Reply {
        self.0.await.expect("an answer")
    }
}

/// The message that opens a session.
#[must_use]
pub fn initialize() -> Value {
    json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": SESSION_REVISION, "capabilities": {},
            "clientInfo": { "name": "portcullis-tests", "version": "1.0.0" },
        },
    })
}
