//! Metrics in Prometheus' text format. Handles are resolved when a generation is built, so that the request path
//! only adds to atomics: it never looks up a label.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use portcullis_sandbox::{Binding, Failure, Hook};
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

const REQUEST_BUCKETS_S: &[f64] = &[
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0, 30.0,
];
const HOOK_BUCKETS_S: &[f64] = &[
    0.000_001, 0.000_002, 0.000_004, 0.000_008, 0.000_016, 0.000_05, 0.000_1, 0.000_5, 0.001,
    0.005, 0.01, 0.1,
];

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

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    hook_seconds: HistogramVec,
    hook_outcomes: IntCounterVec,
    instances: IntGaugeVec,
    instance_events: IntGaugeVec,
    generation: IntGaugeVec,
    /// Requests that ended before a tenant was found, by outcome.
    pub unpinned: IntCounterVec,
    /// Open client connections.
    pub connections: IntGauge,
    /// Live sessions.
    pub sessions: IntGauge,
    bindings: Mutex<Vec<Weak<Binding>>>,
}

impl Metrics {
    /// Registers every family.
    ///
    /// # Errors
    /// Only for a family registered twice, which is a defect.
    pub fn new() -> Result<Arc<Self>, prometheus::Error> {
        let registry = Registry::new();
        let metrics = Self {
            requests: IntCounterVec::new(
                Opts::new(
                    "portcullis_requests_total",
                    "MCP messages by how they ended",
                ),
                &["tenant", "server", "method", "outcome"],
            )?,
            request_seconds: HistogramVec::new(
                HistogramOpts::new(
                    "portcullis_request_duration_seconds",
                    "From a message's arrival to the head of its reply",
                )
                .buckets(REQUEST_BUCKETS_S.to_vec()),
                &["tenant", "server", "method"],
            )?,
            hook_seconds: HistogramVec::new(
                HistogramOpts::new(
                    "portcullis_hook_duration_seconds",
                    "Time in one policy hook",
                )
                .buckets(HOOK_BUCKETS_S.to_vec()),
                &["tenant", "plugin", "hook"],
            )?,
            hook_outcomes: IntCounterVec::new(
                Opts::new(
                    "portcullis_hook_outcomes_total",
                    "Hooks by outcome: ok, denied, or the failure",
                ),
                &["tenant", "plugin", "hook", "outcome"],
            )?,
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
            sessions: IntGauge::new("portcullis_sessions", "Live MCP sessions")?,
            bindings: Mutex::default(),
            registry,
        };
        metrics.register()?;
        Ok(Arc::new(metrics))
    }

    fn register(&self) -> Result<(), prometheus::Error> {
        self.registry.register(Box::new(self.requests.clone()))?;
        self.registry
            .register(Box::new(self.request_seconds.clone()))?;
        self.registry
            .register(Box::new(self.hook_seconds.clone()))?;
        self.registry
            .register(Box::new(self.hook_outcomes.clone()))?;
        self.registry.register(Box::new(self.instances.clone()))?;
        self.registry
            .register(Box::new(self.instance_events.clone()))?;
        self.registry.register(Box::new(self.generation.clone()))?;
        self.registry.register(Box::new(self.unpinned.clone()))?;
        self.registry.register(Box::new(self.connections.clone()))?;
        self.registry.register(Box::new(self.sessions.clone()))
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
    pub fn watch(&self, binding: &Arc<Binding>) {
        let mut bindings = self.bindings.lock().unwrap_or_else(PoisonError::into_inner);
        bindings.retain(|binding| binding.strong_count() > 0);
        bindings.push(Arc::downgrade(binding));
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
            seconds: self.request_seconds.clone(),
            labels: [tenant.to_owned(), server.to_owned()],
            by_method: METHODS.map(|_| MethodMetrics::default()),
        }
    }

    /// Handles of one hook of one binding.
    #[must_use]
    pub fn hook(&self, tenant: &str, plugin: &str, hook: Hook) -> HookMetrics {
        let outcome = |outcome: &str| {
            self.hook_outcomes
                .with_label_values(&[tenant, plugin, hook.name(), outcome])
        };
        HookMetrics {
            seconds: self
                .hook_seconds
                .with_label_values(&[tenant, plugin, hook.name()]),
            ok: outcome("ok"),
            denied: outcome("denied"),
            failures: self.hook_outcomes.clone(),
            labels: [tenant.to_owned(), plugin.to_owned(), hook.name().to_owned()],
        }
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

/// Requests of one server, by method and outcome. A series begins with its first request, so that a thousand
/// servers do not mean a hundred thousand zeros.
pub struct ServerMetrics {
    requests: IntCounterVec,
    seconds: HistogramVec,
    labels: [String; 2],
    by_method: [MethodMetrics; METHODS.len()],
}

#[derive(Default)]
struct MethodMetrics {
    outcomes: [OnceLock<IntCounter>; OUTCOMES.len()],
    seconds: OnceLock<Histogram>,
}

impl ServerMetrics {
    /// One message has ended. A method or outcome without a label of its own counts as the last one.
    pub fn record(&self, method: &str, outcome: &str, took: Duration) {
        let (method_at, outcome_at) = (place(&METHODS, method), place(&OUTCOMES, outcome));
        let [tenant, server] = &self.labels;
        let (Some(metrics), Some(method), Some(outcome)) = (
            self.by_method.get(method_at),
            METHODS.get(method_at),
            OUTCOMES.get(outcome_at),
        ) else {
            return;
        };
        let seconds = || {
            self.seconds
                .with_label_values(&[tenant.as_str(), server, method])
        };
        metrics
            .seconds
            .get_or_init(seconds)
            .observe(took.as_secs_f64());
        if let Some(counter) = metrics.outcomes.get(outcome_at) {
            counter
                .get_or_init(|| {
                    self.requests
                        .with_label_values(&[tenant.as_str(), server, method, outcome])
                })
                .inc();
        }
    }
}

fn place(set: &[&str], name: &str) -> usize {
    set.iter()
        .position(|known| *known == name)
        .unwrap_or(set.len().saturating_sub(1))
}

/// One hook of one binding.
pub struct HookMetrics {
    /// Time in the hook.
    pub seconds: Histogram,
    /// It answered.
    pub ok: IntCounter,
    /// It refused the caller.
    pub denied: IntCounter,
    failures: IntCounterVec,
    labels: [String; 3],
}

impl HookMetrics {
    /// It failed: rare, so the label is looked up here.
    pub fn failed(&self, failure: &Failure) {
        let [tenant, plugin, hook] = &self.labels;
        self.failures
            .with_label_values(&[tenant.as_str(), plugin, hook, failure.label()])
            .inc();
    }
}
