//! One run of the `portcullis` command.

use std::path::Path;
use std::process::Output;

use serde_json::Value;
use tokio::process::Command;

use crate::places;
use crate::wait;

/// What a run printed, and how it ended.
#[derive(Debug)]
pub struct Run {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Run {
    /// Standard output as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Code and both streams: what a person sees.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("exit {}\n{}{}", self.code, self.out, self.err)
    }
}

/// Runs `portcullis` with these arguments in a folder, with nothing of the test's environment but `PATH` and `HOME`.
///
/// # Panics
/// When it cannot be started or does not end.
pub async fn portcullis(folder: &Path, arguments: &[&str]) -> Run {
    let mut command = Command::new(places::portcullis());
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .kill_on_drop(true);
    for name in ["PATH", "HOME"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    let what = format!("portcullis {}", arguments.join(" "));
    let Output {
        status,
        stdout,
        stderr,
    } = wait::at_most(&what, command.output())
        .await
        .expect("portcullis runs");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Run {
        code: status.code().unwrap_or(-1),
        out: text(stdout),
        err: text(stderr),
    }
}
