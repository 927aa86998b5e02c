//! WASI 0.2 with nothing in it: what most toolchains import, whether a policy needs it or not.
//!
//! No environment, no arguments, no folder, no socket, no name look-up, nothing to read. There are coarse clocks, random
//! bytes, and an output that goes to the plugin's log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder};

use super::console::{Console, Lines};
use crate::{LogLevel, Scope, Services};

/// Packages that an instance finds.
const PACKAGES: [&str; 6] = ["cli", "clocks", "filesystem", "io", "random", "sockets"];
/// Random bytes that can be had at once.
const RANDOM_BYTES_MAX: u64 = 4096;
const COARSE: Duration = Duration::from_millis(1);

/// Whether an import is one of those that [`empty`] answers.
pub(crate) fn offers(import: &str) -> bool {
    let package = import.strip_prefix("wasi:");
    let parts = package.and_then(|rest| rest.split_once('/'));
    parts.is_some_and(|(package, interface)| {
        let version = interface.split_once('@').map(|(_, version)| version);
        PACKAGES.contains(&package) && version.is_some_and(|version| version.starts_with("0.2."))
    })
}

/// The context of one instance.
pub(super) fn empty(of: (&Arc<Scope>, &Arc<dyn Services>), lines: &Arc<Lines>) -> WasiCtx {
    WasiCtxBuilder::new()
        .stdout(Console::new(LogLevel::Info, of, lines))
        .stderr(Console::new(LogLevel::Warn, of, lines))
        .max_random_size(RANDOM_BYTES_MAX)
        .wall_clock(WallClock(Arc::clone(of.1)))
        .monotonic_clock(SinceStart(Instant::now()))
        .allow_ip_name_lookup(false)
        .allow_tcp(false)
        .allow_udp(false)
        .build()
}

/// What every guest's clock says.
struct WallClock(Arc<dyn Services>);

impl HostWallClock for WallClock {
    fn resolution(&self) -> Duration {
        COARSE
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.0.now_ms())
    }
}

struct SinceStart(Instant);

impl HostMonotonicClock for SinceStart {
    fn resolution(&self) -> u64 {
        u64::try_from(COARSE.as_nanos()).unwrap_or(u64::MAX)
    }

    fn now(&self) -> u64 {
        let elapsed = u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX);
        elapsed.saturating_mul(self.resolution())
    }
}

#[cfg(test)]
mod tests {
    use super::offers;

    #[test]
    fn wasi_0_2_is_told_from_everything_else() {
        for (import, want) in [
            ("wasi:cli/environment@0.2.3", true),
            ("wasi:io/streams@0.2.0", true),
            ("wasi:sockets/tcp@0.2.12", true),
            ("wasi:http/outgoing-handler@0.2.0", false),
            ("wasi:cli/environment@0.3.0", false),
            ("wasi:cli/environment", false),
            ("wasi_snapshot_preview1", false),
            ("portcullis:policy/http@0.1.0", false),
        ] {
            assert_eq!(offers(import), want, "{import}");
        }
    }
}
