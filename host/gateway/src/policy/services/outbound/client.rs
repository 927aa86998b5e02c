//! The connections of one binding: names are resolved, looked at, and only then connected to.

use std::error::Error;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use portcullis_sandbox::{HttpError, HttpResponse};
use thiserror::Error;
use tower_service::Service;

use crate::model::Network;

use super::address;

const IDLE_PER_HOST_MAX: usize = 8;
const IDLE_MAX: Duration = Duration::from_secs(30);

type Plain = legacy::Client<HttpConnector<Checked>, Full<Bytes>>;
type Https = legacy::Client<HttpsConnector<HttpConnector<Checked>>, Full<Bytes>>;

/// Keeps connections between requests. They were looked at when they were made, and are no other binding's.
#[derive(Clone)]
pub(super) struct Client {
    resolver: Checked,
    plain: Plain,
    /// Made with the first `https` request: reading the root certificates costs time and memory.
    https: Arc<OnceLock<Https>>,
    tls: Arc<OnceLock<rustls::ClientConfig>>,
}

impl Client {
    pub(super) fn new(networks: &[Network], tls: Arc<OnceLock<rustls::ClientConfig>>) -> Self {
        let resolver = Checked {
            resolver: GaiResolver::new(),
            networks: networks.into(),
        };
        Self {
            plain: client(HttpConnector::new_with_resolver(resolver.clone())),
            https: Arc::default(),
            resolver,
            tls,
        }
    }

    /// Sends a request that was checked, and takes the whole response.
    pub(super) async fn send(
        &self,
        request: Request<Full<Bytes>>,
        bytes_max: usize,
    ) -> Result<HttpResponse, HttpError> {
        let response = match request.uri().scheme_str() {
            Some("https") => self.https()?.request(request).await,
            Some(_) | None => self.plain.request(request).await,
        };
        whole(response.map_err(|err| failed(&err))?, bytes_max).await
    }

    fn https(&self) -> Result<&Https, HttpError> {
        if let Some(https) = self.https.get() {
            return Ok(https);
        }
        let mut connector = HttpConnector::new_with_resolver(self.resolver.clone());
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(self.tls()?)
            .https_only()
            .enable_http1()
            .wrap_connector(connector);
        Ok(self.https.get_or_init(|| client(connector)))
    }

    fn tls(&self) -> Result<rustls::ClientConfig, HttpError> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls.clone());
        }
        let broken = |why: String| HttpError::Unreachable(why);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|err| broken(err.to_string()))?
            .with_native_roots()
            .map_err(|err| broken(format!("no root certificates: {err}")))?
            .with_no_client_auth();
        Ok(self.tls.get_or_init(|| config).clone())
    }
}

fn client<C: Connect + Clone>(connector: C) -> legacy::Client<C, Full<Bytes>> {
    legacy::Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
        .pool_idle_timeout(IDLE_MAX)
        .pool_timer(TokioTimer::new())
        .build(connector)
}

/// Every address of a name may be connected to, or none is.
#[derive(Clone)]
struct Checked {
    resolver: GaiResolver,
    networks: Arc<[Network]>,
}

/// An address that may not be connected to.
#[derive(Debug, Error)]
#[error("{0}")]
struct Refused(String);

type BoxError = Box<dyn Error + Send + Sync>;

impl Service<Name> for Checked {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.resolver.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolved = self.resolver.call(name.clone());
        let networks = Arc::clone(&self.networks);
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = resolved.await?.collect();
            let refused = |at: &SocketAddr| address::refused(at.ip(), &networks);
            match addresses.iter().find_map(refused) {
                Some(why) => Err(Refused(format!("{name} leads to {why}")).into()),
                None => Ok(addresses.into_iter()),
            }
        })
    }
}

async fn whole(response: Response<Incoming>, bytes_max: usize) -> Result<HttpResponse, HttpError> {
    let (head, body) = response.into_parts();
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > bytes_max {
        return Err(HttpError::TooLarge);
    }
    let body = Limited::new(body, bytes_max).collect().await;
    let body = body.map_err(|err| match err.is::<LengthLimitError>() {
        true => HttpError::TooLarge,
        false => HttpError::Broken(innermost(err.as_ref())),
    })?;
    let headers = head.headers.iter().filter_map(|(name, value)| {
        let value = value.to_str().ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    });
    Ok(HttpResponse {
        status: head.status.as_u16(),
        headers: headers.collect(),
        body: body.to_bytes().into(),
    })
}

fn failed(err: &legacy::Error) -> HttpError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(err);
    while let Some(error) = cause {
        if let Some(Refused(why)) = error.downcast_ref() {
            return HttpError::Denied(why.clone());
        }
        cause = error.source();
    }
    match err.is_connect() {
        true => HttpError::Unreachable(innermost(err)),
        false => HttpError::Broken(innermost(err)),
    }
}

fn innermost(err: &(dyn Error + 'static)) -> String {
    let mut innermost = err;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
