//! How a rollout goes, as the admin API shows it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use utoipa::ToSchema;

use super::Course;
use super::tally::Counted;

/// Most differences of one rollout that are kept; newer ones take the place of older ones.
const DIFFERENCES_MAX: usize = 50;

/// How a rollout goes since it started in this process.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Figures {
    /// For how long, in seconds.
    pub elapsed_s: u64,
    /// The live chain, on the calls that it served meanwhile.
    pub live: HookFigures,
    /// The candidate.
    pub candidate: HookFigures,
    /// Of a shadow: calls on which both were compared.
    pub compared: u64,
    /// Of a shadow: calls on which they agreed.
    pub agreed: u64,
    /// Of a shadow: calls that came faster than they could be compared.
    pub skipped: u64,
    /// The latest differences. They say where, and never what: no value of a call is in them.
    pub differences: Vec<Difference>,
}

/// What one chain did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
pub struct HookFigures {
    /// Calls that it saw.
    pub calls: u64,
    /// Hooks that refused one.
    pub denied: u64,
    /// Hooks that failed.
    pub failed: u64,
    /// `denied`, in percent of the calls.
    pub denied_percent: f64,
    /// `failed`, in percent of the calls.
    pub failed_percent: f64,
    /// Mean time in hooks for one call, in microseconds.
    pub mean_us: u64,
    /// 99 of 100 hooks took no longer than this, in microseconds, to a power of two.
    pub hook_p99_us: u64,
}

/// A call on which the candidate says something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Difference {
    /// Names the call in logs.
    pub request_id: String,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// JSON-RPC method.
    pub method: Option<String>,
    /// The tool, prompt or resource.
    pub target: Option<String>,
    /// What differs: `verdict`, `identity`, `arguments` or `result`.
    pub what: &'static str,
    /// What the live chain says.
    pub live: String,
    /// What the candidate says.
    pub candidate: String,
}

/// Calls that both saw.
#[derive(Default)]
pub struct Compared {
    agreed: AtomicU64,
    differed: AtomicU64,
    skipped: AtomicU64,
    differences: Mutex<VecDeque<Difference>>,
}

impl Compared {
    pub(super) fn agreed(&self) {
        self.agreed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn skipped(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn differed(&self, difference: Difference) {
        self.differed.fetch_add(1, Ordering::Relaxed);
        let mut differences = self
            .differences
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        differences.truncate(DIFFERENCES_MAX - 1);
        differences.push_front(difference);
    }

    /// How many were compared, and how many agreed.
    pub(super) fn counted(&self) -> (u64, u64) {
        let agreed = self.agreed.load(Ordering::Relaxed);
        (agreed + self.differed.load(Ordering::Relaxed), agreed)
    }
}

impl Figures {
    pub(super) fn of(course: &Course) -> Self {
        let (compared, agreed) = course.compared.counted();
        let differences = course
            .compared
            .differences
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Self {
            elapsed_s: course.started.elapsed().as_secs(),
            live: course.live.counted().into(),
            candidate: course.candidate.counted().into(),
            compared,
            agreed,
            skipped: course.compared.skipped.load(Ordering::Relaxed),
            differences: differences.iter().cloned().collect(),
        }
    }
}

impl From<Counted> for HookFigures {
    fn from(counted: Counted) -> Self {
        let rounded = |percent: f64| (percent * 100.0).round() / 100.0;
        Self {
            calls: counted.calls,
            denied: counted.denied,
            failed: counted.failed,
            denied_percent: rounded(counted.percent(counted.denied)),
            failed_percent: rounded(counted.percent(counted.failed)),
            mean_us: counted.mean_us(),
            hook_p99_us: counted.p99_us,
        }
    }
}
