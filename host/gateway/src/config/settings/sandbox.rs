//! `sandbox`: what policy plugins may take, by default sized for the machine.

use serde::Serialize;

use super::{InvalidSetting, KIB, MIB, between};
use crate::config::raw::RawSandbox;

/// Defaults and bounds of policy plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SandboxSettings {
    /// Most plugin instances of the whole process; none to size it for the machine's memory.
    pub instances_max: Option<u64>,
    /// Most memory of one instance, in bytes, where its binding says nothing.
    pub memory_bytes_max: u64,
    /// Longest time of one hook, in milliseconds, where its binding says nothing.
    pub deadline_ms: u64,
    /// The same of a plugin that waits.
    pub waiting_deadline_ms: u64,
    /// Most instances of plugins that wait, of those that run at once.
    pub waiting_instances_max: u64,
    /// Most hooks that wait for one of these.
    pub waiting_queue_len_max: u64,
    /// Longest time that compiling one component may take, in seconds.
    pub compile_time_s_max: u64,
    /// Most memory of the process that compiles one component, in bytes; none to size it for the machine's memory.
    pub compile_memory_bytes_max: Option<u64>,
    /// Most machine code of one component, in bytes.
    pub compile_output_bytes_max: u64,
    /// Most components that are compiled at once.
    pub compiles_max: u64,
}

impl Default for SandboxSettings {
    fn default() -> Self {
        Self {
            instances_max: None,
            memory_bytes_max: 16 * MIB,
            deadline_ms: 10,
            waiting_deadline_ms: 1_000,
            waiting_instances_max: 64,
            waiting_queue_len_max: 1_024,
            compile_time_s_max: 30,
            compile_memory_bytes_max: None,
            compile_output_bytes_max: 128 * MIB,
            compiles_max: 1,
        }
    }
}

/// What is written, over what holds by default.
pub(super) fn checked(
    raw: RawSandbox,
    default: SandboxSettings,
) -> Result<SandboxSettings, InvalidSetting> {
    macro_rules! sandbox {
        (set { $($key:ident in $bounds:expr),* $(,)? } sized { $($open:ident in $within:expr),* $(,)? }) => {
            SandboxSettings {
                $($key: within(stringify!($key), raw.$key.unwrap_or(default.$key), $bounds)?,)*
                $($open: raw.$open.map(|set| within(stringify!($open), set, $within)).transpose()?,)*
            }
        };
    }
    Ok(sandbox! {
        set {
            memory_bytes_max in (64 * KIB, 64 * MIB),
            deadline_ms in (1, 1_000),
            waiting_deadline_ms in (1, 30_000),
            waiting_instances_max in (1, 10_000),
            waiting_queue_len_max in (1, 100_000),
            compile_time_s_max in (1, 600),
            compile_output_bytes_max in (MIB, 1024 * MIB),
            compiles_max in (1, 64),
        }
        sized {
            instances_max in (1, 100_000),
            compile_memory_bytes_max in (128 * MIB, 64 * 1024 * MIB),
        }
    })
}

fn within(key: &str, number: u64, (min, max): (u64, u64)) -> Result<u64, InvalidSetting> {
    between(&format!("sandbox.{key}"), number, min, max)
}
