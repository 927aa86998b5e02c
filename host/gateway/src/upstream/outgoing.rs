//! A client's message on its way out, and the text that it becomes for an upstream.
//!
//! The pipeline fills in [`Outgoing`]; [`compose`] writes the body in the upstream's era. Where nothing has to change
//! the client's own bytes go out. No header of the client goes out but those that [`forward`] names.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis_protocol::bridge::{self, Sender};
use portcullis_protocol::headers::PARAM_PREFIX;
use portcullis_protocol::mirrored::Mirrored;
use portcullis_protocol::params::META_PROGRESS_TOKEN;
use portcullis_protocol::revision::{Era, Revision};
use portcullis_protocol::splice::{self, SpliceError};

/// What the gateway can do for an upstream, as JSON text: nothing that an upstream could ask for.
pub const CAPABILITIES: &str = "{}";
/// All that a client can offer, as JSON text.
pub const EVERYTHING: &str =
    r#"{"elicitation":{"form":{},"url":{}},"roots":{},"sampling":{"context":{},"tools":{}}}"#;
/// Who the gateway is, as JSON text.
pub(super) const CLIENT_INFO: &str = concat!(
    r#"{"name":"portcullis","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""}"#
);

/// A client's request or notification, admitted and routed.
#[derive(Debug, Clone)]
pub struct Outgoing<'a> {
    /// The client's era.
    pub era: Era,
    /// The client's revision.
    pub revision: Revision,
    /// The request's id, as JSON text; notifications have none and it is not looked at.
    pub id: &'a str,
    /// The method.
    pub method: &'a str,
    /// The params as JSON text, names already those of the upstream.
    pub params: Option<&'a str>,
    /// The client's whole body, where it may go out as it came.
    pub original: Option<Bytes>,
    /// The client's headers. Only those of tracing and of tool parameters are passed on.
    pub headers: &'a HeaderMap,
    /// What the client's session offers to servers, as JSON text.
    pub capabilities: &'a str,
    /// The least severe log message that the client's session wants, where it said so.
    pub log_level: Option<&'a str>,
    /// The arguments whose headers have to be written: the client has sent none, or a policy has changed them.
    pub mirrored: Option<&'a Mirrored>,
}

/// A message in the words of an upstream's era.
#[derive(Debug)]
pub(super) struct Composed {
    /// The whole JSON-RPC message.
    pub(super) body: Bytes,
    /// The caller's progress token, where another one was sent in its place; JSON text.
    pub(super) token: Option<Box<str>>,
}

/// Writes a request for an upstream of that era. With `own`, a JSON text, it goes out under that id and that progress
/// token instead of the caller's.
///
/// # Errors
/// When the params, or `_meta` in them, are not JSON objects.
pub(super) fn compose(
    out: &Outgoing<'_>,
    era: Era,
    revision: Revision,
    own: Option<&str>,
) -> Result<Composed, SpliceError> {
    if let (Some(body), None, true) = (&out.original, own, era == out.era) {
        return Ok(Composed {
            body: body.clone(),
            token: None,
        });
    }
    let mut params = translated(out, era, revision)?;
    let mut token = None;
    if let Some(own) = own {
        let written = params.as_deref().or(out.params).unwrap_or("{}");
        token = progress_token(written).map(Box::from);
        if token.is_some() {
            params = Some(splice::set_path(
                written,
                &["_meta", META_PROGRESS_TOKEN],
                own,
            )?);
        }
    }
    let id = own.unwrap_or(out.id);
    let body = message(Some(id), out.method, params.as_deref().or(out.params));
    Ok(Composed { body, token })
}

/// Writes a notification for an upstream of that era.
///
/// # Errors
/// As [`compose`].
pub(super) fn compose_notification(
    out: &Outgoing<'_>,
    era: Era,
    revision: Revision,
) -> Result<Bytes, SpliceError> {
    if let (Some(body), true) = (&out.original, era == out.era) {
        return Ok(body.clone());
    }
    let params = translated(out, era, revision)?;
    Ok(message(None, out.method, params.as_deref().or(out.params)))
}

/// The params in the words of another era; `None` where they are right as they are.
fn translated(
    out: &Outgoing<'_>,
    era: Era,
    revision: Revision,
) -> Result<Option<String>, SpliceError> {
    match (out.era, era) {
        (Era::Session, Era::Session) | (Era::Stateless, Era::Stateless) => Ok(None),
        (Era::Session, Era::Stateless) => {
            let sender = Sender {
                revision,
                client_info: Some(CLIENT_INFO),
                capabilities: out.capabilities,
                log_level: out.log_level,
            };
            bridge::to_stateless_params(out.params, &sender).map(Some)
        }
        (Era::Stateless, Era::Session) => out.params.map(bridge::to_session_params).transpose(),
    }
}

fn progress_token(params: &str) -> Option<&str> {
    splice::get_member(splice::get_member(params, "_meta")?, META_PROGRESS_TOKEN)
}

/// A whole JSON-RPC message; `id` and `params` are JSON text.
pub(super) fn message(id: Option<&str>, method: &str, params: Option<&str>) -> Bytes {
    let len = 48 + id.map_or(0, str::len) + method.len() + params.map_or(0, str::len);
    let mut body = Vec::with_capacity(len);
    body.extend_from_slice(br#"{"jsonrpc":"2.0""#);
    if let Some(id) = id {
        body.extend_from_slice(br#","id":"#);
        body.extend_from_slice(id.as_bytes());
    }
    body.extend_from_slice(br#","method":"#);
    push_string(&mut body, method);
    if let Some(params) = params {
        body.extend_from_slice(br#","params":"#);
        body.extend_from_slice(params.as_bytes());
    }
    body.push(b'}');
    Bytes::from(body)
}

/// `value` as a JSON string; methods hardly ever need escaping.
fn push_string(body: &mut Vec<u8>, value: &str) {
    let plain = value
        .bytes()
        .all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
    if plain {
        body.push(b'"');
        body.extend_from_slice(value.as_bytes());
        body.push(b'"');
    } else {
        body.extend_from_slice(serde_json::Value::from(value).to_string().as_bytes());
    }
}

/// Copies the client's headers that an upstream of that era may see. `Mcp-Param-*` mean something only where both
/// sides are stateless.
pub(super) fn forward(out: &Outgoing<'_>, era: Era, headers: &mut HeaderMap) {
    let params = era == Era::Stateless && out.era == Era::Stateless;
    let is_rewritten = |name| out.mirrored.is_some_and(|mirrored| mirrored.has(name));
    for (name, value) in out.headers {
        let passes = match name.as_str() {
            "traceparent" | "tracestate" | "baggage" => true,
            other => params && other.starts_with(PARAM_PREFIX) && !is_rewritten(other),
        };
        if passes {
            headers.append(name, value.clone());
        }
    }
    if era == Era::Stateless {
        headers.extend(mirrors(out));
    }
}

/// `Mcp-Param-*` of the arguments that go out.
fn mirrors<'a>(out: &'a Outgoing<'_>) -> impl Iterator<Item = (HeaderName, HeaderValue)> + 'a {
    let arguments = out
        .params
        .and_then(|params| splice::get_member(params, "arguments"));
    let written = out
        .mirrored
        .zip(arguments)
        .map(|(mirrored, arguments)| mirrored.headers(arguments));
    written.into_iter().flatten().filter_map(|(name, value)| {
        let name = HeaderName::try_from(name).ok()?;
        Some((name, HeaderValue::try_from(&*value).ok()?))
    })
}

#[cfg(test)]
mod tests;
