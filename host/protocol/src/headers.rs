//! Names of the HTTP headers that MCP gives a meaning, in lower case, and the encoding of their values.
//!
//! The listener reads these from requests and the upstreams write them; [`crate::era`] compares them with the body.
//! Nothing here looks at a header map.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The protocol revision that a message is written in (2025-06-18 and later).
pub const PROTOCOL_VERSION: &str = "mcp-protocol-version";
/// The session that a message belongs to (session era only).
pub const SESSION_ID: &str = "mcp-session-id";
/// The JSON-RPC method of the body (stateless era only).
pub const METHOD: &str = "mcp-method";
/// The tool, prompt, resource or task that the body names (stateless era only).
pub const NAME: &str = "mcp-name";
/// What the names of headers mirrored from tool arguments begin with (stateless era only).
pub const PARAM_PREFIX: &str = "mcp-param-";
/// The last event that a resuming reader has seen (session era only).
pub const LAST_EVENT_ID: &str = "last-event-id";
/// Tells reverse proxies not to buffer an event stream; the value is `no`.
pub const ACCEL_BUFFERING: &str = "x-accel-buffering";

/// Media type of a single JSON-RPC message.
pub const JSON: &str = "application/json";
/// Media type of a stream of JSON-RPC messages.
pub const EVENT_STREAM: &str = "text/event-stream";

const SENTINEL_START: &str = "=?base64?";
const SENTINEL_END: &str = "?=";

/// Decodes a value of `Mcp-Name` or `Mcp-Param-*`: `=?base64?…?=` is unwrapped, anything else is taken as it is.
///
/// `None` when the value claims to be encoded and is not, or holds characters that no header value may hold.
/// (MCP 2026-07-28, Streamable HTTP, "Value Encoding".)
#[must_use]
pub fn decode_value(value: &str) -> Option<Cow<'_, str>> {
    let wrapped = value
        .strip_prefix(SENTINEL_START)
        .and_then(|inner| inner.strip_suffix(SENTINEL_END));
    match wrapped {
        Some(inner) => {
            let bytes = STANDARD.decode(inner).ok()?;
            String::from_utf8(bytes).ok().map(Cow::Owned)
        }
        None => value
            .bytes()
            .all(|byte| byte == b'\t' || (0x20..0x7f).contains(&byte))
            .then_some(Cow::Borrowed(value)),
    }
}

/// Encodes a value for `Mcp-Name` or `Mcp-Param-*`; the inverse of [`decode_value`].
#[must_use]
pub fn encode_value(value: &str) -> Cow<'_, str> {
    if is_plain(value) {
        Cow::Borrowed(value)
    } else {
        Cow::Owned(format!(
            "{SENTINEL_START}{}{SENTINEL_END}",
            STANDARD.encode(value)
        ))
    }
}

/// Whether a value survives as a bare header value.
fn is_plain(value: &str) -> bool {
    let padded = value.starts_with([' ', '\t']) || value.ends_with([' ', '\t']);
    let looks_encoded = value.starts_with(SENTINEL_START) && value.ends_with(SENTINEL_END);
    !padded && !looks_encoded && value.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the specification's "Value Encoding" section.
    const CASES: &[(&str, &str)] = &[
        ("us-west1", "us-west1"),
        ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
        (" padded ", "=?base64?IHBhZGRlZCA=?="),
        ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
        ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ("two words", "two words"),
        ("", ""),
    ];

    #[test]
    fn values_are_encoded_as_the_specification_shows_and_come_back() {
        for (plain, wire) in CASES {
            assert_eq!(encode_value(plain), *wire);
            assert_eq!(decode_value(wire).as_deref(), Some(*plain));
        }
    }

    #[test]
    fn what_is_not_decodable_is_refused() {
        for bad in [
            "=?base64?***?=",
            "=?base64?/w==?=",
            "caf\u{e9}",
            "bell\u{7}",
        ] {
            assert_eq!(decode_value(bad), None, "{bad:?}");
        }
    }
}
