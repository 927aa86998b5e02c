//! What a process writes to standard error, into the log: in lines, in bounds, and at `debug`.

use std::time::{Duration, Instant};

use tokio::process::ChildStderr;

use super::lines::{Line, Lines};
use crate::upstream::limits::UpstreamLimits;

/// Reads until the stream ends; a process must never wait for its log to be read.
pub(super) async fn log(upstream: &str, stderr: ChildStderr, limits: &UpstreamLimits) {
    let mut lines = Lines::new(stderr, limits.stderr_line_bytes_max);
    let mut second = Instant::now();
    let (mut logged, mut dropped) = (0_u32, 0_u64);
    while let Ok(Some(line)) = lines.next().await {
        let (Line::Whole(line)
        | Line::TooLong {
            head: line,
            tail: _,
        }) = line;
        if second.elapsed() >= Duration::from_secs(1) {
            if dropped > 0 {
                tracing::debug!(upstream, dropped, "lines of standard error were dropped");
            }
            second = Instant::now();
            (logged, dropped) = (0, 0);
        }
        if logged < limits.stderr_lines_per_second_max {
            logged += 1;
            tracing::debug!(upstream, line = %String::from_utf8_lossy(line), "standard error");
        } else {
            dropped += 1;
        }
    }
}
