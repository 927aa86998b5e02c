//! Requests to the places that OAuth knows: bounded in size and time, without redirects, by plain http only where the
//! operator wrote it.
//!
//! Discovery, registration and the token endpoint all go through here. Nothing of a body ends in an error.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use serde::de::DeserializeOwned;
use thiserror::Error;
use url::{Host, Url};

use super::error::shown;
use crate::upstream::http::{AGENT, Client, SendError};
use crate::upstream::limits::UpstreamLimits;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Why a server has not been asked, or has not answered.
#[derive(Debug, Error)]
pub enum WebError {
    /// A request that had no response.
    #[error("{url} cannot be reached")]
    Unreachable {
        /// What was asked, without its query.
        url: String,
        /// What the client said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No whole response in time.
    #[error("{url} did not answer within {timeout_ms} ms")]
    Timeout {
        /// What was asked, without its query.
        url: String,
        /// The time it had.
        timeout_ms: u64,
    },
    /// A status that means nothing here.
    #[error("{url} answered with HTTP status {status}")]
    Status {
        /// What was asked, without its query.
        url: String,
        /// The status.
        status: StatusCode,
    },
    /// A body that is not the document that belongs there.
    #[error("{url} answered with something that is no {what}")]
    Document {
        /// What was asked, without its query.
        url: String,
        /// What was expected.
        what: &'static str,
    },
    /// A URL that is not to be asked.
    #[error(
        "{url} is not asked: plain http is only used where the operator wrote it, for the same host"
    )]
    Insecure {
        /// The URL, without its query.
        url: String,
    },
}

/// A whole response.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

/// How the servers of one upstream's authorization are asked.
#[derive(Debug)]
pub(super) struct Web {
    client: Client,
    timeout: Duration,
    bytes_max: usize,
    /// Hosts for which the operator wrote `http://`.
    plain: Vec<String>,
}

impl Web {
    /// `written` are the URLs that the operator wrote himself.
    pub(super) fn new(client: Client, limits: &UpstreamLimits, written: &[&Url]) -> Self {
        let plain = written.iter().filter(|url| url.scheme() == "http");
        Self {
            client,
            timeout: Duration::from_millis(limits.oauth_timeout_ms),
            bytes_max: limits.oauth_bytes_max,
            plain: plain
                .filter_map(|url| url.host_str().map(str::to_owned))
                .collect(),
        }
    }

    /// A URL that another server gave, once it is known to be fit to be asked.
    pub(super) fn check(&self, url: Url) -> Result<Url, WebError> {
        let is_fit = match url.scheme() {
            "https" => url.host().is_some(),
            "http" => self.may_be_plain(&url),
            _ => false,
        };
        if is_fit && url.username().is_empty() && url.password().is_none() {
            Ok(url)
        } else {
            Err(WebError::Insecure { url: shown(&url) })
        }
    }

    /// The same host, or another name of this machine where that is one.
    fn may_be_plain(&self, url: &Url) -> bool {
        let is_local = is_loopback(url);
        self.plain
            .iter()
            .any(|host| url.host_str() == Some(host) || (is_local && is_loopback_host(host)))
    }

    /// A JSON document, or none where the server says that there is none.
    pub(super) async fn document<T: DeserializeOwned>(
        &self,
        url: &Url,
        what: &'static str,
    ) -> Result<Option<T>, WebError> {
        let answer = self
            .ask((Method::GET, url), HeaderMap::new(), Bytes::new())
            .await?;
        if answer.status.is_client_error() {
            return Ok(None);
        }
        if answer.status != StatusCode::OK {
            let (url, status) = (shown(url), answer.status);
            return Err(WebError::Status { url, status });
        }
        let document = serde_json::from_slice(&answer.body).ok();
        document.map(Some).ok_or_else(|| WebError::Document {
            url: shown(url),
            what,
        })
    }

    /// Posts a body of a media type.
    pub(super) async fn post(
        &self,
        url: &Url,
        (mut headers, media_type): (HeaderMap, &'static str),
        body: String,
    ) -> Result<Answer, WebError> {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        self.ask((Method::POST, url), headers, Bytes::from(body))
            .await
    }

    async fn ask(
        &self,
        (method, url): (Method, &Url),
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, WebError> {
        let url = self.check(url.clone())?;
        let unreachable = |source| WebError::Unreachable {
            url: shown(&url),
            source,
        };
        let uri: Uri = url
            .as_str()
            .parse()
            .map_err(|odd: http::uri::InvalidUri| unreachable(odd.into()))?;
        headers.insert(ACCEPT, JSON);
        headers.insert(USER_AGENT, AGENT);
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let asked = async {
            let response = match self.client.ask(request).await {
                Ok(response) => response,
                Err(SendError::Connect(cause) | SendError::Interrupted(cause)) => {
                    return Err(unreachable(cause));
                }
            };
            let status = response.status();
            let body = Limited::new(response.into_body(), self.bytes_max)
                .collect()
                .await;
            let body = body.map_err(unreachable)?.to_bytes();
            Ok(Answer { status, body })
        };
        match tokio::time::timeout(self.timeout, asked).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(WebError::Timeout {
                url: shown(&url),
                timeout_ms: u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX),
            }),
        }
    }
}

/// Whether a URL's host is this machine, by its name or address.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => is_loopback_host(name),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn is_loopback_host(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;

    fn web(written: &[&str]) -> Web {
        let limits = UpstreamLimits::default();
        let client = Client::new(&limits, CancellationToken::new()).unwrap();
        let written: Vec<Url> = written.iter().map(|url| Url::parse(url).unwrap()).collect();
        Web::new(client, &limits, &written.iter().collect::<Vec<_>>())
    }

    #[test]
    fn plain_http_is_for_hosts_that_the_operator_wrote_so() {
        for (written, url, is_fit) in [
            (
                "https://crm.example/mcp",
                "https://login.example/token",
                true,
            ),
            (
                "https://crm.example/mcp",
                "http://login.example/token",
                false,
            ),
            ("https://crm.example/mcp", "http://crm.example/token", false),
            ("https://crm.example/mcp", "http://127.0.0.1/token", false),
            (
                "https://crm.example/mcp",
                "http://169.254.169.254/latest",
                false,
            ),
            (
                "https://crm.example/mcp",
                "https://me:pw@login.example/token",
                false,
            ),
            ("https://crm.example/mcp", "file:///etc/passwd", false),
            (
                "http://crm.internal/mcp",
                "http://crm.internal:8081/token",
                true,
            ),
            (
                "http://crm.internal/mcp",
                "http://169.254.169.254/latest",
                false,
            ),
            ("http://localhost:1/mcp", "http://127.0.0.1:2/token", true),
            ("http://127.0.0.1:1/mcp", "http://[::1]:2/token", true),
            ("http://localhost:1/mcp", "http://crm.internal/token", false),
        ] {
            let checked = web(&[written]).check(Url::parse(url).unwrap());
            assert_eq!(checked.is_ok(), is_fit, "{written} {url}");
        }
    }
}
