//! What a tenant's generation brings to its bindings: issuers and API keys.

use std::sync::Arc;
use std::time::Duration;

use super::jwt::Issuers;
use super::keys::KeyTable;

/// One generation's issuers and API keys. Immutable; issuers' fetched keys are renewed behind it.
pub struct TenantServices {
    issuers: Arc<Issuers>,
    keys: KeyTable,
}

impl TenantServices {
    pub(super) fn new(issuers: Arc<Issuers>, keys: KeyTable) -> Self {
        Self { issuers, keys }
    }

    /// Waits until every key set behind a URL was asked for once, so that a new tenant's first token finds its keys.
    /// True when all of them are there; false when one is not, or `wait_max` is over: the tenant can be served, and
    /// answers `keys-unavailable` until they are.
    pub async fn keys_fetched(&self, wait_max: Duration) -> bool {
        self.issuers.keys_fetched(wait_max).await
    }

    pub(super) fn issuers(&self) -> &Issuers {
        &self.issuers
    }

    pub(super) fn keys(&self) -> &KeyTable {
        &self.keys
    }
}
