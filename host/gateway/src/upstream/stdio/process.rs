//! One process of an upstream, as callers see it: what it speaks, who waits for it, whether it lives.
//!
//! Its pipes and its end belong to `supervise`; this never touches them but through a bounded queue.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use portcullis_protocol::revision::{Era, Revision};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::Setup;
use super::events::{Ticket, Waiting};
use super::pending::{Call, Caller, OnLeave, Pending, Refusal};
use crate::upstream::error::UpstreamError;
use crate::upstream::outgoing;
use crate::upstream::restore::Restore;

/// How a process ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// By itself; exit status or signal, for the log.
    Exited(String),
    /// Because the gateway wanted it.
    Stopped,
}

/// A process that is alive, or was.
#[derive(Debug)]
pub(in crate::upstream) struct Process {
    pub(super) setup: Arc<Setup>,
    pub(super) pending: Pending,
    outbox: mpsc::Sender<Bytes>,
    /// Stops this process alone.
    pub(super) stop: CancellationToken,
    revision: OnceLock<Revision>,
    began: Instant,
    alive: AtomicBool,
    ending: OnceLock<(Ending, Duration)>,
}

impl Process {
    pub(super) fn new(setup: &Arc<Setup>, outbox: mpsc::Sender<Bytes>) -> Arc<Self> {
        Arc::new(Self {
            pending: Pending::new(setup.limits.process_pending_max),
            stop: setup.stop.child_token(),
            setup: Arc::clone(setup),
            outbox,
            revision: OnceLock::new(),
            began: Instant::now(),
            alive: AtomicBool::new(true),
            ending: OnceLock::new(),
        })
    }

    /// Settles on a revision, once.
    pub(super) fn speak(&self, revision: Revision) {
        self.revision.get_or_init(|| revision);
    }

    /// The revision that it speaks; callers only ever see a process that has settled on one.
    pub(super) fn revision(&self) -> Revision {
        self.revision
            .get()
            .copied()
            .unwrap_or(Revision::newest_of(Era::Session))
    }

    pub(super) fn era(&self) -> Era {
        self.revision().era()
    }

    pub(super) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire)
    }

    /// How long it lived, or has lived.
    pub(super) fn lived(&self) -> Duration {
        self.ending
            .get()
            .map_or_else(|| self.began.elapsed(), |(_, lived)| *lived)
    }

    /// Takes a caller in, before its request goes out.
    pub(super) fn register(
        self: &Arc<Self>,
        id: u64,
        caller: Caller,
        on_leave: OnLeave,
    ) -> Result<Waiting, UpstreamError> {
        let (last, last_message) = oneshot::channel();
        let (events, progress) = match &caller.token {
            Some(_) => {
                let (events, progress) = mpsc::channel(self.setup.limits.call_events_max.max(1));
                (Some(events), Some(progress))
            }
            None => (None, None),
        };
        let restore = Restore {
            own: id.to_string().into(),
            id: caller.id,
            token: caller.token,
        };
        let call = Call {
            conversation: caller.conversation,
            restore,
            events,
            last,
        };
        self.pending
            .insert(id, call)
            .map_err(|refusal| match refusal {
                Refusal::Full => UpstreamError::Busy {
                    upstream: Arc::clone(&self.setup.name),
                    pending_max: self.setup.limits.process_pending_max,
                },
                Refusal::Ended => self.ended(),
            })?;
        Ok(Waiting {
            ticket: Ticket {
                process: Arc::clone(self),
                id,
                on_leave,
            },
            events: progress,
            last: last_message,
        })
    }

    /// Queues a line; waits while the queue is full.
    pub(super) async fn send(&self, line: Bytes) -> Result<(), UpstreamError> {
        self.outbox.send(line).await.map_err(|_closed| self.ended())
    }

    /// Queues a message that has no reply of its own.
    pub(in crate::upstream) async fn tell(&self, message: &[u8]) -> Result<(), UpstreamError> {
        self.send(line(message)).await
    }

    /// Queues a line that nobody waits for; says whether there was room.
    pub(super) fn try_send(&self, line: Bytes) -> bool {
        self.outbox.try_send(line).is_ok()
    }

    /// Tells the process that nobody waits for that request.
    pub(super) fn cancel(&self, id: u64) {
        let params = format!(r#"{{"requestId":{id}}}"#);
        let sent = self.try_send(line(&outgoing::message(
            None,
            "notifications/cancelled",
            Some(&params),
        )));
        if !sent {
            tracing::debug!(upstream = %self.setup.name, "process was not told that a call is cancelled");
        }
    }

    /// Notes the end and lets every caller go.
    pub(super) fn end(&self, ending: Ending) {
        let lived = self.began.elapsed();
        self.ending.get_or_init(|| (ending, lived));
        self.alive.store(false, Ordering::Release);
        self.pending.end();
    }

    /// Why nothing can be had of it.
    pub(super) fn ended(&self) -> UpstreamError {
        let upstream = Arc::clone(&self.setup.name);
        match self.ending.get() {
            Some((Ending::Stopped, _)) => UpstreamError::Stopped { upstream },
            Some((Ending::Exited(ending), _)) => UpstreamError::Exited {
                upstream,
                ending: ending.clone(),
            },
            None => UpstreamError::Exited {
                upstream,
                ending: "its input was closed".to_owned(),
            },
        }
    }
}

/// A message as a line. Line breaks can stand between JSON tokens only, where a space means the same.
pub(super) fn line(message: &[u8]) -> Bytes {
    let mut line = Vec::with_capacity(message.len() + 1);
    line.extend_from_slice(message);
    for byte in &mut line {
        if matches!(*byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    line.push(b'\n');
    Bytes::from(line)
}
