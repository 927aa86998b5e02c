//! Bodies: bounded JSON documents whose errors name the field, and raw components.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, OptionalFromRequest, Request};
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use http_body::Body as _;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use crate::config::explain;
use crate::model::pointer_segment;

use super::{DOCUMENT_BYTES_MAX, PLUGIN_BYTES_MAX, Problem};

/// A JSON document.
pub(super) struct Document<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Document<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_media_type(request.headers(), "application/json") {
            return Err(Problem::media_type("application/json"));
        }
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| unread(&rejection, DOCUMENT_BYTES_MAX))?;
        parse(&bytes).map(Document)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> OptionalFromRequest<S> for Document<T> {
    type Rejection = Problem;

    /// `None` where nothing was sent.
    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Problem> {
        match request.body().is_end_stream() {
            true => Ok(None),
            false => <Self as FromRequest<S>>::from_request(request, state)
                .await
                .map(Some),
        }
    }
}

/// A component's bytes.
pub(super) struct Component(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Component {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_media_type(request.headers(), "application/wasm") {
            return Err(Problem::media_type("application/wasm"));
        }
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| unread(&rejection, PLUGIN_BYTES_MAX))?;
        Ok(Self(bytes))
    }
}

fn is_media_type(headers: &HeaderMap, expected: &str) -> bool {
    let sent = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    sent.split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .eq_ignore_ascii_case(expected)
}

fn unread(rejection: &BytesRejection, bytes_max: usize) -> Problem {
    if rejection.status() == http::StatusCode::PAYLOAD_TOO_LARGE {
        Problem::too_large(bytes_max)
    } else {
        Problem::bad_request("the body could not be read to its end: send it again")
    }
}

/// A document, or the problem with the field at fault.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let document = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let inner = error.inner();
        match inner.classify() {
            serde_json::error::Category::Data => {
                let message = explain(without_position(&inner.to_string()));
                Problem::invalid(pointer(error.path()), message)
            }
            serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof
            | serde_json::error::Category::Io => {
                Problem::bad_request(format!("the body is not JSON: {inner}"))
            }
        }
    })?;
    json.end().map_err(|error| {
        Problem::bad_request(format!("the body is not one JSON document: {error}"))
    })?;
    Ok(document)
}

fn without_position(message: &str) -> &str {
    message
        .rsplit_once(" at line ")
        .map_or(message, |(message, _)| message)
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => pointer.push_str(&format!("/{}", pointer_segment(key))),
            Segment::Enum { variant } => {
                pointer.push_str(&format!("/{}", pointer_segment(variant)))
            }
            Segment::Unknown => {}
        }
    }
    pointer
}

/// A response of a status and a JSON document.
pub(super) fn json<T: serde::Serialize>(
    status: http::StatusCode,
    document: &T,
) -> axum::response::Response {
    (status, axum::Json(document)).into_response()
}
