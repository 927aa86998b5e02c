//! Passive health: what an upstream's own calls say about it.
//!
//! Failures in a row make an upstream unhealthy for a pause that grows; after it, one call is let through, and its
//! outcome decides. Nothing is sent for the sake of asking, and a healthy upstream costs a call two atomic loads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use super::error::Blame;
use super::limits::UpstreamLimits;
use super::metrics::Meters;

/// `retry_at_ms` of an upstream that is not left alone.
const OPEN: u64 = 0;

/// One upstream's health.
#[derive(Debug)]
pub(super) struct Health {
    upstream: Arc<str>,
    /// What `retry_at_ms` counts from.
    start: Instant,
    /// Failures since the last success.
    failures: AtomicU32,
    /// When the next call is let through, in milliseconds since `start`; [`OPEN`] for any time.
    retry_at_ms: AtomicU64,
}

impl Health {
    pub(super) fn new(upstream: Arc<str>) -> Self {
        Self {
            upstream,
            start: Instant::now(),
            failures: AtomicU32::new(0),
            retry_at_ms: AtomicU64::new(OPEN),
        }
    }

    /// Whether a call would be let through.
    pub(super) fn is_open(&self) -> bool {
        let retry_at_ms = self.retry_at_ms.load(Ordering::Relaxed);
        retry_at_ms == OPEN || self.now_ms() >= retry_at_ms
    }

    /// Lets a call through, or says how many milliseconds to wait. After a pause only one call passes at a time.
    pub(super) fn admit(&self, limits: &UpstreamLimits) -> Result<(), u64> {
        let retry_at_ms = self.retry_at_ms.load(Ordering::Relaxed);
        if retry_at_ms == OPEN {
            return Ok(());
        }
        let now_ms = self.now_ms();
        if now_ms < retry_at_ms {
            return Err(retry_at_ms - now_ms);
        }
        // The one that moves the time on is the one that tries.
        let hold_ms = limits.backoff_first_ms.max(1);
        self.retry_at_ms
            .compare_exchange(
                retry_at_ms,
                now_ms + hold_ms,
                Ordering::Relaxed,
                Ordering::Relaxed,
            )
            .map(|_moved| ())
            .map_err(|_moved_on| hold_ms)
    }

    /// Takes in how a call ended.
    pub(super) fn learn(&self, blame: Blame, limits: &UpstreamLimits, meters: &Meters) {
        match blame {
            Blame::None => self.succeeded(meters),
            Blame::Upstream => self.failed(limits, meters),
            Blame::Unknown => {}
        }
    }

    fn succeeded(&self, meters: &Meters) {
        if self.failures.load(Ordering::Relaxed) == 0 {
            return;
        }
        self.failures.store(0, Ordering::Relaxed);
        if self.retry_at_ms.swap(OPEN, Ordering::Relaxed) != OPEN {
            meters.healthy.set(1);
            tracing::info!(upstream = %self.upstream, "upstream is healthy again");
        }
    }

    fn failed(&self, limits: &UpstreamLimits, meters: &Meters) {
        let failures = self
            .failures
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1);
        if failures < limits.failures_max {
            return;
        }
        let pause_ms = limits.backoff_ms(failures - limits.failures_max + 1);
        let retry_at_ms = self.now_ms() + pause_ms;
        if self.retry_at_ms.swap(retry_at_ms, Ordering::Relaxed) == OPEN {
            meters.healthy.set(0);
            tracing::warn!(upstream = %self.upstream, failures, pause_ms, "upstream is unhealthy");
        }
    }

    /// Never [`OPEN`].
    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }
}
