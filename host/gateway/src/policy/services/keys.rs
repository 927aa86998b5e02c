//! API keys: from what a caller presents to the identity that it speaks for.
//!
//! Keys are known by their SHA-256 alone. The look-up is by that hash, so how long it takes tells a guesser nothing
//! about the keys that exist.

use std::collections::HashMap;

use portcullis_sandbox::Identity;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::model::KeyRecord;

/// Longer texts are no keys, and are not hashed.
const PRESENTED_BYTES_MAX: usize = 512;

/// The API keys of one generation.
pub(super) struct KeyTable {
    by_sha256: HashMap<[u8; 32], Key>,
}

struct Key {
    identity: Identity,
    expires_at_ms: Option<u64>,
}

impl KeyTable {
    pub(super) fn new(records: &[KeyRecord]) -> Self {
        Self {
            by_sha256: records
                .iter()
                .map(|record| (record.sha256, Key::new(record)))
                .collect(),
        }
    }

    /// None for a key that is unknown, revoked or expired.
    pub(super) fn lookup(&self, presented: &str, now_ms: u64) -> Option<Identity> {
        if presented.len() > PRESENTED_BYTES_MAX {
            return None;
        }
        let sha256: [u8; 32] = Sha256::digest(presented).into();
        let key = self.by_sha256.get(&sha256)?;
        if key.expires_at_ms.is_some_and(|at| at <= now_ms) {
            return None;
        }
        Some(key.identity.clone())
    }
}

impl Key {
    fn new(record: &KeyRecord) -> Self {
        let spec = &record.spec;
        let identity = Identity {
            subject: spec.subject.clone(),
            team: spec.team.clone(),
            roles: spec.roles.clone(),
            scopes: spec.scopes.clone(),
            claims: json!({ "key": record.id, "name": spec.name }).to_string(),
        };
        Self {
            identity,
            expires_at_ms: spec.expires_at_ms,
        }
    }
}
