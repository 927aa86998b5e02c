//! One call through a chain, hook by hook, without an upstream: what every policy says, what it changes, how long it takes.
//!
//! Before it: the admin API, with a call and a chain whose guests change nothing (`services/trial.rs`). It keeps the order of
//! the walk, and stops where the walk would.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_sandbox::{CallView, Candidate, Denial, Hook, HookResult, Identity, ReplyView};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::call::Call;
use crate::model::OnFailure;

use super::chain::Reply;
use super::{Bound, Chain};

/// What to explain besides the call.
pub struct Premises {
    /// Who calls, where that is taken for granted and no authenticator is asked.
    pub identity: Option<Identity>,
    /// Where the call may go, for route hooks.
    pub candidates: Vec<Candidate>,
    /// What its upstream answers, for transforms of results.
    pub result: Option<String>,
}

/// What a chain makes of a call.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Explanation {
    /// `passed` or `refused`.
    pub verdict: &'static str,
    /// The code of the denial or failure that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_with: Option<String>,
    /// Who calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// In the order of the walk.
    pub steps: Vec<Step>,
    /// The arguments as the chain leaves them, where it changes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub arguments: Option<Value>,
    /// The result as the chain leaves it, where it changes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub result: Option<Value>,
}

/// One hook of one policy.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Step {
    /// `authenticate`, `admit`, `route`, `transform-call` or `transform-reply`.
    pub hook: &'static str,
    /// The binding's name.
    pub policy: String,
    /// `passed`, `recognised`, `denied`, `failed`, `changed`, `chose`, or `not-selected`.
    pub verdict: &'static str,
    /// The denial's code, the failure's label, the subject, or the place of the chosen upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Time in the hook, in microseconds.
    pub time_us: u64,
}

/// The walk, as far as it came.
struct Walk<'c> {
    chain: &'c Chain,
    steps: Vec<Step>,
    refused_with: Option<String>,
}

/// The walk ends here.
struct Refused;

impl Chain {
    /// Explains a call. It runs guests on this thread, like the walk.
    pub async fn explain(&self, call: Arc<Call>, premises: Premises) -> Explanation {
        let mut walk = Walk {
            chain: self,
            steps: Vec::new(),
            refused_with: None,
        };
        let before = call.message.arguments.clone();
        let (mut call, mut result) = (call, None);
        let passed = walk.all(&mut call, premises, &mut result).await.is_ok();
        let after = call.message.arguments.as_deref();
        let changed = after.filter(|after| Some(*after) != before.as_deref());
        let read = |text: &str| serde_json::from_str(text).ok();
        Explanation {
            verdict: if passed { "passed" } else { "refused" },
            refused_with: walk.refused_with,
            subject: call.identity.get().map(|who| who.subject.clone()),
            steps: walk.steps,
            arguments: changed.and_then(read),
            result: result.as_deref().and_then(read),
        }
    }
}

impl Walk<'_> {
    async fn all(
        &mut self,
        call: &mut Arc<Call>,
        premises: Premises,
        result: &mut Option<String>,
    ) -> Result<(), Refused> {
        let identity = match premises.identity {
            Some(identity) => Arc::new(identity),
            None => self.authenticate(call).await?,
        };
        call.identity.get_or_init(|| identity);
        call.recall_offer();
        self.admit(call).await?;
        self.route(call, &premises.candidates).await?;
        self.transform_call(call).await?;
        if let Some(json) = premises.result {
            *result = self.transform_reply(call, json).await?;
        }
        Ok(())
    }

    async fn authenticate(&mut self, call: &Arc<Call>) -> Result<Arc<Identity>, Refused> {
        let view: Arc<dyn CallView> = Arc::<Call>::clone(call);
        for bound in self.chain.bindings(Hook::Authenticate) {
            let asked = bound.ask(
                call,
                |hooks| hooks.authenticate(&view),
                |waits| Box::pin(waits.authenticate(&view)),
            );
            let (answer, took) = timed(asked).await;
            let step = (Hook::Authenticate, bound.as_ref(), took);
            if let Some(Some(identity)) = self.judge(step, answer)? {
                let subject = Some(identity.subject.clone());
                self.note(step, ("recognised", subject, None));
                return Ok(identity);
            }
            self.note(
                step,
                (
                    "passed",
                    None,
                    Some("it does not know the caller".to_owned()),
                ),
            );
        }
        self.chain.anonymous().ok_or_else(|| {
            self.refused_with = Some("unauthenticated".to_owned());
            Refused
        })
    }

    async fn admit(&mut self, call: &Arc<Call>) -> Result<(), Refused> {
        let view: Arc<dyn CallView> = Arc::<Call>::clone(call);
        for bound in self.chain.bindings(Hook::Admit) {
            if self.selects(Hook::Admit, bound, call) {
                let asked = bound.ask(
                    call,
                    |hooks| hooks.admit(&view),
                    |waits| Box::pin(waits.admit(&view)),
                );
                let (answer, took) = timed(asked).await;
                let step = (Hook::Admit, bound.as_ref(), took);
                if self.judge(step, answer)?.is_some() {
                    self.note(step, ("passed", None, None));
                }
            }
        }
        Ok(())
    }

    async fn route(&mut self, call: &Arc<Call>, candidates: &[Candidate]) -> Result<(), Refused> {
        if candidates.is_empty() {
            return Ok(());
        }
        let view: Arc<dyn CallView> = Arc::<Call>::clone(call);
        for bound in self.chain.bindings(Hook::Route) {
            if self.selects(Hook::Route, bound, call) {
                let asked = bound.ask(
                    call,
                    |hooks| hooks.route(&view, candidates),
                    |waits| Box::pin(waits.route(&view, candidates)),
                );
                let (answer, took) = timed(asked).await;
                let step = (Hook::Route, bound.as_ref(), took);
                match self.judge(step, answer)? {
                    Some(Some(place)) => {
                        let name = view.candidate(place).map(str::to_owned);
                        self.note(step, ("chose", name, None));
                        return Ok(());
                    }
                    Some(None) => self.note(step, ("passed", None, None)),
                    None => {}
                }
            }
        }
        Ok(())
    }

    /// What changed is admitted again, as on the walk.
    async fn transform_call(&mut self, call: &mut Arc<Call>) -> Result<(), Refused> {
        for bound in self.chain.bindings(Hook::TransformCall) {
            if !self.selects(Hook::TransformCall, bound, call) {
                continue;
            }
            let view: Arc<dyn CallView> = Arc::<Call>::clone(call);
            let asked = bound.ask(
                call,
                |hooks| hooks.transform_call(&view),
                |waits| Box::pin(waits.transform_call(&view)),
            );
            let (answer, took) = timed(asked).await;
            let step = (Hook::TransformCall, bound.as_ref(), took);
            match self.judge(step, answer)? {
                Some(Some(arguments)) => {
                    self.note(step, ("changed", None, None));
                    *call = Arc::new(call.with_arguments(arguments));
                    self.admit(call).await?;
                }
                Some(None) => self.note(step, ("passed", None, None)),
                None => {}
            }
        }
        Ok(())
    }

    async fn transform_reply(
        &mut self,
        call: &Arc<Call>,
        json: String,
    ) -> Result<Option<String>, Refused> {
        let view: Arc<dyn CallView> = Arc::<Call>::clone(call);
        let (mut reply, mut is_changed) = (Arc::new(Reply::new(json)), false);
        for bound in self.chain.bindings(Hook::TransformReply) {
            if !self.selects(Hook::TransformReply, bound, call) {
                continue;
            }
            let seen: Arc<dyn ReplyView> = Arc::<Reply>::clone(&reply);
            let asked = bound.ask(
                call,
                |hooks| hooks.transform_reply(&view, &seen),
                |waits| Box::pin(waits.transform_reply(&view, &seen)),
            );
            let (answer, took) = timed(asked).await;
            let step = (Hook::TransformReply, bound.as_ref(), took);
            match self.judge(step, answer)? {
                Some(Some(changed)) => {
                    self.note(step, ("changed", None, None));
                    (reply, is_changed) = (Arc::new(Reply::new(changed)), true);
                }
                Some(None) => self.note(step, ("passed", None, None)),
                None => {}
            }
        }
        Ok(is_changed.then(|| reply.json().to_owned()))
    }

    fn selects(&mut self, hook: Hook, bound: &Bound, call: &Call) -> bool {
        let selects = bound.selects(call);
        if !selects {
            self.note((hook, bound, Duration::ZERO), ("not-selected", None, None));
        }
        selects
    }

    /// The hook's answer; `None` where it failed and its binding lets it fail.
    fn judge<T>(
        &mut self,
        step: (Hook, &Bound, Duration),
        answer: HookResult<T>,
    ) -> Result<Option<T>, Refused> {
        let (hook, bound, _) = step;
        match answer {
            Ok(Ok(answer)) => Ok(Some(answer)),
            Ok(Err(Denial { code, message, .. })) => {
                self.note(step, ("denied", Some(code.clone()), Some(message)));
                self.refused_with = Some(code);
                Err(Refused)
            }
            Err(failure) => {
                let label = failure.label().to_owned();
                self.note(
                    step,
                    ("failed", Some(label.clone()), Some(failure.to_string())),
                );
                if bound.on_failure() == OnFailure::Open && hook != Hook::Authenticate {
                    return Ok(None);
                }
                self.refused_with = Some(label);
                Err(Refused)
            }
        }
    }

    fn note(
        &mut self,
        (hook, bound, took): (Hook, &Bound, Duration),
        (verdict, code, detail): (&'static str, Option<String>, Option<String>),
    ) {
        self.steps.push(Step {
            hook: hook.name(),
            policy: bound.name().to_owned(),
            verdict,
            code,
            detail,
            time_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        });
    }
}

async fn timed<T>(hook: impl Future<Output = T>) -> (T, Duration) {
    let started = Instant::now();
    let answer = hook.await;
    (answer, started.elapsed())
}
