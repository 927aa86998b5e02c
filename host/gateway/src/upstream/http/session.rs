//! A session with an upstream of the session era: `initialize`, its headers, `DELETE`.
//!
//! Opened by a conversation's slot and by the probe. It holds no connection, only what each request says of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use portcullis_protocol::lifecycle::{self, Implementation, InitializeResult};
use portcullis_protocol::revision::{Era, Revision};
use portcullis_protocol::{error::ErrorObject, headers};

use super::client::ResponseBody;
use super::receive::{self, Received};
use super::sse::SseStream;
use super::wire::Wire;
use crate::upstream::conversation::Client;
use crate::upstream::error::UpstreamError;
use crate::upstream::outgoing;

const SESSION_ID: HeaderName = HeaderName::from_static(headers::SESSION_ID);
pub(super) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static(headers::PROTOCOL_VERSION);
const INITIALIZE_ID: &str = "\"pc-initialize\"";
static NEXT_OWN: AtomicU64 = AtomicU64::new(1);

/// An open session.
#[derive(Debug)]
pub(in crate::upstream) struct HttpSession {
    revision: Revision,
    headers: HeaderMap,
    /// Absent where the upstream keeps no sessions.
    id: Option<HeaderValue>,
    /// Where everything comes from, over HTTP+SSE.
    stream: Option<Arc<SseStream>>,
}

impl HttpSession {
    /// Opens a session for that client. An upstream that gives no id keeps nothing of it, and is asked once for
    /// everybody.
    ///
    /// # Errors
    /// When it cannot be reached, or does not answer as `initialize` wants.
    pub(in crate::upstream) async fn open(
        wire: &Arc<Wire>,
        client: &Arc<Client>,
    ) -> Result<Arc<Self>, UpstreamError> {
        if let Some(shared) = wire.shared_session.load_full() {
            return Ok(shared);
        }
        let session = match wire.speaks_sse() {
            true => Self::on_stream(wire, client).await?,
            false => Self::by_either(wire, client).await?,
        };
        let session = Arc::new(session);
        let initialized = Bytes::from_static(lifecycle::INITIALIZED.as_bytes());
        session.tell(wire, initialized).await?;
        wire.meters.sessions_opened.inc();
        if session.id.is_none() && session.stream.is_none() {
            wire.shared_session.store(Some(Arc::clone(&session)));
        }
        Ok(session)
    }

    /// By the newest transport that the upstream knows (MCP 2025-11-25, Transports, "Backwards Compatibility").
    async fn by_either(wire: &Arc<Wire>, client: &Arc<Client>) -> Result<Self, UpstreamError> {
        let error = match Self::initialize(wire, client.capabilities()).await {
            Err(error) if wire.may_be_older() && says_nothing_is_here(&error) => error,
            other => return other,
        };
        let limit = Duration::from_millis(wire.limits.probe_timeout_ms);
        match tokio::time::timeout(limit, Self::on_stream(wire, client)).await {
            Ok(Ok(session)) => {
                wire.note_older(true);
                Ok(session)
            }
            Ok(Err(older)) => {
                tracing::debug!(upstream = %wire.name, error = %older, "upstream does not speak HTTP+SSE either");
                Err(error)
            }
            Err(_elapsed) => Err(error),
        }
    }

    async fn on_stream(wire: &Arc<Wire>, client: &Arc<Client>) -> Result<Self, UpstreamError> {
        let stream = SseStream::open(wire, client).await?;
        let answer = stream.initialize(client.capabilities()).await?;
        Ok(Self {
            revision: settled(wire, &answer)?,
            headers: wire.base().clone(),
            id: None,
            stream: Some(stream),
        })
    }

    async fn initialize(wire: &Wire, capabilities: &str) -> Result<Self, UpstreamError> {
        let revision = Revision::newest_of(Era::Session);
        let body = lifecycle::initialize_request(INITIALIZE_ID, revision, capabilities, &gateway());
        let response = wire.post(wire.base().clone(), Bytes::from(body)).await?;
        let id = response.headers().get(&SESSION_ID).cloned();
        let reply = whole(wire, response).await?;
        let revision = settled(wire, &reply)?;
        let mut headers = wire.base().clone();
        headers.extend(id.clone().map(|id| (SESSION_ID, id)));
        if revision.rules().version_header {
            headers.insert(
                PROTOCOL_VERSION,
                HeaderValue::from_static(revision.as_str()),
            );
        }
        Ok(Self {
            revision,
            headers,
            id,
            stream: None,
        })
    }

    /// Where everything comes from, over HTTP+SSE.
    pub(in crate::upstream) fn stream(&self) -> Option<&Arc<SseStream>> {
        self.stream.as_ref()
    }

    /// The revision that was settled on.
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    /// The headers of a request in this session.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Sends a message that has no reply of its own: an answer, or a notification.
    ///
    /// # Errors
    /// When it could not be delivered in time.
    pub(in crate::upstream) async fn tell(
        &self,
        wire: &Wire,
        message: Bytes,
    ) -> Result<(), UpstreamError> {
        if let Some(stream) = &self.stream {
            return stream.tell(message).await;
        }
        let timeout_ms = wire.limits.tell_timeout_ms;
        let told = wire.notify(self.headers.clone(), message);
        match tokio::time::timeout(Duration::from_millis(timeout_ms), told).await {
            Ok(told) => told,
            Err(_elapsed) => Err(UpstreamError::Timeout {
                upstream: Arc::clone(&wire.name),
                timeout_ms,
            }),
        }
    }

    /// Whether the upstream keeps anything of it.
    pub(in crate::upstream) fn keeps_something(&self) -> bool {
        self.id.is_some() || self.stream.is_some()
    }

    /// Sends a request of the gateway's own, `params` being JSON text, and waits for its result.
    ///
    /// # Errors
    /// When there is none.
    pub(in crate::upstream) async fn ask(
        &self,
        wire: &Wire,
        method: &'static str,
        params: &str,
    ) -> Result<(), UpstreamError> {
        let answer = match &self.stream {
            Some(stream) => {
                let request = |id: &str| outgoing::message(Some(id), method, Some(params));
                stream.answer(request).await?
            }
            None => {
                let number = NEXT_OWN.fetch_add(1, Ordering::Relaxed);
                let id = format!("\"pc-own-{number}\"");
                let body = outgoing::message(Some(&id), method, Some(params));
                let response = wire.post(self.headers.clone(), body).await?;
                whole(wire, response).await?
            }
        };
        receive::result_of(&answer, method, &wire.name).map(drop)
    }

    /// Ends the session, as well as it goes and within a bounded time. Upstreams may refuse: they end it by themselves.
    pub(in crate::upstream) async fn close(&self, wire: &Wire) {
        if let Some(stream) = &self.stream {
            stream.close();
        }
        if self.id.is_none() {
            return;
        }
        let limit = Duration::from_millis(wire.limits.close_timeout_ms);
        let sent = wire.send(Method::DELETE, self.headers.clone(), Bytes::new());
        match tokio::time::timeout(limit, sent).await {
            Ok(Ok(_response)) => {}
            Ok(Err(error)) => {
                tracing::debug!(upstream = %wire.name, %error, "upstream session was not ended")
            }
            Err(_elapsed) => {
                tracing::debug!(upstream = %wire.name, "upstream session was not ended in time")
            }
        }
    }
}

/// The response to a request of the gateway's own, an error or not.
async fn whole(wire: &Wire, response: Response<ResponseBody>) -> Result<Bytes, UpstreamError> {
    match wire.receive(response, Era::Session).await? {
        Received::Body(head) => {
            let reply = wire.begin(head, Era::Session, None).await?;
            receive::message_of(reply, &wire.name, &wire.limits).await
        }
        Received::Error { status: _, body } => Ok(body),
        Received::Gone(status) => Err(wire.status(status)),
    }
}

/// The revision that an answer to `initialize` settles on; what the upstream says of itself is noted.
fn settled(wire: &Wire, answer: &[u8]) -> Result<Revision, UpstreamError> {
    let result = receive::result_of(answer, "initialize", &wire.name)?;
    let offer =
        InitializeResult::parse(result.get()).map_err(|source| UpstreamError::Lifecycle {
            upstream: Arc::clone(&wire.name),
            source,
        })?;
    let revision = Revision::parse(&offer.protocol_version)
        .filter(|revision| revision.era() == Era::Session)
        .ok_or_else(|| UpstreamError::NoRevision {
            upstream: Arc::clone(&wire.name),
            offered: offer.protocol_version.clone().into_owned(),
        })?;
    wire.introduced.initialized(&offer);
    Ok(revision)
}

/// The statuses with which an upstream answers `initialize` that expects something else at its address.
fn says_nothing_is_here(error: &UpstreamError) -> bool {
    matches!(
        error,
        UpstreamError::Status {
            status: StatusCode::BAD_REQUEST
                | StatusCode::NOT_FOUND
                | StatusCode::METHOD_NOT_ALLOWED,
            ..
        }
    )
}

/// Who the gateway is.
pub(in crate::upstream) fn gateway() -> Implementation {
    Implementation {
        name: "portcullis".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        title: None,
    }
}

/// The error of a refused request of the gateway's own.
pub(in crate::upstream) fn refused(
    upstream: &Arc<str>,
    method: &'static str,
    error: &serde_json::value::RawValue,
) -> UpstreamError {
    match ErrorObject::parse(error) {
        Some(error) => UpstreamError::Refused {
            upstream: Arc::clone(upstream),
            method,
            code: error.code,
            message: error.message.into_owned(),
        },
        None => UpstreamError::Unexpected {
            upstream: Arc::clone(upstream),
            what: "an error that is no JSON-RPC error object",
        },
    }
}
