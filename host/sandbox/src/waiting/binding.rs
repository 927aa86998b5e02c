//! A binding of a plugin that waits: what the policy chain awaits.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};
use wasmtime::component::Resource;

use super::WaitingPre;
use super::fs::{Folder, FolderGrant};
use super::guest::{Surroundings, WaitingGuest};
use super::http::{Nowhere, Outside};
use crate::answer;
use crate::binding::{BindError, BindingSettings, InstanceClass, refused_again};
use crate::guest::GuestLimits;
use crate::pool::Standing;
use crate::{
    CallView, Candidate, Edit, Entry, Failure, HookResult, Identity, Plugin, PluginClass,
    PoolStats, Pooled, ReplyView, Sandbox, Scope, Services,
};

/// Starting takes longer than on the fast path: language runtimes set themselves up.
pub(super) const LIFECYCLE_DEADLINE_MS: u32 = 5_000;
/// Idle instances that a binding keeps.
const IDLE_MAX: usize = 64;

/// What a binding that waits has beyond others.
pub struct WaitingSettings {
    /// As for others. The deadline is one on the clock, in which also waits for a place count.
    pub binding: BindingSettings,
    /// Sends what its guests ask for, where `http` is granted.
    pub outside: Option<Arc<dyn Outside>>,
    /// The folder that is granted.
    pub folder: Option<FolderGrant>,
}

/// A bound plugin that waits. Shared by all threads; a hook may go on on another one than it began.
pub struct WaitingBinding {
    sandbox: Arc<Sandbox>,
    plugin: Arc<Plugin>,
    scope: Arc<Scope>,
    services: Arc<dyn Services>,
    outside: Arc<dyn Outside>,
    folder: Option<Arc<Folder>>,
    config: String,
    limits: GuestLimits,
    class: InstanceClass,
    idle: Arc<Idle>,
    standing: Standing,
    created: AtomicU64,
    retired: AtomicU64,
    failed: AtomicU64,
}

/// Instances of one binding that wait for a call.
#[derive(Default)]
#[allow(clippy::vec_box, reason = "what moves is a pointer")]
pub(super) struct Idle(Mutex<Vec<Box<WaitingGuest>>>);

impl Idle {
    #[allow(clippy::vec_box, reason = "what moves is a pointer")]
    fn lock(&self) -> MutexGuard<'_, Vec<Box<WaitingGuest>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn clear(&self) {
        let guests = std::mem::take(&mut *self.lock());
        drop(guests);
    }
}

/// A hook under way in an instance.
type Running<'a, T> = Pin<Box<dyn Future<Output = wasmtime::Result<T>> + Send + 'a>>;

impl WaitingBinding {
    pub(crate) async fn new(
        sandbox: &Arc<Sandbox>,
        plugin: &Arc<Plugin>,
        settings: WaitingSettings,
    ) -> Result<Self, BindError> {
        let WaitingSettings {
            binding: settings,
            outside,
            folder,
        } = settings;
        settings.check_grants(plugin)?;
        if plugin.class() != PluginClass::Waiting {
            return Err(BindError::Class(plugin.class()));
        }
        let folder = folder
            .map(|grant| Folder::open(&grant).map(Arc::new))
            .transpose()
            .map_err(|err| BindError::Folder(err.to_string()))?;
        let limits = settings.limits(sandbox);
        let binding = Self {
            sandbox: Arc::clone(sandbox),
            plugin: Arc::clone(plugin),
            scope: Arc::new(settings.scope),
            services: settings.services,
            outside: outside.unwrap_or_else(|| Arc::new(Nowhere)),
            folder,
            config: settings.config,
            limits,
            class: settings.class,
            idle: Arc::default(),
            standing: Standing::new(),
            created: AtomicU64::new(0),
            retired: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        };
        let starting = GuestLimits {
            deadline_ms: LIFECYCLE_DEADLINE_MS,
            ..limits
        };
        let started = starting.in_time(async {
            let mut guest = binding.instantiate().await?;
            let accepted = guest.configure(&binding.config).await?;
            Ok(accepted.map(|()| guest))
        });
        let guest = started.await?.map_err(BindError::Config)?;
        if binding.class == InstanceClass::Warm {
            binding.idle.lock().push(Box::new(guest));
            sandbox.waiting.register(&binding.idle);
        }
        Ok(binding)
    }

    /// The plugin behind it.
    #[must_use]
    pub fn plugin(&self) -> &Arc<Plugin> {
        &self.plugin
    }

    /// See [`crate::Binding::authenticate`].
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn authenticate(
        &self,
        call: &Arc<dyn CallView>,
    ) -> HookResult<Option<Arc<Identity>>> {
        self.run(call, None, |guest| {
            Box::pin(async move {
                let Some(hook) = guest.authenticate else {
                    return Ok(Ok(None));
                };
                let asked = (Resource::new_borrow(0),);
                let (answer,) = hook.call_async(&mut guest.store, asked).await?;
                match answer {
                    Ok(Some(caller)) => guest
                        .store
                        .data_mut()
                        .guest
                        .caller(caller)
                        .map(|who| Ok(Some(who))),
                    Ok(None) => Ok(Ok(None)),
                    Err(denial) => Ok(Err(denial)),
                }
            })
        })
        .await
    }

    /// See [`crate::Binding::admit`].
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn admit(&self, call: &Arc<dyn CallView>) -> HookResult<()> {
        self.run(call, None, |guest| {
            Box::pin(async move {
                let Some(hook) = guest.admit else {
                    return Ok(Ok(()));
                };
                let asked = (Resource::new_borrow(0),);
                let (answer,) = hook.call_async(&mut guest.store, asked).await?;
                Ok(answer)
            })
        })
        .await
    }

    /// See [`crate::Binding::route`].
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn route(
        &self,
        call: &Arc<dyn CallView>,
        candidates: &[Candidate],
    ) -> HookResult<Option<usize>> {
        let choice = self.run(call, None, |guest| {
            let candidates = candidates.to_vec();
            Box::pin(async move {
                let Some(hook) = guest.route else {
                    return Ok(Ok(None));
                };
                let asked = (Resource::new_borrow(0), candidates);
                let (answer,) = hook.call_async(&mut guest.store, asked).await?;
                Ok(answer)
            })
        });
        answer::place(&self.standing, choice.await?, candidates)
    }

    /// See [`crate::Binding::transform_call`].
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn transform_call(&self, call: &Arc<dyn CallView>) -> HookResult<Option<String>> {
        let changed = self.run(call, None, |guest| {
            Box::pin(async move {
                let Some(hook) = guest.transform_call else {
                    return Ok(Ok(None));
                };
                let asked = (Resource::new_borrow(0),);
                let (answer,) = hook.call_async(&mut guest.store, asked).await?;
                Ok(answer)
            })
        });
        answer::json(&self.standing, changed.await?)
    }

    /// See [`crate::Binding::transform_reply`].
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn transform_reply(
        &self,
        call: &Arc<dyn CallView>,
        reply: &Arc<dyn ReplyView>,
    ) -> HookResult<Option<String>> {
        let changed = self.run(call, Some(reply), |guest| {
            Box::pin(async move {
                let Some(hook) = guest.transform_reply else {
                    return Ok(Ok(None));
                };
                let asked = (Resource::new_borrow(0), Resource::new_borrow(0));
                let (answer,) = hook.call_async(&mut guest.store, asked).await?;
                Ok(answer)
            })
        });
        answer::json(&self.standing, changed.await?)
    }

    /// See [`crate::Binding::transform_listing`].
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn transform_listing(
        &self,
        call: &Arc<dyn CallView>,
        entries: &[Entry],
    ) -> HookResult<Vec<Edit>> {
        let edits = self.run(call, None, |guest| {
            let entries = entries.to_vec();
            Box::pin(async move {
                let Some(hook) = guest.transform_listing else {
                    return Ok(Ok(entries.iter().map(|_| Edit::Keep).collect()));
                };
                let asked = (Resource::new_borrow(0), entries);
                let (answer,) = hook.call_async(&mut guest.store, asked).await?;
                Ok(answer)
            })
        });
        answer::edits(&self.standing, edits.await?, entries)
    }

    /// Runs one hook in an instance of its own for the time being. Any failure costs the instance.
    async fn run<T>(
        &self,
        call: &Arc<dyn CallView>,
        reply: Option<&Arc<dyn ReplyView>>,
        hook: impl for<'a> FnOnce(&'a mut WaitingGuest) -> Running<'a, T>,
    ) -> Result<T, Failure> {
        self.standing.enter()?;
        let until = Instant::now() + Duration::from_millis(self.limits.deadline_ms.into());
        let queue = &self.sandbox.waiting.queue;
        // Nobody is to blame for a room that is full.
        let place = timeout_at(until, queue.enter()).await.ok().flatten();
        let place = place.ok_or(Failure::Instances)?;
        let outcome = timeout_at(until, async {
            let mut guest = self.checkout().await?;
            guest.arm();
            guest.store.data_mut().guest.begin(call, reply);
            let answer = hook(&mut guest).await;
            let answer = answer.map_err(|err| self.limits.failure(&err))?;
            Ok((answer, guest))
        });
        let outcome = outcome.await.unwrap_or_else(|_| Err(self.limits.late()));
        drop(place);
        match outcome {
            Ok((answer, guest)) => {
                self.check_in(guest);
                self.standing.succeeded();
                Ok(answer)
            }
            // The pool being full says nothing of this guest.
            Err(Failure::Instances) => Err(Failure::Instances),
            Err(failure) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                self.standing.failed();
                Err(failure)
            }
        }
    }

    async fn checkout(&self) -> Result<Box<WaitingGuest>, Failure> {
        let idle = self.idle.lock().pop();
        if let Some(guest) = idle {
            return Ok(guest);
        }
        let failed = |err: wasmtime::Error| self.limits.failure(&err);
        let mut guest = self.instantiate().await.map_err(failed)?;
        match guest.configure(&self.config).await.map_err(failed)? {
            Ok(()) => Ok(Box::new(guest)),
            Err(reason) => Err(refused_again(&reason)),
        }
    }

    fn check_in(&self, mut guest: Box<WaitingGuest>) {
        let state = &mut guest.store.data_mut().guest;
        state.end();
        let swollen = state.memory.bytes > self.limits.memory_bytes_max / 4 * 3;
        let used_up = guest.uses >= self.sandbox.settings.uses_max;
        let mut idle = self.idle.lock();
        if self.class == InstanceClass::Warm && !used_up && !swollen && idle.len() < IDLE_MAX {
            idle.push(guest);
        } else {
            self.retired.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn instantiate(&self) -> wasmtime::Result<WaitingGuest> {
        self.created.fetch_add(1, Ordering::Relaxed);
        let around = Surroundings {
            scope: &self.scope,
            services: &self.services,
            outside: &self.outside,
            folder: self.folder.as_ref(),
        };
        let of = (self.pre()?, self.plugin.hooks());
        WaitingGuest::new(&self.sandbox.waiting, of, self.limits, &around).await
    }

    fn pre(&self) -> wasmtime::Result<&WaitingPre> {
        let waits = self.plugin.waiting();
        waits.ok_or_else(|| wasmtime::Error::msg("the plugin is not of this class"))
    }
}

impl Pooled for WaitingBinding {
    fn scope(&self) -> &Scope {
        &self.scope
    }

    fn pool_stats(&self) -> PoolStats {
        PoolStats {
            idle: u64::try_from(self.idle.lock().len()).unwrap_or(u64::MAX),
            created: self.created.load(Ordering::Relaxed),
            retired: self.retired.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }
}

impl GuestLimits {
    /// What comes of a guest's work within the deadline, on the clock.
    pub(super) async fn in_time<T>(
        &self,
        work: impl Future<Output = wasmtime::Result<T>>,
    ) -> Result<T, Failure> {
        match timeout(Duration::from_millis(self.deadline_ms.into()), work).await {
            Ok(done) => done.map_err(|err| self.failure(&err)),
            Err(_elapsed) => Err(self.late()),
        }
    }

    fn late(&self) -> Failure {
        Failure::Deadline {
            deadline_ms: self.deadline_ms,
        }
    }
}
