//! One tenant is under load while another's plugin loops for ever, eats memory, or traps.
//!
//! The other tenant's callers send at a fixed rate throughout, also in the baseline, where its plugin is harmless: what
//! is compared is the harm that the plugin does, not the company of another tenant.

use std::time::Instant;

use portcullis_benches::guests::{self, Behaviour};
use portcullis_benches::plan;
use portcullis_benches::stats::{median, rounded};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::callers;
use crate::chain;
use crate::error::BenchError;
use crate::gateway::Gateway;
use crate::http::{Connection, Reply};
use crate::open_loop::{self, Load};
use crate::options::{Options, Tools};
use crate::target::Target;
use crate::upstream::Upstream;
use crate::wrk;

const ROGUE: &str = "rogue";
const VICTIM_CONNECTIONS: usize = 64;
const ROGUE_CONNECTIONS: usize = 4;
const ROGUE_RPS: u64 = 200;
/// Refusals that are timed on a quiet gateway, each by new instances.
const REFUSALS: usize = 10;
/// The deadline of a binding that names none.
const DEADLINE_MS: f64 = 10.0;

struct Arena<'a> {
    tools: &'a Tools,
    seconds: u64,
    victim: Target,
    rogue: Target,
    gateway: Gateway,
    _upstream: Upstream,
    folder: TempDir,
}

/// Measures a baseline before, between and after the misbehaviours.
pub async fn run(options: &Options, tools: &Tools) -> Result<Value, BenchError> {
    let mut arena = Arena::set(tools, if options.quick { 2 } else { 8 }).await?;
    let harmless = arena.publish(Behaviour::Empty).await?;
    arena.chain(&harmless).await?;
    callers::open(&mut arena.rogue, ROGUE_CONNECTIONS).await?;
    callers::open(&mut arena.victim, VICTIM_CONNECTIONS).await?;
    arena.victims().await?;

    let mut baseline = vec![arena.victims().await?];
    let mut cases = Vec::new();
    for behaviour in Behaviour::HOSTILE {
        let guest = arena.publish(behaviour).await?;
        let refusals_ms = arena.refusals_ms(&guest, behaviour).await?;
        arena.chain(&guest).await?;
        cases.push((behaviour, refusals_ms, arena.victims().await?));
        arena.chain(&harmless).await?;
        baseline.push(arena.victims().await?);
    }
    Ok(report(&baseline, &cases))
}

/// The misbehaviour, how long its first refusals took, and what the victim saw meanwhile.
type Case = (Behaviour, Vec<f64>, wrk::Run);

#[allow(clippy::cast_precision_loss, reason = "microseconds, far below 2^52")]
fn report(baseline: &[wrk::Run], cases: &[Case]) -> Value {
    let baseline_us = median(
        &baseline
            .iter()
            .map(|run| run.p99_us as f64)
            .collect::<Vec<_>>(),
    );
    let mut report = Map::from_iter([
        ("baseline_p99_us".to_owned(), json!(baseline_us)),
        (
            "baseline_failed".to_owned(),
            json!(baseline.iter().map(wrk::Run::failed).sum::<u64>()),
        ),
        ("rogue_rps".to_owned(), json!(ROGUE_RPS)),
        ("deadline_ms".to_owned(), json!(DEADLINE_MS)),
    ]);
    for (behaviour, refusals_ms, victim) in cases {
        let ratio = rounded(victim.p99_us as f64 / baseline_us.max(1.0));
        let slowest_ms = rounded(refusals_ms.iter().copied().fold(0.0, f64::max));
        let failure = behaviour.failure().unwrap_or_default();
        println!(
            "hostile: {failure:<9} refused within {slowest_ms:>6.1} ms; the other tenant: p99 {} us, {ratio} of the baseline, {} failed",
            victim.p99_us,
            victim.failed()
        );
        let case = json!({
            "refused_ms": {"median": rounded(median(refusals_ms)), "max": slowest_ms},
            "victim_p99_us": victim.p99_us, "victim_p99_ratio": ratio, "victim_failed": victim.failed(),
        });
        report.insert(failure.to_owned(), case);
    }
    Value::Object(report)
}

impl<'a> Arena<'a> {
    async fn set(tools: &'a Tools, seconds: u64) -> Result<Self, BenchError> {
        let folder = TempDir::with_prefix("portcullis-bench-")
            .map_err(|source| BenchError::io("no temporary folder", source))?;
        let upstream = Upstream::start(folder.path())?;
        let gateway = Gateway::start(&tools.portcullis, folder.path(), "hostile").await?;
        let policies = chain::of(&gateway.publish_all(tools, &plan::CHAIN).await?);
        let victim = gateway
            .tenant("victim", upstream.address, &policies)
            .await?;
        let rogue = gateway
            .tenant(ROGUE, upstream.address, &chain::empty())
            .await?;
        Ok(Self {
            tools,
            seconds,
            victim,
            rogue,
            gateway,
            _upstream: upstream,
            folder,
        })
    }

    /// Gives the rogue a chain of one guest.
    async fn chain(&self, guest: &str) -> Result<(), BenchError> {
        self.gateway.chain(ROGUE, &chain::on_calls(guest)).await
    }

    async fn publish(&self, behaviour: Behaviour) -> Result<String, BenchError> {
        let component =
            guests::component(behaviour).map_err(|error| BenchError::failed(error.to_string()))?;
        self.gateway.publish(component).await
    }

    /// The first refusals of a plugin, each of new instances, in milliseconds.
    async fn refusals_ms(&self, guest: &str, behaviour: Behaviour) -> Result<Vec<f64>, BenchError> {
        let mut connection = Connection::open(self.rogue.address).await?;
        let caller = self
            .rogue
            .callers
            .first()
            .ok_or_else(|| BenchError::failed("there is no caller"))?;
        let mut refusals_ms = Vec::with_capacity(REFUSALS);
        for number in 1..=REFUSALS {
            // A new generation has not failed yet, and is not in quarantine.
            self.gateway.chain(ROGUE, &chain::on_calls(guest)).await?;
            let message = callers::call(u64::try_from(number).unwrap_or(0), &self.rogue.tool);
            let request = callers::request(&self.rogue, caller, &message)?;
            let started = Instant::now();
            let reply = connection.send(request).await?;
            refusals_ms.push(started.elapsed().as_secs_f64() * 1e3);
            let failure = failure(&reply);
            if failure.as_deref() != behaviour.failure() {
                let said = reply.excerpt();
                return Err(BenchError::failed(format!(
                    "{} ended as {failure:?}, with {}: {said}",
                    behaviour.name(),
                    reply.status
                )));
            }
        }
        Ok(refusals_ms)
    }

    /// What the victim's callers see while the rogue's go on.
    async fn victims(&self) -> Result<wrk::Run, BenchError> {
        let load = Load {
            connections: ROGUE_CONNECTIONS,
            rate: ROGUE_RPS,
            seconds: self.seconds,
        };
        let folder = self.folder.path();
        let victim = wrk::run(
            self.tools,
            folder,
            &self.victim,
            VICTIM_CONNECTIONS,
            self.seconds,
        );
        let (victim, _) = tokio::try_join!(victim, open_loop::run(&self.rogue, load, answered))?;
        if victim.failed() > 0 {
            println!(
                "hostile: {}\n{}",
                victim.failures(),
                self.gateway.process.log_end("victim")
            );
        }
        Ok(victim)
    }
}

/// How the host names the failure behind a refusal.
fn failure(reply: &Reply) -> Option<String> {
    let body: Value = serde_json::from_slice(&reply.body).ok()?;
    body.pointer("/error/data/failure")
        .and_then(Value::as_str)
        .map(str::to_owned)
}

/// The rogue's callers get a result, or a refusal that names the failure: the guest's own, or quarantine after it.
fn answered(target: &Target, reply: &Reply) -> Result<(), BenchError> {
    match failure(reply) {
        Some(_) => Ok(()),
        None => callers::check(target, reply),
    }
}
