//! What stands between the gateway and an access token.
//!
//! For the log and the admin API: a caller only learns that the operator has to look. None of these holds a token, a
//! secret or a code; words of an authorization server are cut short.

use http::StatusCode;
use thiserror::Error;
use url::Url;

use crate::store::StoreError;

/// Most characters of another server's words that are kept.
const WORDS_LEN_MAX: usize = 200;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no access token that the upstream takes.
#[derive(Debug, Error)]
pub enum OauthError {
    /// A person has to consent first.
    #[error(
        "nobody has consented yet: POST to its `authorization` in the admin API, and open the URL"
    )]
    ConsentRequired,
    /// A person has to consent to more.
    #[error("the upstream asks for scopes that nobody has consented to yet: {0}")]
    MoreConsentRequired(String),
    /// The upstream refuses a token that was just obtained.
    #[error("the upstream refuses the access token that it was just given")]
    TokenRefused,
    /// The upstream asks for what was asked for and given already.
    #[error("the upstream calls the scope insufficient that it asked for itself: {0}")]
    ScopeRefused(String),
    /// The upstream asks for more scopes than the gateway keeps.
    #[error("the upstream asks for more than {0} scopes")]
    TooManyScopes(usize),

    /// A request that had no response.
    #[error("{url} cannot be reached")]
    Unreachable {
        /// What was asked, without its query.
        url: String,
        /// What the client said.
        #[source]
        source: Cause,
    },
    /// No whole response in time.
    #[error("{url} did not answer within {timeout_ms} ms")]
    Timeout {
        /// What was asked, without its query.
        url: String,
        /// The time it had.
        timeout_ms: u64,
    },
    /// A status that means nothing here.
    #[error("{url} answered with HTTP status {status}")]
    Status {
        /// What was asked, without its query.
        url: String,
        /// The status.
        status: StatusCode,
    },
    /// A body that is too long, or not the document that belongs there.
    #[error("{url} answered with something that is no {what}")]
    Document {
        /// What was asked, without its query.
        url: String,
        /// What was expected.
        what: &'static str,
    },
    /// A URL that is not to be asked.
    #[error(
        "{url} is not asked: plain http is only used where the operator wrote it, for the same host"
    )]
    Insecure {
        /// The URL, without its query.
        url: String,
    },

    /// The upstream's metadata is that of something else.
    #[error("the upstream's metadata is about {resource}, which it does not belong to")]
    OtherResource {
        /// The `resource` of the metadata.
        resource: String,
    },
    /// Nobody says which authorization server it is.
    #[error("the upstream names no authorization server: set `issuer`")]
    NoIssuer,
    /// Not the authorization server that was configured, or that the client is bound to.
    #[error(
        "the upstream names the authorization server {named}, but this client belongs to {ours}: if that is right, DELETE its `authorization` or change `issuer`"
    )]
    OtherIssuer {
        /// What it names.
        named: String,
        /// What the client is bound to.
        ours: String,
    },
    /// No metadata at any place where it may be.
    #[error("the authorization server {issuer} publishes no metadata")]
    NoMetadata {
        /// The server.
        issuer: String,
    },
    /// Metadata of another server (RFC 8414, section 3.3).
    #[error("the metadata of {issuer} says that it is of {found}")]
    MetadataIssuer {
        /// Whose metadata was asked for.
        issuer: String,
        /// What it says.
        found: String,
    },
    /// The server lacks something that is needed.
    #[error("the authorization server {issuer} offers no {what}")]
    Unsupported {
        /// The server.
        issuer: String,
        /// What is needed.
        what: &'static str,
    },

    /// The gateway is nobody there.
    #[error("the gateway is not known at the authorization server {issuer}: give `client.id`")]
    NoClient {
        /// The server.
        issuer: String,
    },
    /// The registration was refused.
    #[error("the authorization server refused to register the gateway: {0}; give `client.id`")]
    Registration(Refused),
    /// The token endpoint's refusal.
    #[error("the authorization server refused: {0}")]
    Refused(Refused),
    /// A token of a type that the gateway cannot present.
    #[error("the authorization server gave a token of a type that cannot be presented")]
    TokenType,
    /// The private key signs nothing.
    #[error("the client's private key cannot be used")]
    Key(#[source] Option<jsonwebtoken::errors::Error>),

    /// No consent under way has that `state`.
    #[error("no consent is under way with this `state`, or it took too long: begin again")]
    UnknownState,
    /// An answer from another server than the one that was asked (RFC 9207).
    #[error("the answer does not come from the authorization server that was asked")]
    AnswerIssuer,
    /// The person, or the server, said no.
    #[error("no consent was given: {0}")]
    Denied(Refused),
    /// Too many consents under way.
    #[error("too many consents are under way: try again later")]
    Busy,
    /// This upstream's tokens need nobody's consent.
    #[error("this upstream's tokens need nobody's consent")]
    NoConsentNeeded,

    /// What was kept cannot be read, or what must be kept cannot be written.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The work was cut off.
    #[error("the gateway is stopping")]
    Stopped,
}

impl OauthError {
    /// Whether a person has to consent before anything else.
    pub(super) fn is_consent(&self) -> bool {
        matches!(self, Self::ConsentRequired | Self::MoreConsentRequired(_))
    }

    /// Whether only people can change anything about it, so that asking again later is of no use.
    pub(super) fn is_for_people(&self) -> bool {
        let is_about_answer = matches!(
            self,
            Self::UnknownState | Self::AnswerIssuer | Self::Denied(_)
        );
        self.is_consent() || is_about_answer || matches!(self, Self::ScopeRefused(_))
    }

    /// Whether the operator was told the same before.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

/// An OAuth error response (RFC 6749, section 5.2), fit for a log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{code}{description}")]
pub struct Refused {
    /// The error code.
    pub code: String,
    /// Empty, or `: ` and the server's words.
    pub description: String,
}

impl Refused {
    /// Whether the refresh token is of no use any more.
    pub(super) fn is_about_grant(&self) -> bool {
        self.code == "invalid_grant"
    }

    /// Whether the client is not known there any more.
    pub(super) fn is_about_client(&self) -> bool {
        matches!(self.code.as_str(), "invalid_client" | "unauthorized_client")
    }

    pub(super) fn new(code: &str, description: Option<&str>) -> Self {
        Self {
            code: words(code),
            description: description
                .filter(|text| !text.is_empty())
                .map(|text| format!(": {}", words(text)))
                .unwrap_or_default(),
        }
    }
}

/// Another server's words, cut short and on one line.
fn words(text: &str) -> String {
    let printable = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    printable.take(WORDS_LEN_MAX).collect()
}

/// A URL as it may be shown: its query may hold secrets.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    words(url.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_is_cut_and_stays_on_one_line() {
        let refused = Refused::new("invalid_grant", Some(&format!("a\nb{}", "x".repeat(999))));
        let shown = refused.to_string();
        assert!(shown.starts_with("invalid_grant: a bxxx"), "{shown}");
        assert!(shown.len() < 250, "{shown}");
        assert_eq!(Refused::new("busy", Some("")).to_string(), "busy");
    }

    #[test]
    fn a_url_is_shown_without_its_query() {
        let url = Url::parse("https://a.example/token?secret=1#x").unwrap();
        assert_eq!(shown(&url), "https://a.example/token");
    }
}
