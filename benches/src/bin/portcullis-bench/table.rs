//! The comparison as a table for people.

use portcullis_benches::stats::median;
use serde_json::Value;

use crate::options::Options;
use crate::walk::{CONNECTIONS, Sample, Samples, median_of};

/// Prints medians, and how far the rounds of the throughput lay apart.
pub fn print(options: &Options, samples: &Samples, open_loop: &Value) {
    println!(
        "\ntools/call, closed loop, medians of {} rounds of {} s",
        options.rounds(),
        options.seconds()
    );
    for connections in CONNECTIONS {
        println!(
            "\n  {:<24} {:>9} {:>8} {:>9} {:>9} {:>10} {:>9}",
            format!("{connections} connections"),
            "rps",
            "spread",
            "p50 us",
            "p99 us",
            "CPU us/req",
            "RSS MiB"
        );
        for kind in &options.targets {
            let figure =
                |figure: fn(&Sample) -> f64| median_of(samples, kind.name(), connections, figure);
            println!(
                "  {:<24} {:>9.0} {:>7.1}% {:>9.0} {:>9.0} {:>10.1} {:>9.1}",
                kind.name(),
                figure(|s| s.rps),
                spread(samples, kind.name(), connections),
                figure(|s| s.p50_us),
                figure(|s| s.p99_us),
                figure(|s| s.cpu_us),
                figure(|s| s.rss_bytes) / f64::from(1 << 20)
            );
        }
    }
    if let Some(rate) = open_loop.get("rate_rps") {
        println!(
            "\n  {:<24} {:>9} {:>9} {:>9} {:>9}",
            format!("open loop, {rate} rps"),
            "p50 us",
            "p99 us",
            "p99.9 us",
            "max us"
        );
        for kind in &options.targets {
            let figure = |key: &str| {
                open_loop
                    .get(kind.name())
                    .and_then(|of| of.get(key))
                    .and_then(Value::as_u64)
                    .unwrap_or(0)
            };
            println!(
                "  {:<24} {:>9} {:>9} {:>9} {:>9}",
                kind.name(),
                figure("p50_us"),
                figure("p99_us"),
                figure("p999_us"),
                figure("max_us")
            );
        }
    }
    println!();
}

/// Half of the distance between the best and the worst round, in percent of the median.
fn spread(samples: &Samples, kind: &'static str, connections: usize) -> f64 {
    let rps: Vec<f64> = samples
        .get(&(kind, connections))
        .into_iter()
        .flatten()
        .map(|sample| sample.rps)
        .collect();
    let (low, high) = rps
        .iter()
        .fold((f64::INFINITY, 0.0_f64), |(low, high), rps| {
            (low.min(*rps), high.max(*rps))
        });
    if rps.is_empty() {
        0.0
    } else {
        (high - low) / 2.0 / median(&rps) * 100.0
    }
}
