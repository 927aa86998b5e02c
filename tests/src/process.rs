//! Processes that end with the test that started them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::wait;

/// How long a process may take to stop when it is asked to, before it is killed.
const STOP: Duration = Duration::from_secs(10);
/// How much of a log a failing test shows.
const LOG_BYTES_SHOWN: usize = 8 << 10;

/// A running process. Dropping it asks it to stop, kills it if it does not, and waits for it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; both of its streams go to a file in `folder`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(name: &str, command: &mut Command, folder: &Path) -> Self {
        let log = folder.join(format!("{name}.log"));
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .expect("a log file");
        let errors = file.try_clone().expect("a log file");
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self {
            name: name.to_owned(),
            child,
            log,
        }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Bytes of memory that it holds now.
    ///
    /// # Panics
    /// When the system cannot tell.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()));
        let status = status.expect("the state of a child");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = resident.and_then(|kib| kib.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.expect("its memory") << 10
    }

    /// Everything that it has printed so far.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Its end, if it has ended.
    ///
    /// # Panics
    /// When the system cannot tell.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the state of a child")
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn end(&mut self) -> ExitStatus {
        let name = self.name.clone();
        wait::until(&format!("the end of {name}"), || {
            let ended = self.ended();
            async move { ended }
        })
        .await
    }

    /// Sends a signal by name, such as `TERM`, to this process alone.
    pub fn signal(&self, signal: &str) {
        signal_to(self.id(), signal);
    }
}

/// Sends a signal to one process, which may be gone.
fn signal_to(id: u32, signal: &str) {
    let sent = Command::new("kill")
        .args(["-s", signal, &id.to_string()])
        .stderr(Stdio::null())
        .status();
    drop(sent);
}

/// Whether a process of this id runs. One that has ended and waits for its parent does not.
#[must_use]
pub fn runs(id: u32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    state
        .rsplit(')')
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.log();
            let start = log.ceil_char_boundary(log.len().saturating_sub(LOG_BYTES_SHOWN));
            eprintln!("--- {} printed:\n{}---", self.name, &log[start..]);
        }
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        self.signal("TERM");
        let give_up = Instant::now() + STOP;
        while Instant::now() < give_up {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        // It ignored the request; the next two cannot be ignored.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
