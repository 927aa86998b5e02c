//! One client for every transport and era: what it sends is the same, and so is how it hears what comes back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::heard::Heard;
use crate::mcp::{Era, STATELESS_REVISION, Wire};
use crate::sse::{SseClient, introduction};
use crate::wait;
use crate::websocket::{WsClient, upgrade};

/// A transport towards clients, in an era.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Streamable HTTP, in the newest revision that has sessions.
    Http,
    /// Streamable HTTP, without sessions.
    HttpStateless,
    /// Streamable HTTP of 2025-03-26, every message in a batch.
    Batch,
    /// HTTP+SSE.
    Sse,
    /// A WebSocket with a session.
    WebSocket,
    /// A WebSocket whose client needs no session.
    WebSocketStateless,
}

impl Door {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Http,
        Self::HttpStateless,
        Self::Batch,
        Self::Sse,
        Self::WebSocket,
        Self::WebSocketStateless,
    ];

    /// The era of whoever comes by it.
    #[must_use]
    pub fn era(self) -> Era {
        match self {
            Self::Http | Self::Batch | Self::Sse | Self::WebSocket => Era::Session,
            Self::HttpStateless | Self::WebSocketStateless => Era::Stateless,
        }
    }

    /// The revision that it is spoken in.
    #[must_use]
    pub fn revision(self) -> &'static str {
        match self {
            Self::Http | Self::WebSocket => "2025-11-25",
            Self::Batch => "2025-03-26",
            Self::Sse => "2024-11-05",
            Self::HttpStateless | Self::WebSocketStateless => STATELESS_REVISION,
        }
    }

    /// Requests that are made to come in, before anything else is asked: those of the transport have no method.
    #[must_use]
    pub fn opening(self) -> &'static [Option<&'static str>] {
        const INITIALIZE: Option<&str> = Some("initialize");
        const INITIALIZED: Option<&str> = Some("notifications/initialized");
        match self {
            Self::Http | Self::Batch | Self::Sse | Self::WebSocket => {
                &[INITIALIZE, INITIALIZED, None]
            }
            Self::HttpStateless => &[],
            Self::WebSocketStateless => &[None],
        }
    }
}

/// A client that came in by one of the doors. It hears everything in one place.
pub struct Client {
    /// Where it came in.
    pub door: Door,
    /// What it hears: answers, and what it is told and asked.
    pub heard: Heard,
    way: Way,
    next_id: AtomicU64,
    reading: Mutex<JoinSet<()>>,
}

enum Way {
    Http(Wire, Option<String>),
    Sse(SseClient),
    WebSocket(WsClient),
}

impl Client {
    /// Comes in, and listens to what belongs to no reply, where there is a stream for it.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn open(door: Door, (gateway, server): (&str, &str), key: &str) -> Self {
        let url = format!("{gateway}/servers/{server}/mcp");
        let revision = door.revision();
        let (way, heard) = match door {
            Door::HttpStateless => (Way::Http(Wire::new(&url, key), None), Heard::default()),
            Door::Http | Door::Batch => {
                let wire = Wire::new(&url, key);
                let session = initialize(&wire, revision).await;
                (Way::Http(wire, Some(session)), Heard::default())
            }
            Door::Sse => {
                let client = SseClient::connect(gateway, server, key, revision).await;
                let heard = client.heard.clone();
                (Way::Sse(client), heard)
            }
            Door::WebSocket | Door::WebSocketStateless => {
                let request = upgrade(gateway, server, key);
                let client = match door.era() {
                    Era::Session => WsClient::connect(request, revision).await,
                    Era::Stateless => WsClient::open(request).await,
                };
                let heard = client.heard.clone();
                (Way::WebSocket(client), heard)
            }
        };
        let client = Self {
            door,
            heard,
            way,
            next_id: AtomicU64::new(1_000),
            reading: Mutex::default(),
        };
        if let Way::Http(wire, Some(session)) = &client.way {
            client.notify("notifications/initialized", json!({})).await;
            let stream = client.named(wire.request(Method::GET), session);
            let stream = stream.header("accept", "text/event-stream").send().await;
            let stream = stream.expect("a stream");
            assert_eq!(stream.status(), 200, "{stream:?}");
            client.read(stream);
        }
        client
    }

    /// Sends a request; its id.
    ///
    /// # Panics
    /// When its params are no object.
    pub async fn ask(&self, method: &str, params: Value) -> Value {
        let id = json!(self.next_id.fetch_add(1, Ordering::Relaxed));
        let params = match self.door.era() {
            Era::Session => params,
            Era::Stateless => stateless(params),
        };
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.send(&body).await;
        id
    }

    /// Sends a request; the whole response.
    pub async fn request(&self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params).await;
        self.heard.answer(&id).await
    }

    /// Sends a notification.
    pub async fn notify(&self, method: &str, params: Value) {
        let body = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        self.send(&body).await;
    }

    /// Answers what was asked.
    pub async fn answer(&self, question: &Value, result: Value) {
        let body = json!({ "jsonrpc": "2.0", "id": question["id"], "result": result });
        self.send(&body).await;
    }

    /// Asks for the end of the session, where that is a request of its own; the status of the answer.
    ///
    /// # Panics
    /// When there is none.
    pub async fn end(&self) -> Option<u16> {
        let Way::Http(wire, Some(session)) = &self.way else {
            return None;
        };
        let ended = self.named(wire.request(Method::DELETE), session);
        let ended = ended.send().await.expect("an answer");
        Some(ended.status().as_u16())
    }

    /// Sends a message; what comes back is heard. Over HTTP a notification or an answer has been taken when it returns.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub async fn send(&self, message: &Value) {
        match &self.way {
            Way::Http(wire, session) => {
                let request = self.post(wire, session.as_deref(), message);
                if message.get("method").is_some() && message.get("id").is_some() {
                    let reading = read(request, self.heard.clone());
                    self.spawn(reading);
                } else {
                    read(request, self.heard.clone()).await;
                }
            }
            Way::Sse(client) => {
                let reply = client.post(message.to_string()).await;
                if !reply.text.is_empty() {
                    self.heard.note(&reply.text);
                }
            }
            Way::WebSocket(client) => client.text(message.to_string()).await,
        }
    }

    /// Gives up what it reads of replies, as a client does that has lost interest.
    pub fn let_go(&self) {
        self.reading().abort_all();
    }

    fn post(&self, wire: &Wire, session: Option<&str>, message: &Value) -> RequestBuilder {
        let method = message["method"].as_str().unwrap_or_default();
        let Some(session) = session else {
            let params = &message["params"];
            let named = ["name", "uri", "taskId"];
            let name = named.iter().find_map(|key| params[*key].as_str());
            let request = wire
                .post(message.to_string())
                .header("mcp-protocol-version", STATELESS_REVISION)
                .header("mcp-method", method);
            return match name {
                Some(name) => request.header("mcp-name", name),
                None => request,
            };
        };
        let body = match self.door {
            Door::Batch => json!([message]).to_string(),
            Door::Http
            | Door::HttpStateless
            | Door::Sse
            | Door::WebSocket
            | Door::WebSocketStateless => message.to_string(),
        };
        self.named(wire.post(body), session)
    }

    fn named(&self, request: RequestBuilder, session: &str) -> RequestBuilder {
        request
            .header("mcp-session-id", session)
            .header("mcp-protocol-version", self.door.revision())
    }

    fn read(&self, stream: Response) {
        let heard = self.heard.clone();
        self.spawn(async move { events(stream, &heard).await });
    }

    fn spawn(&self, reading: impl Future<Output = ()> + Send + 'static) {
        self.reading().spawn(reading);
    }

    fn reading(&self) -> std::sync::MutexGuard<'_, JoinSet<()>> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a session; its id.
async fn initialize(wire: &Wire, revision: &str) -> String {
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": introduction(revision) });
    let opened = wire.send(hello.to_string(), &[]).await;
    assert_eq!(opened.result()["protocolVersion"], revision);
    let session = opened.header("mcp-session-id");
    session.expect("a session id").to_owned()
}

/// Params of a request whose client needs no session and can do everything.
fn stateless(mut params: Value) -> Value {
    let meta = &mut params["_meta"];
    meta["io.modelcontextprotocol/protocolVersion"] = json!(STATELESS_REVISION);
    meta["io.modelcontextprotocol/logLevel"] = json!("debug");
    meta["io.modelcontextprotocol/clientCapabilities"] = json!({
        "sampling": {}, "elicitation": {}, "roots": {}, "extensions": { "io.modelcontextprotocol/tasks": {} },
    });
    params
}

/// Reads the reply to a message, whatever its form.
async fn read(request: RequestBuilder, heard: Heard) {
    let response = request.send().await.expect("an answer");
    let kind = response.headers().get("content-type");
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream")) {
        return events(response, &heard).await;
    }
    let text = response.text().await.expect("a whole answer");
    match serde_json::from_str(&text) {
        Ok(Value::Array(batch)) => batch.iter().for_each(|one| heard.note(&one.to_string())),
        Ok(one) => heard.note(&Value::to_string(&one)),
        Err(_empty) => assert_eq!(text, ""),
    }
}

/// Reads a stream of events to its end.
async fn events(mut stream: Response, heard: &Heard) {
    let mut unread = Vec::new();
    while let Ok(Some(chunk)) = stream.chunk().await {
        unread.extend_from_slice(&chunk);
        while let Some(end) = unread.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = unread.drain(..end + 2).collect();
            let block = String::from_utf8(block).expect("text");
            let data: String = block
                .lines()
                .filter_map(|line| line.strip_prefix("data:"))
                .map(str::trim)
                .collect();
            if !data.is_empty() {
                heard.note(&data);
            }
        }
    }
}

impl Heard {
    /// The message of one method that comes after so many others of it.
    pub async fn nth(&self, method: &str, after: usize) -> Value {
        wait::until(&format!("message {after} of {method}"), || {
            let found = self.of(method).into_iter().nth(after);
            async move { found }
        })
        .await
    }
}
