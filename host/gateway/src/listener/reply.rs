//! Replies: results, streams, refusals, as HTTP.

use bytestring::ByteString;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use portcullis_protocol::sse::{self, Event};
use portcullis_protocol::{error, headers};
use serde_json::value::RawValue;

use crate::refusal::Refusal;
use crate::telemetry::RequestId;

use super::Body;

/// What goes back to the client.
pub type Reply = Response<Body>;

const JSON: HeaderValue = HeaderValue::from_static(headers::JSON);
const EVENT_STREAM: HeaderValue = HeaderValue::from_static(headers::EVENT_STREAM);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static(headers::ACCEL_BUFFERING);

/// A JSON body.
#[must_use]
pub fn json(status: StatusCode, body: impl Into<Body>) -> Reply {
    let mut reply = Response::new(body.into());
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, JSON);
    reply
}

/// A stream of events, which proxies must not hold back.
#[must_use]
pub fn events(body: Body) -> Reply {
    let mut reply = Response::new(body);
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, EVENT_STREAM);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    reply
}

/// A result for the request with this id.
#[must_use]
pub fn result(id: &ByteString, result: &str) -> Reply {
    let mut body = Vec::with_capacity(36 + id.len() + result.len());
    for part in [
        r#"{"jsonrpc":"2.0","id":"#,
        id,
        r#","result":"#,
        result,
        "}",
    ] {
        body.extend_from_slice(part.as_bytes());
    }
    json(StatusCode::OK, body)
}

/// A result in the form that the client names first in `Accept`: most read JSON at once, and some only events.
#[must_use]
pub fn result_as_accepted(accepts: &HeaderMap, id: &ByteString, result: &str) -> Reply {
    let json = self::result(id, result);
    let accept = accepts.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let first = accept.and_then(|accept| accept.split(',').next());
    match (
        first.is_some_and(|first| first.contains(headers::EVENT_STREAM)),
        json.into_body(),
    ) {
        (true, Body::Full(Some(message))) => {
            let message = String::from_utf8_lossy(&message).into_owned();
            let mut event = Vec::with_capacity(message.len() + 16);
            sse::encode(&Event::message(message), &mut event);
            events(event.into())
        }
        (_, body) => self::json(StatusCode::OK, body),
    }
}

/// No body: the message is taken.
#[must_use]
pub fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Body::empty());
    *reply.status_mut() = status;
    reply
}

/// A refusal, for the request with this id.
#[must_use]
pub fn refusal(request_id: RequestId, id: Option<&ByteString>, refusal: &Refusal) -> Reply {
    let id = id.and_then(|id| RawValue::from_string(id.to_string()).ok());
    let data = data(refusal);
    let body = error::error_body(
        id.as_deref(),
        refusal.code,
        &refusal.message,
        data.as_deref(),
    );
    let mut reply = json(refusal.status, body);
    let headers = reply.headers_mut();
    if let Some(challenge) = refusal
        .challenge
        .as_deref()
        .and_then(|challenge| HeaderValue::from_str(challenge).ok())
    {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    if let Some(after_ms) = refusal
        .retry_after_ms
        .filter(|after_ms| *after_ms <= RETRY_AFTER_MS_MAX)
    {
        headers.insert(RETRY_AFTER, HeaderValue::from(after_ms.div_ceil(1_000)));
    }
    if let Ok(name) = HeaderValue::try_from(request_id.to_string()) {
        headers.insert(REQUEST_ID, name);
    }
    reply
}

/// Longest wait that a reply names: what can never succeed says so in its text, not in a number.
const RETRY_AFTER_MS_MAX: u64 = 24 * 60 * 60 * 1_000;

/// What the refusal carries, with the exact time to wait, which the header can only say in seconds.
fn data(refusal: &Refusal) -> Option<Box<RawValue>> {
    match (&refusal.data, refusal.retry_after_ms) {
        (Some(data), _) => Some(data.clone()),
        (None, Some(after_ms)) if after_ms <= RETRY_AFTER_MS_MAX => {
            RawValue::from_string(format!(r#"{{"retryAfterMs":{after_ms}}}"#)).ok()
        }
        (None, Some(_) | None) => None,
    }
}
