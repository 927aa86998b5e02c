//! One GET for a key set, bounded in size; the caller bounds its time. Redirects are not followed: the URL that the
//! tenant registered is the one that is asked.

use std::sync::OnceLock;

use bytes::Bytes;
use http::header::{ACCEPT, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::TokioExecutor;
use thiserror::Error;

use crate::policy::services::jwt::KeySetError;

const BODY_BYTES_MAX: usize = 256 * 1024;
const AGENT: &str = concat!("portcullis/", env!("CARGO_PKG_VERSION"));

/// Why a fetch failed.
#[derive(Debug, Error)]
pub(super) enum FetchError {
    #[error("the request can not be made")]
    Request(#[from] http::Error),
    #[error("the machine's root certificates can not be read")]
    Roots(#[source] std::io::Error),
    #[error("no answer")]
    Connection(#[from] hyper_util::client::legacy::Error),
    #[error("the answer is {0}, not 200")]
    Status(StatusCode),
    #[error("the body broke off, or has more than {BODY_BYTES_MAX} bytes")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("took too long")]
    Timeout(#[from] tokio::time::error::Elapsed),
    #[error("the key set can not be used")]
    KeySet(#[from] KeySetError),
}

type Https = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// Fetches key sets. Connections are not kept: the next fetch is minutes away.
pub(super) struct JwksClient {
    http: Client<HttpConnector, Empty<Bytes>>,
    /// Made when the first `https` URL is fetched: reading the root certificates costs time and memory.
    https: OnceLock<Https>,
}

impl JwksClient {
    pub(super) fn new() -> Self {
        Self {
            http: client(HttpConnector::new()),
            https: OnceLock::new(),
        }
    }

    pub(super) async fn get(&self, uri: &Uri) -> Result<Bytes, FetchError> {
        let request = Request::get(uri)
            .header(ACCEPT, "application/jwk-set+json, application/json")
            .header(USER_AGENT, AGENT)
            .body(Empty::new())?;
        let response = match uri.scheme_str() {
            Some("https") => self.https()?.request(request).await?,
            Some(_) | None => self.http.request(request).await?,
        };
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX)
            .collect()
            .await
            .map_err(FetchError::Body)?;
        Ok(body.to_bytes())
    }

    fn https(&self) -> Result<&Https, FetchError> {
        if let Some(https) = self.https.get() {
            return Ok(https);
        }
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
            .map_err(FetchError::Roots)?
            .https_only()
            .enable_http1()
            .build();
        Ok(self.https.get_or_init(|| client(connector)))
    }
}

fn client<C: Connect + Clone>(connector: C) -> Client<C, Empty<Bytes>> {
    Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .build(connector)
}
