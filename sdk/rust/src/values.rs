//! Constructors for the contract's records, so that a policy reads as what it decides.

use crate::{Caller, Denial, Identity};

impl Identity {
    /// A caller without team, roles or scopes.
    pub fn new(subject: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            team: None,
            roles: Vec::new(),
            scopes: Vec::new(),
            claims: "{}".to_owned(),
        }
    }

    /// The team that limits and grants are counted against.
    #[must_use]
    pub fn with_team(mut self, team: impl Into<String>) -> Self {
        self.team = Some(team.into());
        self
    }

    /// Adds roles.
    #[must_use]
    pub fn with_roles<R: Into<String>>(mut self, roles: impl IntoIterator<Item = R>) -> Self {
        self.roles.extend(roles.into_iter().map(Into::into));
        self
    }

    /// Adds scopes.
    #[must_use]
    pub fn with_scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes.extend(scopes.into_iter().map(Into::into));
        self
    }

    /// Further claims, a JSON object as text.
    #[must_use]
    pub fn with_claims(mut self, claims: impl Into<String>) -> Self {
        self.claims = claims.into();
        self
    }
}

impl From<Identity> for Caller {
    fn from(identity: Identity) -> Self {
        Self::Identity(identity)
    }
}

impl Denial {
    /// A refusal with a code of the open set that `types.wit` describes. The message is shown to the caller.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            retry_after_ms: None,
            challenge: None,
        }
    }

    /// The caller is unknown, or its credentials do not hold.
    pub fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new("unauthenticated", message)
    }

    /// The caller is known and may not.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new("forbidden", message)
    }

    /// The caller may, and not now.
    pub fn rate_limited(message: impl Into<String>, retry_after_ms: u64) -> Self {
        Self {
            retry_after_ms: Some(retry_after_ms),
            ..Self::new("rate-limited", message)
        }
    }

    /// The message itself is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new("invalid", message)
    }

    /// What the policy needs to decide is not there.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new("unavailable", message)
    }

    /// A result is larger than the policy lets through.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new("too-large", message)
    }

    /// The value of `WWW-Authenticate` (RFC 9110, section 11.6.1).
    #[must_use]
    pub fn with_challenge(mut self, challenge: impl Into<String>) -> Self {
        self.challenge = Some(challenge.into());
        self
    }
}
