//! What a server offers, merged over its mounts and cached.
//!
//! The first caller waits for discovery, once for all who wait; later ones get what is there, and a stale catalogue
//! is refreshed behind their backs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use foldhash::HashMap;
use futures_util::future::join_all;
use portcullis_protocol::listing::{self, Entry, ListKind};
use serde_json::value::RawValue;
use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::tenancy::{Mount, Server};
use crate::upstream::UpstreamError;

/// How long a complete catalogue is fresh.
const FRESH: Duration = Duration::from_secs(300);
/// How long one is that lacks an upstream's answer: it may be back soon.
const FRESH_PARTIAL: Duration = Duration::from_secs(5);

/// A tool as clients see it.
pub struct Tool {
    /// Public name.
    pub name: String,
    /// Its mount's place in the server.
    pub mount: usize,
    /// The upstream's own name for it.
    pub upstream_name: String,
    /// Its definition under the public name, as JSON text; nothing else in it is changed.
    pub definition: Box<RawValue>,
}

/// A server's tools, in a deterministic order: mounts as configured, tools as listed.
pub struct Catalogue {
    /// In order.
    pub tools: Vec<Arc<Tool>>,
    by_name: HashMap<String, usize>,
    fresh_until: Instant,
}

impl Catalogue {
    /// The tool of this public name.
    #[must_use]
    pub fn tool(&self, name: &str) -> Option<&Arc<Tool>> {
        self.by_name.get(name).and_then(|at| self.tools.get(*at))
    }

    fn new(mounts: Vec<Vec<Arc<Tool>>>, fresh: Duration) -> Self {
        let mut by_name = HashMap::default();
        let mut tools: Vec<Arc<Tool>> = Vec::new();
        for tool in mounts.into_iter().flatten() {
            // A name stays with the first that has it.
            if !by_name.contains_key(&tool.name) {
                by_name.insert(tool.name.clone(), tools.len());
                tools.push(tool);
            }
        }
        Self {
            tools,
            by_name,
            fresh_until: Instant::now() + fresh,
        }
    }
}

/// The catalogue of a server, shared by its generations.
#[derive(Default)]
pub struct CatalogueCell {
    current: ArcSwapOption<Catalogue>,
    discovery: Mutex<()>,
    refreshing: AtomicBool,
}

impl CatalogueCell {
    /// What is there, from memory.
    #[must_use]
    pub fn peek(&self) -> Option<Arc<Catalogue>> {
        self.current.load_full()
    }

    /// The catalogue: from memory if it is there, else from the upstreams.
    ///
    /// # Errors
    /// When nothing is known and no upstream answers.
    pub async fn get(
        &self,
        server: &Arc<Server>,
        tracker: &TaskTracker,
    ) -> Result<Arc<Catalogue>, UpstreamError> {
        if let Some(catalogue) = self.peek() {
            if catalogue.fresh_until <= Instant::now()
                && !self.refreshing.swap(true, Ordering::AcqRel)
            {
                let server = Arc::clone(server);
                tracker.spawn(async move {
                    let cell = Arc::clone(&server.catalogue);
                    if let Err(err) = cell.refresh(&server).await {
                        warn!(server = server.name, error = %err, "a stale catalogue could not be refreshed");
                    }
                    cell.refreshing.store(false, Ordering::Release);
                });
            }
            return Ok(catalogue);
        }
        let _one_at_a_time = self.discovery.lock().await;
        match self.peek() {
            Some(catalogue) => Ok(catalogue),
            None => self.refresh(server).await,
        }
    }

    async fn refresh(&self, server: &Server) -> Result<Arc<Catalogue>, UpstreamError> {
        let answers = join_all(server.mounts.iter().map(discover)).await;
        let before = self.peek();
        let mut fresh = FRESH;
        let mut failure = None;
        let mut found = Vec::with_capacity(answers.len());
        let mut any = false;
        for (at, (mount, answer)) in server.mounts.iter().zip(answers).enumerate() {
            match answer {
                Ok(entries) => {
                    any = true;
                    found.push(
                        entries
                            .into_iter()
                            .filter_map(|entry| publish(server, (at, mount), &entry))
                            .collect(),
                    );
                }
                Err(err) => {
                    warn!(server = server.name, mount = mount.name, error = %err, "an upstream did not list its tools");
                    fresh = FRESH_PARTIAL;
                    failure.get_or_insert(err);
                    // What it offered last stays.
                    let kept = before
                        .iter()
                        .flat_map(|catalogue| &catalogue.tools)
                        .filter(|tool| tool.mount == at);
                    found.push(kept.cloned().collect());
                }
            }
        }
        match failure {
            Some(err) if !any && before.is_none() => Err(err),
            Some(_) | None => {
                let catalogue = Arc::new(Catalogue::new(found, fresh));
                info!(
                    server = server.name,
                    tools = catalogue.tools.len(),
                    "a catalogue is refreshed"
                );
                self.current.store(Some(Arc::clone(&catalogue)));
                Ok(catalogue)
            }
        }
    }
}

/// Asks a mount's replicas in turn, healthy ones first.
async fn discover(mount: &Mount) -> Result<Vec<Entry>, UpstreamError> {
    let healthy = mount.replicas.iter().filter(|replica| replica.healthy());
    let others = mount.replicas.iter().filter(|replica| !replica.healthy());
    let mut last = None;
    for replica in healthy.chain(others) {
        match replica.list(ListKind::Tools).await {
            Ok(entries) => return Ok(entries),
            Err(err) => last = Some(err),
        }
    }
    last.map_or_else(|| Ok(Vec::new()), Err)
}

/// A tool under its public name; one that cannot have a valid name is left out.
fn publish(server: &Server, (at, mount): (usize, &Mount), entry: &Entry) -> Option<Arc<Tool>> {
    let name = server.public_name(mount, &entry.name);
    if !listing::is_tool_name(&name) {
        warn!(
            server = server.name,
            mount = mount.name,
            tool = entry.name,
            "a tool is left out: its name is not valid"
        );
        return None;
    }
    let definition = match listing::rename(ListKind::Tools, entry, &name) {
        Ok(renamed) => renamed.raw,
        Err(err) => {
            warn!(server = server.name, tool = entry.name, error = %err, "a tool is left out: it is no JSON object");
            return None;
        }
    };
    Some(Arc::new(Tool {
        name,
        mount: at,
        upstream_name: entry.name.clone(),
        definition,
    }))
}
