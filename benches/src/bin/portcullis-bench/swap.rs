//! Hot swaps of a tenant's chain while its callers go on: nothing may fail, nothing may be lost, no counter may start anew.

use std::time::{Duration, Instant};

use portcullis_benches::plan;
use portcullis_benches::stats::{median, rounded};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::callers;
use crate::chain;
use crate::error::BenchError;
use crate::gateway::Gateway;
use crate::http::Connection;
use crate::options::{Options, Tools};
use crate::target::Target;
use crate::upstream::Upstream;
use crate::wrk;

const TENANT: &str = "acme";
const CONNECTIONS: usize = 64;
/// Calls that the metered tool allows in all.
const BURST: u64 = 40;
/// A metered call is made after every so many swaps.
const METERED_EVERY: u32 = 5;

struct Plan {
    swaps: u32,
    seconds: u64,
    baseline_seconds: u64,
}

/// What is needed to call the metered tool, which wrk does not touch.
struct Meter {
    target: Target,
    connection: Connection,
    allowed: u64,
    calls: u64,
}

/// Measures a baseline, then swaps, then the baseline again.
#[allow(clippy::cast_precision_loss, reason = "microseconds, far below 2^52")]
pub async fn run(options: &Options, tools: &Tools) -> Result<Value, BenchError> {
    let plan = if options.quick {
        Plan {
            swaps: 20,
            seconds: 6,
            baseline_seconds: 3,
        }
    } else {
        Plan {
            swaps: 100,
            seconds: 30,
            baseline_seconds: 15,
        }
    };
    let folder = TempDir::with_prefix("portcullis-bench-")
        .map_err(|source| BenchError::io("no temporary folder", source))?;
    let upstream = Upstream::start(folder.path())?;
    let gateway = Gateway::start(&tools.portcullis, folder.path(), "swap").await?;
    let published = gateway.publish_all(tools, &plan::CHAIN).await?;
    let chains = [variant(&published, 0), variant(&published, 1)];
    let mut target = gateway.tenant(TENANT, upstream.address, &chains[0]).await?;
    callers::open(&mut target, CONNECTIONS + 1).await?;
    let mut meter = Meter::new(&target).await?;
    let drive = |seconds| wrk::run(tools, folder.path(), &target, CONNECTIONS, seconds);

    drive(2).await?;
    println!(
        "swap: {CONNECTIONS} connections for {} s without swaps",
        plan.baseline_seconds
    );
    let before = drive(plan.baseline_seconds).await?;
    println!("swap: {} swaps during {} s", plan.swaps, plan.seconds);
    let calls = upstream.calls().await?;
    let (during, swaps_ms) = tokio::try_join!(
        drive(plan.seconds),
        swap(&gateway, &chains, &plan, &mut meter)
    )?;
    let calls = upstream.calls().await? - calls;
    println!("swap: {} s without swaps again", plan.baseline_seconds);
    let after = drive(plan.baseline_seconds).await?;
    while meter.call().await? {}

    let baseline_p99_us = f64::midpoint(before.p99_us as f64, after.p99_us as f64);
    let failed = before.failed() + during.failed() + after.failed();
    // Every reply was made by the upstream: none was made up, none was lost on its way back.
    let lost = during.requests.saturating_sub(calls);
    let report = json!({
        "swaps": swaps_ms.len(), "seconds": plan.seconds, "requests": during.requests, "failed": failed, "lost": lost,
        "p99_us": during.p99_us, "p99_without_us": baseline_p99_us,
        "p99_ratio": rounded(during.p99_us as f64 / baseline_p99_us.max(1.0)),
        "max_us": during.max_us, "max_without_us": before.max_us.max(after.max_us),
        "rps": rounded(during.rps()), "rps_without": rounded(f64::midpoint(before.rps(), after.rps())),
        "swap_ms": {"median": rounded(median(&swaps_ms)), "max": rounded(swaps_ms.iter().copied().fold(0.0, f64::max))},
        "counters_carried_over": meter.allowed == BURST, "metered_allowed": meter.allowed, "metered_burst": BURST,
    });
    println!(
        "swap: {failed} failed, {lost} lost, p99 {} us against {baseline_p99_us:.0} us, counters carried over: {}",
        during.p99_us,
        meter.allowed == BURST
    );
    if failed > 0 {
        println!(
            "swap: before: {}; during: {}; after: {}\n{}",
            before.failures(),
            during.failures(),
            after.failures(),
            gateway.process.log_end("")
        );
    }
    Ok(report)
}

/// The chain of four with a meter, in one of two configurations, so that every swap makes new bindings.
fn variant(published: &[(&'static str, String)], number: usize) -> Value {
    let mut chain = chain::of(published);
    let bindings = chain
        .get_mut("bindings")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten();
    for binding in bindings {
        match binding.get("name").and_then(Value::as_str) {
            Some("rate-limit") => {
                let metered = json!({
                    "name": "metered", "key": ["tenant"], "rate": 1, "period_ms": 86_400_000, "burst": BURST,
                    "tools": [format!("{}__metered", plan::MOUNT)],
                });
                if let Some(limits) = binding
                    .pointer_mut("/config/limits")
                    .and_then(Value::as_array_mut)
                {
                    limits.push(metered);
                }
            }
            Some("redact") => chain::set(
                binding,
                "/config",
                "keys",
                json!(["password", format!("secret-{number}")]),
            ),
            Some(_) | None => {}
        }
    }
    chain
}

/// Swaps at an even pace; how long each took, in milliseconds.
async fn swap(
    gateway: &Gateway,
    chains: &[Value; 2],
    plan: &Plan,
    meter: &mut Meter,
) -> Result<Vec<f64>, BenchError> {
    let start = tokio::time::Instant::now();
    let pause = Duration::from_secs(plan.seconds) / (plan.swaps + 1);
    let mut took_ms = Vec::new();
    for number in 1..=plan.swaps {
        tokio::time::sleep_until(start + pause * number).await;
        let [even, odd] = chains;
        let began = Instant::now();
        gateway
            .chain(TENANT, if number % 2 == 0 { even } else { odd })
            .await?;
        took_ms.push(began.elapsed().as_secs_f64() * 1e3);
        if number % METERED_EVERY == 0 {
            meter.call().await?;
        }
    }
    Ok(took_ms)
}

impl Meter {
    async fn new(target: &Target) -> Result<Self, BenchError> {
        let mut target = target.clone();
        target.tool = format!("{}__metered", plan::MOUNT);
        let connection = Connection::open(target.address).await?;
        Ok(Self {
            target,
            connection,
            allowed: 0,
            calls: 0,
        })
    }

    /// One metered call: whether it was allowed.
    async fn call(&mut self) -> Result<bool, BenchError> {
        let caller = self
            .target
            .callers
            .last()
            .ok_or_else(|| BenchError::failed("there is no caller"))?;
        self.calls += 1;
        if self.calls > 2 * BURST {
            return Ok(false);
        }
        let message = callers::call(self.calls, &self.target.tool);
        let reply = self
            .connection
            .send(callers::request(&self.target, caller, &message)?)
            .await?;
        if reply.status == 429 {
            return Ok(false);
        }
        callers::check(&self.target, &reply)?;
        self.allowed += 1;
        Ok(true)
    }
}
