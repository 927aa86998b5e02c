//! MCP over standard input and output: one client, one line a message.
//!
//! `main` starts it. The era belongs to the process: rmcp decides it by the first message that is not a probe.
//! Nothing else may write to standard output.

use std::sync::Arc;

use rmcp::{ServiceExt as _, service::ServerInitializeError, transport::stdio_pipes};
use tokio_util::sync::CancellationToken;

use super::TransportError;
use crate::server::{Shared, Upstream};

/// Serves until the client closes standard input, or `stop`.
///
/// # Errors
///
/// When the first message is not MCP, or the session's task fails.
pub async fn serve(shared: Arc<Shared>, stop: CancellationToken) -> Result<(), TransportError> {
    let session = match Upstream::new(shared)
        .serve_with_ct(stdio_pipes(), stop)
        .await
    {
        Ok(session) => session,
        // A client that only probed, or changed its mind, closes its end: nothing went wrong.
        Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => {
            return Ok(());
        }
        Err(error) => return Err(TransportError::Handshake(Box::new(error))),
    };
    session.waiting().await.map_err(TransportError::Session)?;
    Ok(())
}
