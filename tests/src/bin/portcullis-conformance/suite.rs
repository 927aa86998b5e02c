//! One run of the suite: its program, and what it says of each scenario.
//!
//! `scene` set up what it is sent to; `verdict` judges what comes back. Checks are counted as the suite counts them: by
//! its summary. The files that it writes say what failed and why, and must agree with that.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_tests::mcp::Era;
use portcullis_tests::places;
use serde_json::Value;
use tokio::process::Command;

mod summary;

use summary::Counted;

use crate::scene::Target;

/// Each scenario is ended by the suite itself after half a minute, and hardly any takes more than a second.
const SUITE_TIMEOUT_S: u64 = 900;
/// How long the suite gives a client, in milliseconds: it starts all of them at once.
const CLIENT_TIMEOUT_MS: &str = "120000";
/// Length of a time in the names of the suite's folders, such as `2026-07-28T12-00-00-000Z`.
const STAMP_LEN: usize = 24;

/// Why a run says nothing.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// Its program could not be run.
    #[error("the suite does not run")]
    Run(#[source] Error),
    /// It hung.
    #[error("the suite did not end in {SUITE_TIMEOUT_S} s")]
    Late(#[source] tokio::time::error::Elapsed),
    /// A file of a run.
    #[error("{}", path.display())]
    File { path: PathBuf, source: Error },
    /// A file of a run that the suite wrote.
    #[error("{}", path.display())]
    Checks {
        path: PathBuf,
        source: serde_json::Error,
    },
    /// It broke off.
    #[error("the suite printed no whole summary: see {}", .0.display())]
    NoSummary(PathBuf),
    /// The summary says something else than the files.
    #[error("the suite counts {summary} in its summary, and notes {noted} in its files")]
    Disagrees { summary: Counted, noted: Counted },
}

/// What came out of one scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// Checks that passed.
    pub passed: u32,
    /// Checks that failed.
    pub failed: u32,
    /// What the suite says of the failed ones.
    pub failures: Vec<Remark>,
    /// What it says of those that it did not make.
    pub left_out: Vec<Remark>,
    /// What it finds worth improving; it counts that as neither.
    pub warnings: Vec<Remark>,
}

/// What the suite says of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The check's name.
    pub check: String,
    /// Why it failed, was not made, or is not quite right.
    pub message: String,
}

/// Lets the suite test a server for clients of this era, or a client of this era, and leaves what it says in `folder`,
/// which is emptied before.
pub async fn run(target: &Target, era: Era, folder: &Path) -> Result<Vec<Scenario>, SuiteError> {
    let file = |source| SuiteError::File {
        path: folder.to_owned(),
        source,
    };
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(file)?;
    }
    std::fs::create_dir_all(folder).map_err(file)?;

    let [node, suite] = places::conformance_suite();
    let mut command = Command::new(node);
    command.arg(suite);
    match target {
        Target::Server(url) => command.args(["server", "--url", url]),
        Target::Client(under_test) => {
            let this = std::env::current_exe().map_err(SuiteError::Run)?;
            command
                .args(["client", "--timeout", CLIENT_TIMEOUT_MS, "--command"])
                .arg(format!("{} drive", this.display()))
                .envs(under_test.variables())
        }
    };
    command
        .args(["--requirements", era.revision(), "--output-dir"])
        .arg(folder)
        .kill_on_drop(true);
    let limit = Duration::from_secs(SUITE_TIMEOUT_S);
    let output = tokio::time::timeout(limit, command.output())
        .await
        .map_err(SuiteError::Late)?
        .map_err(SuiteError::Run)?;

    let printed = folder.join("output.txt");
    std::fs::write(&printed, [&output.stdout[..], &output.stderr].concat()).map_err(file)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let Some(counted) = summary::read(&text) else {
        return Err(SuiteError::NoSummary(printed));
    };
    let notes = notes(folder)?;
    counted
        .into_iter()
        .map(|counted| scenario(counted, &notes))
        .collect()
}

/// The checks that the suite noted, by scenario. Its folders are called `server-SCENARIO-STAMP`, or `SCENARIO-STAMP` for
/// clients, whose scenarios may have a slash in their names.
fn notes(folder: &Path) -> Result<BTreeMap<String, Vec<Value>>, SuiteError> {
    let mut notes = BTreeMap::new();
    note((folder, ""), &mut notes)?;
    Ok(notes)
}

fn note(
    (folder, above): (&Path, &str),
    notes: &mut BTreeMap<String, Vec<Value>>,
) -> Result<(), SuiteError> {
    let file = |source| SuiteError::File {
        path: folder.to_owned(),
        source,
    };
    for entry in std::fs::read_dir(folder).map_err(file)? {
        let path = entry.map_err(file)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let stampless = name.len().saturating_sub("-".len() + STAMP_LEN);
        let scenario = name.get(..stampless).filter(|name| !name.is_empty());
        let Some(scenario) = scenario else {
            if path.is_dir() {
                note((&path, &format!("{above}{name}/")), notes)?;
            }
            continue;
        };
        let scenario = scenario.strip_prefix("server-").unwrap_or(scenario);
        let scenario = format!("{above}{scenario}");
        let path = path.join("checks.json");
        let checks = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|source| SuiteError::Checks { path, source })?,
            // Of a scenario that broke off.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(source) => return Err(SuiteError::File { path, source }),
        };
        notes.insert(scenario, checks);
    }
    Ok(())
}

/// A scenario as its summary counts it, with what was noted about it.
fn scenario(
    summary: Counted,
    notes: &BTreeMap<String, Vec<Value>>,
) -> Result<Scenario, SuiteError> {
    let Some(checks) = notes.get(&summary.scenario) else {
        return Ok(Scenario {
            failures: vec![Remark {
                check: summary.scenario.clone(),
                message: "the suite could not run it, see output.txt".to_owned(),
            }],
            name: summary.scenario,
            passed: summary.passed,
            failed: summary.failed,
            left_out: Vec::new(),
            warnings: Vec::new(),
        });
    };
    let of = |status: &'static str| {
        checks
            .iter()
            .filter(move |check| text(check, "status") == status)
    };
    let failures: Vec<Remark> = of("FAILURE").map(remark).collect();
    let noted = Counted {
        scenario: summary.scenario.clone(),
        passed: u32::try_from(of("SUCCESS").count()).unwrap_or(u32::MAX),
        failed: u32::try_from(failures.len()).unwrap_or(u32::MAX),
    };
    // A client may say something more while the suite writes its files, and the summary counts that, too.
    let is_less = noted.failed == summary.failed && noted.passed <= summary.passed;
    if !is_less {
        return Err(SuiteError::Disagrees { summary, noted });
    }
    Ok(Scenario {
        left_out: of("SKIPPED").map(remark).collect(),
        warnings: of("WARNING").map(remark).collect(),
        name: summary.scenario,
        passed: summary.passed,
        failed: summary.failed,
        failures,
    })
}

fn remark(check: &Value) -> Remark {
    let note = check.pointer("/details/note").and_then(Value::as_str);
    let messages = [
        text(check, "errorMessage"),
        note.unwrap_or_default(),
        text(check, "description"),
    ];
    let message = messages.into_iter().find(|message| !message.is_empty());
    Remark {
        check: text(check, "id").to_owned(),
        message: message.unwrap_or_default().to_owned(),
    }
}

fn text<'a>(check: &'a Value, member: &str) -> &'a str {
    check
        .get(member)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_scenario_may_lie_in_a_folder_of_its_kind() {
        let folder = tempfile::tempdir().unwrap();
        let scenario = folder.path().join("auth/basic-2026-11-21T15-13-59-947Z");
        std::fs::create_dir_all(&scenario).unwrap();
        std::fs::write(scenario.join("checks.json"), "[]").unwrap();
        let noted: Vec<String> = notes(folder.path()).unwrap().into_keys().collect();
        assert_eq!(noted, ["auth/basic"]);
    }

    fn noted(checks: &Value) -> BTreeMap<String, Vec<Value>> {
        let folder = tempfile::tempdir().unwrap();
        let scenario = folder
            .path()
            .join("server-ping-pong-2026-11-21T15-13-59-947Z");
        std::fs::create_dir_all(&scenario).unwrap();
        std::fs::write(scenario.join("checks.json"), checks.to_string()).unwrap();
        std::fs::write(folder.path().join("output.txt"), "").unwrap();
        notes(folder.path()).unwrap()
    }

    fn counted(passed: u32, failed: u32) -> Counted {
        Counted {
            scenario: "ping-pong".to_owned(),
            passed,
            failed,
        }
    }

    #[test]
    fn a_scenario_tells_what_failed_and_what_was_left_out() {
        let notes = noted(&json!([
            { "id": "a", "status": "SUCCESS" },
            { "id": "b", "status": "FAILURE", "description": "It answers", "errorMessage": "no answer" },
            { "id": "c", "status": "INFO" },
            { "id": "e", "status": "WARNING", "errorMessage": "it could be better" },
            { "id": "d", "status": "SKIPPED", "description": "It waits", "details": { "note": "not yet" } },
        ]));
        let said = |check: &str, message: &str| Remark {
            check: check.to_owned(),
            message: message.to_owned(),
        };
        let want = Scenario {
            name: "ping-pong".to_owned(),
            passed: 1,
            failed: 1,
            failures: vec![said("b", "no answer")],
            left_out: vec![said("d", "not yet")],
            warnings: vec![said("e", "it could be better")],
        };
        assert_eq!(scenario(counted(1, 1), &notes).unwrap(), want);
        let later = scenario(counted(2, 1), &notes).unwrap();
        assert_eq!(later.passed, 2);
        let disagrees = scenario(counted(2, 0), &notes).unwrap_err().to_string();
        assert!(
            disagrees.contains("2 passed, 0 failed") && disagrees.contains("1 passed, 1 failed")
        );
    }

    #[test]
    fn a_scenario_that_broke_off_has_failed() {
        let broken = scenario(counted(0, 1), &BTreeMap::new()).unwrap();
        assert_eq!((broken.failed, broken.failures.len()), (1, 1));
    }
}
