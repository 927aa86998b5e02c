//! The beginning of a stream, and reading it to its end.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method};
use http_body_util::BodyExt as _;
use portcullis_protocol::headers;
use portcullis_protocol::sse::{Decoder, Event};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{OWN_MAX, SseStream, inbound};
use crate::upstream::conversation::Client;
use crate::upstream::error::UpstreamError;
use crate::upstream::http::client::ResponseBody;
use crate::upstream::http::receive::kind_of;
use crate::upstream::http::wire::Wire;
use crate::upstream::mailbox::Mailbox;
use crate::upstream::pending::Pending;
use crate::upstream::reply::ReplyKind;

const EVENT_STREAM: HeaderValue = HeaderValue::from_static(headers::EVENT_STREAM);
/// The type of the first event.
const ENDPOINT: &str = "endpoint";

impl SseStream {
    /// Opens a stream for that client, and waits for the address that it begins with.
    ///
    /// # Errors
    /// When the upstream has no such stream, or names an address of somebody else.
    pub(in crate::upstream::http) async fn open(
        wire: &Arc<Wire>,
        client: &Arc<Client>,
    ) -> Result<Arc<Self>, UpstreamError> {
        let mut headers = wire.base().clone();
        headers.insert(ACCEPT, EVENT_STREAM);
        headers.remove(CONTENT_TYPE);
        let response = wire.send(Method::GET, headers, Bytes::new()).await?;
        let (status, kind) = (response.status(), kind_of(&response));
        if !status.is_success() {
            return Err(wire.status(status));
        }
        let unexpected = |what| UpstreamError::Unexpected {
            upstream: Arc::clone(&wire.name),
            what,
        };
        if kind != Some(ReplyKind::Events) {
            return Err(unexpected("something else where a stream should begin"));
        }
        let mut events = Events::new(wire, response.into_body());
        let first = events.next().await?;
        let first = first.filter(|first| first.event.as_deref() == Some(ENDPOINT));
        let first = first.ok_or_else(|| unexpected("a stream that names no endpoint"))?;
        let endpoint = wire
            .resolve(&first.data)
            .ok_or_else(|| unexpected("an endpoint of another origin"))?;
        let stop = wire.stop.child_token();
        let tasks = (&wire.tracker, stop.clone());
        let stream = Arc::new(Self {
            wire: Arc::clone(wire),
            endpoint,
            headers: wire.base().clone(),
            pending: Pending::new(wire.limits.stream_pending_max),
            mailbox: Mailbox::open(client, &wire.limits, tasks),
            is_of_session: client.has_session(),
            own: Arc::new(Semaphore::new(OWN_MAX)),
            reading: stop.clone().drop_guard(),
        });
        stream.read(events, stop);
        Ok(stream)
    }

    /// Reads from a task of its own, which does not keep the stream.
    fn read(self: &Arc<Self>, events: Events, stop: CancellationToken) {
        let stream = Arc::downgrade(self);
        self.wire.tracker.spawn(async move {
            if let Some(Err(error)) = stop.run_until_cancelled(read(&stream, events)).await {
                tracing::debug!(%error, "an upstream's stream broke off");
            }
            if let Some(stream) = stream.upgrade() {
                stream.pending.end();
            }
        });
    }
}

async fn read(stream: &Weak<SseStream>, mut events: Events) -> Result<(), UpstreamError> {
    while let Some(event) = events.next().await? {
        let Some(stream) = stream.upgrade() else {
            return Ok(());
        };
        if event.is_message() {
            inbound::take(&stream, &event.data);
        }
    }
    Ok(())
}

/// The events of a stream.
struct Events {
    upstream: Arc<str>,
    body: ResponseBody,
    decoder: Decoder,
}

impl Events {
    fn new(wire: &Wire, body: ResponseBody) -> Self {
        Self {
            upstream: Arc::clone(&wire.name),
            body,
            decoder: Decoder::new(wire.limits.message_bytes_max),
        }
    }

    async fn next(&mut self) -> Result<Option<Event>, UpstreamError> {
        loop {
            if let Some(event) = self.decoder.next_event() {
                return Ok(Some(event));
            }
            let Some(frame) = self.body.frame().await else {
                return Ok(None);
            };
            let frame = frame.map_err(|source| UpstreamError::Body {
                upstream: Arc::clone(&self.upstream),
                source,
            })?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            self.decoder
                .push(&data)
                .map_err(|source| UpstreamError::Stream {
                    upstream: Arc::clone(&self.upstream),
                    source,
                })?;
        }
    }
}
