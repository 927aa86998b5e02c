//! What the host does for guests, beyond reading the call. The gateway implements it; every answer comes from memory.

use std::sync::Arc;

use crate::{Identity, QuotaLimit, QuotaVerdict};

/// On whose behalf a host call is made. Counters and state belong to tenant and plugin, not to an instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    /// The tenant's name.
    pub tenant: String,
    /// The plugin's own name, the same in all its versions.
    pub plugin: String,
    /// The binding's name in the tenant's chain.
    pub binding: String,
}

/// What is to be taken from one counter.
#[derive(Debug, Clone, Copy)]
pub struct QuotaTake<'a> {
    /// The counter.
    pub key: &'a str,
    /// Tokens to take.
    pub cost: u32,
    /// The limit to take them under.
    pub limit: QuotaLimit,
}

/// A token that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedToken {
    /// The same token's for as long as it is remembered, and never another one's.
    pub number: u64,
    /// A JSON object, as its issuer wrote it.
    pub claims: Arc<str>,
}

/// Severity of a guest's log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Every step.
    Trace,
    /// For the plugin's author.
    Debug,
    /// For operators.
    Info,
    /// Something is off.
    Warn,
    /// Something failed.
    Error,
}

/// Host interfaces as guests call them. None of these may block.
pub trait Services: Send + Sync {
    /// One log line, already capped in length and number.
    fn log(&self, scope: &Scope, level: LogLevel, message: &str);
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64;
    /// Takes from every key or from none; one verdict per take.
    fn quota_take(&self, scope: &Scope, takes: &[QuotaTake<'_>]) -> Vec<QuotaVerdict>;
    /// The token, verified, or the code of why it does not hold.
    fn jwt_verify(
        &self,
        scope: &Scope,
        token: &str,
        issuers: &[String],
        audiences: &[String],
    ) -> Result<VerifiedToken, String>;
    /// The identity behind an API key.
    fn key_lookup(&self, scope: &Scope, presented: &str) -> Option<Identity>;
    /// A value of the plugin's state.
    fn state_get(&self, scope: &Scope, key: &str) -> Option<Vec<u8>>;
    /// Sets a value, or says which bound is reached.
    fn state_set(
        &self,
        scope: &Scope,
        key: String,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
    ) -> Result<(), String>;
    /// Removes a value.
    fn state_delete(&self, scope: &Scope, key: &str);
    /// Adds to a counter of the plugin's.
    fn metric_count(&self, scope: &Scope, name: &str, value: u64, labels: &[(String, String)]);
    /// Observes a value in a histogram of the plugin's.
    fn metric_observe(&self, scope: &Scope, name: &str, value: f64, labels: &[(String, String)]);
}
