//! Metrics in Prometheus' text format. Handles are resolved when a generation is built, so that the request path
//! only adds to numbers: it never looks up a label, nor waits for a thread that adds to the same ones.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use portcullis_sandbox::{Hook, HookResult, Pooled};
use prometheus::{Encoder, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

use super::timed::{Timed, TimedOpts, TimedVec};

/// Methods that have a label of their own; all others share `other`.
pub const METHODS: [&str; 9] = [
    "initialize",
    "ping",
    "tools/list",
    "tools/call",
    "server/discover",
    "notifications/initialized",
    "notifications/cancelled",
    "transport",
    "other",
];

/// How a request ended, for metrics: a closed set.
pub const OUTCOMES: [&str; 9] = [
    "ok",
    "invalid",
    "unauthenticated",
    "forbidden",
    "rate-limited",
    "not-found",
    "policy-failure",
    "upstream-error",
    "error",
];

/// How a hook ended, for metrics: it answered, it refused the caller, or it failed.
const HOOK_OUTCOMES: [&str; 9] = [
    "ok",
    "denied",
    "trap",
    "deadline",
    "memory",
    "output",
    "host-calls",
    "instances",
    "quarantined",
];

const REQUESTS: TimedOpts = TimedOpts {
    total: [
        "portcullis_requests_total",
        "MCP messages by how they ended",
    ],
    seconds: [
        "portcullis_request_duration_seconds",
        "From a message's arrival to the head of its reply",
    ],
    labels: &["tenant", "server", "method"],
    outcomes: &OUTCOMES,
    // A thousand servers do not mean a hundred thousand zeros.
    outcomes_shown: 0,
    buckets_s: &[
        0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
        10.0, 30.0,
    ],
};

const HOOKS: TimedOpts = TimedOpts {
    total: [
        "portcullis_hook_outcomes_total",
        "Hooks by outcome: ok, denied, or the failure",
    ],
    seconds: [
        "portcullis_hook_duration_seconds",
        "Time in one policy hook",
    ],
    labels: &["tenant", "plugin", "hook"],
    outcomes: &HOOK_OUTCOMES,
    outcomes_shown: 2,
    buckets_s: &[
        0.000_001, 0.000_002, 0.000_004, 0.000_008, 0.000_016, 0.000_05, 0.000_1, 0.000_5, 0.001,
        0.005, 0.01, 0.1,
    ],
};

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    requests: TimedVec,
    hooks: TimedVec,
    instances: IntGaugeVec,
    instance_events: IntGaugeVec,
    generation: IntGaugeVec,
    /// Requests that ended before a tenant was found, by outcome.
    pub unpinned: IntCounterVec,
    /// Open client connections.
    pub connections: IntGauge,
    /// WebSockets that have ended, by the code of RFC 6455: 1000 where the client closed it.
    pub websocket_closes: IntCounterVec,
    bindings: Mutex<Vec<Weak<dyn Pooled>>>,
}

impl Metrics {
    /// Registers every family.
    ///
    /// # Errors
    /// Only for a family registered twice, which is a defect.
    pub fn new() -> Result<Arc<Self>, prometheus::Error> {
        let registry = Registry::new();
        let metrics = Self {
            requests: TimedVec::new(REQUESTS)?,
            hooks: TimedVec::new(HOOKS)?,
            instances: IntGaugeVec::new(
                Opts::new(
                    "portcullis_instances_idle",
                    "Warm instances waiting for a call",
                ),
                &["tenant", "plugin"],
            )?,
            instance_events: IntGaugeVec::new(
                Opts::new(
                    "portcullis_instances_count",
                    "Instances of the live bindings, by event: created, retired, failed",
                ),
                &["tenant", "plugin", "event"],
            )?,
            generation: IntGaugeVec::new(
                Opts::new(
                    "portcullis_generation_revision",
                    "Revision of the chain that a tenant is served with",
                ),
                &["tenant"],
            )?,
            unpinned: IntCounterVec::new(
                Opts::new(
                    "portcullis_unpinned_requests_total",
                    "Requests refused before a tenant was found",
                ),
                &["outcome"],
            )?,
            connections: IntGauge::new("portcullis_connections", "Open client connections")?,
            websocket_closes: IntCounterVec::new(
                Opts::new(
                    "portcullis_websocket_closes_total",
                    "WebSockets that have ended, by close code; 1000 where the client closed it",
                ),
                &["code"],
            )?,
            bindings: Mutex::default(),
            registry,
        };
        metrics.register()?;
        Ok(Arc::new(metrics))
    }

    fn register(&self) -> Result<(), prometheus::Error> {
        self.registry.register(Box::new(self.requests.clone()))?;
        self.registry.register(Box::new(self.hooks.clone()))?;
        self.registry.register(Box::new(self.instances.clone()))?;
        self.registry
            .register(Box::new(self.instance_events.clone()))?;
        self.registry.register(Box::new(self.generation.clone()))?;
        self.registry.register(Box::new(self.unpinned.clone()))?;
        self.registry.register(Box::new(self.connections.clone()))?;
        self.registry
            .register(Box::new(self.websocket_closes.clone()))
    }

    /// Where other rooms register families of their own.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Everything, as Prometheus scrapes it.
    #[must_use]
    pub fn render(&self) -> String {
        self.collect_pools();
        let mut text = Vec::new();
        // The encoder fails only for families without samples' names, which `gather` does not return.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        String::from_utf8(text).unwrap_or_default()
    }

    /// Shows a binding's pool for as long as it lives.
    pub fn watch<P: Pooled + 'static>(&self, binding: &Arc<P>) {
        let binding: Weak<dyn Pooled> = Arc::<P>::downgrade(binding);
        let mut bindings = self.bindings.lock().unwrap_or_else(PoisonError::into_inner);
        bindings.retain(|binding| binding.strong_count() > 0);
        bindings.push(binding);
    }

    fn collect_pools(&self) {
        self.instances.reset();
        self.instance_events.reset();
        let bindings = self.bindings.lock().unwrap_or_else(PoisonError::into_inner);
        for binding in bindings.iter().filter_map(Weak::upgrade) {
            let (scope, stats) = (binding.scope(), binding.pool_stats());
            let labels = [scope.tenant.as_str(), scope.binding.as_str()];
            self.instances
                .with_label_values(&labels)
                .add(signed(stats.idle));
            for (event, count) in [
                ("created", stats.created),
                ("retired", stats.retired),
                ("failed", stats.failed),
            ] {
                self.instance_events
                    .with_label_values(&[labels[0], labels[1], event])
                    .add(signed(count));
            }
        }
    }

    /// Handles of one server's requests.
    #[must_use]
    pub fn server(&self, tenant: &str, server: &str) -> ServerMetrics {
        ServerMetrics {
            requests: self.requests.clone(),
            labels: [tenant.to_owned(), server.to_owned()],
            by_method: Default::default(),
        }
    }

    /// Handles of one hook of one binding.
    #[must_use]
    pub fn hook(&self, tenant: &str, plugin: &str, hook: Hook) -> HookMetrics {
        HookMetrics(self.hooks.of(&[tenant, plugin, hook.name()]))
    }

    /// The revision that a tenant is now served with.
    pub fn generation(&self, tenant: &str, revision: u64) {
        self.generation
            .with_label_values(&[tenant])
            .set(signed(revision));
    }

    /// Forgets a tenant that is no more, so that its labels do not pile up.
    pub fn forget(&self, tenant: &str) {
        // A tenant that never had a revision has no label to remove.
        let _ = self.generation.remove_label_values(&[tenant]);
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Requests of one server, by method and outcome. A series begins with its first request.
pub struct ServerMetrics {
    requests: TimedVec,
    labels: [String; 2],
    by_method: [OnceLock<Arc<Timed>>; METHODS.len()],
}

impl ServerMetrics {
    /// One message has ended. A method or outcome without a label of its own counts as the last one.
    pub fn record(&self, method: &str, outcome: &str, took: Duration) {
        let known = METHODS.iter().position(|known| *known == method);
        let place = known.unwrap_or(METHODS.len() - 1);
        if let (Some(method), Some(series)) = (METHODS.get(place), self.by_method.get(place)) {
            let [tenant, server] = &self.labels;
            let series = series.get_or_init(|| self.requests.of(&[tenant, server, method]));
            series.record(outcome, took);
        }
    }
}

/// One hook of one binding.
pub struct HookMetrics(Arc<Timed>);

impl HookMetrics {
    /// It ended.
    pub fn record<T>(&self, result: &HookResult<T>, took: Duration) {
        let outcome = match result {
            Ok(Ok(_)) => "ok",
            Ok(Err(_)) => "denied",
            Err(failure) => failure.label(),
        };
        self.0.record(outcome, took);
    }
}

#[cfg(test)]
mod tests {
    use portcullis_sandbox::Failure;

    use super::HOOK_OUTCOMES;

    #[test]
    fn every_failure_is_an_outcome() {
        let failures = [
            Failure::Trap(String::new()),
            Failure::Deadline { deadline_ms: 1 },
            Failure::Memory { bytes_max: 1 },
            Failure::Output(String::new()),
            Failure::HostCalls { calls_max: 1 },
            Failure::Instances,
            Failure::Quarantined { retry_after_ms: 1 },
        ];
        let labels = failures.iter().map(Failure::label);
        assert!(["ok", "denied"].into_iter().chain(labels).eq(HOOK_OUTCOMES));
    }
}
