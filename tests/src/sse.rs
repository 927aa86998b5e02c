//! A raw client of HTTP+SSE: it posts what a test tells it to, right or wrong, and keeps what its stream brings.

use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::heard::Heard;
use crate::mcp::{Reply, Wire};
use crate::show::Answer;
use crate::wait;

/// An open stream. Dropping it closes the stream.
pub struct SseClient {
    /// Where its messages go.
    pub messages: Wire,
    /// What the stream brings.
    pub heard: Heard,
    /// The data of the first event.
    pub endpoint: String,
    next_id: AtomicU64,
    reads: watch::Sender<bool>,
    reading: JoinSet<()>,
}

impl SseClient {
    /// Opens a stream at `<gateway>/servers/<server>/sse` and waits for its first event.
    ///
    /// # Panics
    /// When it is refused, or begins with something else.
    pub async fn open(gateway: &str, server: &str, bearer: &str) -> Self {
        let wire = Wire::new(&format!("{gateway}/servers/{server}/sse"), bearer);
        let request = wire
            .request(Method::GET)
            .header("accept", "text/event-stream");
        let mut response = request.send().await.expect("a stream");
        assert_eq!(response.status(), 200, "{response:?}");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut events = Events::default();
        let first = wait::at_most("the first event", events.next(&mut response)).await;
        let first = first.expect("a first event");
        let endpoint = first
            .strip_prefix("event: endpoint\ndata: ")
            .unwrap_or_else(|| panic!("{first}"))
            .to_owned();
        let heard = Heard::default();
        let reads = watch::Sender::new(true);
        let mut reading = JoinSet::new();
        reading.spawn(read(response, events, heard.clone(), reads.subscribe()));
        Self {
            messages: Wire::new(&format!("{gateway}{endpoint}"), bearer),
            heard,
            endpoint,
            next_id: AtomicU64::new(1),
            reads,
            reading,
        }
    }

    /// The same, with `initialize` done in this revision.
    ///
    /// # Panics
    /// When the gateway settles on another.
    pub async fn connect(gateway: &str, server: &str, bearer: &str, revision: &str) -> Self {
        let client = Self::open(gateway, server, bearer).await;
        let answer = client.request("initialize", introduction(revision)).await;
        assert_eq!(answer["result"]["protocolVersion"], revision, "{answer}");
        let told = client.notify("notifications/initialized", json!({})).await;
        assert_eq!(told.status, 202, "{}", told.shown());
        client
    }

    /// Reads no further than what it is about to read, until it resumes.
    pub fn pause(&self) {
        self.reads.send_replace(false);
    }

    /// Reads on.
    pub fn resume(&self) {
        self.reads.send_replace(true);
    }

    /// Posts a body.
    pub async fn post(&self, body: impl Into<reqwest::Body>) -> Reply {
        let request = self
            .messages
            .request(Method::POST)
            .header("content-type", "application/json")
            .body(body);
        Reply(Answer::of(request).await)
    }

    /// Posts a request, which must be taken; its id.
    ///
    /// # Panics
    /// When it is not.
    pub async fn ask(&self, method: &str, params: Value) -> Value {
        let id = json!(self.next_id.fetch_add(1, Ordering::Relaxed));
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let taken = self.post(body.to_string()).await;
        assert_eq!(
            (taken.status, taken.text.as_str()),
            (202, ""),
            "{}",
            taken.shown()
        );
        id
    }

    /// Posts a request and waits for its answer on the stream.
    pub async fn request(&self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params).await;
        self.heard.answer(&id).await
    }

    /// Calls a tool and waits for its answer on the stream.
    pub async fn call(&self, tool: &str, arguments: Value) -> Value {
        let params = json!({ "name": tool, "arguments": arguments });
        self.request("tools/call", params).await
    }

    /// Posts a notification.
    pub async fn notify(&self, method: &str, params: Value) -> Reply {
        let body = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        self.post(body.to_string()).await
    }

    /// Closes the stream; what it has heard, and where it has posted.
    pub async fn close(mut self) -> Wire {
        self.reading.shutdown().await;
        self.messages.clone()
    }
}

/// The parameters of `initialize`.
#[must_use]
pub fn introduction(revision: &str) -> Value {
    json!({
        "protocolVersion": revision, "capabilities": { "sampling": {}, "elicitation": {}, "roots": {} },
        "clientInfo": { "name": "portcullis-tests", "version": "1.0.0" },
    })
}

/// Bytes of a stream that no event has ended yet.
#[derive(Default)]
struct Events(Vec<u8>);

impl Events {
    /// The next event, without its empty line; why there is none, otherwise.
    async fn next(&mut self, response: &mut Response) -> Result<String, String> {
        loop {
            if let Some(end) = self.0.windows(2).position(|pair| pair == b"\n\n") {
                let event = String::from_utf8(self.0[..end].to_vec()).expect("text");
                self.0.drain(..end + 2);
                return Ok(event);
            }
            match response.chunk().await {
                Ok(Some(chunk)) => self.0.extend_from_slice(&chunk),
                Ok(None) => return Err("closed".to_owned()),
                Err(error) => return Err(format!("{error:?}")),
            }
        }
    }
}

async fn read(
    mut response: Response,
    mut events: Events,
    heard: Heard,
    mut reads: watch::Receiver<bool>,
) {
    while reads.wait_for(|reads| *reads).await.is_ok() {
        match events.next(&mut response).await {
            Ok(comment) if comment.starts_with(':') => {}
            Ok(event) => match event.strip_prefix("event: message\ndata: ") {
                Some(data) => heard.note(data),
                None => return heard.note_end(format!("no message: {event}")),
            },
            Err(why) => return heard.note_end(why),
        }
    }
}
