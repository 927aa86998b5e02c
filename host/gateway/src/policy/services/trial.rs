//! Services for guests that are tried out: they see what is there, and change nothing.
//!
//! Counters answer what a take would come to and take nothing, values that are set are seen by the same trial alone, log lines
//! go to whoever tries, and metrics are not counted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_sandbox::{
    Identity, LogLevel, QuotaTake, QuotaVerdict, Scope, Services, VerifiedToken,
};

use super::binding::BindingServices;

/// Most log lines of one trial.
const LINES_MAX: usize = 100;

/// What guests said in a trial.
#[derive(Debug, Default)]
pub struct TrialLog(Mutex<Vec<String>>);

impl TrialLog {
    /// The lines so far, each with its binding and level.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        lock(&self.0).clone()
    }
}

/// What values a trial has set; `None` where it deleted one.
type Overlay = HashMap<String, Option<Vec<u8>>>;

pub(super) struct TrialServices {
    pub(super) real: BindingServices,
    pub(super) log: Arc<TrialLog>,
    pub(super) values: Mutex<Overlay>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Services for TrialServices {
    fn log(&self, scope: &Scope, level: LogLevel, message: &str) {
        let mut lines = lock(&self.log.0);
        if lines.len() < LINES_MAX {
            lines.push(format!("{}: {level:?}: {message}", scope.binding));
        }
    }

    fn now_ms(&self) -> u64 {
        self.real.now_ms()
    }

    fn quota_take(&self, _: &Scope, takes: &[QuotaTake<'_>]) -> Vec<QuotaVerdict> {
        self.real.quotas.look(takes)
    }

    fn jwt_verify(
        &self,
        scope: &Scope,
        token: &str,
        issuers: &[String],
        audiences: &[String],
    ) -> Result<VerifiedToken, String> {
        self.real.jwt_verify(scope, token, issuers, audiences)
    }

    fn key_lookup(&self, scope: &Scope, presented: &str) -> Option<Identity> {
        self.real.key_lookup(scope, presented)
    }

    fn state_get(&self, scope: &Scope, key: &str) -> Option<Vec<u8>> {
        match lock(&self.values).get(key) {
            Some(set) => set.clone(),
            None => self.real.state_get(scope, key),
        }
    }

    fn state_set(
        &self,
        _: &Scope,
        key: String,
        value: Vec<u8>,
        _ttl_ms: Option<u64>,
    ) -> Result<(), String> {
        lock(&self.values).insert(key, Some(value));
        Ok(())
    }

    fn state_delete(&self, _: &Scope, key: &str) {
        lock(&self.values).insert(key.to_owned(), None);
    }

    fn metric_count(&self, _: &Scope, _: &str, _: u64, _: &[(String, String)]) {}

    fn metric_observe(&self, _: &Scope, _: &str, _: f64, _: &[(String, String)]) {}
}
