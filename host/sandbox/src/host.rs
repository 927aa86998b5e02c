//! The host's side of every import: what a guest sees of the call, and what the gateway's services do for it.
//!
//! One [`GuestState`] lives in each store. It holds the call only while a hook runs, so a handle that a guest keeps
//! reads nothing afterwards.

use std::sync::Arc;

use ring::rand::{SecureRandom as _, SystemRandom};
use wasmtime::component::{HasSelf, Linker, Resource, ResourceTable};
use wasmtime::{ResourceLimiter, Result, UpdateDeadline};

use crate::bindings::exports::portcullis::policy::authenticate::Caller;
use crate::bindings::portcullis::policy as wit;
use crate::callers::Callers;
use crate::failure::Breach;
use crate::guest::GuestLimits;
use crate::handles::{HANDLES_MAX, Limiter, Verifier, is_jwt};
use crate::{CallView, LogLevel, QuotaTake, ReplyView, Scope, Services};
use wit::types::Identity;

/// Names the resource `call`; the call itself is in the store.
pub struct CallHandle;
/// Names the resource `reply`; the reply itself is in the store.
pub struct ReplyHandle;

pub(crate) const LOG_LINE_BYTES_MAX: usize = 2048;
/// `wit/host.wit` promises it.
const RANDOM_BYTES_MAX: usize = 4096;

/// Bounds on one hook that do not depend on the binding.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    pub(crate) host_calls_max: u32,
    pub(crate) log_lines_max: u32,
}

/// What one store knows: its bounds, and for the length of a hook, the call.
pub(crate) struct GuestState {
    pub(crate) memory: MemoryMeter,
    pub(crate) call: Option<Arc<dyn CallView>>,
    pub(crate) reply: Option<Arc<dyn ReplyView>>,
    pub(crate) host_calls_left: u32,
    pub(crate) log_lines_left: u32,
    pub(crate) ticks_left: u32,
    pub(crate) handles: ResourceTable,
    pub(crate) callers: Callers,
    pub(crate) scope: Arc<Scope>,
    pub(crate) services: Arc<dyn Services>,
}

impl GuestState {
    /// What a new instance knows.
    pub(crate) fn new(
        limits: GuestLimits,
        (scope, services): (&Arc<Scope>, &Arc<dyn Services>),
    ) -> Self {
        let mut handles = ResourceTable::new();
        handles.set_max_capacity(HANDLES_MAX);
        Self {
            memory: MemoryMeter {
                bytes: 0,
                bytes_max: limits.memory_bytes_max,
            },
            call: None,
            reply: None,
            host_calls_left: limits.budget.host_calls_max,
            log_lines_left: limits.budget.log_lines_max,
            ticks_left: 0,
            handles,
            callers: Callers::default(),
            scope: Arc::clone(scope),
            services: Arc::clone(services),
        }
    }

    /// What the hook that begins is about.
    pub(crate) fn begin(&mut self, call: &Arc<dyn CallView>, reply: Option<&Arc<dyn ReplyView>>) {
        self.call = Some(Arc::clone(call));
        self.reply = reply.map(Arc::clone);
    }

    /// The hook is over.
    pub(crate) fn end(&mut self) {
        self.call = None;
        self.reply = None;
    }

    /// Fresh bounds for the next hook.
    pub(crate) fn refill(&mut self, budget: Budget) {
        self.host_calls_left = budget.host_calls_max;
        self.log_lines_left = budget.log_lines_max;
    }

    /// Called when a running guest meets a new epoch. What counts are the epochs that it was seen in: a guest whose
    /// thread the system left waiting meanwhile has not used them up, and is not blamed for a busy machine.
    pub(crate) fn tick(&mut self) -> UpdateDeadline {
        match self.ticks_left.checked_sub(1) {
            Some(left) => {
                self.ticks_left = left;
                UpdateDeadline::Continue(1)
            }
            None => UpdateDeadline::Interrupt,
        }
    }

    /// What a guest answered to who is calling, with what it had the host keep.
    pub(crate) fn caller(&mut self, caller: Caller) -> Result<Arc<Identity>> {
        match caller {
            Caller::Identity(identity) => Ok(Arc::new(identity)),
            Caller::Keep((number, identity)) => {
                let identity = Arc::new(identity);
                let kept = self.callers.keep(number, &identity).ok_or(Breach::Caller)?;
                self.memory.release(kept.freed_bytes);
                self.memory.charge(kept.added_bytes)?;
                Ok(identity)
            }
            Caller::Kept(number) => Ok(self.callers.kept(number).ok_or(Breach::Caller)?),
        }
    }

    fn verify(&mut self, verifier: &Resource<Verifier>, token: &str) -> Result<Verdict<u64>> {
        let verifier = self.handles.get_mut(verifier)?;
        let (issuers, audiences) = (&verifier.issuers, &verifier.audiences);
        let checked = self
            .services
            .jwt_verify(&self.scope, token, issuers, audiences);
        Ok(checked.map(|token| {
            let number = token.number;
            verifier.last = Some(token);
            number
        }))
    }

    /// The number of the call's own token; none for one of another form, which may be another authenticator's.
    fn own_token(
        &mut self,
        verifier: &Resource<Verifier>,
        token: &str,
    ) -> Result<Verdict<Option<u64>>> {
        Ok(match self.verify(verifier, token)? {
            Ok(number) => Ok(Some(number)),
            // One that holds has the form.
            Err(_) if !is_jwt(token) => Ok(None),
            Err(reason) => Err(reason),
        })
    }

    pub(crate) fn spend(&mut self) -> Result<()> {
        match self.host_calls_left.checked_sub(1) {
            Some(left) => {
                self.host_calls_left = left;
                Ok(())
            }
            None => Err(Breach::HostCalls.into()),
        }
    }

    /// Spends one host call and hands out the call under judgement; none outside a hook.
    fn call(&mut self) -> Result<Option<&dyn CallView>> {
        self.spend()?;
        Ok(self.call.as_deref())
    }

    fn reply(&mut self) -> Result<Option<&dyn ReplyView>> {
        self.spend()?;
        Ok(self.reply.as_deref())
    }
}

/// What a token comes to, or the code of why it does not hold.
type Verdict<T> = std::result::Result<T, String>;

/// Counts all linear memories and tables of a store together, and what the host keeps for it.
pub(crate) struct MemoryMeter {
    pub(crate) bytes: u64,
    pub(crate) bytes_max: u64,
}

impl MemoryMeter {
    fn grow(&mut self, current: usize, desired: usize, unit_bytes: usize) -> Result<bool> {
        let more = desired.saturating_sub(current).saturating_mul(unit_bytes);
        self.charge(more).map(|()| true)
    }

    fn charge(&mut self, more_bytes: usize) -> Result<()> {
        let more_bytes = u64::try_from(more_bytes).unwrap_or(u64::MAX);
        let bytes = self.bytes.saturating_add(more_bytes);
        if bytes > self.bytes_max {
            return Err(Breach::Memory.into());
        }
        self.bytes = bytes;
        Ok(())
    }

    fn release(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl ResourceLimiter for MemoryMeter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> Result<bool> {
        self.grow(current, desired, 1)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> Result<bool> {
        self.grow(current, desired, 8)
    }

    fn instances(&self) -> usize {
        64
    }

    fn tables(&self) -> usize {
        16
    }

    fn memories(&self) -> usize {
        4
    }
}

/// Defines every interface that answers from memory. Which of them a binding may use was decided when it was bound.
pub(crate) fn add_to_linker<T: 'static>(
    linker: &mut Linker<T>,
    state: fn(&mut T) -> &mut GuestState,
) -> Result<()> {
    wit::types::add_to_linker::<_, HasSelf<_>>(linker, state)?;
    wit::logging::add_to_linker::<_, HasSelf<_>>(linker, state)?;
    wit::clock::add_to_linker::<_, HasSelf<_>>(linker, state)?;
    wit::quota::add_to_linker::<_, HasSelf<_>>(linker, state)?;
    wit::jwt::add_to_linker::<_, HasSelf<_>>(linker, state)?;
    wit::keys::add_to_linker::<_, HasSelf<_>>(linker, state)?;
    wit::state::add_to_linker::<_, HasSelf<_>>(linker, state)?;
    wit::metrics::add_to_linker::<_, HasSelf<_>>(linker, state)?;
    wit::random::add_to_linker::<_, HasSelf<_>>(linker, state)
}

impl wit::types::Host for GuestState {}

impl wit::types::HostCall for GuestState {
    fn tenant(&mut self, _: Resource<CallHandle>) -> Result<String> {
        Ok(self
            .call()?
            .map(|call| call.tenant().to_owned())
            .unwrap_or_default())
    }

    fn server(&mut self, _: Resource<CallHandle>) -> Result<String> {
        Ok(self
            .call()?
            .map(|call| call.server().to_owned())
            .unwrap_or_default())
    }

    fn method(&mut self, _: Resource<CallHandle>) -> Result<Option<String>> {
        Ok(self
            .call()?
            .and_then(|call| call.method().map(str::to_owned)))
    }

    fn is_from_upstream(&mut self, _: Resource<CallHandle>) -> Result<bool> {
        Ok(self.call()?.is_some_and(|call| call.is_from_upstream()))
    }

    fn target(&mut self, _: Resource<CallHandle>) -> Result<Option<String>> {
        Ok(self.call()?.and_then(|call| call.target().map(Into::into)))
    }

    fn header(&mut self, _: Resource<CallHandle>, name: String) -> Result<Option<String>> {
        Ok(self
            .call()?
            .and_then(|call| call.header(&name).map(str::to_owned)))
    }

    fn peer(&mut self, _: Resource<CallHandle>) -> Result<String> {
        Ok(self
            .call()?
            .map(|call| call.peer().into_owned())
            .unwrap_or_default())
    }

    fn identity(&mut self, _: Resource<CallHandle>) -> Result<Option<Identity>> {
        Ok(self.call()?.and_then(|call| call.identity().cloned()))
    }

    fn subject(&mut self, _: Resource<CallHandle>) -> Result<Option<String>> {
        Ok(self
            .call()?
            .and_then(|call| call.identity().map(|who| who.subject.clone())))
    }

    fn team(&mut self, _: Resource<CallHandle>) -> Result<Option<String>> {
        Ok(self
            .call()?
            .and_then(|call| call.identity().and_then(|who| who.team.clone())))
    }

    fn session(&mut self, _: Resource<CallHandle>) -> Result<Option<String>> {
        Ok(self
            .call()?
            .and_then(|call| call.session().map(str::to_owned)))
    }

    fn arguments(&mut self, _: Resource<CallHandle>) -> Result<Option<String>> {
        Ok(self
            .call()?
            .and_then(|call| call.arguments().map(str::to_owned)))
    }

    fn argument(&mut self, _: Resource<CallHandle>, pointer: String) -> Result<Option<String>> {
        Ok(self
            .call()?
            .and_then(|call| call.argument(&pointer).map(str::to_owned)))
    }

    fn definition(&mut self, _: Resource<CallHandle>) -> Result<Option<String>> {
        Ok(self
            .call()?
            .and_then(|call| call.definition().map(str::to_owned)))
    }

    fn candidate(&mut self, _: Resource<CallHandle>, index: u32) -> Result<Option<String>> {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        Ok(self
            .call()?
            .and_then(|call| call.candidate(index).map(str::to_owned)))
    }

    fn candidate_label(
        &mut self,
        _: Resource<CallHandle>,
        index: u32,
        label: String,
    ) -> Result<Option<String>> {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        Ok(self
            .call()?
            .and_then(|call| call.candidate_label(index, &label).map(str::to_owned)))
    }

    fn drop(&mut self, _: Resource<CallHandle>) -> Result<()> {
        Ok(())
    }
}

impl wit::types::HostReply for GuestState {
    fn is_error(&mut self, _: Resource<ReplyHandle>) -> Result<bool> {
        Ok(self.reply()?.is_some_and(ReplyView::is_error))
    }

    fn size_bytes(&mut self, _: Resource<ReplyHandle>) -> Result<u64> {
        Ok(self.reply()?.map_or(0, |reply| {
            u64::try_from(reply.json().len()).unwrap_or(u64::MAX)
        }))
    }

    fn json(&mut self, _: Resource<ReplyHandle>) -> Result<String> {
        Ok(self
            .reply()?
            .map(|reply| reply.json().to_owned())
            .unwrap_or_default())
    }

    fn get(&mut self, _: Resource<ReplyHandle>, pointer: String) -> Result<Option<String>> {
        Ok(self
            .reply()?
            .and_then(|reply| reply.get(&pointer).map(str::to_owned)))
    }

    fn drop(&mut self, _: Resource<ReplyHandle>) -> Result<()> {
        Ok(())
    }
}

impl wit::logging::Host for GuestState {
    fn log(&mut self, level: wit::logging::Level, message: String) -> Result<()> {
        self.spend()?;
        let Some(left) = self.log_lines_left.checked_sub(1) else {
            return Ok(());
        };
        self.log_lines_left = left;
        let level = match level {
            wit::logging::Level::Trace => LogLevel::Trace,
            wit::logging::Level::Debug => LogLevel::Debug,
            wit::logging::Level::Info => LogLevel::Info,
            wit::logging::Level::Warn => LogLevel::Warn,
            wit::logging::Level::Error => LogLevel::Error,
        };
        let end = message.floor_char_boundary(LOG_LINE_BYTES_MAX);
        self.services
            .log(&self.scope, level, message.get(..end).unwrap_or_default());
        Ok(())
    }
}

impl wit::clock::Host for GuestState {
    fn now_ms(&mut self) -> Result<u64> {
        self.spend()?;
        Ok(self.services.now_ms())
    }
}

impl wit::quota::Host for GuestState {
    fn take(&mut self, requests: Vec<wit::quota::Request>) -> Result<Vec<wit::quota::Verdict>> {
        self.spend()?;
        let takes: Vec<_> = requests
            .iter()
            .map(|request| QuotaTake {
                key: &request.key,
                cost: request.cost,
                limit: request.limit,
            })
            .collect();
        Ok(self.services.quota_take(&self.scope, &takes))
    }
}

impl wit::quota::HostLimiter for GuestState {
    fn new(&mut self, rules: Vec<wit::quota::Rule>) -> Result<Resource<Limiter>> {
        self.spend()?;
        let limiter = Limiter::new(rules).ok_or(Breach::Rules)?;
        self.memory.charge(limiter.bytes())?;
        Ok(self.handles.push(limiter)?)
    }

    fn take(
        &mut self,
        limiter: Resource<Limiter>,
        _: Resource<CallHandle>,
        costs: Vec<u32>,
    ) -> Result<std::result::Result<(), Vec<wit::quota::Verdict>>> {
        self.spend()?;
        let limiter = self.handles.get_mut(&limiter)?;
        let Some(call) = self.call.as_deref() else {
            return Ok(Err(Vec::new()));
        };
        let takes = limiter.takes(call, &costs).ok_or(Breach::Costs)?;
        let verdicts = self.services.quota_take(&self.scope, &takes);
        let granted = verdicts.len() == takes.len() && verdicts.iter().all(|one| one.allowed);
        Ok(if granted { Ok(()) } else { Err(verdicts) })
    }

    fn drop(&mut self, limiter: Resource<Limiter>) -> Result<()> {
        let limiter = self.handles.delete(limiter)?;
        self.memory.release(limiter.bytes());
        Ok(())
    }
}

impl wit::jwt::Host for GuestState {}

impl wit::jwt::HostVerifier for GuestState {
    fn new(&mut self, issuers: Vec<String>, audiences: Vec<String>) -> Result<Resource<Verifier>> {
        self.spend()?;
        let verifier = Verifier::new(issuers, audiences);
        self.memory.charge(verifier.bytes())?;
        Ok(self.handles.push(verifier)?)
    }

    fn bearer(
        &mut self,
        verifier: Resource<Verifier>,
        _: Resource<CallHandle>,
    ) -> Result<Verdict<Option<u64>>> {
        self.spend()?;
        let call = self.call.take();
        let token = call.as_deref().and_then(CallView::bearer);
        let verdict = token.map_or(Ok(Ok(None)), |token| self.own_token(&verifier, token));
        self.call = call;
        verdict
    }

    fn verify(&mut self, verifier: Resource<Verifier>, token: String) -> Result<Verdict<u64>> {
        self.spend()?;
        if !is_jwt(&token) {
            return Ok(Err("malformed".to_owned()));
        }
        Self::verify(self, &verifier, &token)
    }

    fn claims(&mut self, verifier: Resource<Verifier>, token: u64) -> Result<Option<String>> {
        self.spend()?;
        let last = self.handles.get(&verifier)?.last.as_ref();
        Ok(last
            .filter(|last| last.number == token)
            .map(|last| last.claims.as_ref().to_owned()))
    }

    fn drop(&mut self, verifier: Resource<Verifier>) -> Result<()> {
        let verifier = self.handles.delete(verifier)?;
        self.memory.release(verifier.bytes());
        Ok(())
    }
}

impl wit::random::Host for GuestState {
    fn bytes(&mut self, len: u32) -> Result<Vec<u8>> {
        self.spend()?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if len > RANDOM_BYTES_MAX {
            return Err(Breach::Random.into());
        }
        let mut bytes = vec![0; len];
        match SystemRandom::new().fill(&mut bytes) {
            Ok(()) => Ok(bytes),
            Err(_unspecified) => Err(Breach::Random.into()),
        }
    }
}

impl wit::keys::Host for GuestState {
    fn lookup(&mut self, presented: String) -> Result<Option<Identity>> {
        self.spend()?;
        Ok(self.services.key_lookup(&self.scope, &presented))
    }
}

impl wit::state::Host for GuestState {
    fn get(&mut self, key: String) -> Result<Option<Vec<u8>>> {
        self.spend()?;
        Ok(self.services.state_get(&self.scope, &key))
    }

    fn set(
        &mut self,
        key: String,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
    ) -> Result<Result<(), String>> {
        self.spend()?;
        Ok(self.services.state_set(&self.scope, key, value, ttl_ms))
    }

    fn delete(&mut self, key: String) -> Result<()> {
        self.spend()?;
        self.services.state_delete(&self.scope, &key);
        Ok(())
    }
}

impl wit::metrics::Host for GuestState {
    fn count(&mut self, name: String, value: u64, labels: Vec<(String, String)>) -> Result<()> {
        self.spend()?;
        self.services
            .metric_count(&self.scope, &name, value, &labels);
        Ok(())
    }

    fn observe(&mut self, name: String, value: f64, labels: Vec<(String, String)>) -> Result<()> {
        self.spend()?;
        self.services
            .metric_observe(&self.scope, &name, value, &labels);
        Ok(())
    }
}
