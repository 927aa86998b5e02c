//! `portcullis demo`: a gateway with everything to try it.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::{CliError, Output};

/// Where the demo listens and keeps its data.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Where clients connect.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4444")]
    pub listen: SocketAddr,
    /// Where the admin API is served.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4445")]
    pub admin_listen: SocketAddr,
    /// Folder for the demo's data [default: a fresh one, removed at the end].
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// Stop as soon as everything is ready, for scripts.
    #[arg(long)]
    pub exit_after_ready: bool,
}

pub(super) fn run(args: DemoArgs, output: Output) -> Result<(), CliError> {
    let _ = (args, output);
    Err(CliError::Usage(
        "this build has no demo: run `portcullis serve`".to_owned(),
    ))
}
