//! The `example-upstream` binary: reads the command line, then serves MCP until it is told to stop.
//!
//! Nothing is decided here. `options` says what was asked for, `server` answers MCP, `transport` carries it.
//! Standard output belongs to the transport (the URL over HTTP, the protocol over stdio): logs go to standard error.

mod changes;
mod demo;
mod fixtures;
mod inputs;
mod logs;
mod options;
mod paging;
mod prompts;
mod resources;
mod server;
mod transport;

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Parser as _;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing_subscriber::EnvFilter;

use crate::{options::Options, server::Shared};

/// Standard input may sit in a blocking read that only its peer can end: the process does not wait longer for it.
const RUNTIME_STOP_MS: u64 = 200;

fn main() -> ExitCode {
    let options = Options::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(EnvFilter::new(&options.log))
        .init();
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("example-upstream: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the async runtime did not start")?;
    let served = runtime.block_on(serve(options));
    runtime.shutdown_timeout(Duration::from_millis(RUNTIME_STOP_MS));
    served
}

async fn serve(options: Options) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    tasks.spawn(stop_on_signal(stop.clone()));

    let shared = Shared::new(&options, stop.clone())?;
    if options.stdio {
        transport::stdio::serve(shared, stop).await?;
    } else {
        transport::http::serve(shared, &options, stop).await?;
    }
    Ok(())
}

async fn stop_on_signal(stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};

    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    stop.cancel();
}
