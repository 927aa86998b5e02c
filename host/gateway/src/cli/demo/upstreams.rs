//! The demo's MCP servers: real processes, started before the gateway and ended after it.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::error::DemoError;

/// A server of the demo opens its port within milliseconds; a machine under load needs longer.
const START_TIMEOUT_MS: u64 = 20_000;
const LOG_LINES_SHOWN: usize = 10;

/// A server that runs.
#[derive(Debug)]
pub(super) struct Upstream {
    /// Its name in the tenant, and in `whoami`.
    pub(super) name: &'static str,
    /// Where it speaks MCP.
    pub(super) url: String,
    /// The process.
    pub(super) pid: u32,
    child: Child,
}

impl Upstream {
    /// Starts a server on a free port and waits until it says which. Dropped, it is killed.
    pub(super) async fn start(
        program: &Path,
        name: &'static str,
        logs: &Path,
    ) -> Result<Self, DemoError> {
        let log = logs.join(format!("{name}.log"));
        let errors = File::create(&log).map_err(|source| DemoError::File {
            path: log.clone(),
            source,
        })?;
        let mut child = Command::new(program)
            .args(["--name", name])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| DemoError::UpstreamStart {
                program: program.to_owned(),
                source,
            })?;
        let url = Self::url(&mut child).await;
        match (url, child.id()) {
            (Some(url), Some(pid)) => Ok(Self {
                name,
                url,
                pid,
                child,
            }),
            (Some(_) | None, _) => Err(DemoError::UpstreamSilent {
                name,
                log: tail(&log),
            }),
        }
    }

    /// The one line on its standard output.
    async fn url(child: &mut Child) -> Option<String> {
        let mut lines = BufReader::new(child.stdout.take()?).lines();
        let line = tokio::time::timeout(Duration::from_millis(START_TIMEOUT_MS), lines.next_line());
        line.await
            .ok()?
            .ok()?
            .filter(|line| line.starts_with("http://"))
    }

    /// Ends the process and waits for it: it holds nothing that would have to be saved.
    pub(super) async fn stop(mut self) {
        // It may have ended by itself, with the terminal's Ctrl-C.
        let _ = self.child.kill().await;
    }
}

/// The end of a log, since the folder that it is in may go before anybody reads it.
fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(LOG_LINES_SHOWN).collect();
    if lines.is_empty() {
        return "it logged nothing".to_owned();
    }
    let lines: Vec<&str> = lines.into_iter().rev().collect();
    format!("its log ends with:\n{}", lines.join("\n"))
}
