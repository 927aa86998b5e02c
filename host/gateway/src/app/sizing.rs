//! What this machine has room for: bounds that the settings leave open.
//!
//! Before it: the settings. After it: the sandbox and its compiler. Every figure can be set, and all of them are said in the
//! log at start, with the memory that they were taken from.

use std::fs;
use std::path::Path;

use tracing::info;

use crate::config::SandboxSettings;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// Where nothing says how much memory there is.
const MEMORY_BYTES_ASSUMED: u64 = 2 * GIB;
/// What a warm instance of the policies that ship takes, with a margin.
const INSTANCE_BYTES: u64 = 512 * KIB;

/// Bounds that follow from the memory of the machine, where the settings say nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizing {
    pub(super) instances_max: u64,
    pub(super) compile_memory_bytes_max: u64,
}

impl Sizing {
    /// Sizes for this machine, and says so.
    pub(super) fn of_machine(settings: &SandboxSettings) -> Self {
        let memory_bytes = memory_bytes();
        let sizing = Self::of(settings, memory_bytes);
        info!(
            memory_bytes,
            instances_max = sizing.instances_max,
            instance_memory_bytes_max = settings.memory_bytes_max,
            compile_memory_bytes_max = sizing.compile_memory_bytes_max,
            compiles_max = settings.compiles_max,
            "policies are sized for this machine; `sandbox` in the settings says otherwise"
        );
        sizing
    }

    /// A quarter of the memory is for instances, and an eighth for a compiler.
    fn of(settings: &SandboxSettings, memory_bytes: u64) -> Self {
        let instances = (memory_bytes / 4 / INSTANCE_BYTES).clamp(256, 10_000);
        let compile = (memory_bytes / 8).clamp(256 * MIB, GIB);
        Self {
            instances_max: settings.instances_max.unwrap_or(instances),
            compile_memory_bytes_max: settings.compile_memory_bytes_max.unwrap_or(compile),
        }
    }
}

/// The memory of the machine, or of the part of it that this process may use (control groups, versions 2 and 1).
fn memory_bytes() -> u64 {
    let number = |file: &str| {
        let text = fs::read_to_string(Path::new(file)).ok()?;
        text.trim().parse::<u64>().ok()
    };
    let allowed = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ];
    let allowed = allowed.into_iter().filter_map(number);
    let machine = fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.as_deref().and_then(total);
    allowed.chain(machine).min().unwrap_or(MEMORY_BYTES_ASSUMED)
}

/// `MemTotal` of `/proc/meminfo`, in bytes (proc_meminfo(5)).
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kib.checked_mul(KIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_shared_out_between_bounds_and_what_is_set_holds() {
        let open = SandboxSettings::default();
        let of = |memory_bytes| Sizing::of(&open, memory_bytes);
        assert_eq!(
            (of(256 * MIB).instances_max, of(GIB).instances_max),
            (256, 512)
        );
        assert_eq!(
            (of(8 * GIB).instances_max, of(u64::MAX).instances_max),
            (4_096, 10_000)
        );
        assert_eq!(of(4 * GIB).compile_memory_bytes_max, 512 * MIB);
        let set = SandboxSettings {
            instances_max: Some(7),
            compile_memory_bytes_max: Some(MIB),
            ..open
        };
        let sizing = Sizing::of(&set, 8 * GIB);
        assert_eq!(
            (sizing.instances_max, sizing.compile_memory_bytes_max),
            (7, MIB)
        );
    }

    #[test]
    fn the_memory_of_the_machine_is_read() {
        assert_eq!(
            total("MemTotal:       24651908 kB\nMemFree: 1 kB\n"),
            Some(24_651_908 * KIB)
        );
        assert_eq!(total("MemFree: 1 kB\n"), None);
        assert!(memory_bytes() > 0);
    }
}
