//! Why there is nothing to admit: what the registry is or says, and what the operator can do about it.

use http::StatusCode;
use portcullis_sandbox::Digest;
use thiserror::Error;

use super::address::PrivateAddress;

/// Why a component was not pulled.
#[derive(Debug, Error)]
pub enum PullError {
    /// The machine's certificates cannot be read.
    #[error("this machine's certificates cannot be read")]
    Certificates(#[source] std::io::Error),
    /// Too much at once.
    #[error("{pulls_max} pulls are under way already: try again when one has ended")]
    Busy {
        /// The bound.
        pulls_max: usize,
    },
    /// No whole answer in time.
    #[error("the registry took longer than {seconds} s")]
    Timeout {
        /// The bound.
        seconds: u64,
    },
    /// No whole answer.
    #[error("{url} cannot be read")]
    Unreachable {
        /// What was asked, without its query.
        url: String,
        /// What the client said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An address that is not for us.
    #[error(transparent)]
    Private(#[from] PrivateAddress),
    /// Somewhere else.
    #[error(
        "{from} sends us to `{to}`, which its registry's `other_hosts` in the settings (plugins.registries) do not name: name it there if that is meant"
    )]
    OtherHost {
        /// Who said so, without its query.
        from: String,
        /// Host and port that it named.
        to: String,
    },
    /// Somewhere that is not asked at all.
    #[error(
        "{from} sends us to {to}, which is not asked: only https is, and http where the registry is in plain http"
    )]
    OtherScheme {
        /// Who said so, without its query.
        from: String,
        /// Where it sent us, without its query.
        to: String,
    },
    /// In circles.
    #[error("{url} redirects more than {redirects_max} times")]
    Redirects {
        /// What was asked first, without its query.
        url: String,
        /// The bound.
        redirects_max: usize,
    },
    /// More than is read.
    #[error("{url} has more than {bytes_max} bytes")]
    TooLarge {
        /// What was asked, without its query.
        url: String,
        /// The bound.
        bytes_max: usize,
    },
    /// Nobody lets us in.
    #[error(
        "{registry} lets nobody read `{repository}` as {who}: check the reference, and `username` and `password` of the registry in the settings (plugins.registries)"
    )]
    Unauthorized {
        /// Host.
        registry: String,
        /// Path.
        repository: String,
        /// `anonymous`, or a name.
        who: String,
    },
    /// Not there.
    #[error("{registry} has no {what} {digest} in `{repository}`")]
    Missing {
        /// Host.
        registry: String,
        /// Path.
        repository: String,
        /// `manifest` or `layer`.
        what: &'static str,
        /// Its digest.
        digest: Digest,
    },
    /// A status that means nothing here.
    #[error("{url} answered with HTTP status {status}")]
    Status {
        /// What was asked, without its query.
        url: String,
        /// The status.
        status: StatusCode,
    },
    /// Other bytes than those that were asked for.
    #[error(
        "the {what} that the registry gave is {found}, not {digest}: it was changed, or cut off, on the way or at the registry"
    )]
    OtherBytes {
        /// `manifest` or `layer`.
        what: &'static str,
        /// What was asked for.
        digest: Digest,
        /// What came.
        found: Digest,
    },
    /// A document that is not what belongs there.
    #[error("{0}")]
    Document(String),
}

impl PullError {
    /// Whether the registry, or the way to it, failed, rather than that what it offers is refused.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        match self {
            Self::Certificates(_)
            | Self::Timeout { .. }
            | Self::Unreachable { .. }
            | Self::Status { .. } => true,
            Self::Busy { .. }
            | Self::Private(_)
            | Self::OtherHost { .. }
            | Self::OtherScheme { .. }
            | Self::Redirects { .. }
            | Self::TooLarge { .. }
            | Self::Unauthorized { .. }
            | Self::Missing { .. }
            | Self::OtherBytes { .. }
            | Self::Document(_) => false,
        }
    }
}
