//! Requests to a registry and to where it sends us: bounded in size, redirects followed by hand, each looked at first.

use std::error::Error;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use url::Url;

use super::PullError;
use super::address::{PrivateAddress, Resolver};
use super::rules::{Rules, shown};

const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("portcullis/", env!("CARGO_PKG_VERSION")));
/// Most redirects of one request.
const REDIRECTS_MAX: usize = 4;

type Https = Client<HttpsConnector<HttpConnector<Resolver>>, Empty<Bytes>>;

/// Asks the registry of one pull. Made for each: it ends with its connections.
pub(super) struct Web<'a> {
    client: Https,
    rules: Rules<'a>,
}

/// A whole answer. Only a success has a body: what servers say of errors is not shown.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What is asked for.
pub(super) struct Ask<'a> {
    pub(super) url: &'a Url,
    pub(super) accept: &'static str,
    pub(super) authorization: Option<HeaderValue>,
    /// Largest body that is read.
    pub(super) bytes_max: usize,
}

impl<'a> Web<'a> {
    pub(super) fn new(rules: Rules<'a>) -> Result<Self, PullError> {
        let mut connector = HttpConnector::new_with_resolver(Resolver(rules.reach()));
        // Which schemes are asked is a matter of the rules.
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
            .map_err(PullError::Certificates)?
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            rules,
        })
    }

    pub(super) fn rules(&self) -> &Rules<'a> {
        &self.rules
    }

    /// Asks, and follows redirects. Whoever else is redirected to is shown no credentials (RFC 9110, section 15.4).
    pub(super) async fn get(&self, ask: Ask<'_>) -> Result<Answer, PullError> {
        let mut from = ask.url.clone();
        let mut url = ask.url.clone();
        for _ in 0..=REDIRECTS_MAX {
            self.rules.check(&url, &from)?;
            let is_same = url.origin() == ask.url.origin();
            let authorization = ask.authorization.clone().filter(|_| is_same);
            let response = self.send(&url, ask.accept, authorization).await?;
            let Some(next) = redirect(&response, &url)? else {
                return whole(response, &url, ask.bytes_max).await;
            };
            from = std::mem::replace(&mut url, next);
        }
        Err(PullError::Redirects {
            url: shown(ask.url),
            redirects_max: REDIRECTS_MAX,
        })
    }

    async fn send(
        &self,
        url: &Url,
        accept: &'static str,
        authorization: Option<HeaderValue>,
    ) -> Result<Response<Incoming>, PullError> {
        let unreachable = |source| PullError::Unreachable {
            url: shown(url),
            source,
        };
        let mut request = Request::get(url.as_str())
            .header(ACCEPT, accept)
            .header(USER_AGENT, AGENT)
            .body(Empty::new())
            .map_err(|odd| unreachable(odd.into()))?;
        if let Some(authorization) = authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization);
        }
        let sent = self.client.request(request).await;
        sent.map_err(|failed| match private(&failed) {
            Some(private) => private.into(),
            None => unreachable(failed.into()),
        })
    }
}

/// The address that a request was not sent to.
fn private(failed: &(dyn Error + 'static)) -> Option<PrivateAddress> {
    let mut cause = Some(failed);
    while let Some(error) = cause {
        if let Some(private) = error.downcast_ref::<PrivateAddress>() {
            return Some(private.clone());
        }
        cause = error.source();
    }
    None
}

/// Where a response sends us.
fn redirect(response: &Response<Incoming>, url: &Url) -> Result<Option<Url>, PullError> {
    let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    if !is_redirect {
        return Ok(None);
    }
    let location = response.headers().get(LOCATION);
    let next = location
        .and_then(|location| location.to_str().ok())
        .and_then(|location| url.join(location).ok());
    match next {
        Some(next) => Ok(Some(next)),
        None => Err(PullError::Status {
            url: shown(url),
            status: response.status(),
        }),
    }
}

async fn whole(
    response: Response<Incoming>,
    url: &Url,
    bytes_max: usize,
) -> Result<Answer, PullError> {
    let (parts, body) = response.into_parts();
    if !parts.status.is_success() {
        return Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: Bytes::new(),
        });
    }
    let body = Limited::new(body, bytes_max).collect().await;
    let body = body.map_err(|source| {
        let url = shown(url);
        if source.is::<LengthLimitError>() {
            PullError::TooLarge { url, bytes_max }
        } else {
            PullError::Unreachable { url, source }
        }
    })?;
    Ok(Answer {
        status: parts.status,
        headers: parts.headers,
        body: body.to_bytes(),
    })
}
