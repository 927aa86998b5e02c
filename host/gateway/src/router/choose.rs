//! From a permitted call to one upstream.

use std::sync::Arc;

use portcullis_sandbox::Candidate;
use tokio_util::task::TaskTracker;

use crate::policy::Permitted;
use crate::refusal::Refusal;
use crate::tenancy::Server;
use crate::upstream::Upstream;

use super::Tool;

/// Where a call goes.
pub struct Route {
    /// The tool it calls.
    pub tool: Arc<Tool>,
    /// The upstream that serves it.
    pub upstream: Arc<Upstream>,
    /// Its server's replicas, of which it is one.
    mount: usize,
}

impl Route {
    /// The replicas that may serve a call which never reached the chosen one: healthy ones first.
    #[must_use]
    pub fn spares(&self, server: &Server) -> Vec<Arc<Upstream>> {
        let replicas = server
            .mounts
            .get(self.mount)
            .map(|mount| mount.replicas.as_slice());
        let others = replicas
            .unwrap_or_default()
            .iter()
            .filter(|replica| !Arc::ptr_eq(replica, &self.upstream));
        let mut spares: Vec<_> = others.cloned().collect();
        spares.sort_by_key(|replica| (!replica.healthy(), replica.in_flight()));
        spares
    }
}

/// Resolves the tool by the server's catalogue, then picks among the mount's replicas: the route hooks' choice, else
/// the healthy one with the fewest requests under way.
///
/// # Errors
/// An unknown tool, a refusal by a hook, or an upstream that cannot be discovered.
pub async fn find(call: &Permitted, tracker: &TaskTracker) -> Result<Route, Refusal> {
    let server = &call.server;
    let name = call
        .message
        .target
        .as_deref()
        .ok_or_else(|| Refusal::params("`params.name` must name a tool"))?;
    let catalogue = server
        .catalogue
        .get(server, tracker)
        .await
        .map_err(|err| Refusal::from(&err))?;
    let tool = catalogue.tool(name).ok_or_else(|| {
        Refusal::params(format!(
            "unknown tool `{name:.128}`; list the tools to see their names"
        ))
    })?;
    let tool = Arc::clone(call.tool.get_or_init(|| Arc::clone(tool)));
    let replicas = server
        .mounts
        .get(tool.mount)
        .map(|mount| mount.replicas.as_slice())
        .unwrap_or_default();
    let chosen = match call.generation.chain.routes(call) {
        true => call.generation.chain.route(call, &candidates(replicas))?,
        false => None,
    };
    let upstream = match chosen {
        Some(place) => replicas.get(place),
        None => least_in_flight(replicas),
    };
    let upstream = upstream.cloned().ok_or_else(|| {
        Refusal::not_found("no upstream stands behind this tool any more; list the tools again")
    })?;
    let mount = tool.mount;
    Ok(Route {
        tool,
        upstream,
        mount,
    })
}

/// Healthy ones first, then those with the fewest requests under way; among equals, the first.
fn least_in_flight(replicas: &[Arc<Upstream>]) -> Option<&Arc<Upstream>> {
    match replicas {
        [only] => Some(only),
        many => many
            .iter()
            .min_by_key(|replica| (!replica.healthy(), replica.in_flight())),
    }
}

fn candidates(replicas: &[Arc<Upstream>]) -> Vec<Candidate> {
    let candidate = |replica: &Arc<Upstream>| Candidate {
        healthy: replica.healthy(),
        in_flight: replica.in_flight(),
        latency_us: replica.latency_us(),
    };
    replicas.iter().map(candidate).collect()
}
