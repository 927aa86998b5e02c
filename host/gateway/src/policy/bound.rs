//! One binding in a chain: its hooks, its selector, its failure mode, its metrics.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use portcullis_sandbox::{
    BindError, Binding, BindingSettings, CallView, Candidate, Edit, Entry, Failure, Hook,
    HookResult, Identity, Plugin, ReplyView, WaitingBinding,
};
use tracing::warn;

use crate::call::Call;
use crate::model::{OnFailure, Selector};
use crate::refusal::Refusal;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::HookMetrics;

use super::glob;

/// What a chain calls. A [`Binding`] in the sandbox; in benchmarks also the same policy compiled natively.
pub trait Hooks: Send + Sync {
    /// Hooks that it takes part in.
    fn hooks(&self) -> &[Hook];
    /// See [`Binding::authenticate`].
    ///
    /// # Errors
    /// As the binding's.
    fn authenticate(&self, call: &Arc<dyn CallView>) -> HookResult<Option<Arc<Identity>>>;
    /// See [`Binding::admit`].
    ///
    /// # Errors
    /// As the binding's.
    fn admit(&self, call: &Arc<dyn CallView>) -> HookResult<()>;
    /// See [`Binding::route`].
    ///
    /// # Errors
    /// As the binding's.
    fn route(
        &self,
        call: &Arc<dyn CallView>,
        candidates: &[Candidate],
    ) -> HookResult<Option<usize>>;
    /// See [`Binding::transform_call`].
    ///
    /// # Errors
    /// As the binding's.
    fn transform_call(&self, call: &Arc<dyn CallView>) -> HookResult<Option<String>>;
    /// See [`Binding::transform_reply`].
    ///
    /// # Errors
    /// As the binding's.
    fn transform_reply(
        &self,
        call: &Arc<dyn CallView>,
        reply: &Arc<dyn ReplyView>,
    ) -> HookResult<Option<String>>;
    /// See [`Binding::transform_listing`].
    ///
    /// # Errors
    /// As the binding's.
    fn transform_listing(
        &self,
        call: &Arc<dyn CallView>,
        entries: &[Entry],
    ) -> HookResult<Vec<Edit>>;
}

impl Hooks for Binding {
    fn hooks(&self) -> &[Hook] {
        self.plugin().hooks()
    }

    fn authenticate(&self, call: &Arc<dyn CallView>) -> HookResult<Option<Arc<Identity>>> {
        Self::authenticate(self, call)
    }

    fn admit(&self, call: &Arc<dyn CallView>) -> HookResult<()> {
        Self::admit(self, call)
    }

    fn route(
        &self,
        call: &Arc<dyn CallView>,
        candidates: &[Candidate],
    ) -> HookResult<Option<usize>> {
        Self::route(self, call, candidates)
    }

    fn transform_call(&self, call: &Arc<dyn CallView>) -> HookResult<Option<String>> {
        Self::transform_call(self, call)
    }

    fn transform_reply(
        &self,
        call: &Arc<dyn CallView>,
        reply: &Arc<dyn ReplyView>,
    ) -> HookResult<Option<String>> {
        Self::transform_reply(self, call, reply)
    }

    fn transform_listing(
        &self,
        call: &Arc<dyn CallView>,
        entries: &[Entry],
    ) -> HookResult<Vec<Edit>> {
        Self::transform_listing(self, call, entries)
    }
}

/// Makes hooks of an admitted plugin: in the sandbox, unless a benchmark compares with native code.
pub trait Binder: Send + Sync {
    /// Binds a plugin to its configuration.
    ///
    /// # Errors
    /// As [`Plugin::bind`].
    fn bind(
        &self,
        plugin: &Arc<Plugin>,
        settings: BindingSettings,
    ) -> Result<Arc<dyn Hooks>, BindError>;
}

/// Binds in the sandbox, and shows each binding's pool in the metrics.
pub struct Sandboxed {
    /// Where pools are shown.
    pub metrics: Arc<Metrics>,
}

impl Binder for Sandboxed {
    fn bind(
        &self,
        plugin: &Arc<Plugin>,
        settings: BindingSettings,
    ) -> Result<Arc<dyn Hooks>, BindError> {
        let binding = Arc::new(plugin.bind(settings)?);
        self.metrics.watch(&binding);
        Ok(binding)
    }
}

/// What a binding runs.
#[derive(Clone)]
pub enum Runs {
    /// Hooks that answer on the calling thread.
    Now(Arc<dyn Hooks>),
    /// Hooks to wait for.
    Later(Arc<WaitingBinding>),
}

impl Runs {
    fn hooks(&self) -> &[Hook] {
        match self {
            Self::Now(hooks) => hooks.hooks(),
            Self::Later(binding) => binding.plugin().hooks(),
        }
    }
}

/// A hook that is waited for.
pub(super) type Later<'a, T> = Pin<Box<dyn Future<Output = HookResult<T>> + Send + 'a>>;

/// A binding as the chain holds it.
pub struct Bound {
    name: String,
    hooks: Runs,
    on_failure: OnFailure,
    selector: Selector,
    metrics: [Option<HookMetrics>; Hook::ALL.len()],
}

impl Bound {
    /// Wraps hooks with what the chain needs around them; `label` is its name in metrics.
    #[must_use]
    pub fn new(
        (tenant, name, label): (&str, &str, &str),
        hooks: Runs,
        (on_failure, selector): (OnFailure, Selector),
        metrics: &Metrics,
    ) -> Self {
        let of = |hook: Hook| {
            hooks
                .hooks()
                .contains(&hook)
                .then(|| metrics.hook(tenant, label, hook))
        };
        Self {
            name: name.to_owned(),
            metrics: Hook::ALL.map(of),
            hooks,
            on_failure,
            selector,
        }
    }

    /// Its name in the chain.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it takes part in a step of the walk.
    #[must_use]
    pub fn has(&self, hook: Hook) -> bool {
        self.metrics(hook).is_some()
    }

    /// Whether its selector lets this call reach it.
    #[must_use]
    pub fn selects(&self, call: &Call) -> bool {
        let Selector {
            servers,
            methods,
            tools,
        } = &self.selector;
        glob::any_matches(servers, &call.server.name)
            && (methods.is_empty()
                || glob::any_matches(methods, call.message.method.as_deref().unwrap_or_default()))
            && (tools.is_empty()
                || call
                    .message
                    .target
                    .as_deref()
                    .is_some_and(|tool| glob::any_matches(tools, tool)))
    }

    pub(super) fn on_failure(&self) -> OnFailure {
        self.on_failure
    }

    fn metrics(&self, hook: Hook) -> Option<&HookMetrics> {
        self.metrics.get(hook.place()).and_then(Option::as_ref)
    }

    /// Runs one hook: measures it, and turns its denial or failure into a refusal. One that answers at once is a plain
    /// call, and there is nothing to wait for.
    ///
    /// `Ok(None)` is a hook that failed and that the binding lets fail.
    pub(super) async fn run<'a, T>(
        &'a self,
        hook: Hook,
        call: &Call,
        now: impl FnOnce(&dyn Hooks) -> HookResult<T>,
        later: impl FnOnce(&'a WaitingBinding) -> Later<'a, T>,
    ) -> Result<Option<T>, Refusal> {
        let started = Instant::now();
        let outcome = self.ask(call, now, later).await;
        self.settle((hook, started), call, outcome)
    }

    /// What the hook itself says.
    pub(super) async fn ask<'a, T>(
        &'a self,
        call: &Call,
        now: impl FnOnce(&dyn Hooks) -> HookResult<T>,
        later: impl FnOnce(&'a WaitingBinding) -> Later<'a, T>,
    ) -> HookResult<T> {
        match &self.hooks {
            Runs::Now(hooks) => call.request_id.scope(|| now(hooks.as_ref())),
            Runs::Later(binding) => call.request_id.follow(later(binding)).await,
        }
    }

    fn settle<T>(
        &self,
        (hook, started): (Hook, Instant),
        call: &Call,
        outcome: HookResult<T>,
    ) -> Result<Option<T>, Refusal> {
        if let Some(metrics) = self.metrics(hook) {
            let took = started.elapsed();
            metrics.record(&outcome, took);
            if let Some(tally) = call.tally() {
                tally.hook(&outcome, took);
            }
        }
        match outcome {
            Ok(Ok(answer)) => Ok(Some(answer)),
            Ok(Err(denial)) => {
                call.refused(Some(&self.name), &denial.code);
                Err(Refusal::from(denial))
            }
            Err(failure) => self.failed(hook, call, &failure).map(|()| None),
        }
    }

    fn failed(&self, hook: Hook, call: &Call, failure: &Failure) -> Result<(), Refusal> {
        warn!(
            request_id = %call.request_id, tenant = %call.generation.tenant, plugin = self.name, hook = hook.name(),
            failure = failure.label(), error = %failure, "a policy failed"
        );
        match (self.on_failure, hook) {
            // An authenticator that failed has not said who is calling: there is nothing to be open about.
            (OnFailure::Closed, _) | (OnFailure::Open, Hook::Authenticate) => {
                call.refused(Some(&self.name), failure.label());
                Err(Refusal::policy_failure(&self.name, failure))
            }
            (
                OnFailure::Open,
                Hook::Admit
                | Hook::Route
                | Hook::TransformCall
                | Hook::TransformReply
                | Hook::TransformListing,
            ) => Ok(()),
        }
    }
}
