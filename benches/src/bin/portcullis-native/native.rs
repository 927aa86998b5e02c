//! A policy of the SDK as hooks of the gateway's, without a sandbox in between.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_gateway::policy::Hooks;
use portcullis_sandbox::{
    BindError, BindingSettings, CallView, Candidate, Denial, Edit, Entry, Hook, HookResult,
    Identity, ReplyView,
};
use portcullis_sdk::{Call, Caller, Policy, Reply};

use crate::convert;
use crate::host::{self, Backing, CallOf, ReplyOf};

/// A policy, and the callers that it had its host keep.
struct Instance<P> {
    policy: P,
    callers: HashMap<u32, Arc<Identity>>,
}

impl<P> Instance<P> {
    fn new(policy: P) -> Self {
        Self {
            policy,
            callers: HashMap::new(),
        }
    }

    fn identity(&mut self, caller: Caller) -> Result<Arc<Identity>, portcullis_sdk::Denial> {
        let unknown = || portcullis_sdk::Denial::unavailable("no such caller");
        match caller {
            Caller::Identity(identity) => Ok(Arc::new(convert::to_host_identity(identity))),
            Caller::Keep((number, identity)) => {
                let identity = Arc::new(convert::to_host_identity(identity));
                self.callers.insert(number, Arc::clone(&identity));
                Ok(identity)
            }
            Caller::Kept(number) => self.callers.get(&number).cloned().ok_or_else(unknown),
        }
    }
}

/// A bound policy. Policies are written for one thread, so each call has one of its own for the time being, as it has
/// an instance in the sandbox.
pub struct Native<P> {
    hooks: Vec<Hook>,
    config: String,
    idle: Mutex<Vec<Instance<P>>>,
    backing: Arc<Backing>,
}

impl<P: Policy + Send> Native<P> {
    /// Configures the policy.
    pub fn bind(hooks: Vec<Hook>, settings: BindingSettings) -> Result<Arc<dyn Hooks>, BindError> {
        let backing = Arc::new(Backing {
            scope: settings.scope,
            services: settings.services,
        });
        let policy = host::serving(&backing, || P::configure(&settings.config))
            .map_err(BindError::Config)?;
        Ok(Arc::new(Self {
            hooks,
            config: settings.config,
            idle: Mutex::new(vec![Instance::new(policy)]),
            backing,
        }))
    }

    fn run<T>(&self, hook: impl FnOnce(&P) -> Result<T, portcullis_sdk::Denial>) -> HookResult<T> {
        self.run_instance(|instance| hook(&instance.policy))
    }

    fn run_instance<T>(
        &self,
        hook: impl FnOnce(&mut Instance<P>) -> Result<T, portcullis_sdk::Denial>,
    ) -> HookResult<T> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let answer = host::serving(&self.backing, || {
            let mut instance = match idle {
                Some(instance) => instance,
                None => P::configure(&self.config)
                    .map(Instance::new)
                    .map_err(portcullis_sdk::Denial::unavailable)?,
            };
            let answer = hook(&mut instance);
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(instance);
            answer
        });
        Ok(answer.map_err(|denial| Denial {
            code: denial.code,
            message: denial.message,
            retry_after_ms: denial.retry_after_ms,
            challenge: denial.challenge,
        }))
    }
}

fn call(view: &Arc<dyn CallView>) -> Call {
    Call::native(Box::new(CallOf(Arc::clone(view))))
}

impl<P: Policy + Send> Hooks for Native<P> {
    fn hooks(&self) -> &[Hook] {
        &self.hooks
    }

    fn authenticate(&self, view: &Arc<dyn CallView>) -> HookResult<Option<Arc<Identity>>> {
        self.run_instance(|instance| {
            let caller = instance.policy.authenticate(&call(view))?;
            caller.map(|caller| instance.identity(caller)).transpose()
        })
    }

    fn admit(&self, view: &Arc<dyn CallView>) -> HookResult<()> {
        self.run(|policy| policy.admit(&call(view)))
    }

    fn route(
        &self,
        view: &Arc<dyn CallView>,
        candidates: &[Candidate],
    ) -> HookResult<Option<usize>> {
        let candidates: Vec<_> = candidates
            .iter()
            .map(convert::to_policy_candidate)
            .collect();
        let choice = self.run(|policy| policy.route(&call(view), &candidates))?;
        Ok(choice.map(|place| place.and_then(|place| usize::try_from(place).ok())))
    }

    fn transform_call(&self, view: &Arc<dyn CallView>) -> HookResult<Option<String>> {
        self.run(|policy| policy.transform_call(&call(view)))
    }

    fn transform_reply(
        &self,
        view: &Arc<dyn CallView>,
        reply: &Arc<dyn ReplyView>,
    ) -> HookResult<Option<String>> {
        let reply = Reply::native(Box::new(ReplyOf(Arc::clone(reply))));
        self.run(|policy| policy.transform_reply(&call(view), &reply))
    }

    fn transform_listing(
        &self,
        view: &Arc<dyn CallView>,
        entries: &[Entry],
    ) -> HookResult<Vec<Edit>> {
        let entries: Vec<_> = entries.iter().map(convert::to_policy_entry).collect();
        self.run(|policy| {
            let edits = policy.transform_listing(&call(view), &entries)?;
            Ok(edits.into_iter().map(convert::to_host_edit).collect())
        })
    }
}
