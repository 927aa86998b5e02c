//! Who calls in the demo: `acme` knows its people by tokens of its identity provider, `globex` by API keys.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::error::DemoError;

/// `iss` of acme's tokens.
pub(super) const ISSUER: &str = "https://login.acme.example";
/// `aud` of acme's tokens.
pub(super) const AUDIENCE: &str = "https://mcp.acme.example";
/// A demo that runs over the weekend still answers on Monday.
const TOKEN_TTL_S: u64 = 7 * 86_400;

/// Somebody who can call a tenant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Person {
    pub(super) name: &'static str,
    pub(super) team: &'static str,
    pub(super) role: &'static str,
}

/// Identified by JWT.
pub(super) const ACME: [Person; 2] = [
    Person {
        name: "alice",
        team: "research",
        role: "admin",
    },
    Person {
        name: "bob",
        team: "support",
        role: "viewer",
    },
];

/// Identified by API key.
pub(super) const GLOBEX: [Person; 2] = [
    Person {
        name: "carol",
        team: "trading",
        role: "analyst",
    },
    Person {
        name: "dave",
        team: "trading",
        role: "analyst",
    },
];

/// A person with what they present.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) person: Person,
    /// Goes into `Authorization: Bearer`.
    pub(super) token: String,
}

impl Person {
    /// A JWT as acme's identity provider would sign it.
    pub(super) fn with_token(self, secret: &str) -> Result<Caller, DemoError> {
        let now_s = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let claims = json!({
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": self.name,
            "team": self.team,
            "roles": [self.role],
            "iat": now_s,
            "exp": now_s.saturating_add(TOKEN_TTL_S),
        });
        let key = EncodingKey::from_secret(secret.as_bytes());
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)
            .map_err(|source| DemoError::Token { source })?;
        Ok(Caller {
            person: self,
            token,
        })
    }

    /// What the admin API is told of an API key.
    pub(super) fn key(self) -> Value {
        json!({"name": self.name, "subject": self.name, "team": self.team, "roles": [self.role]})
    }
}

/// The secret that acme's identity provider and the gateway share: a new one in every demo.
pub(super) fn issuer_secret() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}
