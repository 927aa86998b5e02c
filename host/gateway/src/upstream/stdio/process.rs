//! One process of an upstream, as callers see it: what it speaks, who waits for it, whether it lives.
//!
//! Its pipes and its end belong to `supervise`; this never touches them but through a bounded queue. What it says of its
//! own accord goes to its audience.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use portcullis_protocol::revision::{Era, Revision};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Setup;
use super::audience::Audience;
use super::keeper::Order;
use crate::upstream::error::UpstreamError;
use crate::upstream::outgoing;
use crate::upstream::pending::{Caller, OnLeave, Pending, Refusal};
use crate::upstream::waiting::{Peer, Waiting};

static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);

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
    pub(super) audience: Arc<Audience>,
    /// Unlike that of any other process.
    pub(super) number: u64,
    pub(super) pending: Pending,
    outbox: mpsc::Sender<Bytes>,
    /// Stops this process alone.
    pub(super) stop: CancellationToken,
    revision: OnceLock<Revision>,
    /// The request under which it says what callers want to hear, where it has no sessions.
    listening: Mutex<Option<u64>>,
    began: Instant,
    alive: AtomicBool,
    ending: OnceLock<(Ending, Duration)>,
}

impl Process {
    pub(super) fn new(order: &Order, outbox: mpsc::Sender<Bytes>) -> Arc<Self> {
        Arc::new(Self {
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            pending: Pending::new(order.setup.limits.process_pending_max),
            stop: order.stop.child_token(),
            setup: Arc::clone(&order.setup),
            audience: Arc::clone(&order.audience),
            outbox,
            revision: OnceLock::new(),
            listening: Mutex::default(),
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
        let limits = &self.setup.limits;
        let peer = Arc::clone(self);
        Waiting::at(peer, (id, caller), on_leave, limits.call_events_max).map_err(|refusal| {
            match refusal {
                Refusal::Full => UpstreamError::Busy {
                    upstream: Arc::clone(&self.setup.name),
                    pending_max: limits.process_pending_max,
                },
                Refusal::Ended => self.ended(),
            }
        })
    }

    /// Room for one line, waited for while the queue is full.
    pub(super) async fn room(&self) -> Result<mpsc::Permit<'_, Bytes>, UpstreamError> {
        self.outbox.reserve().await.map_err(|_closed| self.ended())
    }

    /// Room for one line, where there is some now.
    pub(super) fn room_now(&self) -> Option<mpsc::Permit<'_, Bytes>> {
        self.outbox.try_reserve().ok()
    }

    /// Queues a line; waits while the queue is full.
    pub(super) async fn send(&self, line: Bytes) -> Result<(), UpstreamError> {
        self.outbox.send(line).await.map_err(|_closed| self.ended())
    }

    /// Queues a message that has no reply of its own, in bounded time.
    pub(in crate::upstream) async fn tell(&self, message: &[u8]) -> Result<(), UpstreamError> {
        let timeout_ms = self.setup.limits.tell_timeout_ms;
        let told = self.send(line(message));
        match tokio::time::timeout(Duration::from_millis(timeout_ms), told).await {
            Ok(told) => told,
            Err(_elapsed) => Err(UpstreamError::Timeout {
                upstream: Arc::clone(&self.setup.name),
                timeout_ms,
            }),
        }
    }

    /// It says from now on under this request, if any, what callers want to hear. The request before ends.
    pub(super) fn listen_under(self: &Arc<Self>, id: Option<u64>) {
        let mut listening = self
            .listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let former = std::mem::replace(&mut *listening, id);
        drop(listening);
        if let Some(former) = former
            && self.pending.remove(former)
        {
            Arc::clone(self).cancel(former);
        }
    }

    /// Queues a line that nobody waits for; says whether there was room.
    pub(super) fn try_send(&self, line: Bytes) -> bool {
        self.outbox.try_send(line).is_ok()
    }

    /// Ends it if no call waits; says whether it does. Calls that come now find it gone.
    pub(super) fn retire(&self) -> bool {
        let is_idle = self.pending.end_if_idle();
        if is_idle {
            self.alive.store(false, Ordering::Release);
            self.stop.cancel();
        }
        is_idle
    }

    /// Notes the end and lets every caller go.
    pub(super) fn end(&self, ending: Ending) {
        let lived = self.began.elapsed();
        self.ending.get_or_init(|| (ending, lived));
        self.alive.store(false, Ordering::Release);
        self.pending.end();
    }
}

impl Peer for Process {
    fn pending(&self) -> &Pending {
        &self.pending
    }

    fn cancel(self: Arc<Self>, id: u64) {
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

    fn ended(&self) -> UpstreamError {
        let upstream = Arc::clone(&self.setup.name);
        match self.ending.get() {
            Some((Ending::Stopped, _)) => UpstreamError::Stopped { upstream },
            Some((Ending::Exited(ending), _)) => UpstreamError::Exited {
                upstream,
                scope: self.audience.scope(),
                ending: ending.clone(),
            },
            None => UpstreamError::Exited {
                upstream,
                scope: self.audience.scope(),
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
