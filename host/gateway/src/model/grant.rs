//! What came of an upstream's authorization: the server it is bound to, a registration there, and tokens.
//!
//! Not desired state: upstreams write it themselves, so that nobody has to consent again after a restart.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{GrantType, HoldsSecrets, Secret};

/// Everything of one upstream's authorization that outlives the process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// URL of the upstream that it was given for; of no use for another.
    pub url: String,
    /// How it came about; of no use for another way.
    pub grant: GrantType,
    /// The authorization server.
    pub issuer: String,
    /// Who the gateway is there.
    pub client_id: String,
    /// Scopes that were asked for.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Where the gateway registered itself.
    #[serde(default)]
    pub registration: Option<Registration>,
    /// What a person consented to.
    #[serde(default)]
    pub tokens: Option<Tokens>,
}

/// A client that the gateway registered (RFC 7591, section 3.2.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Its id.
    pub client_id: String,
    /// Its secret, where it was given one.
    #[serde(default)]
    pub client_secret: Option<Secret>,
    /// How it authenticates.
    pub auth_method: AuthMethod,
    /// Where people are sent back to.
    pub redirect_url: String,
    /// When the secret ends, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub expires_at_ms: Option<u64>,
}

/// How a client authenticates at a token endpoint (RFC 7591, section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// Not at all: PKCE alone holds the flow together.
    None,
    /// With its secret, as HTTP Basic.
    ClientSecretBasic,
    /// With its secret, in the body.
    ClientSecretPost,
    /// With a signature.
    PrivateKeyJwt,
}

impl AuthMethod {
    /// The name in metadata and registrations.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }
}

/// What a token endpoint gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Shown to the upstream.
    pub access: Secret,
    /// Shown to the token endpoint, for the next one.
    #[serde(default)]
    pub refresh: Option<Secret>,
    /// When the access token ends, in milliseconds since the Unix epoch, where that was said.
    #[serde(default)]
    pub expires_at_ms: Option<u64>,
}

impl HoldsSecrets for Grant {
    fn secrets_mut(&mut self) -> BTreeMap<String, &mut Secret> {
        let registered = self
            .registration
            .iter_mut()
            .filter_map(|registration| registration.client_secret.as_mut())
            .map(|secret| ("/registration/client_secret".to_owned(), secret));
        let tokens = self.tokens.iter_mut().flat_map(|tokens| {
            let refresh = tokens
                .refresh
                .iter_mut()
                .map(|token| ("/tokens/refresh".to_owned(), token));
            refresh.chain([("/tokens/access".to_owned(), &mut tokens.access)])
        });
        registered.chain(tokens).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::to_stored;

    #[test]
    fn a_grant_is_stored_whole_and_shown_without_secrets() {
        let document = json!({
            "url": "https://crm.example/mcp", "grant": "authorization-code", "issuer": "https://login.example",
            "client_id": "c", "scopes": ["a"],
            "registration": {
                "client_id": "c", "client_secret": "s-1", "auth_method": "client_secret_basic",
                "redirect_url": "http://127.0.0.1:4445/oauth/callback", "expires_at_ms": null,
            },
            "tokens": { "access": "s-2", "refresh": "s-3", "expires_at_ms": 5 },
        });
        let grant: Grant = serde_json::from_value(document.clone()).unwrap();
        assert_eq!(to_stored(&grant).unwrap(), document);
        let shown = format!("{grant:?} {}", serde_json::to_string(&grant).unwrap());
        assert!(!shown.contains("s-"), "{shown}");
    }
}
