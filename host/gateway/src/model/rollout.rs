//! A candidate chain on its way to be the live one: how much of the traffic it sees, and what ends it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ChainSpec;

/// A rollout to start. Exactly one of `policies` and `revision` says what is rolled out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutSpec {
    /// The candidate chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies: Option<ChainSpec>,
    /// The candidate is the chain of this earlier revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// How it meets traffic, and what ends it.
    #[serde(flatten)]
    pub plan: RolloutPlan,
}

/// How a candidate meets traffic, and what ends its rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RolloutPlan {
    /// How it meets traffic.
    pub strategy: Strategy,
    /// Of a canary: percent of sessions, and of callers without sessions, that it serves (0 to 100).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<f64>,
    /// What rolls it back by itself.
    #[serde(default)]
    pub bounds: RolloutBounds,
    /// What promotes it by itself; absent, somebody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promote_after: Option<PromoteAfter>,
}

/// How a candidate meets traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// It sees real calls beside the live chain. What it says is compared and counted, and changes nothing; counters and
    /// state that it keeps are its own.
    Shadow,
    /// It serves a percentage of sessions, each to its end.
    Canary,
    /// It is the live chain at once.
    Immediate,
}

/// What rolls a candidate back by itself, once it has seen enough calls.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RolloutBounds {
    /// Most hooks that fail (trap, deadline, memory, ...), in percent of its calls. Default 1.
    pub failures_percent_max: f64,
    /// Most percentage points by which it may refuse more calls than the live chain. Absent: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denials_percent_over_max: Option<f64>,
    /// Of a shadow: most calls on which it may differ from the live chain, in percent. Absent: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub differences_percent_max: Option<f64>,
    /// Longest mean time in its hooks for one call, in microseconds. Absent: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_us_max: Option<u64>,
    /// Calls that it has to see before any bound counts. Default 20.
    pub calls_min: u64,
}

impl Default for RolloutBounds {
    fn default() -> Self {
        Self {
            failures_percent_max: 1.0,
            denials_percent_over_max: None,
            differences_percent_max: None,
            mean_us_max: None,
            calls_min: 20,
        }
    }
}

/// What promotes a candidate by itself: both are reached, and no bound is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PromoteAfter {
    /// Calls that it has seen.
    pub calls: u64,
    /// Time since its start, in seconds.
    pub seconds: u64,
}

/// How a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RolloutState {
    /// The candidate sees traffic.
    Running,
    /// The candidate is the live chain.
    Promoted,
    /// The candidate was taken back.
    RolledBack,
    /// Another chain was put meanwhile.
    Superseded,
}

/// A rollout as the store keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RolloutRecord {
    /// From 1, in each tenant.
    pub id: u64,
    /// The candidate's revision.
    pub revision: u64,
    /// The revision that was live when it started.
    pub base: u64,
    /// How it meets traffic, and what ends it.
    #[serde(flatten)]
    pub plan: RolloutPlan,
    /// How it stands.
    pub state: RolloutState,
    /// Why it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who started it.
    pub author: String,
    /// Milliseconds since the Unix epoch.
    pub started_at_ms: u64,
    /// Milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at_ms: Option<u64>,
}

/// The rollout that runs, and its candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct RunningRollout {
    /// What is kept of it.
    pub record: RolloutRecord,
    /// The candidate, with plugins resolved to digests and bindings named.
    pub chain: ChainSpec,
}
