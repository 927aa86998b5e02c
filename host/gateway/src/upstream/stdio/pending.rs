//! The calls that wait for a process, under the ids that they went out with.
//!
//! An id is unique for the process's life and serves as progress token as well, so whatever the process sends belongs
//! to one caller or to none.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::upstream::restore::Restore;

/// Who waits, in its own words.
#[derive(Debug)]
pub(super) struct Caller {
    /// Ids are unique within a conversation only.
    pub(super) conversation: u64,
    /// The request's id, as JSON text.
    pub(super) id: Box<str>,
    /// The progress token, as JSON text, where the request had one.
    pub(super) token: Option<Box<str>>,
    /// Whether its reply may carry what the process says to nobody in particular.
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
    /// Tell the process that nobody waits any more.
    Cancel,
    /// Keep its place, so that its answer is known for what it is; nobody will read it.
    Stay,
}

/// Where a caller waits.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) conversation: u64,
    pub(super) restore: Restore,
    /// Takes what comes before the response: progress, for callers that asked for it, and more where it is open.
    pub(super) events: Option<mpsc::Sender<Bytes>>,
    pub(super) is_open: bool,
    /// Takes the response.
    pub(super) last: oneshot::Sender<Bytes>,
}

/// Why a call cannot wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// As many wait as may.
    Full,
    /// The process has ended.
    Ended,
}

/// All calls of one process.
#[derive(Debug)]
pub(super) struct Pending {
    next_id: AtomicU64,
    len_max: usize,
    /// `None` once the process has ended.
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

    pub(super) fn insert(&self, id: u64, call: Call) -> Result<(), Refusal> {
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

    pub(super) fn remove(&self, id: u64) -> Option<Call> {
        self.lock().as_mut()?.remove(&id)
    }

    /// The caller's name for its progress and the way there, where it asked for progress.
    pub(super) fn events(&self, id: u64) -> Option<(Restore, mpsc::Sender<Bytes>)> {
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
