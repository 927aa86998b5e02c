//! The official conformance suite's client scenarios, with the gateway as the client.
//!
//! `portcullis-conformance-client` starts a gateway and runs the suite once for each revision; for every scenario the
//! suite starts this binary again, as `portcullis-conformance-client drive URL`, which puts the gateway in front of the
//! scenario's server and calls through it. Prints counts, writes them as JSON, and fails when a scored scenario does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a tool of tests stops with what it saw"
)]

mod consent;
mod drive;
mod scenario;
mod suite;

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use portcullis_tests::gateway::Gateway;
use portcullis_tests::mcp::{SESSION_REVISION, STATELESS_REVISION};

use drive::UnderTest;
use suite::Suite;

const HELP: &str = "\
usage: portcullis-conformance-client --suite FOLDER [--report FILE] [--scenario NAME] [REVISION...]

  --suite FOLDER    where @modelcontextprotocol/conformance is installed (its parent of node_modules)
  --report FILE     where counts are written as JSON
  --scenario NAME   one scenario alone, with everything that it checked
  REVISION          2025-11-25 and 2026-07-28 where none is given";

#[tokio::main]
async fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (mut suite, mut report, mut scenario, mut revisions) = (None, None, None, Vec::new());
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "drive" => return drive::run(&args.next().expect("the URL of a scenario")).await,
            "--suite" => suite = args.next().map(PathBuf::from),
            "--report" => report = args.next().map(PathBuf::from),
            "--scenario" => scenario = args.next(),
            revision if !revision.starts_with('-') => revisions.push(revision.to_owned()),
            _ => {
                eprintln!("{HELP}");
                return ExitCode::from(2);
            }
        }
    }
    let Some(folder) = suite else {
        eprintln!("{HELP}");
        return ExitCode::from(2);
    };
    if revisions.is_empty() {
        revisions = vec![SESSION_REVISION.to_owned(), STATELESS_REVISION.to_owned()];
    }
    let gateway = Gateway::with(&["--log-level", "debug"]).await;
    let suite = Suite::new(&folder, &UnderTest::of(&gateway));
    let mut counts = Vec::new();
    for revision in &revisions {
        counts.push(suite.run(revision, scenario.as_deref()));
    }
    if let Some(report) = report {
        let revisions: Vec<Value> = counts.iter().map(suite::Counts::report).collect();
        let text = format!("{:#}\n", json!({ "client": revisions }));
        std::fs::write(&report, text).expect("the report can be written");
        println!("written to {}", report.display());
    }
    if let Some(log) = std::env::var_os("PORTCULLIS_CONFORMANCE_LOG") {
        let lines = gateway.log().into_iter().map(|line| format!("{line}\n"));
        std::fs::write(log, lines.collect::<String>()).expect("the log can be written");
    }
    let is_failed = counts.iter().any(suite::Counts::is_failed);
    ExitCode::from(u8::from(is_failed))
}
