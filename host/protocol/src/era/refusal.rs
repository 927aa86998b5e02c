//! Why a message is refused before anything was done with it, and how that looks on the wire.
//!
//! Made by [`super::classify`]; written out by the listener. Every text tells the caller what to send instead.

use serde_json::json;
use serde_json::value::RawValue;

use crate::error::{
    self, HEADER_MISMATCH, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, UNSUPPORTED_VERSION,
};
use crate::revision::{Era, Revision};

/// How much of a caller's own text is repeated back, in characters.
const ECHO_CHARS_MAX: usize = 128;

/// A message that breaks the rules of the era that it claims.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A revision that the gateway does not speak, or not in this way.
    #[error("Unsupported protocol version \"{requested}\". Use one of: {}.", supported(requested).join(", "))]
    UnsupportedVersion {
        /// What the caller asked for.
        requested: String,
    },
    /// A header that the stateless era requires.
    #[error("Header mismatch: the {header} header is missing. Send it with every request.")]
    MissingHeader {
        /// Its name.
        header: &'static str,
    },
    /// A header that occurs twice, is not text, or is not encoded as it claims.
    #[error(
        "Header mismatch: the {header} header cannot be read. Send it once, as plain ASCII or as =?base64?...?=."
    )]
    BadHeader {
        /// Its name.
        header: &'static str,
    },
    /// A header and the body disagree.
    #[error(
        "Header mismatch: the {header} header says \"{named}\" but the body says \"{expected}\". Send the same in both."
    )]
    HeaderMismatch {
        /// Its name.
        header: &'static str,
        /// What the header says.
        named: String,
        /// What the body says.
        expected: String,
    },
    /// `_meta` lacks what every stateless request must carry.
    #[error("Invalid params: \"_meta\" is missing or has the wrong type at: {}.", keys.join(", "))]
    MissingMeta {
        /// The keys.
        keys: Vec<&'static str>,
    },
    /// A method that the stateless era does not have.
    #[error(
        "Method not found: \"{method}\" does not exist in protocol version {}.",
        Revision::newest()
    )]
    MethodNotFound {
        /// Its name.
        method: String,
    },
    /// A response where the stateless era has none.
    #[error(
        "Responses are not accepted in this protocol version: servers send no requests. Answer by repeating your request with its inputResponses."
    )]
    StatelessResponse,
}

impl Refusal {
    pub(super) fn unsupported(requested: &str) -> Self {
        Refusal::UnsupportedVersion {
            requested: echo(requested),
        }
    }

    pub(super) fn mismatch(header: &'static str, named: &str, expected: &str) -> Self {
        Refusal::HeaderMismatch {
            header,
            named: echo(named),
            expected: echo(expected),
        }
    }

    pub(super) fn method_not_found(method: &str) -> Self {
        Refusal::MethodNotFound {
            method: echo(method),
        }
    }

    /// The HTTP status to answer with.
    #[must_use]
    pub fn http_status(&self) -> u16 {
        match self {
            Refusal::MethodNotFound { .. } => 404,
            Refusal::UnsupportedVersion { .. }
            | Refusal::MissingHeader { .. }
            | Refusal::BadHeader { .. }
            | Refusal::HeaderMismatch { .. }
            | Refusal::MissingMeta { .. }
            | Refusal::StatelessResponse => 400,
        }
    }

    /// The JSON-RPC code to answer with.
    #[must_use]
    pub fn code(&self) -> i32 {
        match self {
            Refusal::UnsupportedVersion { .. } => UNSUPPORTED_VERSION,
            Refusal::MissingHeader { .. }
            | Refusal::BadHeader { .. }
            | Refusal::HeaderMismatch { .. } => HEADER_MISMATCH,
            Refusal::MissingMeta { .. } => INVALID_PARAMS,
            Refusal::MethodNotFound { .. } => METHOD_NOT_FOUND,
            Refusal::StatelessResponse => INVALID_REQUEST,
        }
    }

    /// What the caller may read: what is wrong, and what to do.
    #[must_use]
    pub fn public_message(&self) -> String {
        self.to_string()
    }

    /// The `data` member of the error, where the specification asks for one.
    #[must_use]
    pub fn data(&self) -> Option<Box<RawValue>> {
        match self {
            Refusal::UnsupportedVersion { requested } => serde_json::value::to_raw_value(
                &json!({ "supported": supported(requested), "requested": requested }),
            )
            .ok(),
            Refusal::MissingHeader { .. }
            | Refusal::BadHeader { .. }
            | Refusal::HeaderMismatch { .. }
            | Refusal::MissingMeta { .. }
            | Refusal::MethodNotFound { .. }
            | Refusal::StatelessResponse => None,
        }
    }

    /// The whole JSON-RPC error reply.
    #[must_use]
    pub fn body(&self, id: Option<&RawValue>) -> Vec<u8> {
        error::error_body(
            id,
            self.code(),
            &self.public_message(),
            self.data().as_deref(),
        )
    }
}

/// The revisions to use instead, newest first: for one that exists but needs a session, those that need none.
fn supported(requested: &str) -> Vec<&'static str> {
    let known = Revision::parse(requested).is_some();
    Revision::ALL
        .into_iter()
        .filter(|revision| !known || revision.era() == Era::Stateless)
        .map(Revision::as_str)
        .collect()
}

/// A caller's own text, cut to a length that is safe to repeat.
fn echo(text: &str) -> String {
    text.chars().take(ECHO_CHARS_MAX).collect()
}
