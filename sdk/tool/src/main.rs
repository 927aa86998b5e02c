//! `portcullis-guest`: what stands between a compiled guest and a component that a gateway admits.
//!
//! Before it: `cargo build --target wasm32-unknown-unknown`. After it: `portcullis plugin push`.
//! It never compiles Rust and never talks to a gateway.

mod bindings;
mod componentize;
mod error;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::Error;

/// Builds policy components, and the bindings that they are written against.
#[derive(Parser)]
#[command(name = "portcullis-guest", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  cargo build --release --target wasm32-unknown-unknown
  portcullis-guest componentize target/wasm32-unknown-unknown/release/my_policy.wasm -o my-policy.wasm
  portcullis-guest bindings --check";

#[derive(Subcommand)]
enum Command {
    /// Turn a core module built with an SDK into a component, and say what it exports and imports.
    ///
    /// The module carries the description of its world in custom sections that the SDK's `export!` macro leaves there.
    /// A module that imports anything but `portcullis:policy` is refused: it was built for another
    /// target. What compilers for `wasm32-wasip2` make is a component already.
    Componentize {
        /// The core module, as the linker wrote it.
        core: PathBuf,
        /// Where the component goes. It is replaced in one step.
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Regenerate the Rust SDK's bindings from the contract in `wit/`.
    ///
    /// They are checked in, so that a guest builds in seconds and without a code generator.
    Bindings {
        /// Write nothing; fail when the checked-in file is not what the contract gives.
        #[arg(long)]
        check: bool,
        /// The folder of the contract.
        #[arg(long, value_name = "DIR", default_value = "wit")]
        wit: PathBuf,
        /// The file that holds the bindings.
        #[arg(long, value_name = "FILE", default_value = "sdk/rust/src/bindings.rs")]
        output: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("portcullis-guest: {}", with_sources(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Componentize { core, output } => {
            let summary = componentize::componentize(&core, &output)?;
            println!("{}: {summary}", output.display());
            Ok(())
        }
        Command::Bindings {
            check: true,
            wit,
            output,
        } => bindings::check(&wit, &output),
        Command::Bindings {
            check: false,
            wit,
            output,
        } => bindings::write(&wit, &output),
    }
}

/// An error and what caused it, in one line.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
