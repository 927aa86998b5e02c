//! How things ended and how long they took: a family of counters by outcome, and one of histograms, kept together.
//!
//! Every thread adds in cache lines of its own, so that no two wait for each other's; a scrape sums them up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use crate::thread;

/// All threads beyond this number share the last lines.
const SHARDS_LEN: usize = 16;
const SHARED: usize = SHARDS_LEN - 1;
const LINE_LEN: usize = 8;

/// What the two families are called and how they are divided.
#[derive(Debug, Clone, Copy)]
pub struct TimedOpts {
    /// Name and help of the counters.
    pub total: [&'static str; 2],
    /// Name and help of the histograms.
    pub seconds: [&'static str; 2],
    /// Labels of both; the counters have `outcome` besides.
    pub labels: &'static [&'static str],
    /// Every outcome. One that is not among them counts as the last.
    pub outcomes: &'static [&'static str],
    /// So many of them are shown from the beginning, the others once they have occurred.
    pub outcomes_shown: usize,
    /// Upper bounds of the histograms, in seconds.
    pub buckets_s: &'static [f64],
}

/// The two families. Clones share their series.
#[derive(Debug, Clone)]
pub struct TimedVec(Arc<Families>);

#[derive(Debug)]
struct Families {
    opts: TimedOpts,
    descs: [Desc; 2],
    bounds_ns: Arc<[u64]>,
    series: Mutex<Series>,
}

type Series = BTreeMap<Vec<String>, Arc<Timed>>;

impl TimedVec {
    /// Families without series.
    ///
    /// # Errors
    /// For names and labels that Prometheus does not know.
    pub fn new(opts: TimedOpts) -> Result<Self, prometheus::Error> {
        let labels = || opts.labels.iter().map(|label| (*label).to_owned());
        let desc = |[name, help]: [&str; 2], labels: Vec<String>| {
            Desc::new(name.to_owned(), help.to_owned(), labels, Default::default())
        };
        let outcome = std::iter::once("outcome".to_owned());
        let descs = [
            desc(opts.total, labels().chain(outcome).collect())?,
            desc(opts.seconds, labels().collect())?,
        ];
        let bounds_ns = opts
            .buckets_s
            .iter()
            .map(|s| nanoseconds(Duration::from_secs_f64(*s)));
        Ok(Self(Arc::new(Families {
            opts,
            descs,
            bounds_ns: bounds_ns.collect(),
            series: Mutex::default(),
        })))
    }

    /// The series of these labels: the same one for as long as it is not removed.
    #[must_use]
    pub fn of(&self, labels: &[&str]) -> Arc<Timed> {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let Families {
            opts, bounds_ns, ..
        } = &*self.0;
        let series = || Arc::new(Timed::new(opts.outcomes, Arc::clone(bounds_ns)));
        Arc::clone(self.0.lock().entry(labels).or_insert_with(series))
    }

    /// Shows the series of these labels no more.
    pub fn remove(&self, labels: &[&str]) {
        let is_it = |known: &Vec<String>| known.iter().eq(labels.iter());
        self.0.lock().retain(|known, _| !is_it(known));
    }
}

impl Families {
    fn lock(&self) -> MutexGuard<'_, Series> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for TimedVec {
    fn desc(&self) -> Vec<&Desc> {
        self.0.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // The handles alone are taken under the lock.
        let series: Vec<_> = self.0.lock().clone().into_iter().collect();
        let opts = &self.0.opts;
        let (mut totals, mut seconds) = (Vec::new(), Vec::new());
        for (labels, timed) in series {
            let sums = timed.sums();
            let labels = || {
                opts.labels
                    .iter()
                    .copied()
                    .zip(labels.iter().map(String::as_str))
            };
            let before = totals.len();
            for (place, (outcome, count)) in opts.outcomes.iter().zip(&sums.outcomes).enumerate() {
                if *count > 0 || place < opts.outcomes_shown {
                    let mut counter = Counter::default();
                    counter.set_value(*count as f64);
                    let mut metric = metric(labels().chain([("outcome", *outcome)]));
                    metric.set_counter(counter);
                    totals.push(metric);
                }
            }
            if totals.len() > before {
                let mut metric = metric(labels());
                metric.set_histogram(sums.histogram(opts.buckets_s));
                seconds.push(metric);
            }
        }
        vec![
            family(opts.total, MetricType::COUNTER, totals),
            family(opts.seconds, MetricType::HISTOGRAM, seconds),
        ]
    }
}

/// One series of both families.
#[derive(Debug)]
pub struct Timed {
    outcomes: &'static [&'static str],
    bounds_ns: Arc<[u64]>,
    shards: [OnceLock<Shard>; SHARDS_LEN],
}

/// Nanoseconds, then outcomes, then buckets, the last of which has no bound.
type Shard = Box<[Line]>;

#[derive(Debug, Default)]
#[repr(align(64))]
struct Line([AtomicU64; LINE_LEN]);

impl Timed {
    fn new(outcomes: &'static [&'static str], bounds_ns: Arc<[u64]>) -> Self {
        Self {
            outcomes,
            bounds_ns,
            shards: Default::default(),
        }
    }

    /// Something has ended, and this is how long it took.
    pub fn record(&self, outcome: &str, took: Duration) {
        let took_ns = nanoseconds(took);
        let bucket = self
            .bounds_ns
            .iter()
            .take_while(|bound| took_ns > **bound)
            .count();
        let own = self.own();
        own.add(0, took_ns);
        own.add(1 + self.place(outcome), 1);
        own.add(1 + self.outcomes.len() + bucket, 1);
    }

    /// Something has ended, and how long it took says nothing.
    pub fn count(&self, outcome: &str) {
        self.own().add(1 + self.place(outcome), 1);
    }

    fn place(&self, outcome: &str) -> usize {
        let known = self.outcomes.iter().position(|known| *known == outcome);
        known.unwrap_or(self.outcomes.len().saturating_sub(1))
    }

    /// The lines of this thread.
    fn own(&self) -> Own<'_> {
        let [.., shared] = &self.shards;
        let place = thread::number().min(SHARED);
        let shard = self.shards.get(place).unwrap_or(shared);
        let lines = shard.get_or_init(|| {
            let lines = self.len().div_ceil(LINE_LEN);
            (0..lines).map(|_| Line::default()).collect()
        });
        Own {
            lines,
            is_shared: place >= SHARED,
        }
    }

    fn len(&self) -> usize {
        1 + self.outcomes.len() + self.bounds_ns.len() + 1
    }

    fn sums(&self) -> Sums {
        let shards = || self.shards.iter().filter_map(OnceLock::get);
        let read = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let sum = |at| {
            shards()
                .filter_map(|lines| value(lines, at))
                .map(read)
                .sum()
        };
        let buckets_start = 1 + self.outcomes.len();
        Sums {
            ns: sum(0),
            outcomes: (1..buckets_start).map(sum).collect(),
            buckets: (buckets_start..self.len()).map(sum).collect(),
        }
    }
}

/// What one thread adds to.
struct Own<'t> {
    lines: &'t [Line],
    is_shared: bool,
}

impl Own<'_> {
    fn add(&self, at: usize, more: u64) {
        let Some(value) = value(self.lines, at) else {
            return;
        };
        if self.is_shared {
            value.fetch_add(more, Ordering::Relaxed);
        } else {
            // Nobody else writes here, and a locked addition would cost more than all the rest.
            value.store(value.load(Ordering::Relaxed) + more, Ordering::Relaxed);
        }
    }
}

fn value(lines: &[Line], at: usize) -> Option<&AtomicU64> {
    lines.get(at / LINE_LEN)?.0.get(at % LINE_LEN)
}

/// A series, summed over threads.
struct Sums {
    ns: u64,
    outcomes: Vec<u64>,
    buckets: Vec<u64>,
}

impl Sums {
    fn histogram(&self, bounds_s: &[f64]) -> Histogram {
        let mut so_far = 0;
        let cumulative = self.buckets.iter().zip(bounds_s).map(|(count, end)| {
            so_far += count;
            let mut bucket = Bucket::default();
            bucket.set_cumulative_count(so_far);
            bucket.set_upper_bound(*end);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(cumulative.collect());
        histogram.set_sample_count(self.buckets.iter().sum());
        histogram.set_sample_sum(Duration::from_nanos(self.ns).as_secs_f64());
        histogram
    }
}

fn family([name, help]: [&str; 2], kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

/// Labels are in the order of their names, as everywhere else.
fn metric<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> Metric {
    let mut labels: Vec<_> = labels.collect();
    labels.sort_unstable();
    let pairs = labels.into_iter().map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        pair
    });
    Metric::from_label(pairs.collect())
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
