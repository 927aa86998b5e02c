//! What stands between the gateway and an access token.
//!
//! For the log and the admin API: a caller only learns that the operator has to look. None of these holds a token, a
//! secret or a code; words of an authorization server are cut short.

use thiserror::Error;
use url::Url;

use super::client::ClientError;
use super::consent::AnswerError;
use super::discovery::DiscoveryError;
use super::web::WebError;
use crate::store::StoreError;

/// Most characters of another server's words that are kept.
const WORDS_LEN_MAX: usize = 200;

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
    /// The caller presents nothing that could be exchanged.
    #[error("the caller presents no bearer token that could be exchanged")]
    NoSubject,
    /// What came of a consent.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// The upstream refuses a token that was just obtained.
    #[error("the upstream refuses the access token that it was just given")]
    TokenRefused,
    /// The upstream asks for what was asked for and given already.
    #[error("the upstream calls the scope insufficient that it asked for itself: {0}")]
    ScopeRefused(String),
    /// The upstream asks for more scopes than the gateway keeps.
    #[error("the upstream asks for more than {0} scopes")]
    TooManyScopes(usize),
    /// The authorization server cannot be found out.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// A server cannot be asked.
    #[error(transparent)]
    Web(#[from] WebError),
    /// The server lacks something that is needed.
    #[error("the authorization server {issuer} offers no {what}")]
    Unsupported {
        /// The server.
        issuer: String,
        /// What is needed.
        what: &'static str,
    },
    /// The gateway is nobody there, or cannot prove that it is somebody.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The token endpoint's refusal.
    #[error("the authorization server refused: {0}")]
    Refused(Refused),
    /// A token of a type that the gateway cannot present.
    #[error("the authorization server gave a token of a type that cannot be presented")]
    TokenType,
    /// What was kept cannot be read.
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
        self.is_consent() || matches!(self, Self::Answer(_) | Self::ScopeRefused(_))
    }

    /// What was wrong with a consent's answer, where that was it.
    #[must_use]
    pub fn answer(&self) -> Option<&AnswerError> {
        if let Self::Answer(answer) = self {
            Some(answer)
        } else {
            None
        }
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
