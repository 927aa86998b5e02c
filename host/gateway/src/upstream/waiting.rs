//! A caller's side of a call to a peer that calls share: waiting for the first message, then for the rest.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use portcullis_protocol::sse::{self, Event};
use tokio::sync::{mpsc, oneshot};

use super::error::UpstreamError;
use super::pending::{Caller, OnLeave, Pending, Refusal};
use super::stdio::Seat;

/// Who answers many calls at a time: a process, or an upstream session that has one stream.
pub(super) trait Peer: fmt::Debug + Send + Sync {
    /// Its calls.
    fn pending(&self) -> &Pending;
    /// Tells it that nobody waits for that request; nobody waits for that either.
    fn cancel(self: Arc<Self>, id: u64);
    /// Why nothing can be had of it.
    fn ended(&self) -> UpstreamError;
}

/// A call that waits. Dropping it gives up the wait.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) ticket: Ticket,
    pub(super) events: Option<mpsc::Receiver<Bytes>>,
    pub(super) last: oneshot::Receiver<Bytes>,
    /// Keeps a process of the caller's own for as long as the call goes on.
    pub(super) seat: Option<Arc<Seat>>,
}

/// A call's place among the pending ones.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) peer: Arc<dyn Peer>,
    pub(super) id: u64,
    pub(super) on_leave: OnLeave,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // An answered call is no longer there.
        if self.on_leave == OnLeave::Stay {
            return;
        }
        let still_waited = self.peer.pending().remove(self.id);
        if still_waited && self.on_leave == OnLeave::Cancel {
            Arc::clone(&self.peer).cancel(self.id);
        }
    }
}

/// How a reply begins.
pub(super) enum Begun {
    /// The response itself, as JSON.
    Last(Bytes),
    /// Something before it, as an encoded event.
    Event(Bytes),
}

impl Waiting {
    /// Takes a caller's place, for whom so many events may wait, before its request goes out under that id.
    pub(super) fn at(
        peer: Arc<dyn Peer>,
        (id, caller): (u64, Caller),
        on_leave: OnLeave,
        events_max: usize,
    ) -> Result<Self, Refusal> {
        let (events, last) = peer.pending().insert(id, caller, events_max)?;
        Ok(Self {
            ticket: Ticket { peer, id, on_leave },
            events,
            last,
            seat: None,
        })
    }

    /// Waits for the first message.
    pub(super) async fn begin(&mut self) -> Result<Begun, UpstreamError> {
        if let Some(events) = &mut self.events {
            // What was sent first is read first.
            tokio::select! {
                biased;
                Some(event) = events.recv() => return Ok(Begun::Event(encoded(&event))),
                last = &mut self.last => {
                    return last.map(Begun::Last).map_err(|_gone| self.ticket.peer.ended());
                }
            }
        }
        self.last_message().await.map(Begun::Last)
    }

    /// Decides anew what happens when the caller leaves.
    pub(super) fn on_leave(&mut self, on_leave: OnLeave) {
        self.ticket.on_leave = on_leave;
    }
}

/// The rest of a call whose reply began with an event, as server-sent events.
#[derive(Debug)]
pub(super) struct WaitingEvents {
    waiting: Waiting,
    /// The response, while events that came before it are still being read.
    last: Option<Bytes>,
    over: bool,
}

impl WaitingEvents {
    pub(super) fn new(waiting: Waiting) -> Self {
        Self {
            waiting,
            last: None,
            over: false,
        }
    }

    pub(super) fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        use std::future::Future as _;
        use std::pin::Pin;

        if self.over {
            return Poll::Ready(None);
        }
        if self.last.is_none() {
            match Pin::new(&mut self.waiting.last).poll(cx) {
                Poll::Ready(Ok(last)) => self.last = Some(last),
                Poll::Ready(Err(_gone)) => {
                    self.over = true;
                    return Poll::Ready(Some(Err(self.waiting.ticket.peer.ended())));
                }
                Poll::Pending => {}
            }
        }
        // The response was sent after every event, so all that are left are there already.
        if let Some(events) = &mut self.waiting.events
            && let Poll::Ready(Some(event)) = events.poll_recv(cx)
        {
            return Poll::Ready(Some(Ok(encoded(&event))));
        }
        match self.last.take() {
            Some(last) => {
                self.over = true;
                Poll::Ready(Some(Ok(encoded(&last))))
            }
            None => Poll::Pending,
        }
    }
}

impl Waiting {
    pub(super) async fn last_message(&mut self) -> Result<Bytes, UpstreamError> {
        (&mut self.last)
            .await
            .map_err(|_gone| self.ticket.peer.ended())
    }
}

fn encoded(message: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(message.len() + 16);
    sse::encode(&Event::message(String::from_utf8_lossy(message)), &mut out);
    Bytes::from(out)
}
