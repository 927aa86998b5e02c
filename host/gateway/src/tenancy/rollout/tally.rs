//! What one chain did with the calls that it saw.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use portcullis_sandbox::{Failure, HookResult};

/// Times of hooks are counted in powers of two, in microseconds; the last counts all that are longer.
const BUCKETS_LEN: usize = 22;

/// Counters of one chain. Threads add to them without waiting for each other.
#[derive(Default)]
pub struct Tally {
    calls: AtomicU64,
    denied: AtomicU64,
    failed: AtomicU64,
    hooks_ns: AtomicU64,
    buckets: [AtomicU64; BUCKETS_LEN],
}

/// Counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    pub(super) calls: u64,
    pub(super) denied: u64,
    pub(super) failed: u64,
    pub(super) hooks_ns: u64,
    pub(super) p99_us: u64,
}

fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

impl Tally {
    /// Counts a call, when its caller is asked for.
    pub fn call(&self) {
        add(&self.calls, 1);
    }

    /// Counts a hook by how it ended.
    pub fn hook<T>(&self, outcome: &HookResult<T>, took: Duration) {
        match outcome {
            Ok(Ok(_)) => {}
            Ok(Err(_denial)) => add(&self.denied, 1),
            // The host's own doing, and none of the chain's.
            Err(Failure::Instances) => {}
            Err(_) => add(&self.failed, 1),
        }
        add(
            &self.hooks_ns,
            u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
        );
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let place = usize::try_from(u64::BITS - us.leading_zeros()).unwrap_or(BUCKETS_LEN);
        if let Some(bucket) = self.buckets.get(place.min(BUCKETS_LEN - 1)) {
            add(bucket, 1);
        }
    }

    /// The counters now.
    #[must_use]
    pub fn counted(&self) -> Counted {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let hooks: u64 = self.buckets.iter().map(read).sum();
        let mut above = hooks / 100;
        let mut place = BUCKETS_LEN - 1;
        for (index, bucket) in self.buckets.iter().enumerate().rev() {
            place = index;
            let here = read(bucket);
            if here > above {
                break;
            }
            above -= here;
        }
        Counted {
            calls: read(&self.calls),
            denied: read(&self.denied),
            failed: read(&self.failed),
            hooks_ns: read(&self.hooks_ns),
            p99_us: if hooks == 0 { 0 } else { 1 << place },
        }
    }
}

impl Counted {
    /// `part` in percent of the calls.
    pub(super) fn percent(&self, part: u64) -> f64 {
        #[allow(
            clippy::cast_precision_loss,
            reason = "a share, of numbers far below 2^52"
        )]
        match self.calls {
            0 => 0.0,
            calls => part as f64 * 100.0 / calls as f64,
        }
    }

    /// Mean time in hooks for one call, in microseconds.
    pub(super) fn mean_us(&self) -> u64 {
        self.hooks_ns
            .checked_div(self.calls.saturating_mul(1_000))
            .unwrap_or_default()
    }
}
