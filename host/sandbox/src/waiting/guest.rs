//! One instance of a plugin that waits: a store, and the hooks found in it.
//!
//! The types are those of the fast path; what differs is that every call is awaited.

use std::sync::Arc;
use std::thread;

use wasmtime::component::{ComponentNamedList, Instance, Lift, Lower, Resource, TypedFunc};
use wasmtime::{Result, Store, UpdateDeadline};

use super::binding::LIFECYCLE_DEADLINE_MS;
use super::fs::Folder;
use super::http::{Nowhere, Outside};
use super::state::WaitingState;
use super::{WaitingPre, WaitingRoom};
use crate::bindings::exports::portcullis::policy::authenticate::Caller;
use crate::guest::{GuestLimits, nobody};
use crate::host::{CallHandle, ReplyHandle};
use crate::{AdmitError, Candidate, Denial, Edit, Entry, Hook, Manifest, Sandbox, Scope, Services};

const PACKAGE: &str = "portcullis:policy/";
const VERSION: &str = "@0.1.0";

type Answer<T> = (std::result::Result<T, Denial>,);
type OfCall<T> = TypedFunc<(Resource<CallHandle>,), Answer<T>>;
type OfReply<T> = TypedFunc<(Resource<CallHandle>, Resource<ReplyHandle>), Answer<T>>;
type OfList<E, T> = TypedFunc<(Resource<CallHandle>, Vec<E>), Answer<T>>;

/// What is behind an instance: whose it is, and what it may reach.
pub(super) struct Surroundings<'a> {
    pub(super) scope: &'a Arc<Scope>,
    pub(super) services: &'a Arc<dyn Services>,
    pub(super) outside: &'a Arc<dyn Outside>,
    pub(super) folder: Option<&'a Arc<Folder>>,
}

/// A live instance.
pub(super) struct WaitingGuest {
    pub(super) store: Store<WaitingState>,
    pub(super) uses: u32,
    limits: GuestLimits,
    describe: TypedFunc<(), (Manifest,)>,
    configure: TypedFunc<(String,), (std::result::Result<(), String>,)>,
    pub(super) authenticate: Option<OfCall<Option<Caller>>>,
    pub(super) admit: Option<OfCall<()>>,
    pub(super) route: Option<OfList<Candidate, Option<u32>>>,
    pub(super) transform_call: Option<OfCall<Option<String>>>,
    pub(super) transform_reply: Option<OfReply<Option<String>>>,
    pub(super) transform_listing: Option<OfList<Entry, Vec<Edit>>>,
}

impl WaitingGuest {
    /// Instantiates within the bounds. When the pool is full, what others keep idle makes room.
    pub(super) async fn new(
        room: &WaitingRoom,
        (pre, hooks): (&WaitingPre, &[Hook]),
        limits: GuestLimits,
        around: &Surroundings<'_>,
    ) -> Result<Self> {
        match Self::instantiate(room, (pre, hooks), limits, around).await {
            Err(err) if err.is::<wasmtime::PoolConcurrencyLimitError>() => {
                room.reclaim();
                Self::instantiate(room, (pre, hooks), limits, around).await
            }
            made => made,
        }
    }

    async fn instantiate(
        room: &WaitingRoom,
        (pre, hooks): (&WaitingPre, &[Hook]),
        limits: GuestLimits,
        around: &Surroundings<'_>,
    ) -> Result<Self> {
        let state = WaitingState::new(
            limits,
            (around.scope, around.services),
            (around.outside, around.folder),
        );
        let mut store = Store::new(&room.engine, state);
        store.limiter(|state| &mut state.guest.memory);
        // At every epoch the thread is free for others; the deadline is the clock's.
        store.epoch_deadline_callback(|_| {
            let others_run = Box::pin(tokio::task::yield_now());
            Ok(UpdateDeadline::YieldCustom(1, others_run))
        });
        store.set_hostcall_fuel(usize::try_from(limits.output_bytes_max).unwrap_or(usize::MAX));
        store.set_epoch_deadline(1);
        let instance = pre.instantiate_async(&mut store).await?;
        let mut found = Exports {
            store: &mut store,
            instance,
            hooks,
        };
        Ok(Self {
            describe: found.function("lifecycle", "describe")?,
            configure: found.function("lifecycle", "configure")?,
            authenticate: found.hook(Hook::Authenticate)?,
            admit: found.hook(Hook::Admit)?,
            route: found.hook(Hook::Route)?,
            transform_call: found.hook(Hook::TransformCall)?,
            transform_reply: found.hook(Hook::TransformReply)?,
            transform_listing: found.hook(Hook::TransformListing)?,
            store,
            uses: 0,
            limits,
        })
    }

    /// Hands over the binding's configuration.
    pub(super) async fn configure(
        &mut self,
        config: &str,
    ) -> Result<std::result::Result<(), String>> {
        self.arm();
        let (accepted,) = self
            .configure
            .call_async(&mut self.store, (config.to_owned(),))
            .await?;
        Ok(accepted)
    }

    async fn describe(&mut self) -> Result<Manifest> {
        self.arm();
        let (manifest,) = self.describe.call_async(&mut self.store, ()).await?;
        Ok(manifest)
    }

    /// Fresh bounds for the next hook.
    pub(super) fn arm(&mut self) {
        self.store.set_epoch_deadline(1);
        let budget = self.limits.budget;
        let state = self.store.data_mut();
        state.guest.refill(budget);
        state.lines.refill(budget.log_lines_max);
        self.uses = self.uses.saturating_add(1);
    }
}

/// Asks a new component what it is, in an instance that is dropped afterwards. Blocks, on a thread of its own: whoever
/// admits a component may be on a runtime or not.
pub(crate) fn describe(
    sandbox: &Sandbox,
    of: (&WaitingPre, &[Hook]),
    output_bytes_max: u64,
) -> std::result::Result<Manifest, AdmitError> {
    thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_time().build();
            let runtime = runtime.map_err(|err| AdmitError::Compiler(err.to_string()))?;
            runtime.block_on(ask(sandbox, of, output_bytes_max))
        });
        let ended = |_| {
            Err(AdmitError::Compiler(
                "the thread that asks a component ended".into(),
            ))
        };
        asked.join().unwrap_or_else(ended)
    })
}

async fn ask(
    sandbox: &Sandbox,
    of: (&WaitingPre, &[Hook]),
    output_bytes_max: u64,
) -> std::result::Result<Manifest, AdmitError> {
    let limits = GuestLimits {
        deadline_ms: LIFECYCLE_DEADLINE_MS,
        ..GuestLimits::of_describing(sandbox, output_bytes_max)
    };
    let (scope, services) = nobody();
    let outside: Arc<dyn Outside> = Arc::new(Nowhere);
    let around = Surroundings {
        scope: &scope,
        services: &services,
        outside: &outside,
        folder: None,
    };
    let described = limits.in_time(async {
        let mut guest = WaitingGuest::new(&sandbox.waiting, of, limits, &around).await?;
        guest.describe().await
    });
    described
        .await
        .map_err(|failure| AdmitError::Describe(failure.to_string()))
}

/// Where the functions of an instance are looked up.
struct Exports<'a> {
    store: &'a mut Store<WaitingState>,
    instance: Instance,
    hooks: &'a [Hook],
}

impl Exports<'_> {
    /// A hook's interface and its function have the same name.
    fn hook<P, R>(&mut self, hook: Hook) -> Result<Option<TypedFunc<P, R>>>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        let has = self.hooks.contains(&hook);
        has.then(|| self.function(hook.name(), hook.name()))
            .transpose()
    }

    fn function<P, R>(&mut self, interface: &str, name: &str) -> Result<TypedFunc<P, R>>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        let path = format!("{PACKAGE}{interface}{VERSION}");
        let missing = || wasmtime::Error::msg(format!("it exports no `{path}` with `{name}`"));
        let interface = self
            .instance
            .get_export_index(&mut *self.store, None, &path)
            .ok_or_else(missing)?;
        let function = self
            .instance
            .get_export_index(&mut *self.store, Some(&interface), name)
            .ok_or_else(missing)?;
        self.instance.get_typed_func(&mut *self.store, function)
    }
}
