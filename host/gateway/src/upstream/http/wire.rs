//! What it takes to send one upstream an HTTP request: client, address, headers made in advance.
//!
//! Sessions and replies hold on to it. It knows no era; it sends what it is given and names what went wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header,
};
use http_body_util::Full;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use super::client::{Client, Line, ResponseBody, SendError};
use super::session::HttpSession;
use crate::model::{UpstreamSpec, UpstreamTransport};
use crate::upstream::error::UpstreamError;
use crate::upstream::introduction::Introduced;
use crate::upstream::limits::UpstreamLimits;
use crate::upstream::metrics::Meters;
use crate::upstream::oauth::{self, Credential, Tries};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const ACCEPTED: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
pub(in crate::upstream) const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("portcullis/", env!("CARGO_PKG_VERSION")));

/// Headers that belong to the connection or to the protocol, not to an upstream's definition.
const RESERVED: [HeaderName; 9] = [
    ACCEPT,
    CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::EXPECT,
];

/// The way to one upstream.
#[derive(Debug)]
pub(in crate::upstream) struct Wire {
    pub(in crate::upstream) name: Arc<str>,
    pub(in crate::upstream) limits: Arc<UpstreamLimits>,
    pub(in crate::upstream) tracker: TaskTracker,
    pub(super) meters: Arc<Meters>,
    pub(super) introduced: Arc<Introduced>,
    /// Ends what is read for as long as the upstream is there.
    pub(super) stop: CancellationToken,
    line: Line,
    uri: Uri,
    /// The address as its definition has it.
    url: Url,
    dialect: UpstreamTransport,
    /// Whether it was found to know nothing newer than HTTP+SSE.
    is_older: Arc<AtomicBool>,
    base: HeaderMap,
    /// What is shown beside the headers of the definition.
    credential: Option<Arc<Credential>>,
    /// A session that the upstream gave no id: there is nothing in it that callers could not share.
    pub(super) shared_session: ArcSwapOption<HttpSession>,
}

/// What an upstream shares with the others of the process.
pub(in crate::upstream) struct Means {
    pub(in crate::upstream) client: Client,
    pub(in crate::upstream) limits: Arc<UpstreamLimits>,
    pub(in crate::upstream) tracker: TaskTracker,
    pub(in crate::upstream) stop: CancellationToken,
    pub(in crate::upstream) meters: Arc<Meters>,
    pub(in crate::upstream) credential: Option<Arc<Credential>>,
    pub(in crate::upstream) introduced: Arc<Introduced>,
}

impl Wire {
    /// Prepares what every request needs. The error says what is wrong with the definition.
    pub(in crate::upstream) fn new(
        name: &Arc<str>,
        url: &str,
        spec: &UpstreamSpec,
        means: Means,
    ) -> Result<Self, String> {
        let uri: Uri = url
            .parse()
            .map_err(|error| format!("the URL cannot be read: {error}"))?;
        let base = base_headers(&uri, spec)?;
        let url = Url::parse(url).map_err(|error| format!("the URL cannot be read: {error}"))?;
        let (line, uri) = means.client.line(uri);
        Ok(Self {
            name: Arc::clone(name),
            limits: means.limits,
            tracker: means.tracker,
            meters: means.meters,
            introduced: means.introduced,
            stop: means.stop,
            line,
            uri,
            url,
            dialect: spec.transport,
            is_older: Arc::default(),
            base,
            credential: means.credential,
            shared_session: ArcSwapOption::empty(),
        })
    }

    /// The same way, on the same connections, for somebody else.
    pub(super) fn showing(&self, credential: Arc<Credential>) -> Self {
        Self {
            name: Arc::clone(&self.name),
            limits: Arc::clone(&self.limits),
            tracker: self.tracker.clone(),
            meters: Arc::clone(&self.meters),
            introduced: Arc::clone(&self.introduced),
            stop: self.stop.clone(),
            line: self.line.clone(),
            uri: self.uri.clone(),
            url: self.url.clone(),
            dialect: self.dialect,
            is_older: Arc::clone(&self.is_older),
            base: self.base.clone(),
            credential: Some(credential),
            shared_session: ArcSwapOption::empty(),
        }
    }

    /// Whether its upstream is there no longer, at least not as it was.
    pub(in crate::upstream) fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// What is shown beside the headers of the definition.
    pub(in crate::upstream) fn credential(&self) -> Option<&Arc<Credential>> {
        self.credential.as_ref()
    }

    /// Whether sessions with it are streams of HTTP+SSE: by its definition, or as far as was found out.
    pub(super) fn speaks_sse(&self) -> bool {
        match self.dialect {
            UpstreamTransport::Sse => true,
            UpstreamTransport::StreamableHttp => false,
            UpstreamTransport::Auto => self.is_older.load(Ordering::Relaxed),
        }
    }

    /// Whether it may turn out to know nothing newer than HTTP+SSE.
    pub(super) fn may_be_older(&self) -> bool {
        self.dialect == UpstreamTransport::Auto
    }

    /// Notes what was found out.
    pub(super) fn note_older(&self, is_older: bool) {
        self.is_older.store(is_older, Ordering::Relaxed);
    }

    /// The URI of something that the upstream names; `None` for what is not of its own origin.
    pub(super) fn resolve(&self, named: &str) -> Option<Uri> {
        let named = self.url.join(named.trim()).ok()?;
        if named.origin() != self.url.origin() {
            return None;
        }
        // In the form that the line takes: with the origin, or without.
        let from = match self.uri.authority() {
            Some(_) => url::Position::BeforeScheme,
            None => url::Position::BeforePath,
        };
        named[from..url::Position::AfterQuery].parse().ok()
    }

    /// The headers that every request begins with.
    pub(super) fn base(&self) -> &HeaderMap {
        &self.base
    }

    /// Sends a message; answers when the head of the response is there.
    pub(super) async fn post(
        &self,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<ResponseBody>, UpstreamError> {
        self.send(Method::POST, headers, body).await
    }

    /// Sends a message that has no reply. Whatever the upstream writes back is not read.
    pub(super) async fn notify(
        &self,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<(), UpstreamError> {
        let status = self.post(headers, body).await?.status();
        if status.is_success() {
            Ok(())
        } else {
            Err(self.status(status))
        }
    }

    pub(super) async fn send(
        &self,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<ResponseBody>, UpstreamError> {
        self.send_to(&self.uri, (method, headers, body)).await
    }

    /// Sends a request to another address of the same origin.
    pub(super) async fn send_to(
        &self,
        uri: &Uri,
        parts: (Method, HeaderMap, Bytes),
    ) -> Result<Response<ResponseBody>, UpstreamError> {
        match &self.credential {
            None => self.transmit(uri, parts).await,
            Some(credential) => Box::pin(self.send_with(credential, uri, parts)).await,
        }
    }

    /// Shows the upstream an access token, and another where it refuses the first: nothing was done for it then.
    async fn send_with(
        &self,
        credential: &Arc<Credential>,
        uri: &Uri,
        (method, headers, body): (Method, HeaderMap, Bytes),
    ) -> Result<Response<ResponseBody>, UpstreamError> {
        let unauthorized = |source| UpstreamError::Unauthorized {
            upstream: Arc::clone(&self.name),
            source,
        };
        let mut token = credential.token().await.map_err(unauthorized)?;
        let mut tries = Tries::default();
        loop {
            let mut headers = headers.clone();
            headers.extend(token.as_ref().map(|token| (AUTHORIZATION, token.header())));
            let response = self
                .transmit(uri, (method.clone(), headers, body.clone()))
                .await?;
            let Some(refusal) = oauth::read(&response) else {
                return Ok(response);
            };
            let another = credential.answer(&mut tries, refusal, token.take()).await;
            token = Some(another.map_err(unauthorized)?);
        }
    }

    async fn transmit(
        &self,
        uri: &Uri,
        (method, headers, body): (Method, HeaderMap, Bytes),
    ) -> Result<Response<ResponseBody>, UpstreamError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = headers;
        self.line.send(request).await.map_err(|error| {
            let upstream = Arc::clone(&self.name);
            match error {
                SendError::Connect(source) => UpstreamError::Connect { upstream, source },
                SendError::Interrupted(source) => UpstreamError::Interrupted { upstream, source },
            }
        })
    }

    pub(super) fn status(&self, status: StatusCode) -> UpstreamError {
        UpstreamError::Status {
            upstream: Arc::clone(&self.name),
            status,
        }
    }

    /// Stops sharing a session that the upstream no longer knows.
    pub(super) fn forget_shared_session(&self, gone: &Arc<HttpSession>) {
        if self
            .shared_session
            .load()
            .as_ref()
            .is_some_and(|shared| Arc::ptr_eq(shared, gone))
        {
            self.shared_session.store(None);
        }
    }
}

fn base_headers(uri: &Uri, spec: &UpstreamSpec) -> Result<HeaderMap, String> {
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("the URL must begin with http:// or https://".to_owned());
    }
    let authority = uri.authority().ok_or("the URL names no host")?.as_str();
    if authority.contains('@') {
        return Err("the URL must not carry credentials: put them into `headers`".to_owned());
    }
    // Room for what a call adds, so that no map grows on the way.
    let mut base = HeaderMap::with_capacity(spec.headers.len() + 13);
    if uri.scheme_str() == Some("http") {
        let host =
            HeaderValue::from_str(authority).map_err(|error| format!("the URL's host: {error}"))?;
        base.insert(HOST, host);
    }
    base.insert(USER_AGENT, AGENT);
    base.insert(ACCEPT, ACCEPTED);
    base.insert(CONTENT_TYPE, JSON);
    for (name, secret) in &spec.headers {
        let parsed = HeaderName::try_from(name.as_str()).map_err(|error| {
            format!("`headers` has a name that no header can have, `{name}`: {error}")
        })?;
        if RESERVED.contains(&parsed) || parsed.as_str().starts_with("mcp-") {
            return Err(format!(
                "`headers` sets `{name}`, which the gateway sets itself"
            ));
        }
        let mut value = HeaderValue::from_str(secret.expose())
            .map_err(|error| format!("the value of header `{name}` cannot be sent: {error}"))?;
        value.set_sensitive(true);
        base.insert(parsed, value);
    }
    Ok(base)
}
