//! Guests' metrics as Prometheus scrapes them: families of one name from many plugins come out as one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::IntCounterVec;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use super::ByPlugin;
use super::family::{BUCKETS, Kind, Sample};

/// Registered once; plugins come and go behind it.
pub(super) struct GuestCollector {
    plugins: Arc<Mutex<ByPlugin>>,
    dropped: IntCounterVec,
}

impl GuestCollector {
    pub(super) fn new(plugins: Arc<Mutex<ByPlugin>>, dropped: IntCounterVec) -> Self {
        Self { plugins, dropped }
    }
}

impl Collector for GuestCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.dropped.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // The handles alone are taken under the lock of all plugins.
        let plugins: Vec<_> = {
            let plugins = self.plugins.lock().unwrap_or_else(PoisonError::into_inner);
            plugins
                .iter()
                .map(|(scope, metrics)| (scope.clone(), Arc::clone(metrics)))
                .collect()
        };
        let mut by_name: BTreeMap<String, (Kind, Vec<Metric>)> = BTreeMap::new();
        for ((tenant, plugin), metrics) in plugins {
            for (name, family) in metrics.lock().iter() {
                let (_, samples) = by_name
                    .entry(name.clone())
                    .or_insert_with(|| (family.kind(), Vec::new()));
                samples.extend(family.each().map(|(labels, sample)| {
                    let host = [("tenant", tenant.as_str()), ("plugin", plugin.as_str())];
                    metric(host.into_iter().chain(labels), sample)
                }));
            }
        }
        let mut families = self.dropped.collect();
        families.extend(
            by_name
                .into_iter()
                .map(|(name, (kind, samples))| family(name, kind, samples)),
        );
        families
    }
}

fn family(name: String, kind: Kind, samples: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name);
    family.set_help("Made by a plugin".to_owned());
    family.set_field_type(match kind {
        Kind::Counter => MetricType::COUNTER,
        Kind::Histogram => MetricType::HISTOGRAM,
    });
    family.set_metric(samples);
    family
}

fn metric<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>, sample: &Sample) -> Metric {
    let pairs = labels.map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        pair
    });
    let mut metric = Metric::from_label(pairs.collect());
    match sample {
        Sample::Count(count) => {
            let mut counter = Counter::default();
            counter.set_value(*count as f64);
            metric.set_counter(counter);
        }
        Sample::Histogram {
            buckets,
            count,
            sum,
        } => metric.set_histogram(histogram(buckets, *count, *sum)),
    }
    metric
}

fn histogram(buckets: &[u64], count: u64, sum: f64) -> Histogram {
    let mut so_far = 0_u64;
    let cumulative = buckets.iter().zip(BUCKETS).map(|(count, end)| {
        so_far = so_far.saturating_add(*count);
        let mut bucket = Bucket::default();
        bucket.set_cumulative_count(so_far);
        bucket.set_upper_bound(end);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(cumulative.collect());
    histogram.set_sample_count(count);
    histogram.set_sample_sum(sum);
    histogram
}
