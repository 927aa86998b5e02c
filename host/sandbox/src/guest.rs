//! One instance of a plugin: a store, and the hooks found in it.

use std::sync::Arc;

use wasmtime::component::InstancePre;
use wasmtime::{Result, Store, Trap};

use crate::bindings::exports::portcullis::policy as exports;
use crate::failure::Breach;
use crate::host::{Budget, GuestState};
use crate::plugin::LIFECYCLE_DEADLINE_MS;
use crate::services::Services;
use crate::ticker::TICK_MS;
use crate::{AdmitError, Failure, Hook, LogLevel, Manifest, Sandbox, Scope};

/// Where a component keeps its hooks: looked up once, at admission.
pub(crate) struct HookIndices {
    lifecycle: exports::lifecycle::GuestIndices,
    authenticate: Option<exports::authenticate::GuestIndices>,
    admit: Option<exports::admit::GuestIndices>,
    route: Option<exports::route::GuestIndices>,
    transform_call: Option<exports::transform_call::GuestIndices>,
    transform_reply: Option<exports::transform_reply::GuestIndices>,
    transform_listing: Option<exports::transform_listing::GuestIndices>,
}

impl HookIndices {
    pub(crate) fn new(pre: &InstancePre<GuestState>, hooks: &[Hook]) -> Result<Self> {
        let has = |hook| hooks.contains(&hook);
        Ok(Self {
            lifecycle: exports::lifecycle::GuestIndices::new(pre)?,
            authenticate: has(Hook::Authenticate)
                .then(|| exports::authenticate::GuestIndices::new(pre))
                .transpose()?,
            admit: has(Hook::Admit)
                .then(|| exports::admit::GuestIndices::new(pre))
                .transpose()?,
            route: has(Hook::Route)
                .then(|| exports::route::GuestIndices::new(pre))
                .transpose()?,
            transform_call: has(Hook::TransformCall)
                .then(|| exports::transform_call::GuestIndices::new(pre))
                .transpose()?,
            transform_reply: has(Hook::TransformReply)
                .then(|| exports::transform_reply::GuestIndices::new(pre))
                .transpose()?,
            transform_listing: has(Hook::TransformListing)
                .then(|| exports::transform_listing::GuestIndices::new(pre))
                .transpose()?,
        })
    }
}

/// Bounds of one instance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GuestLimits {
    pub(crate) deadline_ms: u32,
    pub(crate) memory_bytes_max: u64,
    pub(crate) output_bytes_max: u64,
    pub(crate) budget: Budget,
}

/// A live instance.
pub(crate) struct Guest {
    pub(crate) store: Store<GuestState>,
    pub(crate) uses: u32,
    limits: GuestLimits,
    lifecycle: exports::lifecycle::Guest,
    pub(crate) authenticate: Option<exports::authenticate::Guest>,
    pub(crate) admit: Option<exports::admit::Guest>,
    pub(crate) route: Option<exports::route::Guest>,
    pub(crate) transform_call: Option<exports::transform_call::Guest>,
    pub(crate) transform_reply: Option<exports::transform_reply::Guest>,
    pub(crate) transform_listing: Option<exports::transform_listing::Guest>,
}

impl Guest {
    /// Instantiates within the bounds. When the pool is full, what others keep idle makes room.
    pub(crate) fn new(
        sandbox: &Sandbox,
        of: (&InstancePre<GuestState>, &HookIndices),
        limits: GuestLimits,
        (scope, services): (&Arc<Scope>, &Arc<dyn Services>),
    ) -> Result<Self> {
        let make = || Self::instantiate(sandbox, of, limits, (scope, services));
        match make() {
            Err(err) if err.is::<wasmtime::PoolConcurrencyLimitError>() => {
                sandbox.reclaim();
                make()
            }
            made => made,
        }
    }

    /// `start` functions run here, under the lifecycle's deadline.
    fn instantiate(
        sandbox: &Sandbox,
        (pre, indices): (&InstancePre<GuestState>, &HookIndices),
        limits: GuestLimits,
        (scope, services): (&Arc<Scope>, &Arc<dyn Services>),
    ) -> Result<Self> {
        let mut state = GuestState::new(limits, (scope, services));
        state.ticks_left = ticks(LIFECYCLE_DEADLINE_MS);
        let mut store = Store::new(&sandbox.engine, state);
        store.limiter(|state| &mut state.memory);
        store.epoch_deadline_callback(|mut store| Ok(store.data_mut().tick()));
        store.set_hostcall_fuel(usize::try_from(limits.output_bytes_max).unwrap_or(usize::MAX));
        store.set_epoch_deadline(1);
        let instance = pre.instantiate(&mut store)?;
        let of = &instance;
        let lifecycle = indices.lifecycle.load(&mut store, of)?;
        let authenticate = indices
            .authenticate
            .as_ref()
            .map(|found| found.load(&mut store, of))
            .transpose()?;
        let admit = indices
            .admit
            .as_ref()
            .map(|found| found.load(&mut store, of))
            .transpose()?;
        let route = indices
            .route
            .as_ref()
            .map(|found| found.load(&mut store, of))
            .transpose()?;
        let transform_call = indices
            .transform_call
            .as_ref()
            .map(|found| found.load(&mut store, of))
            .transpose()?;
        let transform_reply = indices
            .transform_reply
            .as_ref()
            .map(|found| found.load(&mut store, of))
            .transpose()?;
        let transform_listing = indices
            .transform_listing
            .as_ref()
            .map(|found| found.load(&mut store, of))
            .transpose()?;
        Ok(Self {
            store,
            uses: 0,
            limits,
            lifecycle,
            authenticate,
            admit,
            route,
            transform_call,
            transform_reply,
            transform_listing,
        })
    }

    /// Asks a new component what it is, in an instance that is dropped afterwards.
    pub(crate) fn describe(
        sandbox: &Sandbox,
        pre: &InstancePre<GuestState>,
        indices: &HookIndices,
        output_bytes_max: u64,
    ) -> Result<Manifest, AdmitError> {
        let limits = GuestLimits::of_describing(sandbox, output_bytes_max);
        let (scope, services) = nobody();
        Self::new(sandbox, (pre, indices), limits, (&scope, &services))
            .and_then(|mut guest| {
                guest.arm(LIFECYCLE_DEADLINE_MS);
                guest.lifecycle.call_describe(&mut guest.store)
            })
            .map_err(|err| AdmitError::Describe(limits.failure(&err).to_string()))
    }

    /// Hands over the binding's configuration.
    pub(crate) fn configure(&mut self, config: &str) -> Result<Result<(), String>> {
        self.arm(LIFECYCLE_DEADLINE_MS);
        self.lifecycle.call_configure(&mut self.store, config)
    }

    /// Fresh bounds for the next hook.
    pub(crate) fn arm(&mut self, deadline_ms: u32) {
        self.store.set_epoch_deadline(1);
        let budget = self.limits.budget;
        let state = self.store.data_mut();
        state.ticks_left = ticks(deadline_ms);
        state.refill(budget);
        self.uses = self.uses.saturating_add(1);
    }
}

impl GuestLimits {
    /// Of an instance that only says what it is.
    pub(crate) fn of_describing(sandbox: &Sandbox, output_bytes_max: u64) -> Self {
        Self {
            deadline_ms: LIFECYCLE_DEADLINE_MS,
            memory_bytes_max: sandbox.settings.memory_bytes_max,
            output_bytes_max,
            budget: sandbox.budget(),
        }
    }

    /// Finds out what wasmtime's error means.
    pub(crate) fn failure(&self, err: &wasmtime::Error) -> Failure {
        match err.downcast_ref::<Breach>() {
            Some(Breach::Memory) => {
                return Failure::Memory {
                    bytes_max: self.memory_bytes_max,
                };
            }
            Some(Breach::HostCalls) => {
                return Failure::HostCalls {
                    calls_max: self.budget.host_calls_max,
                };
            }
            Some(breach @ Breach::Caller) => return Failure::Output(breach.to_string()),
            Some(breach @ (Breach::Costs | Breach::Rules | Breach::Random)) => {
                return Failure::Trap(breach.to_string());
            }
            None => {}
        }
        if err.is::<wasmtime::PoolConcurrencyLimitError>() {
            return Failure::Instances;
        }
        match err.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => Failure::Deadline {
                deadline_ms: self.deadline_ms,
            },
            Some(trap) => Failure::Trap(trap.to_string()),
            // wasmtime has no type for this one; a test keeps the wording in step with the pinned version.
            None if format!("{err:#}").contains("too much data is being copied") => {
                Failure::Output(format!("more than {} bytes", self.output_bytes_max))
            }
            None => Failure::Trap(err.root_cause().to_string()),
        }
    }
}

/// Ticks that a guest may live to see. The first may come as soon as the deadline is set; the one that is one too many
/// comes when the deadline has passed, and less than a tick later.
fn ticks(deadline_ms: u32) -> u32 {
    deadline_ms.div_ceil(TICK_MS)
}

/// On whose behalf an instance describes itself, and what the host does for it: nothing.
pub(crate) fn nobody() -> (Arc<Scope>, Arc<dyn Services>) {
    let scope = Scope {
        tenant: String::new(),
        plugin: String::new(),
        binding: "describe".into(),
    };
    (Arc::new(scope), Arc::new(Nothing))
}

struct Nothing;

impl Services for Nothing {
    fn log(&self, _: &Scope, _: LogLevel, _: &str) {}

    fn now_ms(&self) -> u64 {
        0
    }

    fn quota_take(&self, _: &Scope, takes: &[crate::QuotaTake<'_>]) -> Vec<crate::QuotaVerdict> {
        takes
            .iter()
            .map(|_| crate::QuotaVerdict {
                allowed: false,
                remaining: 0,
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
    ) -> Result<crate::VerifiedToken, String> {
        Err("keys-unavailable".into())
    }

    fn key_lookup(&self, _: &Scope, _: &str) -> Option<crate::Identity> {
        None
    }

    fn state_get(&self, _: &Scope, _: &str) -> Option<Vec<u8>> {
        None
    }

    fn state_set(&self, _: &Scope, _: String, _: Vec<u8>, _: Option<u64>) -> Result<(), String> {
        Err("no state".into())
    }

    fn state_delete(&self, _: &Scope, _: &str) {}

    fn metric_count(&self, _: &Scope, _: &str, _: u64, _: &[(String, String)]) {}

    fn metric_observe(&self, _: &Scope, _: &str, _: f64, _: &[(String, String)]) {}
}
