//! On what it was measured.

use serde_json::{Value, json};

/// Processors, kernel, and how busy the machine was.
pub fn describe() -> Value {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or_default();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    json!({
        "cpus": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "model": model.trim_start_matches(['\t', ' ', ':']),
        "kernel": kernel.trim(),
        "steal_percent": rounded_steal(),
    })
}

/// Share of time that the hypervisor gave to others since the machine started: a hint of how noisy it is.
fn rounded_steal() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let fields: Vec<f64> = stat
        .lines()
        .next()?
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|field| field.parse().ok())
        .collect();
    let steal = fields.get(7)?;
    Some(portcullis_benches::stats::rounded(
        steal * 100.0 / fields.iter().sum::<f64>().max(1.0),
    ))
}
