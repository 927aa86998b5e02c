//! JSON-RPC error codes, and the bodies of replies that the gateway writes itself.
//!
//! Every room maps its own errors to one of these codes and a public text; this file only knows how that looks on the
//! wire. It never decides which code fits.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::text;

/// The text is not JSON.
pub const PARSE_ERROR: i32 = -32700;
/// JSON, but not a request that can be served.
pub const INVALID_REQUEST: i32 = -32600;
/// The method is not known here.
pub const METHOD_NOT_FOUND: i32 = -32601;
/// The method is known, its parameters are wrong.
pub const INVALID_PARAMS: i32 = -32602;
/// A failure that is not the caller's.
pub const INTERNAL_ERROR: i32 = -32603;
/// A resource that does not exist, in the words of revisions up to 2025-11-25; later ones say [`INVALID_PARAMS`].
pub const RESOURCE_NOT_FOUND: i32 = -32002;
/// A header and the body disagree, or a required header is absent (2026-07-28).
pub const HEADER_MISMATCH: i32 = -32020;
/// The request needs a capability that the client did not declare (2026-07-28).
pub const MISSING_CAPABILITY: i32 = -32021;
/// The protocol revision is not spoken here (2026-07-28).
pub const UNSUPPORTED_VERSION: i32 = -32022;

/// An error reply. Without an id the member is `null`, as JSON-RPC 2.0 asks where the id could not be read.
#[must_use]
pub fn error_body(
    id: Option<&RawValue>,
    code: i32,
    message: &str,
    data: Option<&RawValue>,
) -> Vec<u8> {
    let id = id.map_or("null", RawValue::get);
    let message = text::quote(message);
    let body = match data {
        Some(data) => format!(
            r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{message},"data":{}}}}}"#,
            data.get()
        ),
        None => format!(
            r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{message}}}}}"#
        ),
    };
    body.into_bytes()
}

/// A reply with a result; `result_raw` is JSON text.
#[must_use]
pub fn result_body(id: &str, result_raw: &str) -> Vec<u8> {
    reply(id, "result", result_raw)
}

/// A reply that passes on an upstream's error object as it was written, under the caller's own id.
#[must_use]
pub fn relayed_error_body(id: &RawValue, error_raw: &RawValue) -> Vec<u8> {
    reply(id.get(), "error", error_raw.get())
}

fn reply(id: &str, member: &str, raw: &str) -> Vec<u8> {
    let mut body = Vec::with_capacity(32 + id.len() + raw.len());
    for part in [
        r#"{"jsonrpc":"2.0","id":"#,
        id,
        r#",""#,
        member,
        r#"":"#,
        raw,
        "}",
    ] {
        body.extend_from_slice(part.as_bytes());
    }
    body
}

/// The `error` member of a response, as far as the gateway understands it.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct ErrorObject<'a> {
    /// One of the codes above, or the server's own.
    pub code: i64,
    /// The server's words.
    #[serde(borrow)]
    pub message: Cow<'a, str>,
    /// Whatever the server added.
    #[serde(borrow, default)]
    pub data: Option<&'a RawValue>,
}

impl<'a> ErrorObject<'a> {
    /// Reads an `error` member; `None` when it is not a JSON-RPC error object.
    #[must_use]
    pub fn parse(raw: &'a RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn replies_look_like_this() {
        let bodies = [
            error_body(
                Some(raw("7")),
                METHOD_NOT_FOUND,
                "No \"such\"\nmethod.",
                None,
            ),
            error_body(None, PARSE_ERROR, "Not JSON.", None),
            error_body(
                Some(raw("\"a\"")),
                UNSUPPORTED_VERSION,
                "No.",
                Some(raw(r#"{"supported":[]}"#)),
            ),
            result_body("12345678901234567890123", r#"{"n": 1.10}"#),
            relayed_error_body(raw("1"), raw(r#"{"code":-32002, "message":"gone"}"#)),
        ];
        let text: Vec<_> = bodies
            .iter()
            .map(|body| String::from_utf8_lossy(body))
            .collect();
        insta::assert_snapshot!(text.join("\n"), @r#"
        {"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"No \"such\"\nmethod."}}
        {"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Not JSON."}}
        {"jsonrpc":"2.0","id":"a","error":{"code":-32022,"message":"No.","data":{"supported":[]}}}
        {"jsonrpc":"2.0","id":12345678901234567890123,"result":{"n": 1.10}}
        {"jsonrpc":"2.0","id":1,"error":{"code":-32002, "message":"gone"}}
        "#);
    }

    #[test]
    fn error_objects_are_read_leniently() {
        let error = ErrorObject::parse(raw(
            r#"{"code":-32022,"message":"a\u0062","data":{"supported":["x"]},"more":1}"#,
        ));
        let error = error.unwrap();
        assert_eq!((error.code, &*error.message), (-32022, "ab"));
        assert_eq!(
            error.data.map(RawValue::get),
            Some(r#"{"supported":["x"]}"#)
        );
        assert!(ErrorObject::parse(raw("\"no\"")).is_none());
    }
}
