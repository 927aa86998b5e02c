//! From the upload of a component to the first call that it has judged.
//!
//! Every sample has a gateway with an empty data folder: nothing is compiled yet, and nothing is cached.

use std::time::Instant;

use portcullis_benches::plan;
use portcullis_benches::stats::{median, rounded};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::callers;
use crate::chain;
use crate::error::BenchError;
use crate::gateway::Gateway;
use crate::http::Connection;
use crate::options::{Options, Tools};
use crate::target::Target;
use crate::upstream::Upstream;

/// `upload_ms` is that of the shipped component nearest to this size.
const SIZE_BYTES: usize = 100_000;

/// Measures every plugin that ships.
pub async fn run(options: &Options, tools: &Tools) -> Result<Map<String, Value>, BenchError> {
    let folder = TempDir::with_prefix("portcullis-bench-")
        .map_err(|source| BenchError::io("no temporary folder", source))?;
    let upstream = Upstream::start(folder.path())?;
    let mut took_ms: Vec<Vec<f64>> = vec![Vec::new(); plan::PLUGINS.len()];
    for round in 0..if options.quick { 1 } else { 3 } {
        let gateway =
            Gateway::start(&tools.portcullis, folder.path(), &format!("upload-{round}")).await?;
        let mut target = gateway
            .tenant("bench", upstream.address, &chain::empty())
            .await?;
        callers::open(&mut target, 1).await?;
        for (plugin, took_ms) in plan::PLUGINS.into_iter().zip(&mut took_ms) {
            took_ms.push(upload(&gateway, tools, &target, plugin).await?);
            gateway.chain("bench", &chain::empty()).await?;
        }
    }
    let mut report = Map::new();
    let mut nearest = (usize::MAX, 0.0);
    for (plugin, took_ms) in plan::PLUGINS.into_iter().zip(&took_ms) {
        let (size_bytes, ms) = (
            tools.component_bytes(plugin)?.len(),
            rounded(median(took_ms)),
        );
        println!(
            "upload: {plugin:<16} {:>5} kB, serving after {ms:>7.1} ms",
            size_bytes / 1_000
        );
        report.insert(
            plugin.to_owned(),
            json!({"size_bytes": size_bytes, "ms": ms}),
        );
        nearest = if size_bytes.abs_diff(SIZE_BYTES) < nearest.0 {
            (size_bytes.abs_diff(SIZE_BYTES), ms)
        } else {
            nearest
        };
    }
    Ok(Map::from_iter([
        ("upload_ms".to_owned(), json!(nearest.1)),
        ("uploads".to_owned(), Value::Object(report)),
    ]))
}

/// Publishes a plugin, binds it, and makes one call; the whole of it, in milliseconds.
async fn upload(
    gateway: &Gateway,
    tools: &Tools,
    target: &Target,
    plugin: &str,
) -> Result<f64, BenchError> {
    let component = tools.component_bytes(plugin)?;
    let mut connection = Connection::open(target.address).await?;
    let caller = target
        .callers
        .first()
        .ok_or_else(|| BenchError::failed("there is no caller"))?;
    let started = Instant::now();
    let published = gateway.publish(component).await?;
    let mut binding = plan::binding(plugin, &published);
    if plugin == "access-control" {
        // The caller is anonymous here, and its rules are about roles.
        chain::set(&mut binding, "", "config", json!({"default": "allow"}));
    }
    // The session was opened by an anonymous caller and stays its own: tokens are only looked at in calls of others.
    chain::set(
        &mut binding,
        "",
        "select",
        json!({"methods": ["tools/call"]}),
    );
    gateway
        .chain("bench", &json!({"bindings": [binding], "anonymous": true}))
        .await?;
    let mut anonymous = caller.clone();
    anonymous.token = "none".to_owned();
    let message = callers::call(7, &target.tool);
    let reply = connection
        .send(callers::request(target, &anonymous, &message)?)
        .await?;
    callers::check(target, &reply)?;
    Ok(started.elapsed().as_secs_f64() * 1e3)
}
