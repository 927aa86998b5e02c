//! Processes that are measured: started with a log of their own, read through /proc, ended on drop.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::BenchError;

/// Linux counts CPU time in hundredths of a second for user space, on every architecture that Rust runs on.
const TICK_US: u64 = 10_000;
/// Lines of a log that explain a failure.
const LOG_LINES: usize = 8;
/// How long a process may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(3);

/// A running process and its children.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts a command; what it says goes to `NAME.log` in `folder`, and its standard output to the caller if `piped`.
    pub fn start(
        name: &str,
        folder: &Path,
        command: &mut Command,
        stdout: Stdio,
    ) -> Result<Self, BenchError> {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).map_err(|source| {
            BenchError::io(format!("{} cannot be made", log.display()), source)
        })?;
        let child = command
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(file)
            .spawn()
            .map_err(|source| BenchError::io(format!("{name} did not start"), source))?;
        Ok(Self {
            child,
            name: name.to_owned(),
            log,
        })
    }

    /// Its standard output, once, if it was piped.
    pub fn stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Fails with the end of its log when it is no longer there.
    pub fn check(&mut self) -> Result<(), BenchError> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                let log = self.log_end("");
                Err(BenchError::failed(format!(
                    "{} ended with {status}\n{log}",
                    self.name
                )))
            }
            Err(source) => Err(BenchError::io(
                format!("{} cannot be watched", self.name),
                source,
            )),
        }
    }

    /// The last lines that it logged with a text in them; every line has the empty one.
    pub fn log_end(&self, with: &str) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(with)).collect();
        let start = lines.len().saturating_sub(LOG_LINES);
        lines.get(start..).unwrap_or_default().join("\n")
    }

    /// CPU time that it and its children have used so far, in microseconds.
    pub fn cpu_us(&self) -> u64 {
        self.family().into_iter().filter_map(ticks).sum::<u64>() * TICK_US
    }

    /// Memory that it and its children hold, in bytes.
    pub fn rss_bytes(&self) -> u64 {
        self.family().into_iter().filter_map(rss_bytes).sum()
    }

    fn family(&self) -> Vec<u32> {
        let main = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{main}/task/{main}/children"))
            .unwrap_or_default();
        std::iter::once(main)
            .chain(
                children
                    .split_whitespace()
                    .filter_map(|pid| pid.parse().ok()),
            )
            .collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A polite end first: nginx's workers outlive a master that is killed.
        let asked = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        let until = Instant::now() + GRACE;
        while asked.is_ok() && Instant::now() < until {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(10)),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        // It did not listen. Whether this works cannot be told to anybody any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// utime and stime, the 14th and 15th field of /proc/PID/stat (proc(5)); the name before them may hold anything.
fn ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn rss_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_process_can_be_read() {
        assert!(rss_bytes(std::process::id()).unwrap() > 100_000);
        assert!(ticks(std::process::id()).is_some());
    }

    #[test]
    fn a_process_ends_with_its_handle() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = Process::start(
            "sleep",
            folder.path(),
            Command::new("sleep").arg("60"),
            Stdio::null(),
        )
        .unwrap();
        process.check().unwrap();
        let pid = process.child.id();
        drop(process);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}
