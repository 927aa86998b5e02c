//! What can go wrong between the gateway and an upstream, and what of it a caller may read.
//!
//! Every file of this room answers with these. The log gets `Display` and the sources; the caller gets
//! [`UpstreamError::public_message`], which never shows an address, a command or an upstream's own words.

use std::io;
use std::sync::Arc;

use http::StatusCode;
use portcullis_protocol::envelope::EnvelopeError;
use portcullis_protocol::lifecycle::LifecycleError;
use portcullis_protocol::listing::ListingError;
use portcullis_protocol::splice::SpliceError;
use portcullis_protocol::sse::SseError;
use thiserror::Error;

use super::oauth::OauthError;
use crate::model::ProcessScope;

mod public;

/// Why the upstreams could not be set up.
#[derive(Debug, Error)]
pub enum SetupError {
    /// A metric of that name is registered already, or its description is refused.
    #[error("the metrics of upstreams cannot be registered")]
    Metrics(#[from] prometheus::Error),
    /// The TLS library refuses its own defaults.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}

/// Why an upstream gave no reply. Each carries the upstream's name.
#[derive(Debug, Error)]
pub enum UpstreamError {
    /// The upstream's definition cannot be used.
    #[error("upstream {upstream}: {reason}")]
    Misconfigured {
        /// The upstream.
        upstream: Arc<str>,
        /// What is wrong with it.
        reason: String,
    },
    /// It failed repeatedly and is left alone for a while.
    #[error("upstream {upstream} is unhealthy for another {retry_after_ms} ms")]
    Unhealthy {
        /// The upstream.
        upstream: Arc<str>,
        /// When the next call is let through.
        retry_after_ms: u64,
    },
    /// Too many calls wait for its process.
    #[error("upstream {upstream} has {pending_max} calls pending")]
    Busy {
        /// The upstream.
        upstream: Arc<str>,
        /// The most calls that may wait.
        pending_max: usize,
    },
    /// Too many callers have a process of their own.
    #[error("upstream {upstream} has {processes_max} processes for callers of their own")]
    ProcessesFull {
        /// The upstream.
        upstream: Arc<str>,
        /// The most such processes.
        processes_max: usize,
    },
    /// Too many subscriptions, of one caller or of all.
    #[error("upstream {upstream} has {subscriptions_max} subscriptions already")]
    SubscriptionsFull {
        /// The upstream.
        upstream: Arc<str>,
        /// The most subscriptions.
        subscriptions_max: usize,
    },
    /// A subscription to a URI that is too long to be kept.
    #[error("a URI of more than {bytes_max} bytes for upstream {upstream}")]
    UriTooLong {
        /// The upstream.
        upstream: Arc<str>,
        /// The most bytes.
        bytes_max: usize,
    },
    /// The gateway is shutting down.
    #[error("upstream {upstream} was stopped")]
    Stopped {
        /// The upstream.
        upstream: Arc<str>,
    },
    /// No connection.
    #[error("upstream {upstream} cannot be reached")]
    Connect {
        /// The upstream.
        upstream: Arc<str>,
        /// What the client said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The connection ended between request and reply.
    #[error("the connection to upstream {upstream} broke before a reply")]
    Interrupted {
        /// The upstream.
        upstream: Arc<str>,
        /// What the client said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No reply in time.
    #[error("upstream {upstream} did not answer within {timeout_ms} ms")]
    Timeout {
        /// The upstream.
        upstream: Arc<str>,
        /// The time it had.
        timeout_ms: u64,
    },
    /// It asks for an access token, and the gateway has none that it takes.
    #[error("upstream {upstream} cannot be used without authorization")]
    Unauthorized {
        /// The upstream.
        upstream: Arc<str>,
        /// Why there is none.
        #[source]
        source: Arc<OauthError>,
    },
    /// An HTTP status that carries no reply.
    #[error("upstream {upstream} answered with HTTP status {status}")]
    Status {
        /// The upstream.
        upstream: Arc<str>,
        /// The status.
        status: StatusCode,
    },
    /// Neither JSON nor an event stream.
    #[error("upstream {upstream} answered with content type {content_type:?}")]
    ContentType {
        /// The upstream.
        upstream: Arc<str>,
        /// What it said, empty for nothing.
        content_type: String,
    },
    /// The reply's body broke off.
    #[error("the reply of upstream {upstream} broke off")]
    Body {
        /// The upstream.
        upstream: Arc<str>,
        /// What the connection said.
        #[source]
        source: hyper::Error,
    },
    /// Something other than a JSON-RPC message.
    #[error("upstream {upstream} sent something that is no JSON-RPC message")]
    Envelope {
        /// The upstream.
        upstream: Arc<str>,
        /// What the parser said.
        #[source]
        source: EnvelopeError,
    },
    /// An event stream that cannot be read.
    #[error("upstream {upstream} sent an event stream that cannot be read")]
    Stream {
        /// The upstream.
        upstream: Arc<str>,
        /// What the decoder said.
        #[source]
        source: SseError,
    },
    /// A message, but not the one that belongs here.
    #[error("upstream {upstream} sent {what}")]
    Unexpected {
        /// The upstream.
        upstream: Arc<str>,
        /// What it sent.
        what: &'static str,
    },
    /// A message that is longer than the gateway holds.
    #[error("upstream {upstream} sent a message of more than {bytes_max} bytes")]
    TooLarge {
        /// The upstream.
        upstream: Arc<str>,
        /// The most bytes of such a message.
        bytes_max: usize,
    },
    /// The caller's params cannot be carried over to the upstream's era.
    #[error("params for upstream {upstream} cannot be translated")]
    Params {
        /// The upstream.
        upstream: Arc<str>,
        /// What stood in the way.
        #[source]
        source: SpliceError,
    },
    /// An answer to `initialize` or `server/discover` that cannot be read.
    #[error("upstream {upstream} introduces itself in a way that cannot be read")]
    Lifecycle {
        /// The upstream.
        upstream: Arc<str>,
        /// What is wrong with it.
        #[source]
        source: LifecycleError,
    },
    /// No protocol revision in common.
    #[error("upstream {upstream} speaks {offered}, which is no known revision of the protocol")]
    NoRevision {
        /// The upstream.
        upstream: Arc<str>,
        /// What it offered.
        offered: String,
    },
    /// A JSON-RPC error to a request of the gateway's own.
    #[error("upstream {upstream} refused {method} with {code}: {message}")]
    Refused {
        /// The upstream.
        upstream: Arc<str>,
        /// What was asked.
        method: &'static str,
        /// The JSON-RPC code.
        code: i64,
        /// The upstream's words.
        message: String,
    },
    /// A list that cannot be read.
    #[error("upstream {upstream} sent a list that cannot be read")]
    Listing {
        /// The upstream.
        upstream: Arc<str>,
        /// What is wrong with it.
        #[source]
        source: ListingError,
    },
    /// A list that does not end within the bounds.
    #[error(
        "the list of upstream {upstream} goes on after {pages_max} pages or {entries_max} entries"
    )]
    ListTooLong {
        /// The upstream.
        upstream: Arc<str>,
        /// The most pages.
        pages_max: usize,
        /// The most entries.
        entries_max: usize,
    },
    /// The command cannot be started.
    #[error("the command of upstream {upstream} cannot be started")]
    Spawn {
        /// The upstream.
        upstream: Arc<str>,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The process ended while a call waited for it.
    #[error("the process of upstream {upstream} ended: {ending}")]
    Exited {
        /// The upstream.
        upstream: Arc<str>,
        /// Who shared it.
        scope: ProcessScope,
        /// Its exit status or signal.
        ending: String,
    },
    /// The process crashed and is not started again yet.
    #[error("the process of upstream {upstream} is started again in {retry_after_ms} ms")]
    Restarting {
        /// The upstream.
        upstream: Arc<str>,
        /// When the next start is tried.
        retry_after_ms: u64,
    },
}

/// What an error means for the upstream's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// The upstream is failing.
    Upstream,
    /// The upstream is there, whatever it said.
    None,
    /// Nothing was learnt: the call never left.
    Unknown,
}

impl UpstreamError {
    /// Value of the metric label `outcome`.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Misconfigured { .. } => "misconfigured",
            Self::Unhealthy { .. } => "unhealthy",
            Self::Busy { .. } => "busy",
            Self::ProcessesFull { .. } => "processes_full",
            Self::SubscriptionsFull { .. } => "subscriptions_full",
            Self::Stopped { .. } => "stopped",
            Self::Connect { .. } => "connect",
            Self::Interrupted { .. } => "interrupted",
            Self::Timeout { .. } => "timeout",
            Self::Unauthorized { .. } => "unauthorized",
            Self::Status { .. } => "status",
            Self::ContentType { .. } => "content_type",
            Self::Body { .. } => "body",
            Self::Envelope { .. }
            | Self::Stream { .. }
            | Self::Unexpected { .. }
            | Self::Listing { .. } => "protocol",
            Self::TooLarge { .. } | Self::ListTooLong { .. } => "too_large",
            Self::Params { .. } | Self::UriTooLong { .. } => "params",
            Self::Lifecycle { .. } | Self::NoRevision { .. } => "handshake",
            Self::Refused { .. } => "refused",
            Self::Spawn { .. } => "spawn",
            Self::Exited { .. } => "exited",
            Self::Restarting { .. } => "restarting",
        }
    }

    /// Every value that [`UpstreamError::label`] can have.
    pub(super) const LABELS: [&'static str; 21] = [
        "misconfigured",
        "unhealthy",
        "busy",
        "processes_full",
        "subscriptions_full",
        "stopped",
        "connect",
        "interrupted",
        "timeout",
        "unauthorized",
        "status",
        "content_type",
        "body",
        "protocol",
        "too_large",
        "params",
        "handshake",
        "refused",
        "spawn",
        "exited",
        "restarting",
    ];

    /// The upstream's name.
    #[must_use]
    pub fn upstream(&self) -> &str {
        match self {
            Self::Misconfigured { upstream, .. }
            | Self::Unhealthy { upstream, .. }
            | Self::Busy { upstream, .. }
            | Self::ProcessesFull { upstream, .. }
            | Self::SubscriptionsFull { upstream, .. }
            | Self::UriTooLong { upstream, .. }
            | Self::Stopped { upstream }
            | Self::Connect { upstream, .. }
            | Self::Interrupted { upstream, .. }
            | Self::Timeout { upstream, .. }
            | Self::Unauthorized { upstream, .. }
            | Self::Status { upstream, .. }
            | Self::ContentType { upstream, .. }
            | Self::Body { upstream, .. }
            | Self::Envelope { upstream, .. }
            | Self::Stream { upstream, .. }
            | Self::Unexpected { upstream, .. }
            | Self::TooLarge { upstream, .. }
            | Self::Params { upstream, .. }
            | Self::Lifecycle { upstream, .. }
            | Self::NoRevision { upstream, .. }
            | Self::Refused { upstream, .. }
            | Self::Listing { upstream, .. }
            | Self::ListTooLong { upstream, .. }
            | Self::Spawn { upstream, .. }
            | Self::Exited { upstream, .. }
            | Self::Restarting { upstream, .. } => upstream,
        }
    }

    /// When a repeated call may fare better, in milliseconds, where that is known.
    #[must_use]
    pub fn retry_after_ms(&self) -> Option<u64> {
        if let Self::Unhealthy { retry_after_ms, .. } | Self::Restarting { retry_after_ms, .. } =
            self
        {
            Some(*retry_after_ms)
        } else {
            None
        }
    }

    pub(super) fn blame(&self) -> Blame {
        match self {
            // What one caller's own process does says nothing of the others'.
            Self::Exited {
                scope: ProcessScope::Session,
                ..
            } => Blame::Unknown,
            Self::Connect { .. }
            | Self::Interrupted { .. }
            | Self::Timeout { .. }
            | Self::Spawn { .. }
            | Self::Exited { .. } => Blame::Upstream,
            Self::Status { status, .. } if status.is_server_error() => Blame::Upstream,
            Self::Status { .. }
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
            | Self::ListTooLong { .. } => Blame::None,
            Self::Misconfigured { .. }
            | Self::Unhealthy { .. }
            | Self::Busy { .. }
            | Self::ProcessesFull { .. }
            | Self::SubscriptionsFull { .. }
            | Self::UriTooLong { .. }
            | Self::Stopped { .. }
            | Self::Unauthorized { .. }
            | Self::Params { .. }
            | Self::Restarting { .. } => Blame::Unknown,
        }
    }
}
