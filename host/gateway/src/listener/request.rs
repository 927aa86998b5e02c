//! What a request must look like before anybody reads it: media types, size, method.

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use portcullis_protocol::headers::{EVENT_STREAM, JSON, PARAM_PREFIX};

use crate::refusal::Refusal;

use super::reply::{self, Reply};

/// A `GET` opens a stream of events, so its sender must take one.
pub(super) fn check_takes_events(headers: &HeaderMap) -> Result<(), Refusal> {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let takes = |media: &str| accept.is_some_and(|accept| accept.contains(media));
    match takes(EVENT_STREAM) || takes("*/*") {
        true => Ok(()),
        false => Err(Refusal {
            status: StatusCode::NOT_ACCEPTABLE,
            ..Refusal::invalid("send `Accept: text/event-stream`: a `GET` opens a stream of events")
        }),
    }
}

/// The body of a `POST`, within bounds.
pub(super) async fn read(body: Incoming, bytes_max: usize) -> Result<Bytes, Refusal> {
    let too_large = || Refusal {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        ..Refusal::invalid(format!(
            "the body is larger than {bytes_max} bytes; send less, or ask the operator to raise `limits.body_bytes_max`"
        ))
    };
    match Limited::new(body, bytes_max).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(err) if err.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err(Refusal::invalid("the body ended early; send it again")),
    }
}

/// A message is JSON.
pub(super) fn check_is_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let essence = text(headers, CONTENT_TYPE).split(';').next();
    match essence
        .unwrap_or_default()
        .trim()
        .eq_ignore_ascii_case(JSON)
    {
        true => Ok(()),
        false => Err(Refusal {
            status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ..Refusal::invalid("send the message as `Content-Type: application/json`")
        }),
    }
}

/// Both kinds of reply must be acceptable, since the gateway decides by what the upstream sends.
pub(super) fn check_takes_both(headers: &HeaderMap) -> Result<(), Refusal> {
    let accept = text(headers, ACCEPT);
    let takes = |media: &str| accept.contains(media) || accept.contains("*/*");
    match takes(JSON) && takes(EVENT_STREAM) {
        true => Ok(()),
        false => Err(Refusal {
            status: StatusCode::NOT_ACCEPTABLE,
            ..Refusal::invalid(
                "send `Accept: application/json, text/event-stream`: a reply may be either",
            )
        }),
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> &str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// Headers that pages of accepted origins may send, whatever the tool.
const PAGES_MAY_SEND: &str = "authorization, content-type, x-api-key, mcp-protocol-version, mcp-session-id, mcp-method, mcp-name, last-event-id";

/// What a page may send (Fetch, "CORS protocol"). Tools name the headers of their arguments, so those that the page asks
/// for are among it.
pub(super) fn preflight(asked: &HeaderMap) -> Reply {
    let asked = text(asked, http::header::ACCESS_CONTROL_REQUEST_HEADERS);
    let is_param = |name: &&str| name.to_ascii_lowercase().starts_with(PARAM_PREFIX);
    let params = asked.split(',').map(str::trim).filter(is_param);
    let allowed: Vec<&str> = std::iter::once(PAGES_MAY_SEND).chain(params).collect();
    let mut reply = reply::empty(StatusCode::NO_CONTENT);
    let headers = reply.headers_mut();
    headers.insert(
        http::header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, DELETE"),
    );
    if let Ok(allowed) = HeaderValue::try_from(allowed.join(", ")) {
        headers.insert(http::header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    }
    reply
}

/// 405, with what is allowed.
pub(super) fn not_allowed(allow: &'static str) -> Reply {
    let mut reply = reply::empty(StatusCode::METHOD_NOT_ALLOWED);
    reply
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allow));
    reply
}
