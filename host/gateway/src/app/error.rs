//! Why a gateway does not start, and what to change.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use portcullis_sandbox::SandboxError;
use thiserror::Error;

use crate::config::ConfigError;
use crate::store::StoreError;
use crate::upstream::SetupError;

/// Why a gateway does not start.
#[derive(Debug, Error)]
pub enum AppError {
    /// A setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sandbox.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The client of upstreams.
    #[error(transparent)]
    Upstream(#[from] SetupError),
    /// A family of metrics registered twice: a defect.
    #[error("metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
    /// An address that cannot be listened on.
    #[error("{address} cannot be listened on ({}); free it, or choose another with `--{}`", source, setting.replace('_', "-"))]
    Bind {
        /// Which.
        address: SocketAddr,
        /// The setting that names it.
        setting: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The ready file.
    #[error("{} cannot be written; make the data folder writable, or choose another with `--data-dir`", path.display())]
    ReadyFile {
        /// Where.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The threads that serve connections.
    #[error(
        "the threads that serve connections cannot be started; lower `--worker-threads`, or raise the limits on threads and open files"
    )]
    Threads(#[source] io::Error),
    /// Signals.
    #[error("signals cannot be caught")]
    Signal(#[source] io::Error),
}
