//! Recognises callers by JSON Web Tokens (RFC 7519) in `Authorization: Bearer` (RFC 6750).
//!
//! Before it: the listener. After it: admission. The host verifies signature, time, issuer and audience with keys that
//! this component never sees; what is decided here is which token counts, and who its claims say is calling.

mod claims;

use portcullis_sdk::{Call, Denial, Identity, Manifest, Policy, config, jwt};
use serde::Deserialize;

use claims::Mapping;

/// Milliseconds after which keys that could not be fetched are worth another try.
const KEYS_RETRY_MS: u64 = 5_000;

/// The policy, as configured.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtAuth {
    issuers: Vec<String>,
    #[serde(default)]
    audiences: Vec<String>,
    #[serde(default)]
    claims: Mapping,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    pass_unknown_issuers: bool,
}

impl Policy for JwtAuth {
    fn manifest() -> Manifest {
        portcullis_sdk::manifest!(include_str!("../schema.json"))
    }

    fn configure(text: &str) -> Result<Self, String> {
        let policy: Self = config::parse(text)?;
        if policy.issuers.is_empty() {
            return Err("issuers: name at least one, or no token can hold".to_owned());
        }
        Ok(policy)
    }

    fn authenticate(&self, call: &Call) -> Result<Option<Identity>, Denial> {
        let Some(token) = call.bearer_token().filter(|token| is_jwt(token)) else {
            return Ok(None);
        };
        let claims = match jwt::verify(&token, &self.issuers, &self.audiences) {
            Ok(claims) => claims,
            Err(reason) if self.pass_unknown_issuers && reason == "unknown-issuer" => {
                return Ok(None);
            }
            Err(reason) => return Err(refusal(&reason)),
        };
        let mut identity = self.claims.identity(claims).map_err(invalid_token)?;
        identity.roles.extend(self.roles.iter().cloned());
        Ok(Some(identity))
    }
}

/// Three parts of base64url with dots between; anything else may be another kind of token.
fn is_jwt(token: &str) -> bool {
    let mut parts = 0;
    for part in token.split('.') {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        parts += 1;
        // The signature alone may be empty; the host refuses such a token for what it is.
        if (part.is_empty() && parts < 3) || !part.bytes().all(known) {
            return false;
        }
    }
    parts == 3
}

/// What the host said of a token, in words for the caller.
fn refusal(reason: &str) -> Denial {
    let description = match reason {
        "expired" => "The token has expired",
        "not-yet-valid" => "The token is not valid yet",
        "wrong-audience" => "The token is meant for another audience",
        "unknown-issuer" => "The token's issuer is not trusted here",
        "bad-signature" => "The token's signature does not hold",
        "malformed" => "The token cannot be read",
        "keys-unavailable" => {
            let mut denial = Denial::unavailable(
                "The issuer's keys cannot be fetched at the moment, so the token cannot be checked.",
            );
            denial.retry_after_ms = Some(KEYS_RETRY_MS);
            return denial;
        }
        // An open set: a newer host may know further reasons, and none of them lets the caller in.
        _ => "The token does not hold",
    };
    invalid_token(description)
}

/// RFC 6750, section 3.1. The description must hold neither quotes nor backslashes.
fn invalid_token(description: &str) -> Denial {
    Denial::unauthenticated(format!("{description}.")).with_challenge(format!(
        "Bearer error=\"invalid_token\", error_description=\"{description}\""
    ))
}

portcullis_sdk::export!(JwtAuth: authenticate);

#[cfg(test)]
mod tests;
