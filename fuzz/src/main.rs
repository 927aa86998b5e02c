//! `portcullis-fuzz`: what strangers hand in, made up at random, against the code that reads it.
//!
//! A target takes one input after the other, each made from a seed and a number alone, so that a finding is repeated by
//! its number. `run` drives a target and tells what it finds: a panic, an answer that is wrong, an input that takes too
//! long, memory that stays. It needs no instrumented build: inputs begin as valid ones and are bent a little.

mod edits;
mod json;
mod lifting;
mod mutate;
mod random;
mod run;
mod stage;
mod upload;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use run::{Plan, Target};

/// What is fuzzed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// Validation of uploads: components that were bent.
    Upload,
    /// Lifting of what guests answer: memory that was bent.
    Lifting,
    /// Edits of JSON text, held against those of a parsed document.
    Edits,
}

/// Fuzzes what reads strangers' bytes; ends with the first finding.
#[derive(Debug, Parser)]
#[command(name = "portcullis-fuzz", version)]
struct Options {
    /// For how long, each target
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// One target alone
    #[arg(long)]
    target: Option<Name>,
    /// What inputs are made from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Begins with this input: the number that a finding names
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Ends after this many inputs, if time allows
    #[arg(long, default_value_t = u64::MAX)]
    inputs: u64,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let plan = Plan {
        time: Duration::from_secs(options.seconds),
        seed: options.seed,
        from: options.from,
        inputs: options.inputs,
    };
    for name in Name::value_variants() {
        if options.target.is_some_and(|wanted| wanted != *name) {
            continue;
        }
        match target(*name).and_then(|mut target| run::run(target.as_mut(), plan)) {
            Ok(tally) => println!("{tally}"),
            Err(finding) => {
                eprintln!("portcullis-fuzz: {finding}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn target(name: Name) -> Result<Box<dyn Target>, String> {
    Ok(match name {
        Name::Upload => Box::new(upload::Uploads::new()?),
        Name::Lifting => Box::new(lifting::Answers::new()?),
        Name::Edits => Box::new(edits::Edits),
    })
}
