//! What callers learn of an upstream's failure: words, status, code.
//!
//! The one place of this room that writes for callers. Nothing of the inside may appear here but the upstream's name.

use portcullis_protocol::error::{INTERNAL_ERROR, INVALID_PARAMS};

use super::UpstreamError;

impl UpstreamError {
    /// What the caller may read: what happened and what to do, without the inside of the house.
    #[must_use]
    pub fn public_message(&self) -> String {
        let upstream = self.upstream();
        match self {
            Self::Misconfigured { .. } | Self::Spawn { .. } => format!(
                "The upstream \"{upstream}\" is not set up correctly. Ask the operator of this gateway to check its definition."
            ),
            Self::Unhealthy { retry_after_ms, .. } | Self::Restarting { retry_after_ms, .. } => {
                format!(
                    "The upstream \"{upstream}\" has failed repeatedly. Try again in {retry_after_ms} ms."
                )
            }
            Self::Busy { .. } => {
                format!(
                    "The upstream \"{upstream}\" has too many calls waiting. Try again shortly."
                )
            }
            Self::ProcessesFull { processes_max, .. } => format!(
                "The upstream \"{upstream}\" runs a process for each session, and {processes_max} run already. End a session that is not needed, or try again later."
            ),
            Self::SubscriptionsFull {
                subscriptions_max, ..
            } => format!(
                "The upstream \"{upstream}\" takes no more than {subscriptions_max} subscriptions. End one that is not needed."
            ),
            Self::UriTooLong { bytes_max, .. } => {
                format!("\"uri\" is longer than the {bytes_max} bytes that can be subscribed to.")
            }
            Self::Stopped { .. } => {
                "This gateway is shutting down. Repeat the call on a new connection.".to_owned()
            }
            Self::Connect { .. } => {
                format!("The upstream \"{upstream}\" cannot be reached. Try again later.")
            }
            Self::Interrupted { .. } | Self::Body { .. } | Self::Exited { .. } => format!(
                "The upstream \"{upstream}\" stopped before it had answered. It may have begun the call: repeat it only if that is safe."
            ),
            Self::Timeout { timeout_ms, .. } => format!(
                "The upstream \"{upstream}\" did not answer within {timeout_ms} ms. It may have begun the call: repeat it only if that is safe."
            ),
            Self::Unauthorized { .. } => format!(
                "The upstream \"{upstream}\" asks for an authorization that this gateway does not have. Ask the operator of this gateway to authorize it."
            ),
            Self::Status { status, .. } => format!(
                "The upstream \"{upstream}\" refused the call with HTTP status {}. Ask the operator of this gateway to look at it.",
                status.as_u16()
            ),
            Self::ContentType { .. }
            | Self::Envelope { .. }
            | Self::Stream { .. }
            | Self::Unexpected { .. }
            | Self::Lifecycle { .. }
            | Self::NoRevision { .. }
            | Self::Refused { .. }
            | Self::Listing { .. } => format!(
                "The upstream \"{upstream}\" gave an answer that is not MCP. Ask the operator of this gateway to look at it."
            ),
            Self::TooLarge { .. } | Self::ListTooLong { .. } => format!(
                "The upstream \"{upstream}\" answered with more than this gateway passes on. Ask for less at a time."
            ),
            Self::Params { .. } => {
                "\"params\" and \"params._meta\" must be JSON objects.".to_owned()
            }
        }
    }

    /// The HTTP status to answer with, where the transport allows one: 502, 503 or 504; 400 for the caller's own fault.
    #[must_use]
    pub fn http_status(&self) -> u16 {
        match self {
            Self::Unhealthy { .. }
            | Self::Busy { .. }
            | Self::ProcessesFull { .. }
            | Self::SubscriptionsFull { .. }
            | Self::Stopped { .. }
            | Self::Restarting { .. } => 503,
            Self::Timeout { .. } => 504,
            Self::Params { .. } | Self::UriTooLong { .. } => 400,
            Self::Misconfigured { .. }
            | Self::Connect { .. }
            | Self::Interrupted { .. }
            | Self::Unauthorized { .. }
            | Self::Status { .. }
            | Self::ContentType { .. }
            | Self::Body { .. }
            | Self::Envelope { .. }
            | Self::Stream { .. }
            | Self::Unexpected { .. }
            | Self::TooLarge { .. }
            | Self::Lifecycle { .. }
            | Self::NoRevision { .. }
            | Self::Refused { .. }
            | Self::Listing { .. }
            | Self::ListTooLong { .. }
            | Self::Spawn { .. }
            | Self::Exited { .. } => 502,
        }
    }

    /// The JSON-RPC code to answer with.
    #[must_use]
    pub fn code(&self) -> i32 {
        if matches!(self, Self::Params { .. } | Self::UriTooLong { .. }) {
            INVALID_PARAMS
        } else {
            INTERNAL_ERROR
        }
    }
}
