//! Who compiles now, who waits, and who is sent away.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A bounded number of turns at once, and a bounded number of threads that wait for one.
pub(super) struct Queue {
    free: Mutex<Places>,
    left: Condvar,
}

struct Places {
    turns: usize,
    waiting: usize,
}

/// A turn, for as long as it is held.
pub(super) struct Turn<'q>(&'q Queue);

impl Queue {
    pub(super) fn new(concurrent_max: usize, queued_max: usize) -> Self {
        Self {
            free: Mutex::new(Places {
                turns: concurrent_max.max(1),
                waiting: queued_max,
            }),
            left: Condvar::new(),
        }
    }

    /// Waits for a turn; `None` when too many wait already.
    pub(super) fn enter(&self) -> Option<Turn<'_>> {
        let mut places = self.places();
        if places.turns == 0 {
            places.waiting = places.waiting.checked_sub(1)?;
            while places.turns == 0 {
                places = self
                    .left
                    .wait(places)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            places.waiting += 1;
        }
        places.turns -= 1;
        Some(Turn(self))
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.places().turns += 1;
        self.0.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn who_finds_the_queue_full_is_sent_away_and_everybody_else_has_a_turn() {
        let queue = Queue::new(1, 1);
        let first = queue.enter().unwrap();
        thread::scope(|scope| {
            let second = scope.spawn(|| queue.enter().is_some());
            while queue.places().waiting > 0 {
                thread::yield_now();
            }
            assert!(queue.enter().is_none());
            drop(first);
            assert!(second.join().unwrap());
        });
        assert!(queue.enter().is_some());
    }
}
