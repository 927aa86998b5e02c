//! Time as policies meet it: a monotonic count for limits, and the wall clock for expiry dates.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where time comes from. Clones tell the same time.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System {
        started: Instant,
    },
    Manual {
        started_ms: u64,
        elapsed_ns: Arc<AtomicU64>,
    },
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl Clock {
    /// The machine's clocks.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System {
            started: Instant::now(),
        })
    }

    /// A clock that stands still until [`Clock::advance`], for tests. `now_ms` is what its wall clock shows first.
    #[must_use]
    pub fn manual(now_ms: u64) -> Self {
        Self(Source::Manual {
            started_ms: now_ms,
            elapsed_ns: Arc::default(),
        })
    }

    /// Moves a manual clock and all its clones forward. The machine's clocks do not care.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual { elapsed_ns, .. } = &self.0 {
            elapsed_ns.fetch_add(nanoseconds(by), Ordering::Relaxed);
        }
    }

    /// Nanoseconds since this clock was made. Never goes back, whatever happens to the wall clock.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        match &self.0 {
            Source::System { started } => nanoseconds(started.elapsed()),
            Source::Manual { elapsed_ns, .. } => elapsed_ns.load(Ordering::Relaxed),
        }
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        match &self.0 {
            Source::System { .. } => unix_ms(),
            Source::Manual {
                started_ms,
                elapsed_ns,
            } => started_ms.saturating_add(elapsed_ns.load(Ordering::Relaxed) / 1_000_000),
        }
    }
}

/// Milliseconds since the Unix epoch, by the machine's clock.
#[must_use]
pub fn unix_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
