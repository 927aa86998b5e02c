//! The calls that wait for a peer whom they share, a process or the stream of a session, under the ids that they went out
//! with.
//!
//! An id is unique for the peer's life and serves as progress token as well, so whatever the peer sends belongs to one
//! caller or to none.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use portcullis_protocol::splice::{self, SpliceError};
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};

use super::outgoing;
use super::restore::{PROGRESS_TOKEN, Restore};

/// The method of cancellations.
pub(super) const CANCELLED: &str = "notifications/cancelled";

/// Whether a client may be asked and told things in the course of such a request: of the same that may ask for input in
/// 2026-07-28.
pub(super) fn may_ask(method: &str) -> bool {
    matches!(method, "tools/call" | "prompts/get" | "resources/read")
}

/// Who waits, in its own words.
#[derive(Debug)]
pub(super) struct Caller {
    /// Ids are unique within a conversation only.
    pub(super) conversation: u64,
    /// The request's id, as JSON text.
    pub(super) id: Box<str>,
    /// The progress token, as JSON text, where the request had one.
    pub(super) token: Option<Box<str>>,
    /// Whether its reply may carry what the peer says to nobody in particular.
    pub(super) is_open: bool,
}

impl Caller {
    /// The gateway itself, whose names are those that go out.
    pub(super) fn gateway(id: u64) -> Self {
        Self {
            conversation: u64::MAX,
            id: id.to_string().into(),
            token: None,
            is_open: false,
        }
    }
}

/// What to do about a request whose caller has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnLeave {
    /// Let it run; its answer is thrown away.
    Nothing,
    /// Tell the peer that nobody waits any more.
    Cancel,
    /// Keep its place, so that its answer is known for what it is; nobody will read it.
    Stay,
}

/// Where a caller waits.
#[derive(Debug)]
struct Call {
    conversation: u64,
    restore: Restore,
    /// Takes what comes before the response: progress, for callers that asked for it, and more where it is open.
    events: Option<mpsc::Sender<Bytes>>,
    is_open: bool,
    /// Takes the response.
    last: oneshot::Sender<Bytes>,
}

/// What a caller waits at: what comes before the response, and the response.
pub(super) type Ends = (Option<mpsc::Receiver<Bytes>>, oneshot::Receiver<Bytes>);

/// What becomes of progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// Its caller has it, or did not ask for any.
    Passed,
    /// Its caller reads too slowly.
    Dropped,
    /// It is nobody's.
    Unknown,
}

/// Why a call cannot wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// As many wait as may.
    Full,
    /// The peer is gone.
    Ended,
}

/// All calls of one peer.
#[derive(Debug)]
pub(super) struct Pending {
    next_id: AtomicU64,
    len_max: usize,
    /// `None` once the peer is gone.
    calls: Mutex<Option<HashMap<u64, Call>>>,
}

impl Pending {
    pub(super) fn new(len_max: usize) -> Self {
        Self {
            next_id: AtomicU64::new(1),
            len_max,
            calls: Mutex::new(Some(HashMap::new())),
        }
    }

    pub(super) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes a caller in, for whom so many events may wait.
    pub(super) fn insert(
        &self,
        id: u64,
        caller: Caller,
        events_max: usize,
    ) -> Result<Ends, Refusal> {
        let (last, last_message) = oneshot::channel();
        let (events, progress) = if caller.token.is_some() || caller.is_open {
            let (events, progress) = mpsc::channel(events_max.max(1));
            (Some(events), Some(progress))
        } else {
            (None, None)
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
            is_open: caller.is_open,
            last,
        };
        self.place(id, call)?;
        Ok((progress, last_message))
    }

    fn place(&self, id: u64, call: Call) -> Result<(), Refusal> {
        let mut calls = self.lock();
        let calls = calls.as_mut().ok_or(Refusal::Ended)?;
        if calls.len() >= self.len_max {
            // Some may be requests of the gateway's own, whose answers nobody wants.
            calls.retain(|_, call| !call.last.is_closed());
        }
        if calls.len() >= self.len_max {
            return Err(Refusal::Full);
        }
        calls.insert(id, call);
        Ok(())
    }

    /// Forgets a call; says whether it still waited.
    pub(super) fn remove(&self, id: u64) -> bool {
        self.take(id).is_some()
    }

    fn take(&self, id: u64) -> Option<Call> {
        self.lock().as_mut()?.remove(&id)
    }

    /// Hands a response to its caller; `false` where nobody waits for it.
    pub(super) fn respond(&self, id: Option<&RawValue>, text: &str) -> bool {
        let id = id.and_then(|id| id.get().parse().ok());
        let Some(call) = id.and_then(|id| self.take(id)) else {
            return false;
        };
        // The caller may have left in this moment.
        call.last
            .send(Bytes::from(call.restore.response(text)))
            .ok();
        true
    }

    /// Hands a progress notification to the caller that owns its token. Callers that read too slowly lose some.
    pub(super) fn progress(&self, text: &str) -> Told {
        let [params, token] = PROGRESS_TOKEN;
        let token =
            splice::get_member(text, params).and_then(|params| splice::get_member(params, token));
        let owner = token
            .and_then(|token| token.parse().ok())
            .and_then(|id| self.events(id));
        let Some((restore, events)) = owner else {
            return Told::Unknown;
        };
        let passed = restore
            .progress(text)
            .map(|message| events.try_send(Bytes::from(message)));
        match passed {
            Some(Err(_full)) => Told::Dropped,
            Some(Ok(())) | None => Told::Passed,
        }
    }

    /// The caller's name for its progress and the way there, where it asked for progress.
    fn events(&self, id: u64) -> Option<(Restore, mpsc::Sender<Bytes>)> {
        let calls = self.lock();
        let call = calls.as_ref()?.get(&id)?;
        Some((call.restore.clone(), call.events.clone()?))
    }

    /// The way into the reply of the newest call that is open.
    pub(super) fn newest_open(&self) -> Option<mpsc::Sender<Bytes>> {
        let calls = self.lock();
        let open = calls.as_ref()?.iter().filter(|(_, call)| call.is_open);
        let (_, newest) = open.max_by_key(|(id, _)| **id)?;
        newest.events.clone()
    }

    /// The way into the reply of the only call that is open, where there is just one.
    pub(super) fn only_open(&self) -> Option<mpsc::Sender<Bytes>> {
        let calls = self.lock();
        let mut open = calls.as_ref()?.values().filter(|call| call.is_open);
        match (open.next(), open.next()) {
            (Some(only), None) => only.events.clone(),
            (Some(_), Some(_)) | (None, _) => None,
        }
    }

    /// The id under which a conversation's request went out.
    pub(super) fn find(&self, conversation: u64, client_id: &str) -> Option<u64> {
        let calls = self.lock();
        let mut calls = calls.as_ref()?.iter();
        calls
            .find(|(_, call)| call.conversation == conversation && &*call.restore.id == client_id)
            .map(|(id, _)| *id)
    }

    /// A client's cancellation, under the id that its request went out with; nothing, where that does not wait.
    ///
    /// # Errors
    /// When `params`, a JSON text, are no object.
    pub(super) fn cancellation(
        &self,
        conversation: u64,
        params: Option<&str>,
    ) -> Result<Option<Bytes>, SpliceError> {
        let params = params.unwrap_or_default();
        let theirs = splice::get_member(params, "requestId");
        let Some(id) = theirs.and_then(|id| self.find(conversation, id)) else {
            return Ok(None);
        };
        let params = splice::set_member(params, "requestId", &id.to_string())?;
        Ok(Some(outgoing::message(None, CANCELLED, Some(&params))))
    }

    /// Whether no further calls are taken.
    pub(super) fn has_ended(&self) -> bool {
        self.lock().is_none()
    }

    /// Takes no further calls, unless some wait; says whether it is so.
    pub(super) fn end_if_idle(&self) -> bool {
        let mut calls = self.lock();
        let is_idle = calls.as_ref().is_none_or(HashMap::is_empty);
        if is_idle {
            *calls = None;
        }
        is_idle
    }

    /// Takes no further calls and lets go of those that wait: they see that their senders are gone.
    pub(super) fn end(&self) {
        let ended = self.lock().take();
        drop(ended);
    }

    fn lock(&self) -> MutexGuard<'_, Option<HashMap<u64, Call>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
