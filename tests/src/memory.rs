//! How much memory a process has had at most, as Linux counts it.

use crate::process::Process;

/// A process's memory from one moment on.
pub struct Memory {
    pid: u32,
    before_bytes: u64,
}

impl Memory {
    /// From now on.
    ///
    /// # Panics
    /// Where `/proc` does not say.
    #[must_use]
    pub fn watch(process: &Process) -> Self {
        let pid = process.id();
        // proc(5), `clear_refs`: the peak is what is resident now.
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("a peak that can be reset");
        Self {
            pid,
            before_bytes: peak_bytes(pid),
        }
    }

    /// How far the peak has risen since.
    ///
    /// # Panics
    /// Where `/proc` does not say.
    #[must_use]
    pub fn growth_bytes(&self) -> u64 {
        peak_bytes(self.pid).saturating_sub(self.before_bytes)
    }
}

fn peak_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.expect("a peak") << 10
}
