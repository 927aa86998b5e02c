//! Tokens that passed, so that the next call with the same one costs a hash and a look at the clock.
//!
//! Each tenant has its own, bounded in bytes: no tenant pushes another's tokens out. What was never verified is
//! never in here, so a caller without a good token can not fill it.

use std::sync::Arc;

use portcullis_sandbox::VerifiedToken;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::claims::Claims;
use super::key_set::KeySet;

/// Tokens and claims of one tenant.
const CACHE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// What the cache prepares for; it grows as it is used.
const TOKENS_EXPECTED: usize = 2_048;
/// What an entry costs beside its texts.
const ENTRY_BYTES: usize = 256;

/// A token that passed.
pub(super) struct Verified {
    pub(super) token: VerifiedToken,
    pub(super) claims: Claims,
    /// The keys that it was verified with: it stands for as long as its issuer has these.
    pub(super) keys: Arc<KeySet>,
}

/// By the whole text of the token.
pub(super) struct TokenCache {
    tokens: Cache<Box<str>, Arc<Verified>, Weigh>,
}

#[derive(Clone)]
struct Weigh;

impl Weighter<Box<str>, Arc<Verified>> for Weigh {
    fn weight(&self, token: &Box<str>, verified: &Arc<Verified>) -> u64 {
        let bytes = token
            .len()
            .saturating_add(verified.token.claims.len())
            .saturating_add(ENTRY_BYTES);
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

impl TokenCache {
    pub(super) fn new() -> Self {
        Self {
            tokens: Cache::with_weighter(TOKENS_EXPECTED, CACHE_BYTES_MAX, Weigh),
        }
    }

    pub(super) fn get(&self, token: &str) -> Option<Arc<Verified>> {
        self.tokens.get(token)
    }

    pub(super) fn insert(&self, token: &str, verified: Verified) {
        self.tokens.insert(token.into(), Arc::new(verified));
    }
}
