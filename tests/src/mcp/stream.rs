//! A stream of events that is read while it goes on: what a session is told and asked outside of replies, or a reply
//! that is not over yet.
//!
//! A test opens one, waits for the message that it wants, and answers it; what it skipped on the way is kept.

use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::show::Answer;
use crate::wait;

use super::{Peer, Reply, SESSION_REVISION};

/// A stream that is open.
pub struct Stream {
    response: Response,
    unread: Vec<u8>,
    seen: Vec<Value>,
    last_event_id: Option<String>,
}

/// One event (HTML, "Server-sent events").
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// Where the client is, once it has read this one.
    pub id: Option<String>,
    /// How long to wait before coming back, in milliseconds.
    pub retry_ms: Option<u64>,
    /// A message, or nothing.
    pub data: String,
}

impl Stream {
    /// Sends a request that a stream answers.
    ///
    /// # Panics
    /// When something else does.
    pub async fn open(request: RequestBuilder) -> Self {
        let response = request
            .send()
            .await
            .unwrap_or_else(|error| panic!("no answer: {error:?}"));
        let kind = response.headers().get("content-type");
        let is_stream = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        assert!(
            response.status().is_success() && is_stream,
            "no stream: {response:?}"
        );
        Self::of(response)
    }

    /// The stream that a response is.
    #[must_use]
    pub fn of(response: Response) -> Self {
        Self {
            response,
            unread: Vec::new(),
            seen: Vec::new(),
            last_event_id: None,
        }
    }

    /// The next event; `None` at the end. Comments are skipped.
    ///
    /// # Panics
    /// When the stream breaks off, or is no text.
    pub async fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.unread.drain(..end + 2).collect();
                let event = Event::of(std::str::from_utf8(&block).expect("UTF-8"));
                if event != Event::default() {
                    self.last_event_id = event.id.clone().or(self.last_event_id.take());
                    return Some(event);
                }
                continue;
            }
            let chunk = wait::at_most("a stream's next event", self.response.chunk()).await;
            self.unread
                .extend(chunk.unwrap_or_else(|error| panic!("the stream broke off: {error:?}"))?);
        }
    }

    /// The next message; `None` at the end.
    ///
    /// # Panics
    /// As [`Stream::event`], and when it is not JSON.
    pub async fn message(&mut self) -> Option<Value> {
        loop {
            let Event { data, .. } = self.event().await?;
            if !data.is_empty() {
                let message: Value =
                    serde_json::from_str(&data).unwrap_or_else(|error| panic!("{error}: {data}"));
                self.seen.push(message.clone());
                return Some(message);
            }
        }
    }

    /// The first message from here on that is wanted; `what` says which.
    ///
    /// # Panics
    /// When the stream ends without it, or it does not come.
    pub async fn until(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let found = async {
            while let Some(message) = self.message().await {
                if wanted(&message) {
                    return Some(message);
                }
            }
            None
        };
        let found = wait::at_most(what, found).await;
        found.unwrap_or_else(|| panic!("the stream ended without {what}: {:?}", self.seen))
    }

    /// The next request or notification of that method.
    ///
    /// # Panics
    /// As [`Stream::until`].
    pub async fn method(&mut self, method: &str) -> Value {
        self.until(method, |message| message["method"] == method)
            .await
    }

    /// The next response: in the stream of a reply, its last message.
    ///
    /// # Panics
    /// As [`Stream::until`].
    pub async fn response(&mut self) -> Value {
        self.until("a response", |message| message.get("method").is_none())
            .await
    }

    /// Every message that was read so far.
    #[must_use]
    pub fn seen(&self) -> &[Value] {
        &self.seen
    }

    /// Where to come back to, if the stream said so.
    #[must_use]
    pub fn last_event_id(&self) -> Option<&str> {
        self.last_event_id.as_deref()
    }
}

impl Event {
    fn of(block: &str) -> Self {
        let mut event = Self::default();
        let mut data = Vec::new();
        for line in block.lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => event.id = Some(value.to_owned()),
                "retry" => event.retry_ms = value.parse().ok(),
                "data" => data.push(value),
                _ => {}
            }
        }
        event.data = data.join("\n");
        event
    }
}

impl Peer {
    /// Opens the stream of what belongs to no reply.
    ///
    /// # Panics
    /// When there is none.
    pub async fn listen(&self) -> Stream {
        Stream::open(self.get_stream()).await
    }

    /// Comes back to a stream, after that event.
    ///
    /// # Panics
    /// When there is none.
    pub async fn listen_after(&self, last_event_id: &str) -> Stream {
        Stream::open(self.get_stream().header("last-event-id", last_event_id)).await
    }

    fn get_stream(&self) -> RequestBuilder {
        self.wire
            .request(Method::GET)
            .header("accept", "text/event-stream")
            .header("mcp-session-id", self.session_id())
            .header("mcp-protocol-version", SESSION_REVISION)
    }

    /// Calls a tool and reads its reply message by message.
    ///
    /// # Panics
    /// When the reply is no stream.
    pub async fn open_call(&self, tool: &str, arguments: Value) -> Stream {
        let params = json!({ "name": tool, "arguments": arguments });
        Stream::open(self.build("tools/call", params)).await
    }

    /// Answers what the server has asked.
    ///
    /// # Panics
    /// When the answer is not taken.
    pub async fn answer(&self, question: &Value, result: Value) {
        self.respond(question, ("result", result)).await;
    }

    /// Answers what the server has asked with an error.
    ///
    /// # Panics
    /// When the answer is not taken.
    pub async fn refuse(&self, question: &Value, code: i64, message: &str) {
        let error = json!({ "code": code, "message": message });
        self.respond(question, ("error", error)).await;
    }

    async fn respond(&self, question: &Value, (member, outcome): (&str, Value)) {
        let body = json!({ "jsonrpc": "2.0", "id": question["id"], member: outcome });
        let request = self
            .wire
            .post(body.to_string())
            .header("mcp-session-id", self.session_id())
            .header("mcp-protocol-version", SESSION_REVISION);
        let reply = Reply(Answer::of(request).await);
        assert_eq!(reply.status, 202, "{}", reply.shown());
    }
}
