//! The closed loop: wrk keeps every connection busy and says how long replies took.

use std::path::Path;
use std::process::Stdio;

use portcullis_benches::plan;
use serde::Deserialize;
use tokio::process::Command;

use crate::error::BenchError;
use crate::options::Tools;
use crate::target::Target;

const SCRIPT: &str = include_str!("wrk.lua");

/// What wrk saw.
#[derive(Debug, Clone, Deserialize)]
pub struct Run {
    /// Replies.
    pub requests: u64,
    /// Time, in microseconds.
    pub duration_us: u64,
    /// Bytes received, headers included.
    pub bytes: u64,
    /// Median latency.
    pub p50_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
    connect: u64,
    read: u64,
    write: u64,
    status: u64,
    timeout: u64,
}

impl Run {
    /// Replies a second.
    #[allow(
        clippy::cast_precision_loss,
        reason = "counts of seconds, far below 2^52"
    )]
    pub fn rps(&self) -> f64 {
        self.requests as f64 * 1e6 / self.duration_us.max(1) as f64
    }

    /// Requests that were not answered with success.
    pub fn failed(&self) -> u64 {
        self.connect + self.read + self.write + self.status + self.timeout
    }

    /// What went wrong, for messages.
    pub fn failures(&self) -> String {
        format!(
            "{} of {} requests failed (connect {}, read {}, write {}, timeout {}, status {})",
            self.failed(),
            self.requests,
            self.connect,
            self.read,
            self.write,
            self.timeout,
            self.status
        )
    }
}

/// Drives the target for some time; each connection has a caller of its own.
pub async fn run(
    tools: &Tools,
    folder: &Path,
    target: &Target,
    connections: usize,
    seconds: u64,
) -> Result<Run, BenchError> {
    let io = |what: &'static str| move |source| BenchError::io(what, source);
    let (script, callers) = (folder.join("wrk.lua"), folder.join("wrk.callers"));
    let lines: String = target
        .callers
        .iter()
        .take(connections)
        .map(|caller| format!("{}\t{}\n", caller.token, caller.session))
        .collect();
    std::fs::write(&script, SCRIPT).map_err(io("wrk's script cannot be written"))?;
    std::fs::write(&callers, lines).map_err(io("wrk's callers cannot be written"))?;
    // wrk ends with this future, should it be dropped.
    let output = Command::new(&tools.wrk)
        .args(["--threads", "1", "--timeout", "10s"])
        .args([
            "--connections",
            &connections.to_string(),
            "--duration",
            &format!("{seconds}s"),
        ])
        .arg("--script")
        .arg(&script)
        .arg(target.url())
        .arg("--")
        .arg(&callers)
        .args([&target.path, &target.tool])
        .arg(plan::ARGUMENTS)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(io("wrk did not start"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let result = text.lines().find_map(|line| line.strip_prefix("RESULT "));
    result
        .and_then(|json| serde_json::from_str(json).ok())
        .ok_or_else(|| {
            let said = String::from_utf8_lossy(&output.stderr);
            BenchError::failed(format!(
                "wrk gave no result for {} ({}): {text}{said}",
                target.url(),
                output.status
            ))
        })
}
