//! An issuer's keys, each with the algorithms that it may be used with (RFC 7517, RFC 7518).
//!
//! A set is read leniently, as RFC 7517, section 5 has it: a key that is of no use here is skipped. It is used
//! strictly: the algorithms of a key follow from its type, and a token's header only picks among them.

use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::token::Header;

mod jwk;

use jwk::Unusable;

/// Keys of one set.
const KEYS_MAX: usize = 64;
/// Signature checks for one token, where its header names no key or several have the name.
const TRIES_MAX: usize = 4;

/// Why a key set can not be used.
#[derive(Debug, Error)]
pub enum KeySetError {
    /// The document is not a JWK Set.
    #[error("not a JWK Set (RFC 7517): {0}")]
    NotASet(#[from] serde_json::Error),
    /// It is larger than any issuer's.
    #[error("{keys} keys, {KEYS_MAX} are allowed")]
    TooManyKeys {
        /// How many.
        keys: usize,
    },
    /// Not one of its keys verifies signatures.
    #[error("no key that verifies signatures: {reasons}")]
    NoUsableKey {
        /// For each key, by its place in the set, why not.
        reasons: String,
    },
}

/// Keys that verify signatures. Never empty.
#[derive(Debug)]
pub(in crate::policy::services) struct KeySet {
    keys: Vec<VerifyKey>,
}

#[derive(Debug)]
struct VerifyKey {
    kid: Option<Box<str>>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// What a set says of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::policy::services) enum Match {
    /// A key of the set made it.
    Good,
    /// None did.
    Bad,
    /// The key that the header names is not in the set.
    UnknownKey,
}

#[derive(Deserialize)]
struct RawSet {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads a JWK Set as it came over the wire.
    pub(in crate::policy::services) fn from_slice(json: &[u8]) -> Result<Self, KeySetError> {
        Self::from_raw(serde_json::from_slice(json)?)
    }

    /// Reads a JWK Set given in place.
    pub(in crate::policy::services) fn from_value(json: &Value) -> Result<Self, KeySetError> {
        Self::from_raw(RawSet::deserialize(json)?)
    }

    /// One shared secret, for HS256 and nothing else.
    pub(in crate::policy::services) fn from_secret(secret: &[u8]) -> Self {
        let key = DecodingKey::from_secret(secret);
        Self {
            keys: vec![VerifyKey {
                kid: None,
                algorithms: vec![Algorithm::HS256],
                key,
            }],
        }
    }

    fn from_raw(raw: RawSet) -> Result<Self, KeySetError> {
        if raw.keys.len() > KEYS_MAX {
            return Err(KeySetError::TooManyKeys {
                keys: raw.keys.len(),
            });
        }
        let mut keys = Vec::with_capacity(raw.keys.len());
        let mut reasons = Vec::new();
        for (place, raw) in raw.keys.iter().enumerate() {
            match jwk::read(raw) {
                Ok(key) => keys.push(key),
                Err(unusable) => reasons.push(format!("key {place} {unusable}")),
            }
        }
        if keys.is_empty() {
            let reasons = if reasons.is_empty() {
                "the set is empty".to_owned()
            } else {
                reasons.join(", ")
            };
            return Err(KeySetError::NoUsableKey { reasons });
        }
        Ok(Self { keys })
    }

    /// Checks a signature with the key that the header names, or without a name with every key that its algorithm
    /// fits. A key without a name may be any.
    pub(in crate::policy::services) fn verify(
        &self,
        header: &Header,
        signed: &str,
        signature: &str,
    ) -> Match {
        // Unknown algorithms, `none` among them, are no algorithms of any key.
        let Ok(algorithm) = header.alg.parse::<Algorithm>() else {
            return Match::Bad;
        };
        let named = |key: &&VerifyKey| match (&header.kid, &key.kid) {
            (Some(wanted), Some(kid)) => **wanted == **kid,
            (Some(_), None) | (None, _) => true,
        };
        let mut candidates = self.keys.iter().filter(named).peekable();
        if candidates.peek().is_none() {
            return Match::UnknownKey;
        }
        let good = candidates
            .filter(|key| key.algorithms.contains(&algorithm))
            .take(TRIES_MAX)
            .any(|key| key.verifies(algorithm, signed, signature));
        if good { Match::Good } else { Match::Bad }
    }
}

impl VerifyKey {
    fn verifies(&self, algorithm: Algorithm, signed: &str, signature: &str) -> bool {
        jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &self.key, algorithm)
            .unwrap_or(false)
    }

    /// Refuses a key that the signature's implementation can not use, before a token depends on it.
    fn checked(self) -> Result<Self, Unusable> {
        let usable = self.algorithms.iter().all(|algorithm| {
            jsonwebtoken::crypto::verify("AA", b"", &self.key, *algorithm).is_ok()
        });
        if usable {
            Ok(self)
        } else {
            Err(Unusable::NotAPoint)
        }
    }
}
