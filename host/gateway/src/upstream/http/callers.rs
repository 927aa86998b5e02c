//! Ways to an upstream that knows the gateway's callers themselves: one for each token that a caller presents.
//!
//! Between the call and its wire, and only where the definition has tokens exchanged. A way is found by the hash of the
//! token, so that nobody is ever served as somebody else; sessions, which belong to a way, are not shared either.

use std::sync::Arc;

use http::{HeaderMap, header};
use quick_cache::sync::Cache;
use sha2::{Digest as _, Sha256};

use super::wire::Wire;
use crate::model::Secret;
use crate::upstream::error::UpstreamError;
use crate::upstream::oauth::{Credential, OauthError};

/// The callers that were here last.
#[derive(Debug)]
pub(super) struct Callers {
    credential: Arc<Credential>,
    wires: Cache<[u8; 32], Arc<Wire>>,
}

impl Callers {
    /// None for an upstream that knows the gateway alone.
    pub(super) fn of(wire: &Wire) -> Option<Self> {
        let credential = wire
            .credential()
            .filter(|credential| credential.is_exchanged())?;
        Some(Self {
            credential: Arc::clone(credential),
            wires: Cache::new(wire.limits.callers_max),
        })
    }

    /// The way of the caller who presents what is in these headers.
    ///
    /// # Errors
    /// When that is no bearer token.
    pub(super) fn wire(&self, own: &Wire, headers: &HeaderMap) -> Result<Arc<Wire>, UpstreamError> {
        let Some(token) = bearer(headers) else {
            return Err(unknown(own));
        };
        let key: [u8; 32] = Sha256::digest(token).into();
        self.wires.get_or_insert_with(&key, || {
            let credential = self.credential.of_caller(Secret::new(token));
            Ok(Arc::new(own.showing(credential)))
        })
    }
}

/// The error of what is asked for nobody in particular.
fn unknown(own: &Wire) -> UpstreamError {
    UpstreamError::Unauthorized {
        upstream: Arc::clone(&own.name),
        source: Arc::new(OauthError::NoSubject),
    }
}

/// RFC 6750, section 2.1.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
