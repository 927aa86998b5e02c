//! Who asks a client something: an upstream session, its one stream, or a process.
//!
//! Comes with a reply or with a pushed message; the pipeline keeps it with the question, and the client's answer goes
//! back through it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use portcullis_protocol::envelope::{self, Message};
use tokio::sync::oneshot;

use super::error::UpstreamError;
use super::http::{self, HttpSession, SseStream, Wire};
use super::reply::UpstreamBody;
use super::stdio::Process;

/// How long a stream is left alone before it is taken up again, where its upstream does not say, in milliseconds.
const RETRY_MS: u64 = 1_000;
/// The least that an upstream can ask for.
const RETRY_MS_MIN: u64 = 10;

/// The way back to the one who asked.
#[derive(Debug, Clone)]
pub struct Asker(Way);

#[derive(Debug, Clone)]
enum Way {
    Session(Arc<Wire>, Arc<HttpSession>),
    Stream(Arc<SseStream>),
    Process(Arc<Process>),
    /// The gateway asks for an upstream that asks in results, and waits itself.
    Gateway(Arc<Waiting>),
}

/// Who waits for an answer; taken by the first that comes.
type Waiting = Mutex<Option<oneshot::Sender<Bytes>>>;

impl Asker {
    pub(super) fn session(wire: &Arc<Wire>, session: &Arc<HttpSession>) -> Self {
        Self(Way::Session(Arc::clone(wire), Arc::clone(session)))
    }

    pub(super) fn stream(stream: &Arc<SseStream>) -> Self {
        Self(Way::Stream(Arc::clone(stream)))
    }

    pub(super) fn process(process: &Arc<Process>) -> Self {
        Self(Way::Process(Arc::clone(process)))
    }

    /// One whose answer comes out here.
    #[must_use]
    pub fn waiting() -> (Self, oneshot::Receiver<Bytes>) {
        let (answer, answered) = oneshot::channel();
        let waiting = Arc::new(Mutex::new(Some(answer)));
        (Self(Way::Gateway(waiting)), answered)
    }

    /// Whether what it asks in the course of a call may be about another matter: its messages do not say what they belong
    /// to.
    #[must_use]
    pub fn asks_at_large(&self) -> bool {
        match &self.0 {
            Way::Stream(_) | Way::Process(_) => true,
            Way::Session(..) | Way::Gateway(_) => false,
        }
    }

    /// Delivers a whole message: the answer to what was asked, or what becomes of it meanwhile.
    ///
    /// # Errors
    /// When it could not be delivered.
    pub async fn tell(&self, message: Bytes) -> Result<(), UpstreamError> {
        match &self.0 {
            Way::Session(wire, session) => session.tell(wire, message).await,
            Way::Stream(stream) => stream.tell(message).await,
            Way::Process(process) => process.tell(&message).await,
            Way::Gateway(waiting) => {
                let is_answer = matches!(envelope::parse(&message), Ok(Message::Response(_)));
                let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(answer) = waiting.take_if(|_| is_answer) {
                    // Who waited may have given up.
                    answer.send(message).ok();
                }
                Ok(())
            }
        }
    }

    /// The rest of a reply of this upstream whose stream ended after that event; `None` where it cannot be had. The
    /// upstream may ask to wait before.
    ///
    /// # Errors
    /// When the upstream cannot be asked for it.
    pub async fn resume(
        &self,
        last_event_id: &str,
        retry_ms: Option<u64>,
    ) -> Result<Option<UpstreamBody>, UpstreamError> {
        match &self.0 {
            Way::Session(wire, session) => {
                let wait_ms = retry_ms.unwrap_or(RETRY_MS);
                let wait_ms =
                    wait_ms.clamp(RETRY_MS_MIN, wire.limits.backoff_max_ms.max(RETRY_MS_MIN));
                tokio::time::sleep(Duration::from_millis(wait_ms)).await;
                let body = http::reopen(wire, session, last_event_id).await?;
                Ok(body.map(|body| UpstreamBody::http(&wire.name, None, body)))
            }
            // What came on a stream of this kind, or was written by a process, does not come again.
            Way::Stream(_) | Way::Process(_) | Way::Gateway(_) => Ok(None),
        }
    }
}

impl PartialEq for Asker {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Way::Session(_, one), Way::Session(_, other)) => Arc::ptr_eq(one, other),
            (Way::Stream(one), Way::Stream(other)) => Arc::ptr_eq(one, other),
            (Way::Process(one), Way::Process(other)) => Arc::ptr_eq(one, other),
            (Way::Gateway(one), Way::Gateway(other)) => Arc::ptr_eq(one, other),
            (Way::Session(..) | Way::Stream(_) | Way::Process(_) | Way::Gateway(_), _) => false,
        }
    }
}
