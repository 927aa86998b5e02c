//! One metric of one plugin: its series, within bounds on the values of each label.

use std::collections::{HashMap, HashSet};

use super::names::Labels;

/// Values that one label tells apart; further ones become [`OTHER`].
const VALUES_MAX: usize = 50;
/// Series of one metric; a further one becomes the one with [`OTHER`] for every label.
const SERIES_MAX: usize = 500;
const OTHER: &str = "other";

/// Upper ends of a histogram's buckets. Guests measure what they like, so these are wide: six decades and more.
pub(super) const BUCKETS: [f64; 15] = [
    0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1_000.0, 5_000.0,
    10_000.0,
];

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Histogram,
}

/// One metric of one plugin.
pub(super) struct Family {
    kind: Kind,
    label_names: Vec<String>,
    /// For each label, the values that it has had.
    seen: Vec<HashSet<Box<str>>>,
    series: HashMap<Vec<Box<str>>, Sample>,
}

/// What a series holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Sample {
    Count(u64),
    Histogram {
        buckets: [u64; BUCKETS.len()],
        count: u64,
        sum: f64,
    },
}

impl Sample {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Counter => Self::Count(0),
            Kind::Histogram => Self::Histogram {
                buckets: [0; BUCKETS.len()],
                count: 0,
                sum: 0.0,
            },
        }
    }

    /// Adds to a counter.
    pub(super) fn add(&mut self, value: u64) {
        match self {
            Self::Count(count) => *count = count.saturating_add(value),
            Self::Histogram { .. } => {}
        }
    }

    /// Adds a value to a histogram.
    pub(super) fn observe(&mut self, value: f64) {
        match self {
            Self::Count(_) => {}
            Self::Histogram {
                buckets,
                count,
                sum,
            } => {
                let fit = buckets
                    .iter_mut()
                    .zip(BUCKETS)
                    .find(|(_, end)| value <= *end);
                if let Some((bucket, _)) = fit {
                    *bucket = bucket.saturating_add(1);
                }
                *count = count.saturating_add(1);
                *sum += value;
            }
        }
    }
}

impl Family {
    pub(super) fn new(kind: Kind, labels: &Labels<'_>) -> Self {
        let label_names: Vec<_> = labels.names().map(str::to_owned).collect();
        let seen = label_names.iter().map(|_| HashSet::new()).collect();
        Self {
            kind,
            label_names,
            seen,
            series: HashMap::new(),
        }
    }

    pub(super) fn has_names_of(&self, labels: &Labels<'_>) -> bool {
        self.label_names
            .iter()
            .map(String::as_str)
            .eq(labels.names())
    }

    /// The series of these values, or of as many of them as there is room for.
    pub(super) fn series(&mut self, labels: &Labels<'_>) -> &mut Sample {
        let mut values: Vec<Box<str>> = Vec::with_capacity(self.label_names.len());
        for (value, seen) in labels.values().zip(&mut self.seen) {
            let room =
                seen.contains(value) || (seen.len() < VALUES_MAX && seen.insert(value.into()));
            values.push(if room { value } else { OTHER }.into());
        }
        if self.series.len() >= SERIES_MAX && !self.series.contains_key(&values) {
            values.iter_mut().for_each(|value| *value = OTHER.into());
        }
        self.series
            .entry(values)
            .or_insert_with(|| Sample::new(self.kind))
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Every series: names and values of its labels, and what it holds.
    pub(super) fn each(
        &self,
    ) -> impl Iterator<Item = (impl Iterator<Item = (&str, &str)>, &Sample)> {
        self.series.iter().map(|(values, sample)| {
            let labels = self
                .label_names
                .iter()
                .map(String::as_str)
                .zip(values.iter().map(AsRef::as_ref));
            (labels, sample)
        })
    }
}
