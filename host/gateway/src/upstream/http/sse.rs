//! A session over HTTP+SSE (MCP 2024-11-05, "HTTP with SSE"): one stream, which begins with the address for messages, and
//! on which everything else comes.
//!
//! An [`HttpSession`](super::HttpSession) holds it, and it ends with that. Calls wait at it under ids of its own, so that
//! no two can be mixed up; what belongs to no call goes to the conversation's inbox. Nothing on the stream waits for
//! anybody.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::DropGuard;

mod ask;
mod inbound;
mod open;

use super::wire::Wire;
use crate::upstream::error::UpstreamError;
use crate::upstream::mailbox::Mailbox;
use crate::upstream::outgoing;
use crate::upstream::pending::Pending;
use crate::upstream::waiting::Peer;

/// Messages of the gateway's own that are on their way at a time, such as answers to pings; further ones are left out.
const OWN_MAX: usize = 32;

/// The stream of one session.
#[derive(Debug)]
pub(in crate::upstream) struct SseStream {
    wire: Arc<Wire>,
    /// Where messages go.
    endpoint: Uri,
    /// What every message begins with.
    headers: HeaderMap,
    pending: Pending,
    mailbox: Mailbox,
    /// Whether one session has it to itself; otherwise several calls of one caller, who must not hear of each other.
    is_of_session: bool,
    own: Arc<Semaphore>,
    reading: DropGuard,
}

impl SseStream {
    /// Sends a message that has no reply of its own: an answer, or a notification.
    ///
    /// # Errors
    /// When it could not be delivered in time.
    pub(in crate::upstream) async fn tell(&self, message: Bytes) -> Result<(), UpstreamError> {
        let timeout_ms = self.wire.limits.tell_timeout_ms;
        let told = self.post(self.headers.clone(), message);
        match tokio::time::timeout(Duration::from_millis(timeout_ms), told).await {
            Ok(told) => told,
            Err(_elapsed) => Err(UpstreamError::Timeout {
                upstream: Arc::clone(&self.wire.name),
                timeout_ms,
            }),
        }
    }

    /// Sends a message of the gateway's own from a task of its own; says whether there was room for it.
    fn tell_soon(self: &Arc<Self>, message: Bytes) -> bool {
        let (Ok(room), Ok(runtime)) = (
            Arc::clone(&self.own).try_acquire_owned(),
            Handle::try_current(),
        ) else {
            return false;
        };
        let stream = Arc::clone(self);
        let told = async move {
            if let Err(error) = stream.tell(message).await {
                tracing::debug!(upstream = %stream.wire.name, %error, "upstream was not told");
            }
            drop(room);
        };
        self.wire.tracker.spawn_on(told, &runtime);
        true
    }

    /// Whatever the upstream writes back is not read: what it has to say comes on the stream.
    async fn post(&self, headers: HeaderMap, message: Bytes) -> Result<(), UpstreamError> {
        let posted = self
            .wire
            .send_to(&self.endpoint, (Method::POST, headers, message))
            .await?;
        match posted.status() {
            status if status.is_success() => Ok(()),
            status => Err(self.wire.status(status)),
        }
    }

    /// Ends the session; the upstream sees that its stream is closed.
    pub(super) fn close(&self) {
        self.reading.token().cancel();
    }
}

impl Peer for SseStream {
    fn pending(&self) -> &Pending {
        &self.pending
    }

    fn cancel(self: Arc<Self>, id: u64) {
        let params = format!(r#"{{"requestId":{id}}}"#);
        let message = outgoing::message(None, "notifications/cancelled", Some(&params));
        if !self.tell_soon(message) {
            tracing::debug!(upstream = %self.wire.name, "upstream was not told that a call is cancelled");
        }
    }

    fn ended(&self) -> UpstreamError {
        UpstreamError::Interrupted {
            upstream: Arc::clone(&self.wire.name),
            source: "its stream ended".into(),
        }
    }
}
