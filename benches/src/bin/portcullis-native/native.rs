//! A policy of the SDK as hooks of the gateway's, without a sandbox in between.

use std::sync::{Arc, Mutex, PoisonError};

use portcullis_gateway::policy::Hooks;
use portcullis_sandbox::{
    BindError, BindingSettings, CallView, Candidate, Denial, Edit, Entry, Hook, HookResult,
    Identity, ReplyView,
};
use portcullis_sdk::{Call, Policy, Reply};

use crate::convert;
use crate::host::{self, Backing, CallOf, ReplyOf};

/// A bound policy. Policies are written for one thread, so each call has one of its own for the time being, as it has
/// an instance in the sandbox.
pub struct Native<P> {
    hooks: Vec<Hook>,
    config: String,
    idle: Mutex<Vec<P>>,
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
            idle: Mutex::new(vec![policy]),
            backing,
        }))
    }

    fn run<T>(&self, hook: impl FnOnce(&P) -> Result<T, portcullis_sdk::Denial>) -> HookResult<T> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let answer = host::serving(&self.backing, || {
            let policy = match idle {
                Some(policy) => policy,
                None => P::configure(&self.config).map_err(portcullis_sdk::Denial::unavailable)?,
            };
            let answer = hook(&policy);
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(policy);
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

    fn authenticate(&self, view: &Arc<dyn CallView>) -> HookResult<Option<Identity>> {
        self.run(|policy| {
            Ok(policy
                .authenticate(&call(view))?
                .map(convert::to_host_identity))
        })
    }

    fn admit(&self, view: &Arc<dyn CallView>) -> HookResult<()> {
        self.run(|policy| policy.admit(&call(view)))
    }

    fn route(
        &self,
        view: &Arc<dyn CallView>,
        candidates: &[Candidate],
    ) -> HookResult<Option<String>> {
        let candidates: Vec<_> = candidates
            .iter()
            .map(convert::to_policy_candidate)
            .collect();
        self.run(|policy| policy.route(&call(view), &candidates))
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
