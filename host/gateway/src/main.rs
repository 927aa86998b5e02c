//! The `portcullis` binary: arguments in, exit code out. Everything else is the library's.

use std::process::ExitCode;

use clap::Parser;
use portcullis_gateway::cli::Cli;

/// Many small allocations, freed on other threads: what the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    portcullis_gateway::cli::run(Cli::parse())
}
