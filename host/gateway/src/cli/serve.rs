//! `portcullis serve`: settings from file, environment and flags, then the gateway until it is told to stop.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::config::{self, Environment, LogFormat, LogLevel, RawLog, RawSettings};

use super::CliError;

const EXAMPLES: &str = "\
Examples:
  portcullis serve
      Loopback listeners on ports 4444 and 4445, SQLite in ./portcullis-data; the admin token is made at the
      first start and kept in ./portcullis-data/admin-token.
  portcullis serve --config portcullis.yaml --log-format text
      Settings from a file; portcullis check --print-defaults prints one with every key.
  PORTCULLIS_LIMITS_BODY_BYTES_MAX=1048576 portcullis serve
      Every key has a variable. Flags go over variables, and variables over the file.

It stops at SIGTERM or SIGINT: no new requests, and those in flight get drain_timeout_s to end.";

/// Settings that are set by flags, over file and environment.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ServeArgs {
    /// Settings file (YAML).
    #[arg(long, short, env = "PORTCULLIS_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where clients connect [default: 127.0.0.1:4444].
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Where the admin API is served [default: 127.0.0.1:4445].
    #[arg(long, value_name = "ADDRESS:PORT")]
    admin_listen: Option<SocketAddr>,
    /// Folder of the store, of compiled plugins and of the admin token [default: ./portcullis-data].
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Form of log lines [default: json].
    #[arg(long, value_enum)]
    log_format: Option<LogFormat>,
    /// Least severity that is logged [default: info].
    #[arg(long, value_enum)]
    log_level: Option<LogLevel>,
    /// Origin of a web page that may call the gateway; can be repeated.
    #[arg(long = "allowed-origin", value_name = "ORIGIN")]
    allowed_origins: Vec<String>,
    /// Server that /mcp means when no server claims the request's host.
    #[arg(long, value_name = "SERVER")]
    default_server: Option<String>,
    /// How long requests in flight may go on at shutdown, in seconds [default: 30].
    #[arg(long, value_name = "SECONDS")]
    drain_timeout_s: Option<u64>,
    /// Threads that serve connections; each connection stays on one [default: one for each processor].
    #[arg(long, value_name = "COUNT")]
    worker_threads: Option<u64>,
}

pub(super) fn run(args: ServeArgs) -> Result<(), CliError> {
    let file = args.config.clone();
    let loaded = config::load(file.as_deref(), &Environment::of_process(), args.into())?;
    for warning in &loaded.warnings {
        eprintln!("portcullis: {warning}");
    }
    let runtime = runtime()?;
    runtime
        .block_on(crate::app::serve(loaded.settings))
        .map_err(|error| CliError::Gateway(error.into()))
}

/// For the admin API and for what runs beside the traffic; connections have threads of their own.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("portcullis")
        .enable_all()
        .build()
        .map_err(|source| CliError::Runtime { source })
}

impl From<ServeArgs> for RawSettings {
    fn from(args: ServeArgs) -> Self {
        Self {
            listen: args.listen,
            admin_listen: args.admin_listen,
            data_dir: args.data_dir,
            log: RawLog {
                format: args.log_format,
                level: args.log_level,
            },
            allowed_origins: if args.allowed_origins.is_empty() {
                None
            } else {
                Some(args.allowed_origins)
            },
            default_server: args.default_server,
            drain_timeout_s: args.drain_timeout_s,
            worker_threads: args.worker_threads,
            ..Self::default()
        }
    }
}
