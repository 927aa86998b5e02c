//! The metrics of upstreams, and one upstream's handles to them.
//!
//! Registered once by `Upstreams`; an upstream resolves its handles when it is made, so that a call only counts.
//! Labels are tenants, upstreams and outcomes, never anything that a caller chooses.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::error::UpstreamError;
use crate::telemetry::timed::{Timed, TimedOpts, TimedVec};

const OK: &str = "ok";
const FAILED: &str = "failed";
const UPSTREAM: [&str; 2] = ["tenant", "upstream"];

const REQUESTS: TimedOpts = TimedOpts {
    total: [
        "portcullis_upstream_requests_total",
        "Calls to upstreams by how they ended.",
    ],
    seconds: [
        "portcullis_upstream_duration_seconds",
        "Time from a call to the beginning of its reply.",
    ],
    labels: &UPSTREAM,
    outcomes: &OUTCOMES,
    outcomes_shown: 1,
    // From half a millisecond, what a neighbour in the same rack takes, to the longest calls.
    buckets_s: &[
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 120.0,
    ],
};

const OUTCOMES: [&str; 1 + UpstreamError::LABELS.len()] = {
    let mut outcomes = [OK; 1 + UpstreamError::LABELS.len()];
    let (_, errors) = outcomes.split_at_mut(1);
    errors.copy_from_slice(&UpstreamError::LABELS);
    outcomes
};

/// Every metric of this room.
#[derive(Debug)]
pub(super) struct Metrics {
    requests: TimedVec,
    in_flight: IntGaugeVec,
    healthy: IntGaugeVec,
    sessions_opened: IntCounterVec,
    processes: IntGaugeVec,
    restarts: IntCounterVec,
    dropped: IntCounterVec,
    nonsense: IntCounterVec,
    tokens: IntCounterVec,
}

impl Metrics {
    /// Makes and registers them.
    ///
    /// # Errors
    /// When one is registered already.
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            requests: TimedVec::new(REQUESTS)?,
            in_flight: gauges(
                "portcullis_upstream_in_flight",
                "Calls whose reply has not ended.",
            )?,
            healthy: gauges(
                "portcullis_upstream_healthy",
                "1 unless the upstream failed repeatedly.",
            )?,
            sessions_opened: counters(
                "portcullis_upstream_sessions_opened_total",
                "Upstream sessions opened.",
            )?,
            processes: gauges("portcullis_upstream_processes", "Processes that run.")?,
            restarts: counters(
                "portcullis_upstream_restarts_total",
                "Processes started after another that served the same callers.",
            )?,
            dropped: counters(
                "portcullis_upstream_dropped_total",
                "Notifications of processes that were dropped, and requests refused, since their client reads too slowly.",
            )?,
            nonsense: counters(
                "portcullis_upstream_nonsense_total",
                "Lines and messages of processes that were skipped, being no message or nobody's.",
            )?,
            tokens: IntCounterVec::new(
                Opts::new(
                    "portcullis_upstream_tokens_total",
                    "Access tokens of upstreams that were asked for, by outcome: ok, failed.",
                ),
                &["tenant", "upstream", "outcome"],
            )?,
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.in_flight.clone()))?;
        registry.register(Box::new(metrics.healthy.clone()))?;
        registry.register(Box::new(metrics.sessions_opened.clone()))?;
        registry.register(Box::new(metrics.processes.clone()))?;
        registry.register(Box::new(metrics.restarts.clone()))?;
        registry.register(Box::new(metrics.dropped.clone()))?;
        registry.register(Box::new(metrics.nonsense.clone()))?;
        registry.register(Box::new(metrics.tokens.clone()))?;
        Ok(metrics)
    }

    /// The handles of one upstream.
    pub(super) fn of(&self, tenant: &str, upstream: &str) -> Meters {
        let labels = [tenant, upstream];
        let meters = Meters {
            requests: self.requests.of(&labels),
            in_flight: self.in_flight.with_label_values(&labels),
            healthy: self.healthy.with_label_values(&labels),
            sessions_opened: self.sessions_opened.with_label_values(&labels),
            processes: self.processes.with_label_values(&labels),
            dropped: self.dropped.with_label_values(&labels),
            restarts: self.restarts.with_label_values(&labels),
            nonsense: self.nonsense.with_label_values(&labels),
            tokens_ok: self.tokens.with_label_values(&[tenant, upstream, OK]),
            tokens_failed: self.tokens.with_label_values(&[tenant, upstream, FAILED]),
        };
        meters.healthy.set(1);
        meters
    }

    /// Takes an upstream that is no more out of what is reported.
    pub(super) fn forget(&self, tenant: &str, upstream: &str) {
        let labels = [tenant, upstream];
        self.requests.remove(&labels);
        // A series that was never made cannot be removed, and need not be.
        self.in_flight.remove_label_values(&labels).ok();
        self.healthy.remove_label_values(&labels).ok();
        self.sessions_opened.remove_label_values(&labels).ok();
        self.processes.remove_label_values(&labels).ok();
        self.dropped.remove_label_values(&labels).ok();
        self.restarts.remove_label_values(&labels).ok();
        self.nonsense.remove_label_values(&labels).ok();
        for outcome in [OK, FAILED] {
            self.tokens
                .remove_label_values(&[tenant, upstream, outcome])
                .ok();
        }
    }
}

/// One upstream's handles.
#[derive(Debug)]
pub(super) struct Meters {
    requests: Arc<Timed>,
    pub(super) in_flight: IntGauge,
    pub(super) healthy: IntGauge,
    pub(super) sessions_opened: IntCounter,
    pub(super) processes: IntGauge,
    pub(super) restarts: IntCounter,
    pub(super) dropped: IntCounter,
    pub(super) nonsense: IntCounter,
    pub(super) tokens_ok: IntCounter,
    pub(super) tokens_failed: IntCounter,
}

impl Meters {
    /// Counts a call that has a reply.
    pub(super) fn count_ok(&self, took: Duration) {
        self.requests.record(OK, took);
    }

    /// Counts a call that has none.
    pub(super) fn count_failed(&self, error: &UpstreamError) {
        self.requests.count(error.label());
    }
}

fn gauges(name: &str, help: &str) -> Result<IntGaugeVec, prometheus::Error> {
    IntGaugeVec::new(Opts::new(name, help), &UPSTREAM)
}

fn counters(name: &str, help: &str) -> Result<IntCounterVec, prometheus::Error> {
    IntCounterVec::new(Opts::new(name, help), &UPSTREAM)
}
