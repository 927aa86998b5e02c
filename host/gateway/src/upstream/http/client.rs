//! The one HTTP client of the process: HTTP/1.1 and HTTP/2, plain and TLS, connections kept.
//!
//! Made by `Upstreams`. Connections belong to hosts, not to tenants: what tells tenants apart is sent with each request.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::upstream::limits::UpstreamLimits;

/// Pooled connections to any number of hosts.
pub(in crate::upstream) type Client =
    hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Makes the client.
///
/// # Errors
/// When the TLS library refuses its own defaults.
pub(in crate::upstream) fn build(limits: &UpstreamLimits) -> Result<Client, rustls::Error> {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(Duration::from_millis(limits.connect_timeout_ms)));
    tcp.set_keepalive(Some(Duration::from_millis(limits.connection_idle_ms)));
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls()?)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(tcp);
    Ok(
        hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_millis(limits.connection_idle_ms))
            .pool_max_idle_per_host(limits.connections_idle_max)
            .build(connector),
    )
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
