//! Connections: bounded in number, HTTP/1.1 and HTTP/2, drained at shutdown.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::pipeline::Pipeline;

use super::eager::Eager;
use super::http::{Client, respond};
use super::websocket::Handover;
use super::workers::Workers;

/// Bounds on connections.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Most open connections; further ones wait in the kernel's queue.
    pub connections_max: usize,
    /// Most bytes of a request's headers.
    pub header_bytes_max: usize,
    /// How long requests may go on after shutdown begins.
    pub drain: Duration,
}

/// How long a client may take to send its headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// hyper's least buffer.
const BUFFER_BYTES_MIN: usize = 8 << 10;

/// Accepts until `stop`, then lets connections finish what they began.
pub async fn serve(
    listener: TcpListener,
    pipeline: Arc<Pipeline>,
    workers: Arc<Workers>,
    bounds: Bounds,
    stop: CancellationToken,
) {
    let graceful = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(
        bounds.connections_max.min(Semaphore::MAX_PERMITS),
    ));
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(bounds.header_bytes_max.max(BUFFER_BYTES_MIN))
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(bounds.header_bytes_max).unwrap_or(u32::MAX));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = admit(&listener, &slots) => accepted,
        };
        let Some((stream, peer, slot)) = accepted else {
            continue;
        };
        let handover = Handover::default();
        let client = Arc::new(Client {
            peer,
            handover: handover.clone(),
        });
        let service_pipeline = Arc::clone(&pipeline);
        let service = service_fn(move |request| {
            let (pipeline, client) = (Arc::clone(&service_pipeline), Arc::clone(&client));
            async move { Ok::<_, Infallible>(respond(&pipeline, request, &client).await) }
        });
        let (server, watcher) = (server.clone(), graceful.watcher());
        let open = pipeline.metrics().connections.clone();
        open.inc();
        workers.spawn(async move {
            match TcpStream::from_std(stream) {
                Ok(stream) => {
                    let io = TokioIo::new(stream);
                    let connection = server.serve_connection_with_upgrades(io, service);
                    if let Err(err) = Eager::new(watcher.watch(connection.into_owned())).await {
                        debug!(%peer, error = %err, "a connection ended badly");
                    }
                    if let Some(socket) = handover.take() {
                        Eager::new(socket.run()).await;
                    }
                }
                Err(err) => warn!(%peer, error = %err, "a connection could not be served"),
            }
            open.dec();
            drop(slot);
        });
    }
    drop(listener);
    let drained = tokio::time::timeout(bounds.drain, async {
        graceful.shutdown().await;
        workers.drained().await;
    });
    if drained.await.is_err() {
        warn!(
            connections = workers.open(),
            "requests were still under way when the drain timeout ended"
        );
    }
}

async fn admit(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(std::net::TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    let accepted = listener.accept().await.and_then(|(stream, peer)| {
        if let Err(err) = stream.set_nodelay(true) {
            debug!(%peer, error = %err, "TCP_NODELAY could not be set");
        }
        // Another thread's runtime takes it over.
        Ok((stream.into_std()?, peer))
    });
    match accepted {
        Ok((stream, peer)) => Some((stream, peer, slot)),
        Err(err) => {
            warn!(error = %err, "a connection could not be accepted");
            // Out of file descriptors is the usual reason; waiting lets some close.
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}
