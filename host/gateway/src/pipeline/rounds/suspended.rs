//! Calls that wait for their caller to come back with answers.
//!
//! A stateless caller is asked in a result, and calls again; meanwhile the upstream's call is kept here, under a key that
//! only its caller is given. What nobody comes back for is dropped, which ends the upstream's call.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Paused;

/// Calls that wait; the oldest are dropped for newer ones.
const WAITING_MAX: usize = 10_000;
/// How long a caller may take to answer.
pub(super) const LIFETIME: Duration = Duration::from_secs(600);

/// Names a call that waits; unguessable.
pub(super) type Key = [u8; 16];

/// All calls that wait.
pub(crate) struct Suspended<C = Paused>(Mutex<HashMap<Key, Waiting<C>>>);

struct Waiting<C> {
    since: Instant,
    call: C,
}

impl<C> Default for Suspended<C> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<C> Suspended<C> {
    /// Keeps a call; the key to have it back.
    pub(super) fn keep(&self, call: C) -> Key {
        let (key, since) = (rand::random(), Instant::now());
        let mut waiting = self.lock();
        let dropped = (waiting.len() >= WAITING_MAX)
            .then(|| waiting.iter().min_by_key(|(_, call)| call.since))
            .flatten()
            .map(|(key, _)| *key);
        let dropped = dropped.and_then(|oldest| waiting.remove(&oldest));
        waiting.insert(key, Waiting { since, call });
        // Ending a call takes other locks.
        drop(waiting);
        drop(dropped);
        key
    }

    /// Takes a call back, once.
    pub(super) fn take(&self, key: &Key) -> Option<C> {
        self.lock().remove(key).map(|waiting| waiting.call)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Waiting<C>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_comes_back_once() {
        let suspended = Suspended::default();
        let key = suspended.keep(7);
        assert!(suspended.take(&[0; 16]).is_none());
        assert_eq!(suspended.take(&key), Some(7));
        assert!(suspended.take(&key).is_none());
    }

    #[test]
    fn the_oldest_make_room() {
        let suspended = Suspended::default();
        let first = suspended.keep(());
        for _ in 0..WAITING_MAX {
            suspended.keep(());
        }
        assert_eq!(suspended.lock().len(), WAITING_MAX);
        assert!(suspended.take(&first).is_none());
    }
}
