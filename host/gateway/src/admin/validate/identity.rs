//! Token issuers and API keys: who may speak, and how the host knows.

use crate::model::{IssuerSpec, KeySpec, TenantState};

use super::{Checked, Problem, TEXT_LEN_MAX, VALUE_LEN_MAX, at_most, check_url, short};

const WORDS_MAX: usize = 64;
/// RFC 7518, section 3.2: an HS256 key is at least as long as the hash.
const HS256_SECRET_LEN_MIN: usize = 32;

pub(in crate::admin) fn issuer(name: &str, spec: &IssuerSpec, state: &TenantState) -> Checked {
    if spec.issuer.is_empty() {
        return Err(Problem::invalid("/issuer", "the `iss` claim of its tokens"));
    }
    short("/issuer".to_owned(), &spec.issuer, TEXT_LEN_MAX)?;
    if let Some((other, _)) = state
        .issuers
        .iter()
        .find(|(other, issuer)| *other != name && issuer.issuer == spec.issuer)
    {
        return Err(Problem::invalid(
            "/issuer",
            format!("`{other}` is the same issuer: one of them is enough"),
        ));
    }
    match (&spec.jwks_url, &spec.jwks, &spec.secret) {
        (Some(url), None, None) => check_url("/jwks_url", url),
        (None, Some(jwks), None) => match jwks.get("keys").and_then(serde_json::Value::as_array) {
            Some(keys)
                if keys
                    .iter()
                    .any(|key| key.get("d").is_some() || key.get("k").is_some()) =>
            {
                Err(Problem::invalid(
                    "/jwks/keys",
                    "a key is private or symmetric: give public keys alone",
                ))
            }
            Some(_) => Ok(()),
            None => Err(Problem::invalid(
                "/jwks",
                "a JWK Set is an object with an array `keys` (RFC 7517, section 5)",
            )),
        },
        (None, None, Some(secret)) if secret.expose().len() < HS256_SECRET_LEN_MIN => {
            Err(Problem::invalid(
                "/secret",
                format!(
                    "an HS256 secret has at least {HS256_SECRET_LEN_MIN} bytes (RFC 7518, section 3.2)"
                ),
            ))
        }
        (None, None, Some(secret)) => short("/secret".to_owned(), secret.expose(), VALUE_LEN_MAX),
        (None, None, None)
        | (Some(_), Some(_), _)
        | (Some(_), _, Some(_))
        | (_, Some(_), Some(_)) => Err(Problem::invalid(
            "",
            "give exactly one of `jwks_url`, `jwks` and `secret`",
        )),
    }
}

pub(in crate::admin) fn key(spec: &KeySpec, now_ms: u64) -> Checked {
    for (pointer, text) in [("/name", &spec.name), ("/subject", &spec.subject)] {
        if text.is_empty() {
            return Err(Problem::invalid(pointer, "this is not empty"));
        }
        short(pointer.to_owned(), text, TEXT_LEN_MAX)?;
    }
    if let Some(team) = &spec.team {
        short("/team".to_owned(), team, TEXT_LEN_MAX)?;
    }
    for (pointer, words) in [("/roles", &spec.roles), ("/scopes", &spec.scopes)] {
        at_most(pointer, "words", words.len(), WORDS_MAX)?;
        words
            .iter()
            .enumerate()
            .try_for_each(|(at, word)| short(format!("{pointer}/{at}"), word, TEXT_LEN_MAX))?;
    }
    match spec.expires_at_ms {
        Some(expires_at_ms) if expires_at_ms <= now_ms => Err(Problem::invalid(
            "/expires_at_ms",
            "this moment is past: give milliseconds since 1970",
        )),
        Some(_) | None => Ok(()),
    }
}
