//! A plugin with configuration, grants and limits: what the policy chain calls.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use thiserror::Error;
use wasmtime::component::Resource;

use crate::answer;
use crate::guest::{Guest, GuestLimits};
use crate::pool::{Pool, Pooled, Seat};
use crate::{
    CallView, Candidate, Edit, Entry, Failure, Grant, HookResult, Identity, Plugin, PluginClass,
    PoolStats, ReplyView, Sandbox, Scope, Services,
};

/// How instances of a binding live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceClass {
    /// Pooled, retired after a number of uses or at a memory mark, dropped after any failure.
    Warm,
    /// One call, one instance.
    Fresh,
}

/// Everything a binding is made of besides its plugin.
pub struct BindingSettings {
    /// JSON text for `configure`.
    pub config: String,
    /// Host interfaces it may import.
    pub grants: BTreeSet<Grant>,
    /// Longest time for one hook, in milliseconds.
    pub deadline_ms: u32,
    /// Most memory of one instance, in bytes; lowered to the sandbox's own bound.
    pub memory_bytes_max: u64,
    /// Most bytes that one hook, or one of its host calls, may hand to the host.
    pub output_bytes_max: u64,
    /// How instances live.
    pub class: InstanceClass,
    /// Whose it is.
    pub scope: Scope,
    /// What the host does for it.
    pub services: Arc<dyn Services>,
}

impl BindingSettings {
    /// Whether everything that the plugin imports is granted.
    pub(crate) fn check_grants(&self, plugin: &Plugin) -> Result<(), BindError> {
        match plugin.grants().difference(&self.grants).next() {
            Some(missing) => Err(BindError::Ungranted(*missing)),
            None => Ok(()),
        }
    }

    pub(crate) fn limits(&self, sandbox: &Sandbox) -> GuestLimits {
        GuestLimits {
            deadline_ms: self.deadline_ms,
            memory_bytes_max: self.memory_bytes_max.min(sandbox.settings.memory_bytes_max),
            output_bytes_max: self.output_bytes_max,
            budget: sandbox.budget(),
        }
    }
}

/// Why a plugin cannot be bound.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BindError {
    /// An import that is not granted.
    #[error(
        "the plugin imports `portcullis:policy/{0}@0.1.0`; add `{0}` to the binding's grants to allow it"
    )]
    Ungranted(Grant),
    /// A plugin of the other class.
    #[error("the plugin is of the {0} class, and was bound as one of another")]
    Class(PluginClass),
    /// The folder that is granted cannot be used.
    #[error("the granted folder cannot be opened: {0}")]
    Folder(String),
    /// The guest refused its configuration.
    #[error("the plugin refused its configuration: {0}")]
    Config(String),
    /// No instance could be made, or `configure` failed.
    #[error("the plugin could not be started: {0}")]
    Start(#[from] Failure),
}

/// A bound plugin. Shared by all threads; each hook runs on the calling thread.
pub struct Binding {
    sandbox: Arc<Sandbox>,
    plugin: Arc<Plugin>,
    scope: Arc<Scope>,
    services: Arc<dyn Services>,
    config: String,
    limits: GuestLimits,
    class: InstanceClass,
    pool: Arc<Pool>,
}

impl Binding {
    pub(crate) fn new(
        sandbox: &Arc<Sandbox>,
        plugin: &Arc<Plugin>,
        settings: BindingSettings,
    ) -> Result<Self, BindError> {
        settings.check_grants(plugin)?;
        let limits = settings.limits(sandbox);
        if plugin.class() != PluginClass::Fast {
            return Err(BindError::Class(plugin.class()));
        }
        let binding = Self {
            sandbox: Arc::clone(sandbox),
            plugin: Arc::clone(plugin),
            scope: Arc::new(settings.scope),
            services: settings.services,
            config: settings.config,
            limits,
            class: settings.class,
            pool: Arc::new(Pool::new()),
        };
        let mut guest = binding.instantiate().map_err(|err| limits.failure(&err))?;
        let accepted = guest
            .configure(&binding.config)
            .map_err(|err| limits.failure(&err))?;
        accepted.map_err(BindError::Config)?;
        if settings.class == InstanceClass::Warm {
            binding.pool.seat().put(Box::new(guest));
            sandbox.register(&binding.pool);
        }
        Ok(binding)
    }

    /// The plugin behind it.
    #[must_use]
    pub fn plugin(&self) -> &Arc<Plugin> {
        &self.plugin
    }

    /// Who is calling: `None` when the plugin does not recognise the caller.
    ///
    /// # Errors
    /// [`Failure`]
    pub fn authenticate(&self, call: &Arc<dyn CallView>) -> HookResult<Option<Arc<Identity>>> {
        self.run(call, None, |guest| {
            let Some(hook) = &guest.authenticate else {
                return Ok(Ok(None));
            };
            match hook.call_authenticate(&mut guest.store, Resource::new_borrow(0))? {
                Ok(Some(caller)) => guest
                    .store
                    .data_mut()
                    .caller(caller)
                    .map(|who| Ok(Some(who))),
                Ok(None) => Ok(Ok(None)),
                Err(denial) => Ok(Err(denial)),
            }
        })
    }

    /// May it.
    ///
    /// # Errors
    /// [`Failure`]
    pub fn admit(&self, call: &Arc<dyn CallView>) -> HookResult<()> {
        self.run(call, None, |guest| match &guest.admit {
            Some(hook) => hook.call_admit(&mut guest.store, Resource::new_borrow(0)),
            None => Ok(Ok(())),
        })
    }

    /// Which upstream, by its place: `None` keeps the host's choice.
    ///
    /// # Errors
    /// [`Failure`]; [`Failure::Output`] for a place that is no healthy candidate's.
    pub fn route(
        &self,
        call: &Arc<dyn CallView>,
        candidates: &[Candidate],
    ) -> HookResult<Option<usize>> {
        let choice = self.run(call, None, |guest| match &guest.route {
            Some(hook) => hook.call_route(&mut guest.store, Resource::new_borrow(0), candidates),
            None => Ok(Ok(None)),
        })?;
        answer::place(self.pool.standing(), choice, candidates)
    }

    /// New arguments as JSON text, or none to leave them.
    ///
    /// # Errors
    /// [`Failure`]; [`Failure::Output`] for text that is not JSON.
    pub fn transform_call(&self, call: &Arc<dyn CallView>) -> HookResult<Option<String>> {
        let changed = self.run(call, None, |guest| match &guest.transform_call {
            Some(hook) => hook.call_transform_call(&mut guest.store, Resource::new_borrow(0)),
            None => Ok(Ok(None)),
        })?;
        answer::json(self.pool.standing(), changed)
    }

    /// New result as JSON text, or none to leave it.
    ///
    /// # Errors
    /// [`Failure`]; [`Failure::Output`] for text that is not JSON.
    pub fn transform_reply(
        &self,
        call: &Arc<dyn CallView>,
        reply: &Arc<dyn ReplyView>,
    ) -> HookResult<Option<String>> {
        let changed = self.run(call, Some(reply), |guest| match &guest.transform_reply {
            Some(hook) => hook.call_transform_reply(
                &mut guest.store,
                Resource::new_borrow(0),
                Resource::new_borrow(0),
            ),
            None => Ok(Ok(None)),
        })?;
        answer::json(self.pool.standing(), changed)
    }

    /// One edit per entry, in order.
    ///
    /// # Errors
    /// [`Failure`]; [`Failure::Output`] for another number of edits, or a replacement that is not JSON.
    pub fn transform_listing(
        &self,
        call: &Arc<dyn CallView>,
        entries: &[Entry],
    ) -> HookResult<Vec<Edit>> {
        let edits = self.run(call, None, |guest| match &guest.transform_listing {
            Some(hook) => {
                hook.call_transform_listing(&mut guest.store, Resource::new_borrow(0), entries)
            }
            None => Ok(Ok(entries.iter().map(|_| Edit::Keep).collect())),
        })?;
        answer::edits(self.pool.standing(), edits, entries)
    }

    /// Runs one hook in an instance of its own for the time being. Any failure costs the instance.
    fn run<T>(
        &self,
        call: &Arc<dyn CallView>,
        reply: Option<&Arc<dyn ReplyView>>,
        hook: impl FnOnce(&mut Guest) -> wasmtime::Result<T>,
    ) -> Result<T, Failure> {
        self.pool.standing().enter()?;
        let mut seat = self.pool.seat();
        let outcome = self.checkout(&mut seat).and_then(|mut guest| {
            guest.arm(self.limits.deadline_ms);
            guest.store.data_mut().begin(call, reply);
            let outcome = hook(&mut guest).map_err(|err| self.limits.failure(&err));
            match &outcome {
                Ok(_) => self.check_in(guest, seat),
                Err(_) => {
                    self.pool.failed.fetch_add(1, Ordering::Relaxed);
                }
            }
            outcome
        });
        match &outcome {
            Ok(_) => self.pool.standing().succeeded(),
            // The pool being full says nothing of this guest.
            Err(Failure::Instances) => {}
            Err(_) => self.pool.standing().failed(),
        }
        outcome
    }

    fn checkout(&self, seat: &mut Seat<'_>) -> Result<Box<Guest>, Failure> {
        if let Some(guest) = seat.take() {
            return Ok(guest);
        }
        let mut guest = self
            .instantiate()
            .map_err(|err| self.limits.failure(&err))?;
        match guest
            .configure(&self.config)
            .map_err(|err| self.limits.failure(&err))?
        {
            Ok(()) => Ok(Box::new(guest)),
            Err(reason) => Err(refused_again(&reason)),
        }
    }

    fn check_in(&self, mut guest: Box<Guest>, seat: Seat<'_>) {
        let state = guest.store.data_mut();
        state.end();
        let used_up = guest.uses >= self.sandbox.settings.uses_max;
        let swollen = state.memory.bytes > self.limits.memory_bytes_max / 4 * 3;
        match self.class {
            InstanceClass::Warm if !used_up && !swollen => seat.put(guest),
            InstanceClass::Warm | InstanceClass::Fresh => {
                self.pool.retired.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn instantiate(&self) -> wasmtime::Result<Guest> {
        self.pool.created.fetch_add(1, Ordering::Relaxed);
        let Some((pre, indices)) = self.plugin.fast() else {
            return Err(wasmtime::Error::msg("the plugin is not of this class"));
        };
        Guest::new(
            &self.sandbox,
            (pre, indices),
            self.limits,
            (&self.scope, &self.services),
        )
    }
}

impl Pooled for Binding {
    fn scope(&self) -> &Scope {
        &self.scope
    }

    fn pool_stats(&self) -> PoolStats {
        self.pool.stats()
    }
}

/// A configuration is accepted by every instance or by none.
pub(crate) fn refused_again(reason: &str) -> Failure {
    Failure::Output(format!(
        "it now refuses the configuration it once accepted: {reason}"
    ))
}
