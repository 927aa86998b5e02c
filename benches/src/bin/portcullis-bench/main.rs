//! `portcullis-bench`: the whole walk, measured from outside.
//!
//! It starts an upstream, nginx and gateways, drives them in turn, prints a table and replaces its keys in
//! `target/bench/report.json`. It ends every process that it started, also when it is interrupted.

mod callers;
mod chain;
mod error;
mod gateway;
mod hostile;
mod http;
mod idle;
mod list;
mod machine;
mod nginx;
mod open_loop;
mod options;
mod process;
mod sessions;
mod swap;
mod table;
mod target;
mod upload;
mod upstream;
mod walk;
mod wrk;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use serde_json::{Map, Value};
use tokio::signal::unix::{SignalKind, signal};

use crate::error::BenchError;
use crate::options::{Options, Part, Tools};

const REAPING: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let options = Options::parse();
    if options.serve_upstream {
        return end(upstream::run());
    }
    end(run(&options))
}

fn end(outcome: Result<(), BenchError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = format!("portcullis-bench: {error}");
            let mut cause = std::error::Error::source(&error);
            while let Some(source) = cause {
                text = format!("{text}: {source}");
                cause = source.source();
            }
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), BenchError> {
    let tools = Tools::find(options)?;
    // One thread: the driver must leave the machine to what it measures.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| BenchError::io("the runtime did not start", source))?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())
            .map_err(|source| BenchError::io("signals cannot be received", source))?;
        // Whichever ends first: dropping the other drops, and so ends, its processes.
        let outcome = tokio::select! {
            measured = measure(options, &tools) => measured,
            _ = tokio::signal::ctrl_c() => Err(BenchError::Interrupted),
            _ = terminate.recv() => Err(BenchError::Interrupted),
        };
        // The runtime reaps a wrk that was killed a moment ago.
        tokio::time::sleep(REAPING).await;
        outcome
    })
}

async fn measure(options: &Options, tools: &Tools) -> Result<(), BenchError> {
    for part in options.parts() {
        let mut keys = Map::new();
        match part {
            Part::Walk => keys.extend(walk::run(options, tools).await?),
            Part::Idle => keys.extend(idle::run(tools).await?),
            Part::Upload => keys.extend(upload::run(options, tools).await?),
            Part::List => keys.extend([("list".to_owned(), list::run(options, tools).await?)]),
            Part::Sessions => {
                keys.extend([("sessions".to_owned(), sessions::run(options, tools).await?)])
            }
            Part::Swap => keys.extend([("swap".to_owned(), swap::run(options, tools).await?)]),
            Part::Hostile => {
                keys.extend([("hostile".to_owned(), hostile::run(options, tools).await?)])
            }
        }
        keys.insert("machine".to_owned(), machine::describe());
        keys.insert("quick".to_owned(), Value::Bool(options.quick));
        portcullis_benches::report::update(&tools.report, keys).map_err(|source| {
            BenchError::io(
                format!("{} cannot be written", tools.report.display()),
                source,
            )
        })?;
    }
    println!("written: {}", tools.report.display());
    Ok(())
}
