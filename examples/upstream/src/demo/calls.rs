//! Counters of tool calls: how a test sees from outside that a cancellation arrived.
//!
//! `server` enters every call; the tool `stats` reads them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio_util::sync::CancellationToken;

/// Calls since the start of the process.
#[derive(Debug, Default)]
pub struct CallCounts {
    started: AtomicU64,
    finished: AtomicU64,
    cancelled: AtomicU64,
}

impl CallCounts {
    /// Counts a call as started now, and as finished or cancelled when the guard goes.
    pub fn enter(counts: &Arc<Self>, cancelled: CancellationToken) -> CallGuard {
        counts.started.fetch_add(1, Ordering::Relaxed);
        CallGuard {
            counts: counts.clone(),
            cancelled,
            ended: false,
        }
    }

    /// Started, finished, cancelled.
    pub fn read(&self) -> [u64; 3] {
        [&self.started, &self.finished, &self.cancelled].map(|count| count.load(Ordering::Relaxed))
    }
}

/// A call under way.
pub struct CallGuard {
    counts: Arc<CallCounts>,
    cancelled: CancellationToken,
    ended: bool,
}

impl CallGuard {
    /// The call ran to its end; only then can it count as finished.
    pub fn end(mut self) {
        self.ended = !self.cancelled.is_cancelled();
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        let count = if self.ended {
            &self.counts.finished
        } else {
            &self.counts.cancelled
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}
