//! The host of a replay: counters and values in memory, and nobody to verify tokens.

use std::sync::Arc;

use portcullis_sandbox::{
    Identity, LogLevel, QuotaTake, QuotaVerdict, Scope, Services, VerifiedToken,
};
use prometheus::Registry;

use crate::state::{Clock, PluginState, QuotaScope, StateBounds, StateRoom};

const OWN: &str = "replay";

/// Counters and values that live as long as the replay.
pub(super) struct Local {
    clock: Clock,
    quotas: Arc<QuotaScope>,
    values: Arc<PluginState>,
}

impl Local {
    /// None taken, none set.
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let clock = Clock::system();
        let room = StateRoom::new(StateBounds::default(), clock.clone(), &Registry::new())?;
        Ok(Self {
            quotas: room.quotas(OWN, OWN),
            values: room.plugin_state(OWN, OWN),
            clock,
        })
    }
}

impl Services for Local {
    fn log(&self, _: &Scope, _: LogLevel, _: &str) {}

    fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    fn quota_take(&self, _: &Scope, takes: &[QuotaTake<'_>]) -> Vec<QuotaVerdict> {
        self.quotas.take(takes)
    }

    fn jwt_verify(
        &self,
        _: &Scope,
        _: &str,
        _: &[String],
        _: &[String],
    ) -> Result<VerifiedToken, String> {
        Err("keys-unavailable".into())
    }

    fn key_lookup(&self, _: &Scope, _: &str) -> Option<Identity> {
        None
    }

    fn state_get(&self, _: &Scope, key: &str) -> Option<Vec<u8>> {
        self.values.get(key).map(|value| value.to_vec())
    }

    fn state_set(
        &self,
        _: &Scope,
        key: String,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
    ) -> Result<(), String> {
        let set = self.values.set(&key, value, ttl_ms);
        set.map_err(|error| error.to_string())
    }

    fn state_delete(&self, _: &Scope, key: &str) {
        self.values.delete(key);
    }

    fn metric_count(&self, _: &Scope, _: &str, _: u64, _: &[(String, String)]) {}

    fn metric_observe(&self, _: &Scope, _: &str, _: f64, _: &[(String, String)]) {}
}
