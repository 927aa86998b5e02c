//! The least host that a guest can run on, and what of it a target chooses: the value of every key of the state.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_sandbox::{
    BindingSettings, CallView, Grant, Identity, InstanceClass, LogLevel, QuotaTake, QuotaVerdict,
    ReplyView, Sandbox, SandboxSettings, Scope, Services, VerifiedToken,
};

/// Most that a guest may hand over.
pub const OUTPUT_BYTES_MAX: usize = 64 << 10;

/// A sandbox of bounds that are soon reached.
///
/// # Errors
/// When the machine has no room for it.
pub fn sandbox() -> Result<Arc<Sandbox>, String> {
    let settings = SandboxSettings {
        instances_max: 20,
        memory_bytes_max: 4 << 20,
        host_calls_max: 1_000,
        ..SandboxSettings::default()
    };
    Sandbox::new(settings).map_err(|error| error.to_string())
}

/// A binding that is granted everything, on this host.
pub fn settings(host: &Arc<Host>) -> BindingSettings {
    BindingSettings {
        config: "{}".into(),
        grants: BTreeSet::from(Grant::ALL),
        deadline_ms: 50,
        memory_bytes_max: 4 << 20,
        output_bytes_max: u64::try_from(OUTPUT_BYTES_MAX).unwrap_or(u64::MAX),
        class: InstanceClass::Warm,
        scope: Scope {
            tenant: "fuzz".into(),
            plugin: "guest".into(),
            binding: "guest".into(),
        },
        services: Arc::<Host>::clone(host),
    }
}

/// The host.
#[derive(Default)]
pub struct Host(Mutex<Vec<u8>>);

impl Host {
    /// What every key stands for from now on.
    pub fn keep(&self, value: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clear();
        kept.extend(value);
    }
}

impl Services for Host {
    fn log(&self, _: &Scope, _: LogLevel, _: &str) {}

    fn now_ms(&self) -> u64 {
        1
    }

    fn quota_take(&self, _: &Scope, takes: &[QuotaTake<'_>]) -> Vec<QuotaVerdict> {
        let verdict = |_: &QuotaTake<'_>| QuotaVerdict {
            allowed: true,
            remaining: 1,
            retry_after_ms: 0,
        };
        takes.iter().map(verdict).collect()
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
        Some(
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        )
    }

    fn state_set(&self, _: &Scope, _: String, _: Vec<u8>, _: Option<u64>) -> Result<(), String> {
        Ok(())
    }

    fn state_delete(&self, _: &Scope, _: &str) {}

    fn metric_count(&self, _: &Scope, _: &str, _: u64, _: &[(String, String)]) {}

    fn metric_observe(&self, _: &Scope, _: &str, _: f64, _: &[(String, String)]) {}
}

/// A call of the tool `echo`, and its result.
pub struct Call;

impl CallView for Call {
    fn tenant(&self) -> &str {
        "fuzz"
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
        Some("{}")
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

impl ReplyView for Call {
    fn is_error(&self) -> bool {
        false
    }

    fn json(&self) -> &str {
        "{}"
    }

    fn get(&self, _: &str) -> Option<&str> {
        None
    }
}
