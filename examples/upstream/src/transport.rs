//! How clients reach the server: Streamable HTTP (`http`) or the standard streams (`stdio`).
//!
//! Both carry the same handler. Neither knows a tool, except `sessions`, which drops the stream of one on purpose.

pub mod http;
mod sessions;
pub mod stdio;

use std::{net::SocketAddr, path::PathBuf};

/// Why the server could not be reached, or stopped being reachable.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}")]
    Bind {
        address: SocketAddr,
        source: std::io::Error,
    },
    /// The URL could not be announced.
    #[error("cannot write the ready file {}", path.display())]
    ReadyFile {
        path: PathBuf,
        source: std::io::Error,
    },
    /// The listener failed while serving.
    #[error("the HTTP server failed")]
    Serve(#[source] std::io::Error),
    /// The client's first message over stdio was not MCP.
    #[error("the client did not open a session")]
    Handshake(#[source] Box<rmcp::service::ServerInitializeError>),
    /// The task that served stdio ended abnormally.
    #[error("the session failed")]
    Session(#[source] tokio::task::JoinError),
}
