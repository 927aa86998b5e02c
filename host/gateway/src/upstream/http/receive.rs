//! Telling replies from refusals by status and content type, and reading what the gateway itself asked for.
//!
//! Between `wire`, which has sent a request, and `reply`, which the pipeline reads.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use portcullis_protocol::envelope::{self, Message, Outcome};
use portcullis_protocol::error::{ErrorObject, UNSUPPORTED_VERSION};
use portcullis_protocol::headers::{EVENT_STREAM, JSON};
use portcullis_protocol::revision::{Era, Revision};
use portcullis_protocol::sse::Decoder;
use serde_json::value::RawValue;

use super::client::ResponseBody;
use super::session;
use super::wire::Wire;
use crate::upstream::error::UpstreamError;
use crate::upstream::limits::UpstreamLimits;
use crate::upstream::reply::{self, ReplyKind, Restored, UpstreamBody, UpstreamReply};
use crate::upstream::restore::Restore;

/// What a response is.
pub(super) enum Received {
    /// A reply, of which nothing is read yet.
    Body(Head),
    /// A JSON-RPC error that came with a status of its own.
    Error {
        /// The status.
        status: StatusCode,
        /// The error, whole.
        body: Bytes,
    },
    /// The session is not known there; the request was not looked at.
    Gone(StatusCode),
}

/// A reply that has not begun.
pub(super) struct Head {
    status: StatusCode,
    kind: ReplyKind,
    body: ResponseBody,
}

impl Wire {
    /// Sorts a response.
    pub(super) async fn receive(
        &self,
        response: Response<ResponseBody>,
        era: Era,
    ) -> Result<Received, UpstreamError> {
        let status = response.status();
        let kind = kind_of(&response);
        if status.is_success() {
            return match kind {
                Some(kind) => Ok(Received::Body(Head {
                    status,
                    kind,
                    body: response.into_body(),
                })),
                None => Err(self.content_type(&response)),
            };
        }
        if status == StatusCode::NOT_FOUND && era == Era::Session {
            return Ok(Received::Gone(status));
        }
        let ours = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status);
        if !status.is_client_error() || ours || kind != Some(ReplyKind::Json) {
            return Err(self.status(status));
        }
        let body = reply::collect(
            response.into_body(),
            &self.name,
            self.limits.error_bytes_max,
        )
        .await?;
        match (refusal_of(&body), era) {
            // Some servers say 400 where the specification asks for 404.
            (Some(refusal), Era::Session) if refusal.names_session => Ok(Received::Gone(status)),
            (Some(refusal), Era::Session) if refusal.has_id => Ok(Received::Error { status, body }),
            (Some(_), Era::Stateless) => Ok(Received::Error { status, body }),
            (Some(_) | None, _) => Err(self.status(status)),
        }
    }

    /// Waits for the first bytes of a reply.
    pub(super) async fn begin(
        &self,
        head: Head,
        era: Era,
        restore: Option<Restore>,
    ) -> Result<UpstreamReply, UpstreamError> {
        let Head {
            status,
            kind,
            mut body,
        } = head;
        let content_length = body.size_hint().exact().filter(|_| restore.is_none());
        let mut first = None;
        while first.is_none() {
            let Some(frame) = body.frame().await else {
                break;
            };
            let frame = frame.map_err(|source| UpstreamError::Body {
                upstream: Arc::clone(&self.name),
                source,
            })?;
            first = frame.into_data().ok().filter(|data| !data.is_empty());
        }
        let body = match restore {
            None => UpstreamBody::http(&self.name, first, body),
            Some(restore) => {
                let bytes_max = self.limits.message_bytes_max;
                UpstreamBody::restored(
                    &self.name,
                    Restored::new(kind, first, body, restore, bytes_max),
                )
            }
        };
        Ok(UpstreamReply {
            era,
            status,
            kind,
            body,
            content_length,
            asker: None,
        })
    }

    /// A JSON-RPC error as a reply.
    pub(super) fn refusal(&self, era: Era, status: StatusCode, body: Bytes) -> UpstreamReply {
        UpstreamReply {
            era,
            status,
            kind: ReplyKind::Json,
            content_length: Some(body.len() as u64),
            body: UpstreamBody::whole(&self.name, body),
            asker: None,
        }
    }

    fn content_type(&self, response: &Response<ResponseBody>) -> UpstreamError {
        let value = response.headers().get(CONTENT_TYPE);
        let value = value.map(|value| {
            String::from_utf8_lossy(value.as_bytes())
                .chars()
                .take(100)
                .collect()
        });
        UpstreamError::ContentType {
            upstream: Arc::clone(&self.name),
            content_type: value.unwrap_or_default(),
        }
    }
}

pub(super) fn kind_of(response: &Response<ResponseBody>) -> Option<ReplyKind> {
    let value = response.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(JSON) {
        Some(ReplyKind::Json)
    } else if essence.eq_ignore_ascii_case(EVENT_STREAM) {
        Some(ReplyKind::Events)
    } else {
        None
    }
}

/// What matters of a JSON-RPC error.
struct Refusal {
    has_id: bool,
    names_session: bool,
    code: i64,
}

fn refusal_of(body: &[u8]) -> Option<Refusal> {
    let Ok(Message::Response(response)) = envelope::parse(body) else {
        return None;
    };
    let Outcome::Error(error) = response.outcome else {
        return None;
    };
    let error = ErrorObject::parse(error)?;
    Some(Refusal {
        has_id: response.id.is_some(),
        // A message about the call itself would carry the call's id.
        names_session: response.id.is_none()
            && error.message.to_ascii_lowercase().contains("session"),
        code: error.code,
    })
}

/// Whether an upstream says that it does not speak the revision it was asked in.
pub(super) fn is_unsupported_version(body: &[u8]) -> bool {
    refusal_of(body).is_some_and(|refusal| refusal.code == i64::from(UNSUPPORTED_VERSION))
}

/// The newest stateless revision that an upstream says it speaks, when it refuses the one it was asked in.
pub(super) fn offered_instead(body: &[u8]) -> Option<Revision> {
    #[derive(serde::Deserialize)]
    struct Offered {
        supported: Vec<String>,
    }
    let Ok(Message::Response(response)) = envelope::parse(body) else {
        return None;
    };
    let Outcome::Error(error) = response.outcome else {
        return None;
    };
    let error = ErrorObject::parse(error)?;
    let data = error
        .data
        .filter(|_| error.code == i64::from(UNSUPPORTED_VERSION))?;
    let offered: Offered = serde_json::from_str(data.get()).ok()?;
    let known = offered
        .supported
        .iter()
        .filter_map(|name| Revision::parse(name));
    known
        .filter(|revision| revision.era() == Era::Stateless)
        .max()
}

/// Whether a session could not be opened because the upstream is not what it was.
pub(super) fn speaks_otherwise(error: &UpstreamError) -> bool {
    matches!(
        error,
        UpstreamError::Refused { .. }
            | UpstreamError::NoRevision { .. }
            | UpstreamError::Status { .. }
    )
}

/// The one response of a reply to a request of the gateway's own.
///
/// # Errors
/// When the reply ends without one, or is too long.
pub(in crate::upstream) async fn message_of(
    reply: UpstreamReply,
    upstream: &Arc<str>,
    limits: &UpstreamLimits,
) -> Result<Bytes, UpstreamError> {
    match reply.kind {
        ReplyKind::Json => reply::collect(reply.body, upstream, limits.message_bytes_max).await,
        ReplyKind::Events => first_response(reply.body, upstream, limits.message_bytes_max).await,
    }
}

async fn first_response(
    mut body: UpstreamBody,
    upstream: &Arc<str>,
    bytes_max: usize,
) -> Result<Bytes, UpstreamError> {
    let mut decoder = Decoder::new(bytes_max);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        let pushed = decoder.push(&data);
        while let Some(event) = decoder.next_event() {
            if event.is_message()
                && matches!(envelope::parse_str(&event.data), Ok(Message::Response(_)))
            {
                return Ok(Bytes::from(event.data));
            }
        }
        pushed.map_err(|source| UpstreamError::Stream {
            upstream: Arc::clone(upstream),
            source,
        })?;
    }
    Err(UpstreamError::Unexpected {
        upstream: Arc::clone(upstream),
        what: "an event stream without a response",
    })
}

/// The result in a response to a request of the gateway's own.
///
/// # Errors
/// When it is an error, or no response at all.
pub(in crate::upstream) fn result_of<'a>(
    body: &'a [u8],
    method: &'static str,
    upstream: &Arc<str>,
) -> Result<&'a RawValue, UpstreamError> {
    match envelope::parse(body) {
        Ok(Message::Response(response)) => match response.outcome {
            Outcome::Result(result) => Ok(result),
            Outcome::Error(error) => Err(session::refused(upstream, method, error)),
        },
        Ok(Message::Request(_) | Message::Notification(_)) => Err(UpstreamError::Unexpected {
            upstream: Arc::clone(upstream),
            what: "a message that is no response",
        }),
        Err(source) => Err(UpstreamError::Envelope {
            upstream: Arc::clone(upstream),
            source,
        }),
    }
}
