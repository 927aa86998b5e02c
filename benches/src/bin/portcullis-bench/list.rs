//! `tools/list` of a thousand tools, merged from ten upstreams and answered from memory.
//!
//! One connection, one request after the other, with no policy and with one that judges every entry. The time is that
//! of the whole reply as its reader has it.

use std::time::Instant;

use portcullis_benches::plan;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::callers::{self, Caller};
use crate::chain;
use crate::error::BenchError;
use crate::gateway::Gateway;
use crate::http::{Connection, Reply};
use crate::open_loop::Latencies;
use crate::options::{Options, Tools};
use crate::target::Target;
use crate::upstream::{MANY, Upstream};

const UPSTREAMS_LEN: usize = 10;
const TENANT: &str = "lists";
/// What judges every entry.
const POLICY: &str = "access-control";

/// Measures both chains.
pub async fn run(options: &Options, tools: &Tools) -> Result<Value, BenchError> {
    let folder = TempDir::with_prefix("portcullis-bench-")
        .map_err(|source| BenchError::io("no temporary folder", source))?;
    let upstream = Upstream::start(folder.path())?;
    let gateway = Gateway::start(&tools.portcullis, folder.path(), "list").await?;
    let mut target = gateway
        .tenant(TENANT, upstream.address, &chain::empty())
        .await?;
    let mut mounts = Vec::new();
    for number in 0..UPSTREAMS_LEN {
        let name = format!("crm-{number}");
        let spec = json!({"url": format!("http://{}{MANY}/{number}", upstream.address)});
        gateway
            .put(&format!("/tenants/{TENANT}/upstreams/{name}"), &spec)
            .await?;
        mounts.push(json!({"name": name}));
    }
    gateway
        .put(
            &format!("/tenants/{TENANT}/servers/{TENANT}"),
            &json!({"upstreams": mounts}),
        )
        .await?;
    target.tool = "crm-0__lookup_0".to_owned();
    callers::open(&mut target, 1).await?;
    let published = gateway.publish_all(tools, &[POLICY]).await?;
    let judging = published.iter().map(|(plugin, digest)| {
        let mut binding = plan::binding(plugin, digest);
        chain::set(&mut binding, "", "config", json!({"default": "allow"}));
        binding
    });
    let judging = json!({"anonymous": true, "bindings": judging.collect::<Vec<_>>()});
    let mut report = Map::new();
    for (name, policies) in [("none", chain::empty()), (POLICY, judging)] {
        gateway.chain(TENANT, &policies).await?;
        let (latencies, bytes) = measure(options, &target).await?;
        println!(
            "list: {} tools of {UPSTREAMS_LEN} upstreams in {} kB, {name:<14} p50 {:>5} us, p99 {:>5} us",
            UPSTREAMS_LEN * plan::MANY_TOOLS_LEN,
            bytes / 1_000,
            latencies.percentile_us(50.0),
            latencies.percentile_us(99.0)
        );
        report.insert(name.to_owned(), latencies.report());
        report.insert("reply_bytes".to_owned(), json!(bytes));
    }
    Ok(Value::Object(report))
}

async fn measure(options: &Options, target: &Target) -> Result<(Latencies, usize), BenchError> {
    let caller = target
        .callers
        .first()
        .ok_or_else(|| BenchError::failed("there is no caller"))?;
    let mut connection = Connection::open(target.address).await?;
    // The first makes the connection, and the policy's instance, warm.
    let first = list(target, caller, &mut connection).await?;
    check(&first)?;
    let mut latencies = Latencies::new()?;
    for _ in 0..if options.quick { 100 } else { 2_000 } {
        let started = Instant::now();
        let reply = list(target, caller, &mut connection).await?;
        latencies.record(started.elapsed());
        if reply.body != first.body {
            return Err(BenchError::failed("two lists of the same tools differ"));
        }
    }
    Ok((latencies, first.body.len()))
}

async fn list(
    target: &Target,
    caller: &Caller,
    connection: &mut Connection,
) -> Result<Reply, BenchError> {
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}});
    connection
        .send(callers::request(target, caller, &message)?)
        .await
}

/// Every tool of every upstream must be there.
fn check(reply: &Reply) -> Result<(), BenchError> {
    let listed: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let tools = listed.pointer("/result/tools").and_then(Value::as_array);
    match tools.map(Vec::len) {
        Some(len) if len == UPSTREAMS_LEN * plan::MANY_TOOLS_LEN => Ok(()),
        Some(_) | None => Err(BenchError::failed(format!(
            "tools/list was answered with {}: {}",
            reply.status,
            reply.excerpt()
        ))),
    }
}
