//! How a hook can fail, told apart by type so that metrics, failure modes and quarantine can.

use thiserror::Error;

/// A hook that gave no answer. The instance that failed is gone; the next call gets another.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Failure {
    /// The guest trapped: `unreachable`, out of bounds, stack exhausted, a bad value handed to the host, ...
    #[error("the policy trapped: {0}")]
    Trap(String),
    /// The guest ran past its deadline.
    #[error("the policy ran longer than its deadline of {deadline_ms} ms")]
    Deadline {
        /// The binding's deadline.
        deadline_ms: u32,
    },
    /// The guest asked for more memory than its whole store may hold.
    #[error("the policy asked for more than its {bytes_max} bytes of memory")]
    Memory {
        /// The binding's bound.
        bytes_max: u64,
    },
    /// The guest handed back more than the binding allows, or something that is not what the hook promises.
    #[error("the policy's output was refused: {0}")]
    Output(String),
    /// The guest called the host more often than one hook may.
    #[error("the policy called the host more than {calls_max} times in one hook")]
    HostCalls {
        /// The sandbox's bound.
        calls_max: u32,
    },
    /// No instance could be made: every slot of the pool is in use.
    #[error("no instance is free for the policy")]
    Instances,
    /// The binding failed repeatedly and is not tried again before its back-off ends.
    #[error("the policy failed repeatedly and is quarantined for another {retry_after_ms} ms")]
    Quarantined {
        /// When the next call is let through.
        retry_after_ms: u64,
    },
}

impl Failure {
    /// The label of this failure in metrics: a closed set.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Trap(_) => "trap",
            Self::Deadline { .. } => "deadline",
            Self::Memory { .. } => "memory",
            Self::Output(_) => "output",
            Self::HostCalls { .. } => "host-calls",
            Self::Instances => "instances",
            Self::Quarantined { .. } => "quarantined",
        }
    }
}

/// Raised inside a store, by the limiter and the host calls, and found again in wasmtime's error.
#[derive(Debug, Error)]
pub(crate) enum Breach {
    #[error("memory bound reached")]
    Memory,
    #[error("host-call bound reached")]
    HostCalls,
    #[error("it named a caller that it had not handed over")]
    Caller,
    #[error("a limiter takes one cost per rule")]
    Costs,
    #[error("a limiter takes at most 256 rules, of 8 parts and a name of 256 bytes each")]
    Rules,
    #[error("at most 4096 random bytes can be had at once")]
    Random,
}
