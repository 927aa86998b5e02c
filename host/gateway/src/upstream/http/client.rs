//! The HTTP clients: plain HTTP/1.1 on connections that an upstream keeps, and HTTP/1.1 or 2 by TLS.
//!
//! Made by `Upstreams`, used by `wire`. Which of them serves an upstream is decided by its URL, once.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri, uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::pool::{Pool, PooledBody};
use crate::upstream::limits::UpstreamLimits;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no response.
#[derive(Debug)]
pub(in crate::upstream) enum SendError {
    /// No connection: nothing was sent.
    Connect(Cause),
    /// The connection ended before the response.
    Interrupted(Cause),
}

impl SendError {
    fn of(error: legacy::Error) -> Self {
        if error.is_connect() {
            Self::Connect(error.into())
        } else {
            Self::Interrupted(error.into())
        }
    }
}

/// What all upstreams share.
#[derive(Debug, Clone)]
pub(in crate::upstream) struct Client {
    tcp: HttpConnector,
    tls: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// For servers that are asked once in a while; it keeps no connection.
    any: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    idle_max: usize,
    idle_for: Duration,
    /// Looks after idle connections until it is to stop; nobody has to wait for it.
    sweeps: TaskTracker,
    stop: CancellationToken,
}

/// The way to one URL.
#[derive(Debug, Clone)]
pub(super) enum Line {
    /// HTTP/1.1 without TLS.
    Plain(Arc<Pool>),
    /// HTTP/1.1 or 2, as the handshake settles. Connections belong to hosts, not to tenants: what tells tenants apart
    /// is sent with each request.
    Tls(Box<legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>>),
}

/// The body of a response.
#[derive(Debug)]
pub(in crate::upstream) enum ResponseBody {
    /// On a connection of the upstream's own.
    Pooled(PooledBody),
    /// On a connection that a task of its own drives.
    Driven(Incoming),
}

impl Client {
    /// Makes the client; nobody looks after its connections once it is to `stop`.
    ///
    /// # Errors
    /// When the TLS library refuses its own defaults.
    pub(in crate::upstream) fn new(
        limits: &UpstreamLimits,
        stop: CancellationToken,
    ) -> Result<Self, rustls::Error> {
        let (idle_max, idle_for) = (
            limits.connections_idle_max,
            Duration::from_millis(limits.connection_idle_ms),
        );
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(Duration::from_millis(limits.connect_timeout_ms)));
        tcp.set_keepalive(Some(idle_for));
        let config = tls()?;
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config.clone())
            .https_only()
            .enable_all_versions()
            .wrap_connector(tcp.clone());
        let any = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp.clone());
        let any = legacy::Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(any);
        let tls = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(idle_for)
            .pool_max_idle_per_host(idle_max)
            .build(connector);
        Ok(Self {
            tcp,
            tls,
            any,
            idle_max,
            idle_for,
            sweeps: TaskTracker::new(),
            stop,
        })
    }

    /// Sends a request to any server; answers when the head of the response is there.
    pub(in crate::upstream) async fn ask(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, SendError> {
        Box::pin(self.any.request(request))
            .await
            .map_err(SendError::of)
    }

    /// The way to `uri`, and the URI that requests on it carry.
    pub(super) fn line(&self, uri: Uri) -> (Line, Uri) {
        if uri.scheme() != Some(&uri::Scheme::HTTP) {
            return (Line::Tls(Box::new(self.tls.clone())), uri);
        }
        // RFC 9112, section 3.2.1: to a server, only the path is sent.
        let path = uri
            .path_and_query()
            .map_or_else(|| Uri::from_static("/"), |path| Uri::from(path.clone()));
        let keep = (self.idle_max, self.idle_for);
        let pool = Pool::new(
            (self.tcp.clone(), uri),
            keep,
            (self.sweeps.clone(), self.stop.clone()),
        );
        (Line::Plain(Arc::new(pool)), path)
    }
}

impl Line {
    /// Sends a request; answers when the head of the response is there.
    pub(super) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<ResponseBody>, SendError> {
        match self {
            Self::Plain(pool) => {
                let response = pool.send(request).await?;
                Ok(response.map(ResponseBody::Pooled))
            }
            Self::Tls(client) => match Box::pin(client.request(request)).await {
                Ok(response) => Ok(response.map(ResponseBody::Driven)),
                Err(error) => Err(SendError::of(error)),
            },
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Pooled(body) => Pin::new(body).poll_frame(cx),
            Self::Driven(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Pooled(body) => body.is_end_stream(),
            Self::Driven(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Pooled(body) => body.size_hint(),
            Self::Driven(body) => body.size_hint(),
        }
    }
}

/// The machine's own roots. Without any, plain HTTP upstreams still work, and TLS ones fail by name.
fn tls() -> Result<ClientConfig, rustls::Error> {
    let versions = || {
        ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
    };
    let builder = match versions()?.with_native_roots() {
        Ok(builder) => builder,
        Err(error) => {
            tracing::warn!(%error, "no TLS roots on this machine: upstreams by https cannot be verified");
            versions()?.with_root_certificates(RootCertStore::empty())
        }
    };
    Ok(builder.with_no_client_auth())
}
