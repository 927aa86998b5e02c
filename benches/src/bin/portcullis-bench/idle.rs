//! Memory of a gateway that serves two tenants, each with the chain of four, while nobody calls.

use std::time::Duration;

use portcullis_benches::plan;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::chain;
use crate::error::BenchError;
use crate::gateway::Gateway;
use crate::options::Tools;
use crate::upstream::Upstream;

/// What set-up leaves behind may still be given back.
const SETTLE: Duration = Duration::from_secs(3);

/// Measures right after set-up, which compiled every policy, and again after a restart.
pub async fn run(tools: &Tools) -> Result<Map<String, Value>, BenchError> {
    let folder = TempDir::with_prefix("portcullis-bench-")
        .map_err(|source| BenchError::io("no temporary folder", source))?;
    let upstream = Upstream::start(folder.path())?;
    let gateway = Gateway::start(&tools.portcullis, folder.path(), "idle").await?;
    let policies = chain::of(&gateway.publish_all(tools, &plan::CHAIN).await?);
    for tenant in ["acme", "globex"] {
        gateway.tenant(tenant, upstream.address, &policies).await?;
    }
    tokio::time::sleep(SETTLE).await;
    let after_setup = gateway.process.rss_bytes();
    drop(gateway);
    let gateway = Gateway::start(&tools.portcullis, folder.path(), "idle").await?;
    tokio::time::sleep(SETTLE).await;
    let restarted = gateway.process.rss_bytes();
    println!(
        "idle: {} KiB resident with two tenants, {} KiB after a restart",
        after_setup >> 10,
        restarted >> 10
    );
    Ok(Map::from_iter([
        ("idle_rss_bytes".to_owned(), json!(after_setup)),
        ("idle_rss_restarted_bytes".to_owned(), json!(restarted)),
    ]))
}
