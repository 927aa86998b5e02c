//! The `portcullis` binary: arguments in, exit code out. Everything else is the library's.

use std::process::ExitCode;

use clap::Parser;
use portcullis_gateway::cli::Cli;

fn main() -> ExitCode {
    if let Some(code) = portcullis_gateway::compile_if_asked() {
        return code;
    }
    portcullis_gateway::cli::run(Cli::parse())
}
