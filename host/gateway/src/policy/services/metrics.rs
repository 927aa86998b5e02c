//! Guests' own metrics: counters and histograms that plugins make as they go.
//!
//! Each plugin of each tenant has its own names, labels and bounds, and no plugin can spoil another's: families meet
//! only when they are collected. What does not fit is dropped and counted, and never stops a guest.

mod collector;
mod family;
mod names;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use collector::GuestCollector;
use family::{Family, Kind, Sample};
use names::Labels;

/// Metrics of one plugin.
const METRICS_MAX: usize = 32;

type ByPlugin = BTreeMap<(String, String), Arc<PluginMetrics>>;

/// Guests' metrics of all tenants.
pub(super) struct GuestMetrics {
    plugins: Arc<Mutex<ByPlugin>>,
    dropped: IntCounterVec,
}

/// One plugin's metrics in one tenant.
pub(super) struct PluginMetrics {
    families: Mutex<HashMap<String, Family>>,
    dropped: DroppedMeter,
}

/// Why a sample is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dropped {
    /// The name is empty or too long.
    Name,
    /// Too many labels, two with one name, or others than the metric had before.
    Labels,
    /// Not a number, or infinite.
    Value,
    /// The plugin has as many metrics as it may have.
    Bound,
}

struct DroppedMeter {
    name: IntCounter,
    labels: IntCounter,
    value: IntCounter,
    bound: IntCounter,
}

const REASONS: [&str; 4] = ["name", "labels", "value", "bound"];

impl GuestMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let dropped = IntCounterVec::new(
            Opts::new(
                "portcullis_guest_samples_dropped_total",
                "Samples of plugins' own metrics that were not counted, by reason: name, labels, value, bound",
            ),
            &["tenant", "plugin", "reason"],
        )?;
        let plugins = Arc::new(Mutex::default());
        registry.register(Box::new(GuestCollector::new(
            Arc::clone(&plugins),
            dropped.clone(),
        )))?;
        Ok(Self { plugins, dropped })
    }

    /// The plugin's metrics: the same for as long as the tenant is known.
    pub(super) fn plugin(&self, tenant: &str, plugin: &str) -> Arc<PluginMetrics> {
        let mut plugins = self.lock();
        let metrics = plugins
            .entry((tenant.to_owned(), plugin.to_owned()))
            .or_insert_with(|| {
                let [name, labels, value, bound] =
                    REASONS.map(|reason| self.dropped.with_label_values(&[tenant, plugin, reason]));
                let dropped = DroppedMeter {
                    name,
                    labels,
                    value,
                    bound,
                };
                Arc::new(PluginMetrics {
                    families: Mutex::default(),
                    dropped,
                })
            });
        Arc::clone(metrics)
    }

    /// Lets go of the metrics of a tenant's plugins.
    pub(super) fn forget_tenant(&self, tenant: &str) {
        self.lock().retain(|(of, plugin), _| {
            let keep = of != tenant;
            if !keep {
                for reason in REASONS {
                    // One that was never counted is not there.
                    let _ = self.dropped.remove_label_values(&[tenant, plugin, reason]);
                }
            }
            keep
        });
    }

    fn lock(&self) -> MutexGuard<'_, ByPlugin> {
        self.plugins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PluginMetrics {
    /// Adds to a counter.
    pub(super) fn count(&self, name: &str, value: u64, labels: &[(String, String)]) {
        let counted = self.sample(name, Kind::Counter, labels, |sample| sample.add(value));
        self.note(counted);
    }

    /// Adds a value to a histogram.
    pub(super) fn observe(&self, name: &str, value: f64, labels: &[(String, String)]) {
        let counted = if value.is_finite() {
            self.sample(name, Kind::Histogram, labels, |sample| {
                sample.observe(value)
            })
        } else {
            Err(Dropped::Value)
        };
        self.note(counted);
    }

    fn sample(
        &self,
        name: &str,
        kind: Kind,
        labels: &[(String, String)],
        change: impl FnOnce(&mut Sample),
    ) -> Result<(), Dropped> {
        let name = names::metric(name, kind).ok_or(Dropped::Name)?;
        let labels = Labels::new(labels).ok_or(Dropped::Labels)?;
        let mut families = self.lock();
        if families.len() >= METRICS_MAX && !families.contains_key(&name) {
            return Err(Dropped::Bound);
        }
        let family = families
            .entry(name)
            .or_insert_with(|| Family::new(kind, &labels));
        if !family.has_names_of(&labels) {
            return Err(Dropped::Labels);
        }
        change(family.series(&labels));
        Ok(())
    }

    fn note(&self, counted: Result<(), Dropped>) {
        match counted {
            Ok(()) => {}
            Err(Dropped::Name) => self.dropped.name.inc(),
            Err(Dropped::Labels) => self.dropped.labels.inc(),
            Err(Dropped::Value) => self.dropped.value.inc(),
            Err(Dropped::Bound) => self.dropped.bound.inc(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Family>> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
