//! The services as one binding's instances call them: everything that could be looked up ahead is at hand.

use std::sync::Arc;

use portcullis_sandbox::{
    Identity, LogLevel, QuotaTake, QuotaVerdict, Scope, Services, VerifiedToken,
};

use super::guest_log;
use super::jwt::Asked;
use super::metrics::PluginMetrics;
use super::tenant::TenantServices;
use crate::state::{Clock, PluginState, QuotaScope};

/// Services bound to a tenant's generation and a plugin. Calls carry the scope that this was made for.
pub(super) struct BindingServices {
    pub(super) tenant: Arc<TenantServices>,
    pub(super) clock: Clock,
    pub(super) quotas: Arc<QuotaScope>,
    pub(super) state: Arc<PluginState>,
    pub(super) metrics: Arc<PluginMetrics>,
}

impl Services for BindingServices {
    fn log(&self, scope: &Scope, level: LogLevel, message: &str) {
        guest_log::log(scope, level, message);
    }

    fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    fn quota_take(&self, _: &Scope, takes: &[QuotaTake<'_>]) -> Vec<QuotaVerdict> {
        self.quotas.take(takes)
    }

    fn jwt_verify(
        &self,
        _: &Scope,
        token: &str,
        issuers: &[String],
        audiences: &[String],
    ) -> Result<VerifiedToken, String> {
        let now_s = self.clock.now_ms() / 1_000;
        self.tenant
            .issuers()
            .verify(token, Asked { issuers, audiences }, now_s)
            .map_err(|refusal| refusal.code().to_owned())
    }

    fn key_lookup(&self, _: &Scope, presented: &str) -> Option<Identity> {
        self.tenant.keys().lookup(presented, self.clock.now_ms())
    }

    fn state_get(&self, _: &Scope, key: &str) -> Option<Vec<u8>> {
        self.state.get(key).map(|value| value.to_vec())
    }

    fn state_set(
        &self,
        _: &Scope,
        key: String,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
    ) -> Result<(), String> {
        self.state
            .set(&key, value, ttl_ms)
            .map_err(|error| error.to_string())
    }

    fn state_delete(&self, _: &Scope, key: &str) {
        self.state.delete(key);
    }

    fn metric_count(&self, _: &Scope, name: &str, value: u64, labels: &[(String, String)]) {
        self.metrics.count(name, value, labels);
    }

    fn metric_observe(&self, _: &Scope, name: &str, value: f64, labels: &[(String, String)]) {
        self.metrics.observe(name, value, labels);
    }
}
