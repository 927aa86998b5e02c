//! A call in the air: it counts from its beginning until its reply has ended or its caller has left.
//!
//! `Upstream::request` begins one and the reply's body carries it on, so that nobody can forget to end it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::Upstream;

/// A new measurement counts for one part in this many.
const WEIGHT: u64 = 8;

/// How busy and how quick an upstream is.
#[derive(Debug, Default)]
pub(super) struct Load {
    in_flight: AtomicU32,
    latency_us: AtomicU64,
}

impl Load {
    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn latency_us(&self) -> u64 {
        self.latency_us.load(Ordering::Relaxed)
    }

    /// Takes in a measurement. Two at once may lose one of them: an average can bear that.
    pub(super) fn observe(&self, latency: Duration) {
        let sample_us = u64::try_from(latency.as_micros())
            .unwrap_or(u64::MAX / WEIGHT)
            .max(1);
        let old_us = self.latency_us.load(Ordering::Relaxed);
        let new_us = if old_us == 0 {
            sample_us
        } else {
            (old_us.saturating_mul(WEIGHT - 1).saturating_add(sample_us)) / WEIGHT
        };
        self.latency_us.store(new_us, Ordering::Relaxed);
    }
}

/// One call; dropping it ends the call.
#[derive(Debug)]
pub(super) struct Flight(Arc<Upstream>);

impl Flight {
    pub(super) fn begin(upstream: &Arc<Upstream>) -> Self {
        upstream.load.in_flight.fetch_add(1, Ordering::Relaxed);
        upstream.meters.in_flight.inc();
        Self(Arc::clone(upstream))
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.load.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.0.meters.in_flight.dec();
    }
}
