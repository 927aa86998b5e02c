//! The one place that turns an error into what a caller sees: HTTP status, JSON-RPC code, public text.
//!
//! Every room has errors of its own; on the request path they all end as a [`Refusal`]. Its text says what to do
//! and never how the inside looks.

use std::borrow::Cow;

use http::{HeaderValue, StatusCode};
use portcullis_protocol::envelope::EnvelopeError;
use portcullis_protocol::era;
use portcullis_protocol::error::{
    INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND,
};
use portcullis_protocol::mirrored::Mismatch;
use portcullis_sandbox::{Denial, Failure};
use serde_json::value::RawValue;

use crate::upstream::UpstreamError;

/// JSON-RPC codes of the gateway's own, in the range that JSON-RPC 2.0 leaves to servers.
pub mod code {
    /// 401.
    pub const UNAUTHENTICATED: i32 = -32001;
    /// 403.
    pub const FORBIDDEN: i32 = -32003;
    /// 429.
    pub const RATE_LIMITED: i32 = -32029;
    /// 503: a policy or an upstream is not available.
    pub const UNAVAILABLE: i32 = -32050;
}

/// Why a message goes no further.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// HTTP status of the reply.
    pub status: StatusCode,
    /// JSON-RPC code.
    pub code: i32,
    /// Shown to the caller.
    pub message: Cow<'static, str>,
    /// `Retry-After`, rounded up to seconds, and `data.retryAfterMs`.
    pub retry_after_ms: Option<u64>,
    /// `WWW-Authenticate`.
    pub challenge: Option<String>,
    /// `error.data`, JSON text.
    pub data: Option<Box<RawValue>>,
    /// Label in metrics: one of [`crate::telemetry::metrics::OUTCOMES`].
    pub outcome: &'static str,
}

impl Refusal {
    /// A refusal with nothing but its text.
    #[must_use]
    pub fn new(
        status: StatusCode,
        code: i32,
        outcome: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            retry_after_ms: None,
            challenge: None,
            data: None,
            outcome,
        }
    }

    /// 400 with -32600.
    #[must_use]
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, INVALID_REQUEST, "invalid", message)
    }

    /// 404 with -32600: nothing is served there.
    #[must_use]
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, INVALID_REQUEST, "not-found", message)
    }

    /// -32602 in a reply: the message was understood, its parameters are wrong.
    #[must_use]
    pub fn params(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::OK, INVALID_PARAMS, "invalid", message)
    }

    /// -32601 in a reply.
    #[must_use]
    pub fn unknown_method(method: &str) -> Self {
        let message = format!("this server does not offer the method {method:.100}");
        Self::new(StatusCode::OK, METHOD_NOT_FOUND, "invalid", message)
    }

    /// 401.
    #[must_use]
    pub fn unauthenticated(message: impl Into<Cow<'static, str>>) -> Self {
        let refusal = Self::new(
            StatusCode::UNAUTHORIZED,
            code::UNAUTHENTICATED,
            "unauthenticated",
            message,
        );
        Self {
            challenge: Some("Bearer".into()),
            ..refusal
        }
    }

    /// A policy that failed closed. The caller learns which failure it was, not its details.
    #[must_use]
    pub fn policy_failure(binding: &str, failure: &Failure) -> Self {
        let message = format!(
            "the policy `{binding}` could not decide ({}); try again, or tell the gateway's operator",
            failure.label()
        );
        let data = serde_json::json!({ "policy": binding, "failure": failure.label() });
        let refusal = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            code::UNAVAILABLE,
            "policy-failure",
            message,
        );
        let retry_after_ms = match failure {
            Failure::Quarantined { retry_after_ms } => Some(*retry_after_ms),
            Failure::Instances => Some(1_000),
            Failure::Trap(_)
            | Failure::Deadline { .. }
            | Failure::Memory { .. }
            | Failure::Output(_)
            | Failure::HostCalls { .. } => None,
        };
        Self {
            data: RawValue::from_string(data.to_string()).ok(),
            retry_after_ms,
            ..refusal
        }
    }
}

/// A policy's word. Unknown codes are `forbidden`: the set is open, the meaning of the unknown is not.
impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        let (status, code, outcome) = match denial.code.as_str() {
            "unauthenticated" => (
                StatusCode::UNAUTHORIZED,
                code::UNAUTHENTICATED,
                "unauthenticated",
            ),
            "rate-limited" => (
                StatusCode::TOO_MANY_REQUESTS,
                code::RATE_LIMITED,
                "rate-limited",
            ),
            "invalid" => (StatusCode::BAD_REQUEST, INVALID_PARAMS, "invalid"),
            "too-large" => (StatusCode::OK, INTERNAL_ERROR, "forbidden"),
            "unavailable" => (
                StatusCode::SERVICE_UNAVAILABLE,
                code::UNAVAILABLE,
                "policy-failure",
            ),
            _ => (StatusCode::FORBIDDEN, code::FORBIDDEN, "forbidden"),
        };
        let challenge = denial.challenge.filter(|challenge| is_challenge(challenge));
        let challenge = match status {
            StatusCode::UNAUTHORIZED => Some(challenge.unwrap_or_else(|| "Bearer".into())),
            _ => challenge,
        };
        Self {
            status,
            code,
            message: denial.message.into(),
            retry_after_ms: denial.retry_after_ms,
            challenge,
            data: None,
            outcome,
        }
    }
}

/// Whether a policy's challenge can be a header that clients read: many give up on a head of more than 8 KiB.
fn is_challenge(text: &str) -> bool {
    const BYTES_MAX: usize = 4 << 10;
    text.len() <= BYTES_MAX && HeaderValue::from_str(text).is_ok()
}

impl From<EnvelopeError> for Refusal {
    fn from(err: EnvelopeError) -> Self {
        let status = StatusCode::from_u16(err.http_status()).unwrap_or(StatusCode::BAD_REQUEST);
        Self::new(status, err.code(), "invalid", err.public_message())
    }
}

impl From<era::Refusal> for Refusal {
    fn from(err: era::Refusal) -> Self {
        let status = StatusCode::from_u16(err.http_status()).unwrap_or(StatusCode::BAD_REQUEST);
        Self {
            data: err.data(),
            ..Self::new(status, err.code(), "invalid", err.public_message())
        }
    }
}

impl From<Mismatch> for Refusal {
    fn from(err: Mismatch) -> Self {
        let status = StatusCode::from_u16(err.http_status()).unwrap_or(StatusCode::BAD_REQUEST);
        Self::new(status, err.code(), "invalid", err.public_message())
    }
}

impl From<&UpstreamError> for Refusal {
    fn from(err: &UpstreamError) -> Self {
        let status = StatusCode::from_u16(err.http_status()).unwrap_or(StatusCode::BAD_GATEWAY);
        Self::new(status, err.code(), "upstream-error", err.public_message())
    }
}
