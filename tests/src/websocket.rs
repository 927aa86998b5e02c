//! A raw WebSocket client: it sends what a test tells it to, right or wrong, and keeps what it hears.

use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::heard::Heard;
use crate::mcp::STATELESS_REVISION;
use crate::sse::introduction;

type Stream = WebSocketStream<TcpStream>;

/// An open socket. Dropping it closes the connection.
pub struct WsClient {
    /// What it hears.
    pub heard: Heard,
    /// How the gateway answered the upgrade.
    pub opened: Response,
    sink: Mutex<SplitSink<Stream, Message>>,
    next_id: AtomicU64,
    _reading: JoinSet<()>,
}

/// An upgrade at `<gateway>/servers/<server>/ws` that can still be changed.
///
/// # Panics
/// When the address is none.
#[must_use]
pub fn upgrade(gateway: &str, server: &str, bearer: &str) -> Request {
    let url = format!("{gateway}/servers/{server}/ws").replacen("http", "ws", 1);
    let mut request = url.into_client_request().expect("an address");
    let bearer = format!("Bearer {bearer}").parse().expect("a header");
    request.headers_mut().insert("authorization", bearer);
    request
}

/// The status with which an upgrade is refused, and what is said about it.
///
/// # Panics
/// When it is not refused.
pub async fn refused(request: Request) -> (u16, String) {
    match dial(request).await {
        Err(Error::Http(answer)) => {
            let text = answer.body().clone().unwrap_or_default();
            (
                answer.status().as_u16(),
                String::from_utf8_lossy(&text).into_owned(),
            )
        }
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it was not refused"),
    }
}

/// Opens a socket that nobody reads.
///
/// # Errors
/// When it is refused.
pub async fn dial(request: Request) -> Result<(Stream, Response), Error> {
    let address = request.uri().authority().expect("an address").to_string();
    let stream = TcpStream::connect(address).await?;
    client_async(request, stream).await
}

impl WsClient {
    /// Opens a socket.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn open(request: Request) -> Self {
        let (stream, opened) = dial(request).await.expect("a socket");
        let (sink, stream) = stream.split();
        let heard = Heard::default();
        let mut reading = JoinSet::new();
        reading.spawn(read(stream, heard.clone()));
        Self {
            heard,
            opened,
            sink: Mutex::new(sink),
            next_id: AtomicU64::new(1),
            _reading: reading,
        }
    }

    /// The same, with `initialize` done in this revision.
    ///
    /// # Panics
    /// When the gateway settles on another.
    pub async fn connect(request: Request, revision: &str) -> Self {
        let client = Self::open(request).await;
        let answer = client.request("initialize", introduction(revision)).await;
        assert_eq!(answer["result"]["protocolVersion"], revision, "{answer}");
        client.notify("notifications/initialized", json!({})).await;
        client
    }

    /// Sends a frame; whether it could still be sent.
    pub async fn frame(&self, frame: Message) -> bool {
        self.sink.lock().await.send(frame).await.is_ok()
    }

    /// Sends a text frame.
    ///
    /// # Panics
    /// When it cannot be sent any more.
    pub async fn text(&self, text: impl Into<String>) {
        assert!(self.frame(Message::text(text.into())).await, "a frame");
    }

    /// Sends a request; its id.
    pub async fn ask(&self, method: &str, params: Value) -> Value {
        let id = json!(self.next_id.fetch_add(1, Ordering::Relaxed));
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.text(body.to_string()).await;
        id
    }

    /// Sends a request and waits for its answer.
    pub async fn request(&self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params).await;
        self.heard.answer(&id).await
    }

    /// Calls a tool and waits for its answer.
    pub async fn call(&self, tool: &str, arguments: Value) -> Value {
        self.request(
            "tools/call",
            json!({ "name": tool, "arguments": arguments }),
        )
        .await
    }

    /// Sends a notification.
    pub async fn notify(&self, method: &str, params: Value) {
        let body = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        self.text(body.to_string()).await;
    }

    /// Closes the socket as a client does that has nothing more to say.
    pub async fn close(&self) {
        self.frame(Message::Close(None)).await;
    }
}

/// Parameters of a request of the stateless era.
///
/// # Panics
/// When they are no object.
#[must_use]
pub fn stateless(mut params: Value) -> Value {
    let meta = params["_meta"].take();
    let mut meta = if meta.is_null() { json!({}) } else { meta };
    meta["io.modelcontextprotocol/protocolVersion"] = json!(STATELESS_REVISION);
    meta["io.modelcontextprotocol/clientCapabilities"] = json!({});
    params["_meta"] = meta;
    params
}

async fn read(mut stream: SplitStream<Stream>, heard: Heard) {
    loop {
        match stream.next().await {
            Some(Ok(Message::Text(text))) => heard.note(&text),
            Some(Ok(Message::Close(Some(close)))) => {
                heard.note_end(format!("{} {}", u16::from(close.code), close.reason));
            }
            Some(Ok(Message::Close(None))) => heard.note_end("closed"),
            Some(Ok(Message::Ping(_))) => heard.note_ping(),
            Some(Ok(Message::Pong(_) | Message::Binary(_) | Message::Frame(_))) => {}
            Some(Err(error)) => return heard.note_end(format!("{error:?}")),
            None => return heard.note_end("gone"),
        }
    }
}
