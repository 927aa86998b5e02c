//! Streamable HTTP at `/mcp`, for both eras on one address, unless one of them was chosen.
//!
//! `main` starts it; rmcp's service reads and answers the requests. Only loopback names are accepted in `Host`
//! and `Origin`, so that a web page cannot reach a server that listens on its reader's machine.

use std::{io::Write as _, path::Path, sync::Arc, time::Duration};

use axum::{Router, serve::ListenerExt as _};
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{TransportError, sessions::Sessions};
use crate::{
    options::Options,
    server::{Shared, Upstream},
};

const LOOPBACK_ORIGINS: [&str; 6] = [
    "http://localhost:*",
    "http://127.0.0.1:*",
    "http://[::1]:*",
    "https://localhost:*",
    "https://127.0.0.1:*",
    "https://[::1]:*",
];
/// Calls in flight may end by themselves for this long after the signal to stop.
const DRAIN_MS: u64 = 2_000;

/// Serves until `stop`, then lets calls in flight end.
///
/// # Errors
///
/// When the address cannot be bound, the ready file cannot be written, or the listener fails.
pub async fn serve(
    shared: Arc<Shared>,
    options: &Options,
    stop: CancellationToken,
) -> Result<(), TransportError> {
    let bind = |source| TransportError::Bind {
        address: options.listen,
        source,
    };
    let listener = tokio::net::TcpListener::bind(options.listen)
        .await
        .map_err(bind)?;
    let url = format!("http://{}/mcp", listener.local_addr().map_err(bind)?);
    let listener = listener.tap_io(|stream| {
        // Replies are small and already whole: waiting to fill a segment only adds latency.
        let _ = stream.set_nodelay(true);
    });

    let config = StreamableHttpServerConfig::default()
        .with_allowed_origins(LOOPBACK_ORIGINS)
        .with_legacy_session_mode(options.era.has_sessions() && !options.json)
        .with_stateless_protocol_metadata_required(!options.era.has_sessions())
        .with_json_response(options.json)
        .with_cancellation_token(stop.child_token());
    let service = StreamableHttpService::new(
        move || Ok(Upstream::new(shared.clone())),
        Arc::new(Sessions::default()),
        config,
    );
    let router = Router::new().route_service("/mcp", service);

    announce(&url, options.ready_file.as_deref())?;
    let served =
        axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::select! {
        served = served.into_future() => served.map_err(TransportError::Serve),
        () = drained(&stop) => Ok(()),
    }
}

async fn drained(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(Duration::from_millis(DRAIN_MS)).await;
}

/// Prints the URL, then writes it to the ready file: whole or not at all, since someone polls for it.
fn announce(url: &str, ready_file: Option<&Path>) -> Result<(), TransportError> {
    // Nobody may be reading; that is no reason not to serve.
    let _ = writeln!(std::io::stdout(), "{url}");
    let Some(path) = ready_file else {
        return Ok(());
    };
    let partial = path.with_extension("partial");
    std::fs::write(&partial, json!({ "url": url }).to_string())
        .and_then(|()| std::fs::rename(&partial, path))
        .map_err(|source| TransportError::ReadyFile {
            path: path.to_owned(),
            source,
        })
}
