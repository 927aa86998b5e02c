//! Why the demo cannot run, each with what to do about it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

use crate::app::AppError;

use super::super::client::ClientError;

/// Why the demo cannot run.
#[derive(Debug, Error)]
pub(super) enum DemoError {
    /// Somebody else listens there.
    #[error(
        "{flag} {address}: {source}. Choose another with {flag} ADDRESS:PORT; port 0 takes a free one"
    )]
    Port {
        flag: &'static str,
        address: SocketAddr,
        source: io::Error,
    },
    /// One port for both listeners.
    #[error("--listen and --admin-listen are both {address}: give the admin API a port of its own")]
    SamePort { address: SocketAddr },
    /// The demo's MCP server is not built.
    #[error("{} is not there: `make run` builds it. Elsewhere, name it with --example-upstream", .path.display())]
    NoUpstream { path: PathBuf },
    /// The policies are not built.
    #[error("{} is not there: `make guests` builds the policies. Elsewhere, name their folder with --plugins-dir", .path.display())]
    NoPlugin { path: PathBuf },
    /// The demo's MCP server does not start.
    #[error("{} does not start: {source}", .program.display())]
    UpstreamStart { program: PathBuf, source: io::Error },
    /// The demo's MCP server started, and never said where it listens.
    #[error("the upstream {name} did not say where it listens; {log}")]
    UpstreamSilent { name: &'static str, log: String },
    /// A file of the data folder.
    #[error("{}: {source}. Another data folder goes in --data-dir", .path.display())]
    File { path: PathBuf, source: io::Error },
    /// A caller's token.
    #[error("a token for the demo cannot be signed: {source}")]
    Token { source: jsonwebtoken::errors::Error },
    /// The gateway itself.
    #[error("the gateway does not start: {source}")]
    Gateway { source: Box<AppError> },
    /// Its admin API refused what the demo sent.
    #[error("{what}: {source}")]
    Refused { what: String, source: ClientError },
    /// A document that is built into the demo.
    #[error("the chain of {tenant} is no JSON: {source}")]
    Chain {
        tenant: &'static str,
        source: serde_json::Error,
    },
}
