//! A candidate watches: real calls run through it beside the live chain, on a thread of their own, and what the two say is
//! compared.
//!
//! Before it: the walk, which notes what the live chain made of a call. After it: the figures. A call that comes faster than
//! it can be compared is skipped and counted; no caller ever waits for a comparison.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;

use bytestring::ByteString;
use portcullis_sandbox::Identity;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use crate::call::Call;

use super::{Difference, Rollout};
use crate::state::unix_ms;
use crate::tenancy::RefusedBy;

/// Most calls that wait to be compared.
const WAITING_MAX: usize = 256;
/// Most places that one difference names.
const PLACES_MAX: usize = 8;

/// What a chain made of one call, noted as it happens.
#[derive(Debug, Default)]
pub struct Witness {
    /// What ended it.
    pub refused: OnceLock<RefusedBy>,
    /// The arguments as the chain left them.
    pub arguments: OnceLock<ByteString>,
    /// Whether it is to be kept as a sample.
    pub is_sample: bool,
    /// The result as its upstream gave it, where it was seen whole.
    pub raw: OnceLock<String>,
    /// The result as the chain left it.
    pub result: OnceLock<String>,
}

struct Job {
    rollout: Arc<Rollout>,
    call: Arc<Call>,
}

/// The thread that compares, started with the first call there is to compare.
#[derive(Default)]
pub struct Shadows(OnceLock<Option<SyncSender<Job>>>);

impl Shadows {
    fn send(&self, job: Job) {
        let sender = self.0.get_or_init(|| {
            let (sender, jobs) = sync_channel(WAITING_MAX);
            // For candidates that wait.
            let runtime = Builder::new_current_thread().enable_all().build().ok()?;
            let thread = thread::Builder::new().name("shadow".into());
            thread
                .spawn(move || compare_all(&runtime, &jobs))
                .ok()
                .map(|_| sender)
        });
        let sent = match sender {
            Some(sender) => sender.try_send(job),
            None => Err(TrySendError::Disconnected(job)),
        };
        if let Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) = sent {
            job.rollout.course.compared.skipped();
        }
    }
}

impl Rollout {
    /// Has the candidate look at a call that the live chain is done with.
    pub fn compare(self: &Arc<Self>, call: &Arc<Call>) {
        self.shadows.send(Job {
            rollout: Arc::clone(self),
            call: Arc::clone(call),
        });
    }
}

/// Until nobody is left to send any.
fn compare_all(runtime: &Runtime, jobs: &Receiver<Job>) {
    while let Ok(Job { rollout, call }) = jobs.recv() {
        let Some(live) = call.witness.as_deref() else {
            continue;
        };
        let trial = runtime.block_on(try_out(&rollout, &call));
        let candidate = trial.witness.as_deref();
        let found = candidate.and_then(|candidate| differ((&call, live), (&trial, candidate)));
        match found {
            None => rollout.course.compared.agreed(),
            Some((what, live, candidate)) => rollout.course.compared.differed(Difference {
                request_id: call.request_id.to_string(),
                at_ms: unix_ms(),
                method: call.message.method.as_deref().map(str::to_owned),
                target: call.message.target.as_deref().map(str::to_owned),
                what,
                live,
                candidate,
            }),
        }
    }
}

/// The call, as the candidate judges it.
async fn try_out(rollout: &Arc<Rollout>, call: &Arc<Call>) -> Arc<Call> {
    let witness = Arc::new(Witness::default());
    let trial = Arc::new(Call {
        generation: Arc::clone(&rollout.candidate),
        rollout: Some(Arc::clone(rollout)),
        witness: Some(Arc::clone(&witness)),
        identity: OnceLock::new(),
        ..Call::clone(call)
    });
    let chain = &rollout.candidate.chain;
    // Whatever refuses it has told the witness.
    let Ok(identity) = chain.authenticate(&trial).await else {
        return trial;
    };
    trial.identity.get_or_init(|| identity);
    let Ok(permitted) = chain.admit(Arc::clone(&trial)).await else {
        return trial;
    };
    let Ok(permitted) = chain.transform_call(permitted).await else {
        return trial;
    };
    if let Some(arguments) = &permitted.message.arguments {
        witness.arguments.get_or_init(|| arguments.clone());
    }
    let raw = call.witness.as_deref().and_then(|live| live.raw.get());
    if let Some(raw) = raw
        && let Ok(result) = chain.transform_reply(&permitted, raw.clone()).await
    {
        witness.result.get_or_init(|| result);
    }
    trial
}

type Sides = (&'static str, String, String);

/// What differs, and how both sides put it.
fn differ((live, seen): (&Call, &Witness), (candidate, said): (&Call, &Witness)) -> Option<Sides> {
    let verdict = |witness: &Witness| match witness.refused.get() {
        Some(refused) => format!("refused: {}", refused.code),
        None => "passed".to_owned(),
    };
    let code = |witness: &Witness| witness.refused.get().map(|refused| refused.code.clone());
    if code(seen) != code(said) {
        return Some(("verdict", verdict(seen), verdict(said)));
    }
    if seen.refused.get().is_some() {
        return None;
    }
    let who = |call: &Call| call.identity.get().map(|identity| in_words(identity));
    let (one, other) = (who(live), who(candidate));
    if one != other {
        let shown = |who: Option<String>| who.unwrap_or_else(|| "nobody".to_owned());
        return Some(("identity", shown(one), shown(other)));
    }
    let own = live.message.arguments.as_deref();
    let text = |witness: &Witness| witness.arguments.get().map(|text| text.to_string());
    let (one, other) = (text(seen), text(said));
    if let (Some(one), Some(other)) = (one.as_deref().or(own), other.as_deref().or(own))
        && one != other
    {
        return Some(sides("arguments", own.unwrap_or("null"), (one, other)));
    }
    let (raw, one, other) = (seen.raw.get()?, seen.result.get()?, said.result.get()?);
    (one != other).then(|| sides("result", raw, (one, other)))
}

fn in_words(identity: &Identity) -> String {
    format!(
        "{} of team {}, roles [{}], scopes [{}]",
        identity.subject,
        identity.team.as_deref().unwrap_or("-"),
        identity.roles.join(" "),
        identity.scopes.join(" ")
    )
}

/// Where each side changed what was there before. Places, never values.
fn sides(what: &'static str, before: &str, (live, candidate): (&str, &str)) -> Sides {
    let changes =
        |after: &str| places_changed(before, after).unwrap_or_else(|| "left as it was".to_owned());
    (what, changes(live), changes(candidate))
}

/// Where one JSON text differs from another, in words; `None` where it does not.
#[must_use]
pub fn places_changed(before: &str, after: &str) -> Option<String> {
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let mut places = Vec::new();
    changed(
        &parsed(before),
        &parsed(after),
        &mut String::new(),
        &mut places,
    );
    (!places.is_empty()).then(|| format!("changed at {}", places.join(", ")))
}

/// The JSON Pointers (RFC 6901) at which the two differ, up to a bound.
fn changed(before: &Value, after: &Value, at: &mut String, places: &mut Vec<String>) {
    if before == after || places.len() >= PLACES_MAX {
        return;
    }
    let depth = at.len();
    let mut step = |key: &str, before: &Value, after: &Value, places: &mut Vec<String>| {
        at.push('/');
        at.push_str(&key.replace('~', "~0").replace('/', "~1"));
        changed(before, after, at, places);
        at.truncate(depth);
    };
    match (before, after) {
        (Value::Object(one), Value::Object(other)) => {
            for (key, value) in one {
                step(key, value, other.get(key).unwrap_or(&Value::Null), places);
            }
            for (key, value) in other.iter().filter(|(key, _)| !one.contains_key(*key)) {
                step(key, &Value::Null, value, places);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                step(&index.to_string(), one, other, places);
            }
        }
        _ if at.is_empty() => places.push("the whole".to_owned()),
        _ => places.push(at.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_name_places_and_no_values() {
        let before = r#"{"a":{"b":["secret","x"]},"c":1}"#;
        let (what, live, candidate) = sides(
            "arguments",
            before,
            (
                r#"{"a":{"b":["***","x"]},"c":1}"#,
                r#"{"a":{"b":["***","***"]},"c":1,"d/e":2}"#,
            ),
        );
        assert_eq!(what, "arguments");
        assert_eq!(live, "changed at /a/b/0");
        assert_eq!(candidate, "changed at /a/b/0, /a/b/1, /d~1e");
        assert_eq!(sides("result", "1", ("1", "2")).2, "changed at the whole");
    }
}
