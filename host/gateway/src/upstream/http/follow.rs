//! The stream of a session that carries what belongs to no reply: opened by `GET`, read for an inbox, and opened again
//! where it ends (MCP 2025-11-25, "Listening for Messages from the Server").
//!
//! One task for each session that somebody listens to. An upstream that has no such stream says so, and is left alone; one
//! that had one and does not know the session any more is given another, for whoever listens.

use std::convert::Infallible;
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt as _;
use portcullis_protocol::envelope::{self, Message};
use portcullis_protocol::headers;
use portcullis_protocol::sse::Decoder;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::client::ResponseBody;
use super::session::HttpSession;
use super::wire::Wire;
use crate::upstream::asker::Asker;
use crate::upstream::conversation::Client;
use crate::upstream::error::UpstreamError;
use crate::upstream::slot::Slot;
use bytes::Bytes;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static(headers::LAST_EVENT_ID);
const EVENT_STREAM: HeaderValue = HeaderValue::from_static(headers::EVENT_STREAM);

/// Ends once it is known whether there is a stream.
pub(in crate::upstream) type Listening = oneshot::Receiver<Infallible>;

/// What a stream is read for, and how far it was read.
struct Follower {
    slot: Weak<Slot>,
    wire: Arc<Wire>,
    client: Arc<Client>,
    session: Arc<HttpSession>,
    /// Until the first answer.
    opening: Option<oneshot::Sender<Infallible>>,
    /// Whether there was a stream.
    was_open: bool,
    last_event_id: Option<String>,
    /// What the upstream asks to wait before the stream is opened again, in milliseconds.
    retry_ms: Option<u64>,
    failures: u32,
}

/// How an attempt to read ended.
enum End {
    /// There is nothing to read, now or later.
    Nothing,
    /// It may be opened again.
    Closed,
    /// The upstream does not know the session any more.
    Gone,
}

/// What an upstream answers to `GET`.
enum Opened {
    Stream(ResponseBody),
    /// It has nothing of the kind.
    Nothing,
    /// As above, or it does not know the session.
    Unknown,
}

/// Reads from a task of its own until it is to stop.
pub(in crate::upstream) fn follow(
    (slot, wire, client): (&Arc<Slot>, &Arc<Wire>, &Arc<Client>),
    session: &Arc<HttpSession>,
    stop: CancellationToken,
) -> Listening {
    let (opening, listening) = oneshot::channel();
    let mut follower = Follower {
        slot: Arc::downgrade(slot),
        wire: Arc::clone(wire),
        client: Arc::clone(client),
        session: Arc::clone(session),
        opening: Some(opening),
        was_open: false,
        last_event_id: None,
        retry_ms: None,
        failures: 0,
    };
    let left = wire.stop.clone();
    wire.tracker.spawn(async move {
        let running = left.run_until_cancelled(follower.run());
        stop.run_until_cancelled(running).await;
    });
    listening
}

impl Follower {
    async fn run(&mut self) {
        loop {
            match self.attempt().await {
                Ok(End::Nothing) => return,
                Ok(End::Gone) => {
                    if let Some(slot) = self.slot.upgrade() {
                        slot.renew(&self.session);
                    }
                    return;
                }
                Ok(End::Closed) => {}
                Err(error) => {
                    tracing::debug!(upstream = %self.wire.name, %error, "an upstream's stream broke off");
                }
            }
            // An upstream that closes each stream at once is left alone for longer and longer.
            self.failures = self.failures.saturating_add(1);
            let pause_ms = self.wire.limits.backoff_ms(self.failures);
            let pause_ms = pause_ms.max(self.retry_ms.unwrap_or(0));
            let pause_ms = pause_ms.min(self.wire.limits.backoff_max_ms);
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        }
    }

    async fn attempt(&mut self) -> Result<End, UpstreamError> {
        let opened = open(&self.wire, &self.session, self.last_event_id.as_deref()).await;
        drop(self.opening.take());
        let body = match opened? {
            Opened::Stream(body) => body,
            Opened::Unknown if self.was_open => return Ok(End::Gone),
            Opened::Nothing | Opened::Unknown => return Ok(End::Nothing),
        };
        self.was_open = true;
        self.read(body).await?;
        Ok(End::Closed)
    }

    async fn read(&mut self, mut body: ResponseBody) -> Result<(), UpstreamError> {
        let mut decoder = Decoder::new(self.wire.limits.message_bytes_max);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|source| UpstreamError::Body {
                upstream: Arc::clone(&self.wire.name),
                source,
            })?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            let pushed = decoder.push(&data);
            while let Some(event) = decoder.next_event() {
                self.last_event_id = event.id.clone().or(self.last_event_id.take());
                self.retry_ms = event.retry_ms.or(self.retry_ms);
                if event.is_message() {
                    self.failures = 0;
                    self.take(event.data).await;
                }
            }
            pushed.map_err(|source| UpstreamError::Stream {
                upstream: Arc::clone(&self.wire.name),
                source,
            })?;
        }
        Ok(())
    }

    async fn take(&self, message: String) {
        match envelope::parse_str(&message) {
            Ok(Message::Request(_) | Message::Notification(_)) => {
                let asker = Asker::session(&self.wire, &self.session);
                if let Some(inbox) = self.client.inbox() {
                    inbox.deliver(Some(asker), message).await;
                }
            }
            Ok(Message::Response(_)) | Err(_) => {
                self.wire.meters.nonsense.inc();
                tracing::debug!(upstream = %self.wire.name, "skipped a pushed event that is no request or notification");
            }
        }
    }
}

/// The rest of a reply whose stream ended after that event; `None` where the upstream has forgotten it.
pub(in crate::upstream) async fn reopen(
    wire: &Wire,
    session: &HttpSession,
    last_event_id: &str,
) -> Result<Option<ResponseBody>, UpstreamError> {
    match open(wire, session, Some(last_event_id)).await? {
        Opened::Stream(body) => Ok(Some(body)),
        Opened::Nothing | Opened::Unknown => Ok(None),
    }
}

/// Opens a stream, after that event where one is named.
async fn open(
    wire: &Wire,
    session: &HttpSession,
    last_event_id: Option<&str>,
) -> Result<Opened, UpstreamError> {
    let mut headers = session.headers().clone();
    headers.insert(ACCEPT, EVENT_STREAM);
    headers.remove(CONTENT_TYPE);
    let last = last_event_id.and_then(|id| HeaderValue::from_str(id).ok());
    headers.extend(last.map(|last| (LAST_EVENT_ID, last)));
    let response = wire.send(Method::GET, headers, Bytes::new()).await?;
    let status = response.status();
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(wire.status(status));
    }
    let is_stream = response.headers().get(CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes()
            .to_ascii_lowercase()
            .starts_with(EVENT_STREAM.as_bytes())
    });
    if !status.is_success() || !is_stream {
        tracing::debug!(upstream = %wire.name, status = status.as_u16(), "upstream has no stream to listen to");
        return Ok(match status {
            // Some servers say 400 where the specification asks for 404.
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => Opened::Unknown,
            _ => Opened::Nothing,
        });
    }
    Ok(Opened::Stream(response.into_body()))
}
