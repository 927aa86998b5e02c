//! Recognises callers by JSON Web Tokens (RFC 7519) in `Authorization: Bearer` (RFC 6750).
//!
//! Before it: the listener. After it: admission. The host verifies signature, time, issuer and audience with keys that
//! this component never sees; what is decided here is which token counts, and who its claims say is calling.

mod claims;

use std::cell::Cell;

use portcullis_sdk::{Call, Caller, Denial, Identity, Manifest, Policy, config, jwt};
use serde::Deserialize;

use claims::Mapping;

/// Milliseconds after which keys that could not be fetched are worth another try.
const KEYS_RETRY_MS: u64 = 5_000;

/// Callers whose identity the host keeps. One who comes after so many others is read from the claims again.
const KEPT_MAX: u64 = 512;

/// The configuration as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
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

/// The policy, as configured.
#[derive(Debug)]
pub struct JwtAuth {
    verifier: jwt::Verifier,
    claims: Mapping,
    roles: Vec<String>,
    pass_unknown_issuers: bool,
    /// The token whose identity the host keeps under each number.
    kept: Vec<Cell<Option<u64>>>,
}

impl Policy for JwtAuth {
    fn manifest() -> Manifest {
        portcullis_sdk::manifest!(include_str!("../schema.json"))
    }

    fn configure(text: &str) -> Result<Self, String> {
        let settings: Settings = config::parse(text)?;
        if settings.issuers.is_empty() {
            return Err("issuers: name at least one, or no token can hold".to_owned());
        }
        Ok(Self {
            verifier: jwt::Verifier::new(&settings.issuers, &settings.audiences),
            claims: settings.claims,
            roles: settings.roles,
            pass_unknown_issuers: settings.pass_unknown_issuers,
            kept: vec![Cell::new(None); KEPT_MAX as usize],
        })
    }

    fn authenticate(&self, call: &Call) -> Result<Option<Caller>, Denial> {
        let token = match self.verifier.bearer(call) {
            Ok(Some(token)) => token,
            Ok(None) => return Ok(None),
            Err(reason) if self.pass_unknown_issuers && reason == "unknown-issuer" => {
                return Ok(None);
            }
            Err(reason) => return Err(refusal(&reason)),
        };
        // The host has checked the token anew; what its claims say has not changed.
        let place = token % KEPT_MAX;
        let kept = self.kept.get(place as usize);
        if kept.is_some_and(|kept| kept.get() == Some(token)) {
            return Ok(Some(Caller::Kept(place as u32)));
        }
        let identity = self.identity(token)?;
        if let Some(kept) = kept {
            kept.set(Some(token));
        }
        Ok(Some(Caller::Keep((place as u32, identity))))
    }
}

impl JwtAuth {
    fn identity(&self, token: u64) -> Result<Identity, Denial> {
        let claims = self.verifier.claims(token).unwrap_or_default();
        let mut identity = self.claims.identity(claims).map_err(invalid_token)?;
        identity.roles.extend(self.roles.iter().cloned());
        Ok(identity)
    }
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
