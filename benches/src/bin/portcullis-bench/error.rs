//! Why a benchmark gave no result.

use thiserror::Error;

/// Why a benchmark gave no result. A run with errors is an error, never a number.
#[derive(Debug, Error)]
pub enum BenchError {
    /// A file, a process or a socket.
    #[error("{what}")]
    Io {
        /// What could not be done.
        what: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// An HTTP exchange that broke off.
    #[error("{what}")]
    Http {
        /// Which one.
        what: String,
        /// hyper's reason.
        source: hyper::Error,
    },
    /// Something is not as it has to be.
    #[error("{0}")]
    Failed(String),
    /// The user does not want to wait.
    #[error("interrupted")]
    Interrupted,
}

impl BenchError {
    /// With what could not be done.
    pub fn io(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io {
            what: what.into(),
            source,
        }
    }

    /// With which exchange it was.
    pub fn http(what: impl Into<String>, source: hyper::Error) -> Self {
        Self::Http {
            what: what.into(),
            source,
        }
    }

    /// With what is wrong.
    pub fn failed(what: impl Into<String>) -> Self {
        Self::Failed(what.into())
    }
}
