//! Why a tenant's issuers can not be served: which of them, which field, and what is wrong.

use thiserror::Error;

use super::jwt::KeySetError;

/// An issuer that can not be served.
#[derive(Debug, Error)]
#[error("issuer {issuer}: {field}: {problem}")]
pub struct TenantServicesError {
    /// The issuer's name in the tenant's state.
    pub issuer: String,
    /// The field of its specification.
    pub field: &'static str,
    /// What is wrong with it.
    #[source]
    pub problem: IssuerProblem,
}

/// What is wrong with an issuer.
#[derive(Debug, Error)]
pub enum IssuerProblem {
    /// The `iss` claim is what tokens are sorted by.
    #[error("must not be empty")]
    EmptyIssuer,
    /// A token could not be told apart.
    #[error("{other} has the same issuer; give each `iss` once")]
    SameIssuer {
        /// The issuer's name that came first.
        other: String,
    },
    /// There must be one source of keys.
    #[error("set exactly one of jwks_url, jwks and secret")]
    NotOneSource,
    /// Keys can not be fetched from there.
    #[error("must be an absolute http or https URL with a host")]
    NotFetchable,
    /// The key set holds nothing to verify with.
    #[error(transparent)]
    KeySet(#[from] KeySetError),
    /// Shorter than the hash (RFC 7518, 3.2).
    #[error("must have {bytes_min} bytes at least, for HS256 (RFC 7518, section 3.2)")]
    SecretTooShort {
        /// The least.
        bytes_min: usize,
    },
}
