//! Verification of JSON Web Tokens (RFC 7519) against the issuers that a tenant registered.
//!
//! Before it: a guest with a token, and the issuers and audiences that it accepts. After it: the claims as the
//! issuer wrote them. It never guesses: an algorithm must be of the key's own family, `none` fits no key, a shared
//! secret verifies HS256 alone, and what is not understood is refused.
//!
//! Checks run from cheap to dear, so that a token which is no good anyway costs no signature check:
//! form, issuer, times, audience, keys, signature. Only tokens that passed all of them are remembered.

mod cache;
mod claims;
mod key_set;
mod refusal;
mod token;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use portcullis_sandbox::VerifiedToken;
use tokio::time::{Instant, timeout_at};

use super::error::{IssuerProblem, TenantServicesError};
use super::jwks::{JwksPool, JwksSource};
use crate::model::IssuerSpec;
use cache::{TokenCache, Verified};
use token::Token;

pub(super) use claims::Asked;
pub use claims::LEEWAY_S;
pub use key_set::KeySetError;
pub(super) use key_set::{KeySet, Match};
pub(super) use refusal::JwtRefusal;

/// The hash's own length (RFC 7518, 3.2).
const SECRET_BYTES_MIN: usize = 32;

/// The next token that passes has this number: no two of the process have the same.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// Chooses the implementation of signatures for the process. That one was chosen before is fine.
pub(super) fn install_crypto() {
    let _ = jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER.install_default();
}

/// A tenant's issuers, their keys, and the tokens that passed.
pub(super) struct Issuers {
    specs: BTreeMap<String, IssuerSpec>,
    by_iss: HashMap<Box<str>, Keys>,
    verified: TokenCache,
}

/// Where an issuer's keys come from.
enum Keys {
    Given(Arc<KeySet>),
    Fetched(Arc<JwksSource>),
}

impl Issuers {
    pub(super) fn new(
        specs: &BTreeMap<String, IssuerSpec>,
        jwks: &JwksPool,
    ) -> Result<Self, TenantServicesError> {
        let mut by_iss = HashMap::with_capacity(specs.len());
        let mut names: HashMap<&str, &str> = HashMap::with_capacity(specs.len());
        for (name, spec) in specs {
            let fail = |field, problem| TenantServicesError {
                issuer: name.clone(),
                field,
                problem,
            };
            if spec.issuer.is_empty() {
                return Err(fail("issuer", IssuerProblem::EmptyIssuer));
            }
            if let Some(other) = names.insert(&spec.issuer, name) {
                return Err(fail(
                    "issuer",
                    IssuerProblem::SameIssuer {
                        other: other.to_owned(),
                    },
                ));
            }
            let keys = Keys::new(spec, jwks).map_err(|(field, problem)| fail(field, problem))?;
            by_iss.insert(spec.issuer.as_str().into(), keys);
        }
        Ok(Self {
            specs: specs.clone(),
            by_iss,
            verified: TokenCache::new(),
        })
    }

    /// True when these are the issuers that `specs` describes.
    pub(super) fn are(&self, specs: &BTreeMap<String, IssuerSpec>) -> bool {
        self.specs == *specs
    }

    /// The token's number and its claims, byte for byte as its issuer wrote them, or why it does not hold.
    pub(super) fn verify(
        &self,
        text: &str,
        asked: Asked<'_>,
        now_s: u64,
    ) -> Result<VerifiedToken, JwtRefusal> {
        if let Some(hit) = self.verified.get(text) {
            // Keys that were renewed since may no longer hold the one that signed it.
            if self
                .by_iss
                .get(hit.claims.iss())
                .is_some_and(|keys| keys.are(&hit.keys))
            {
                hit.claims.check(asked, now_s)?;
                return Ok(hit.token.clone());
            }
        }
        let token = Token::parse(text)?;
        let keys = self
            .by_iss
            .get(token.claims.iss())
            .ok_or(JwtRefusal::UnknownIssuer)?;
        token.claims.check(asked, now_s)?;
        let set = keys.current().ok_or(JwtRefusal::KeysUnavailable)?;
        match set.verify(&token.header, token.signed, token.signature) {
            Match::Good => {}
            Match::Bad => return Err(JwtRefusal::BadSignature),
            Match::UnknownKey => return Err(keys.missed()),
        }
        let verified = Verified {
            token: VerifiedToken {
                number: NUMBERS.fetch_add(1, Ordering::Relaxed),
                claims: token.payload.into(),
            },
            claims: token.claims,
            keys: set,
        };
        let token = verified.token.clone();
        self.verified.insert(text, verified);
        Ok(token)
    }

    /// Waits until every key set behind a URL was asked for once; true when all of them are there.
    pub(super) async fn keys_fetched(&self, wait_max: Duration) -> bool {
        let deadline = Instant::now() + wait_max;
        for keys in self.by_iss.values() {
            if let Keys::Fetched(source) = keys {
                let fetched = timeout_at(deadline, source.first_fetch()).await.is_ok();
                if !fetched || source.current().is_none() {
                    return false;
                }
            }
        }
        true
    }
}

impl Keys {
    fn new(spec: &IssuerSpec, jwks: &JwksPool) -> Result<Self, (&'static str, IssuerProblem)> {
        match (&spec.jwks_url, &spec.jwks, &spec.secret) {
            (Some(url), None, None) => {
                let source = jwks
                    .source(url)
                    .ok_or(("jwks_url", IssuerProblem::NotFetchable))?;
                Ok(Self::Fetched(source))
            }
            (None, Some(jwks), None) => {
                let set = KeySet::from_value(jwks).map_err(|error| ("jwks", error.into()))?;
                Ok(Self::Given(Arc::new(set)))
            }
            (None, None, Some(secret)) => {
                let secret = secret.expose().as_bytes();
                if secret.len() < SECRET_BYTES_MIN {
                    return Err((
                        "secret",
                        IssuerProblem::SecretTooShort {
                            bytes_min: SECRET_BYTES_MIN,
                        },
                    ));
                }
                Ok(Self::Given(Arc::new(KeySet::from_secret(secret))))
            }
            (Some(_), Some(_), _) => Err(("jwks", IssuerProblem::NotOneSource)),
            (_, _, Some(_)) => Err(("secret", IssuerProblem::NotOneSource)),
            (None, None, None) => Err(("jwks_url", IssuerProblem::NotOneSource)),
        }
    }

    fn current(&self) -> Option<Arc<KeySet>> {
        match self {
            Self::Given(set) => Some(Arc::clone(set)),
            Self::Fetched(source) => source.current(),
        }
    }

    fn are(&self, set: &Arc<KeySet>) -> bool {
        match self {
            Self::Given(given) => Arc::ptr_eq(given, set),
            Self::Fetched(source) => source.holds(set),
        }
    }

    /// A token names a key that is not in the set: the issuer may have a new one.
    fn missed(&self) -> JwtRefusal {
        match self {
            Self::Given(_) => JwtRefusal::BadSignature,
            Self::Fetched(source) if source.refresh_early() => JwtRefusal::KeysUnavailable,
            Self::Fetched(_) => JwtRefusal::BadSignature,
        }
    }
}
