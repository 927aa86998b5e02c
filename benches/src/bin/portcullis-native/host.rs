//! The SDK's native host, answered by the gateway's own services: the same counters, keys and caches as the sandbox's.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use portcullis_sandbox::{CallView, LogLevel, ReplyView, Scope, Services};
use portcullis_sdk::logging::Level;
use portcullis_sdk::quota::{Request, Verdict};
use portcullis_sdk::{Identity, native};

use crate::convert;

/// On whose behalf a policy asks, and who answers.
pub struct Backing {
    pub scope: Scope,
    pub services: Arc<dyn Services>,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Backing>>> = const { RefCell::new(None) };
    static INSTALLED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a policy whose questions to its host are answered by `backing`.
pub fn serving<T>(backing: &Arc<Backing>, run: impl FnOnce() -> T) -> T {
    if !INSTALLED.replace(true) {
        native::install(Rc::new(Forward));
    }
    CURRENT.set(Some(Arc::clone(backing)));
    let answer = run();
    CURRENT.set(None);
    answer
}

/// The host of every thread.
struct Forward;

fn ask<T>(question: impl FnOnce(&Backing) -> T) -> Option<T> {
    CURRENT.with_borrow(|backing| backing.as_deref().map(question))
}

impl native::Host for Forward {
    fn log(&self, level: Level, message: &str) {
        let level = match level {
            Level::Trace => LogLevel::Trace,
            Level::Debug => LogLevel::Debug,
            Level::Info => LogLevel::Info,
            Level::Warn => LogLevel::Warn,
            Level::Error => LogLevel::Error,
        };
        let _ = ask(|of| of.services.log(&of.scope, level, message));
    }

    fn now_ms(&self) -> u64 {
        ask(|of| of.services.now_ms()).unwrap_or_default()
    }

    fn quota_take(&self, requests: &[Request]) -> Vec<Verdict> {
        let takes: Vec<_> = requests.iter().map(convert::to_host_take).collect();
        let verdicts = ask(|of| of.services.quota_take(&of.scope, &takes)).unwrap_or_default();
        verdicts.iter().map(convert::to_policy_verdict).collect()
    }

    fn jwt_verify(
        &self,
        token: &str,
        issuers: &[String],
        audiences: &[String],
    ) -> Result<(u64, String), String> {
        ask(|of| of.services.jwt_verify(&of.scope, token, issuers, audiences))
            .unwrap_or_else(|| Err("keys-unavailable".to_owned()))
            .map(|token| (token.number, token.claims.as_ref().to_owned()))
    }

    fn key_lookup(&self, presented: &str) -> Option<Identity> {
        ask(|of| of.services.key_lookup(&of.scope, presented))
            .flatten()
            .as_ref()
            .map(convert::to_policy_identity)
    }

    fn state_get(&self, key: &str) -> Option<Vec<u8>> {
        ask(|of| of.services.state_get(&of.scope, key)).flatten()
    }

    fn state_set(&self, key: &str, value: &[u8], ttl_ms: Option<u64>) -> Result<(), String> {
        ask(|of| {
            of.services
                .state_set(&of.scope, key.to_owned(), value.to_vec(), ttl_ms)
        })
        .unwrap_or_else(|| Err("no host".to_owned()))
    }

    fn state_delete(&self, key: &str) {
        let _ = ask(|of| of.services.state_delete(&of.scope, key));
    }

    fn metrics_count(&self, name: &str, value: u64, labels: &[(String, String)]) {
        let _ = ask(|of| of.services.metric_count(&of.scope, name, value, labels));
    }

    fn metrics_observe(&self, name: &str, value: f64, labels: &[(String, String)]) {
        let _ = ask(|of| of.services.metric_observe(&of.scope, name, value, labels));
    }
}

/// A call of the gateway's, as the SDK reads it.
pub struct CallOf(pub Arc<dyn CallView>);

impl native::CallView for CallOf {
    fn tenant(&self) -> String {
        self.0.tenant().to_owned()
    }

    fn server(&self) -> String {
        self.0.server().to_owned()
    }

    fn method(&self) -> Option<String> {
        self.0.method().map(str::to_owned)
    }

    fn target(&self) -> Option<String> {
        self.0.target().map(std::borrow::Cow::into_owned)
    }

    fn header(&self, name: &str) -> Option<String> {
        self.0.header(name).map(str::to_owned)
    }

    fn peer(&self) -> String {
        self.0.peer().into_owned()
    }

    fn identity(&self) -> Option<Identity> {
        self.0.identity().map(convert::to_policy_identity)
    }

    fn subject(&self) -> Option<String> {
        self.0.identity().map(|who| who.subject.clone())
    }

    fn team(&self) -> Option<String> {
        self.0.identity()?.team.clone()
    }

    fn session(&self) -> Option<String> {
        self.0.session().map(str::to_owned)
    }

    fn arguments(&self) -> Option<String> {
        self.0.arguments().map(str::to_owned)
    }

    fn argument(&self, pointer: &str) -> Option<String> {
        self.0.argument(pointer).map(str::to_owned)
    }

    fn definition(&self) -> Option<String> {
        self.0.definition().map(str::to_owned)
    }

    fn candidate(&self, index: u32) -> Option<String> {
        let index = usize::try_from(index).ok()?;
        self.0.candidate(index).map(str::to_owned)
    }

    fn candidate_label(&self, index: u32, label: &str) -> Option<String> {
        let index = usize::try_from(index).ok()?;
        self.0.candidate_label(index, label).map(str::to_owned)
    }
}

/// A reply of the gateway's, as the SDK reads it.
pub struct ReplyOf(pub Arc<dyn ReplyView>);

impl native::ReplyView for ReplyOf {
    fn is_error(&self) -> bool {
        self.0.is_error()
    }

    fn size_bytes(&self) -> u64 {
        u64::try_from(self.0.json().len()).unwrap_or(u64::MAX)
    }

    fn json(&self) -> String {
        self.0.json().to_owned()
    }

    fn get(&self, pointer: &str) -> Option<String> {
        self.0.get(pointer).map(str::to_owned)
    }
}
