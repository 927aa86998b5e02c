//! Samples of a short operation: each is the mean of enough iterations for the clock, and many make a median.

use std::time::{Duration, Instant};

use portcullis_benches::stats::{median, median_deviation, rounded};
use serde_json::{Value, json};

/// Long enough that reading the clock does not count.
const SAMPLE: Duration = Duration::from_millis(2);
const ITERATIONS_MAX: u32 = 1 << 20;

/// How long to measure.
pub struct Sampler {
    warm_up: Duration,
    length: Duration,
    is_measuring: bool,
    /// The operations to measure; all of them when there is none.
    names: Vec<String>,
    /// Runs every operation that often instead of measuring it.
    iterations: Option<u32>,
}

/// What came out, in microseconds an operation.
pub struct Statistics {
    /// The median of the samples.
    pub median_us: f64,
    /// Their median distance from it.
    pub deviation_us: f64,
    /// The least.
    pub least_us: f64,
    /// How many samples.
    pub samples: usize,
    /// Operations in each.
    pub iterations: u32,
}

impl Sampler {
    /// As the command line says: `--bench`, which cargo adds, measures; without it everything only runs once or so.
    /// Names choose operations, and `--iterations=N` runs them N times, for a profiler.
    pub fn of(arguments: impl Iterator<Item = String>) -> Self {
        let arguments: Vec<String> = arguments.collect();
        let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
        let (warm_up_ms, length_ms) = match (has("--bench"), has("--quick")) {
            (true, false) => (500, 3_000),
            (true, true) => (50, 200),
            (false, _) => (0, 0),
        };
        Self {
            warm_up: Duration::from_millis(warm_up_ms),
            length: Duration::from_millis(length_ms),
            is_measuring: has("--bench"),
            iterations: arguments
                .iter()
                .find_map(|argument| argument.strip_prefix("--iterations=")?.parse().ok()),
            names: arguments
                .into_iter()
                .filter(|argument| !argument.starts_with("--"))
                .collect(),
        }
    }

    /// Whether an operation is one of those to measure.
    pub fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|wanted| wanted == name)
    }

    /// Whether every operation was measured, and for long enough to mean anything.
    pub fn is_complete(&self) -> bool {
        self.is_measuring && self.names.is_empty() && self.iterations.is_none()
    }

    /// Measures an operation.
    pub fn measure<T>(&self, mut operation: impl FnMut() -> T) -> Statistics {
        let mut batch = |iterations: u32| {
            let started = Instant::now();
            for _ in 0..iterations {
                std::hint::black_box(operation());
            }
            started.elapsed()
        };
        if let Some(iterations) = self.iterations {
            let once_us = batch(iterations).as_secs_f64() * 1e6 / f64::from(iterations.max(1));
            return Statistics::of(&[once_us], iterations);
        }
        let until = Instant::now() + self.warm_up;
        let mut iterations = 1;
        while batch(iterations) < SAMPLE.min(self.length) && iterations < ITERATIONS_MAX {
            iterations *= 2;
        }
        while Instant::now() < until {
            batch(iterations);
        }
        let until = Instant::now() + self.length;
        let mut samples_us = vec![batch(iterations).as_secs_f64() * 1e6 / f64::from(iterations)];
        while Instant::now() < until {
            samples_us.push(batch(iterations).as_secs_f64() * 1e6 / f64::from(iterations));
        }
        Statistics::of(&samples_us, iterations)
    }
}

impl Statistics {
    fn of(samples_us: &[f64], iterations: u32) -> Self {
        Self {
            median_us: rounded(median(samples_us)),
            deviation_us: rounded(median_deviation(samples_us)),
            least_us: rounded(samples_us.iter().copied().fold(f64::INFINITY, f64::min)),
            samples: samples_us.len(),
            iterations,
        }
    }

    /// For the report.
    pub fn report(&self) -> Value {
        json!({
            "median": self.median_us, "median_deviation": self.deviation_us, "least": self.least_us,
            "samples": self.samples, "iterations": self.iterations,
        })
    }
}
