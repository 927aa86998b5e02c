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
}

/// What to do about a request whose caller has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnLeave {
    /// Let it run; its answer is thrown away.
    Nothing,
    /// Tell the process that nobody waits any more.
    Cancel,
}

/// Where a caller waits.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) conversation: u64,
    pub(super) restore: Restore,
    /// Takes progress, for callers that asked for it.
    pub(super) events: Option<mpsc::Sender<Bytes>>,
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

    /// The id under which a conversation's request went out.
    pub(super) fn find(&self, conversation: u64, client_id: &str) -> Option<u64> {
        let calls = self.lock();
        let mut calls = calls.as_ref()?.iter();
        calls
            .find(|(_, call)| call.conversation == conversation && &*call.restore.id == client_id)
            .map(|(id, _)| *id)
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
