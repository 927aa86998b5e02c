//! The least host that a guest can run on.

#![allow(
    clippy::unwrap_used,
    reason = "test code: what fails here fails the test"
)]

use std::borrow::Cow;
use std::sync::Mutex;

use portcullis_sandbox::{
    CallView, Identity, LogLevel, QuotaTake, QuotaVerdict, Scope, Services, VerifiedToken,
};

/// A call that says nothing.
pub struct Call;

impl CallView for Call {
    fn tenant(&self) -> &str {
        "acme"
    }
    fn server(&self) -> &str {
        "tools"
    }
    fn method(&self) -> Option<&str> {
        Some("tools/call")
    }
    fn target(&self) -> Option<Cow<'_, str>> {
        Some("echo".into())
    }
    fn header(&self, _: &str) -> Option<&str> {
        None
    }
    fn peer(&self) -> Cow<'_, str> {
        "127.0.0.1".into()
    }
    fn identity(&self) -> Option<&Identity> {
        None
    }
    fn session(&self) -> Option<&str> {
        None
    }
    fn arguments(&self) -> Option<&str> {
        None
    }
    fn argument(&self, _: &str) -> Option<&str> {
        None
    }
    fn definition(&self) -> Option<&str> {
        None
    }
    fn candidate(&self, _: usize) -> Option<&str> {
        None
    }
    fn candidate_label(&self, _: usize, _: &str) -> Option<&str> {
        None
    }
}

/// Services that allow everything and keep nothing but what is logged.
#[derive(Default)]
pub struct Recorder {
    /// Lines, each with its level.
    pub lines: Mutex<Vec<(LogLevel, String)>>,
}

impl Services for Recorder {
    fn log(&self, _: &Scope, level: LogLevel, message: &str) {
        self.lines.lock().unwrap().push((level, message.to_owned()));
    }
    fn now_ms(&self) -> u64 {
        1
    }
    fn quota_take(&self, _: &Scope, takes: &[QuotaTake<'_>]) -> Vec<QuotaVerdict> {
        takes
            .iter()
            .map(|_| QuotaVerdict {
                allowed: true,
                remaining: 1,
                retry_after_ms: 0,
            })
            .collect()
    }
    fn jwt_verify(
        &self,
        _: &Scope,
        _: &str,
        _: &[String],
        _: &[String],
    ) -> Result<VerifiedToken, String> {
        Err("malformed".into())
    }
    fn key_lookup(&self, _: &Scope, _: &str) -> Option<Identity> {
        None
    }
    fn state_get(&self, _: &Scope, _: &str) -> Option<Vec<u8>> {
        None
    }
    fn state_set(&self, _: &Scope, _: String, _: Vec<u8>, _: Option<u64>) -> Result<(), String> {
        Ok(())
    }
    fn state_delete(&self, _: &Scope, _: &str) {}
    fn metric_count(&self, _: &Scope, _: &str, _: u64, _: &[(String, String)]) {}
    fn metric_observe(&self, _: &Scope, _: &str, _: f64, _: &[(String, String)]) {}
}
