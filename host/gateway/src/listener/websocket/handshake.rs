//! The opening handshake (RFC 6455, section 4.2).

use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use hyper::upgrade::OnUpgrade;
use thiserror::Error;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::listener::reply::{self, Reply};
use crate::refusal::Refusal;
use crate::telemetry::RequestId;

/// The subprotocol of MCP, for clients that offer it.
const SUBPROTOCOL: &str = "mcp";
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const VERSION: HeaderValue = HeaderValue::from_static("13");

/// Why a request opens no socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum HandshakeError {
    #[error(
        "a WebSocket is opened here: send `GET` over HTTP/1.1 with `Connection: Upgrade` and `Upgrade: websocket`"
    )]
    NoUpgrade,
    #[error("send `Sec-WebSocket-Version: 13`")]
    Version,
    #[error("send 16 bytes in base64 as `Sec-WebSocket-Key`")]
    Key,
}

impl HandshakeError {
    /// 426, or 400.
    pub(super) fn reply(self, request_id: RequestId) -> Reply {
        let status = match self {
            Self::NoUpgrade | Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Key => StatusCode::BAD_REQUEST,
        };
        let refusal = Refusal {
            status,
            ..Refusal::invalid(self.to_string())
        };
        let mut reply = reply::refusal(request_id, None, &refusal);
        if status == StatusCode::UPGRADE_REQUIRED {
            let headers = reply.headers_mut();
            headers.insert(UPGRADE, WEBSOCKET);
            headers.insert(SEC_WEBSOCKET_VERSION, VERSION);
        }
        reply
    }
}

/// The connection to come, and what proves to the client that it was understood.
pub(super) fn check(
    headers: &HeaderMap,
    upgraded: Option<OnUpgrade>,
) -> Result<(OnUpgrade, HeaderValue), HandshakeError> {
    let asks = names(headers, CONNECTION, "upgrade") && names(headers, UPGRADE, "websocket");
    let upgraded = upgraded.filter(|_| asks).ok_or(HandshakeError::NoUpgrade)?;
    if headers.get(SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
        return Err(HandshakeError::Version);
    }
    let key = headers
        .get(SEC_WEBSOCKET_KEY)
        .filter(|key| key.len() == KEY_LEN)
        .ok_or(HandshakeError::Key)?;
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()));
    Ok((upgraded, accept.map_err(|_source| HandshakeError::Key)?))
}

/// 16 bytes in base64.
const KEY_LEN: usize = 24;

/// 101.
pub(super) fn accepted(asked: &HeaderMap, accept: HeaderValue) -> Reply {
    let mut reply = reply::empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = reply.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, WEBSOCKET);
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if names(asked, SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        let subprotocol = HeaderValue::from_static(SUBPROTOCOL);
        headers.insert(SEC_WEBSOCKET_PROTOCOL, subprotocol);
    }
    reply
}

/// Whether a list of tokens has this one.
fn names(headers: &HeaderMap, header: HeaderName, token: &str) -> bool {
    let values = headers
        .get_all(header)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|named| named.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subprotocol_is_taken_where_it_is_offered() {
        for (offered, want) in [
            (None, None),
            (Some("mcp"), Some("mcp")),
            (Some("v2.mcp, mcp"), Some("mcp")),
            (Some("graphql-ws"), None),
        ] {
            let mut asked = HeaderMap::new();
            offered.map(|offered| {
                asked.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(offered))
            });
            let reply = accepted(&asked, HeaderValue::from_static("x"));
            let taken = reply.headers().get(SEC_WEBSOCKET_PROTOCOL);
            assert_eq!(
                taken.and_then(|taken| taken.to_str().ok()),
                want,
                "{offered:?}"
            );
        }
    }

    #[test]
    fn tokens_are_found_in_lists() {
        let mut headers = HeaderMap::new();
        headers.append(CONNECTION, HeaderValue::from_static("keep-alive, Upgrade"));
        assert!(names(&headers, CONNECTION, "upgrade"));
        assert!(!names(&headers, CONNECTION, "close"));
        assert!(!names(&headers, UPGRADE, "websocket"));
    }
}
