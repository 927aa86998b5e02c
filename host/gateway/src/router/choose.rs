//! From a permitted call to one upstream.

use std::sync::Arc;

use portcullis_protocol::error::{INVALID_PARAMS, RESOURCE_NOT_FOUND};
use portcullis_protocol::listing::ListKind;
use portcullis_protocol::mirrored::Mirrored;
use portcullis_protocol::revision::Era;
use portcullis_sandbox::Candidate;
use tokio_util::task::TaskTracker;

use crate::call::Call;
use crate::policy::Permitted;
use crate::refusal::Refusal;
use crate::tenancy::Server;
use crate::upstream::Upstream;

use super::Offer;

/// Where a call goes.
pub struct Route {
    /// What it asks for.
    pub offer: Arc<Offer>,
    /// The upstream that serves it.
    pub upstream: Arc<Upstream>,
    /// Whether the upstream knows it by another name.
    renamed: bool,
}

impl Route {
    /// The name that the upstream knows it by; none where names are nobody's to change.
    #[must_use]
    pub fn upstream_name(&self) -> Option<&str> {
        self.renamed.then_some(self.offer.upstream_name.as_str())
    }

    /// The replicas that may serve a call which never reached the chosen one: healthy ones first.
    #[must_use]
    pub fn spares(&self, server: &Server) -> Vec<Arc<Upstream>> {
        let replicas = server
            .mounts
            .get(self.offer.mount)
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

/// Resolves what the call names by the server's catalogue, then picks among the mount's replicas: the route hooks'
/// choice, else the healthy one with the fewest requests under way.
///
/// # Errors
/// An unknown name, a refusal by a hook, or an upstream that cannot be discovered.
pub async fn find(call: &Permitted, tracker: &TaskTracker) -> Result<Route, Refusal> {
    let server = &call.server;
    let (kind, name) = call.message.named().ok_or_else(|| unnamed(call))?;
    let listed = server
        .catalogue
        .find(server, tracker, (kind, name))
        .await
        .map_err(|err| Refusal::from(&*err))?;
    let offer = listed
        .or_else(|| unlisted(server, kind, name))
        .ok_or_else(|| unknown(call, kind, name))?;
    let offer = Arc::clone(call.offer.get_or_init(|| offer));
    let replicas = server
        .mounts
        .get(offer.mount)
        .map(|mount| mount.replicas.as_slice())
        .unwrap_or_default();
    let chosen = match call.generation.chain.routes(call) {
        true => {
            call.generation
                .chain
                .route(call, &candidates(replicas))
                .await?
        }
        false => None,
    };
    let upstream = match chosen {
        Some(place) => replicas.get(place),
        None => least_in_flight(replicas),
    };
    let upstream = upstream.cloned().ok_or_else(|| {
        Refusal::not_found("no upstream stands behind this name any more; list again")
    })?;
    let renamed = matches!(kind, ListKind::Tools | ListKind::Prompts);
    Ok(Route {
        offer,
        upstream,
        renamed,
    })
}

/// A resource may be read without being listed; where there is one mount, it can only be that mount's.
fn unlisted(server: &Server, kind: ListKind, uri: &str) -> Option<Arc<Offer>> {
    let is_only_one = server.mounts.len() == 1 && kind == ListKind::Resources;
    is_only_one.then(|| {
        Arc::new(Offer {
            name: uri.to_owned(),
            mount: 0,
            upstream_name: uri.to_owned(),
            definition: None,
            mirrored: Mirrored::default(),
        })
    })
}

fn unnamed(call: &Permitted) -> Refusal {
    Refusal::params(match call.message.method.as_deref() {
        Some("tools/call") => "`params.name` must name a tool",
        Some("prompts/get") => "`params.name` must name a prompt",
        Some("completion/complete") => {
            "`params.ref` must be a `ref/prompt` with a name, or a `ref/resource` with a URI"
        }
        Some(_) | None => "`params.uri` must name a resource",
    })
}

fn unknown(call: &Permitted, kind: ListKind, name: &str) -> Refusal {
    match kind {
        ListKind::Tools => Refusal::params(format!(
            "unknown tool `{name:.128}`; list the tools to see their names"
        )),
        ListKind::Prompts => Refusal::params(format!(
            "unknown prompt `{name:.128}`; list the prompts to see their names"
        )),
        ListKind::Resources | ListKind::ResourceTemplates => Refusal {
            // MCP 2026-07-28 gave up the code of its own.
            code: match call.era {
                Era::Session => RESOURCE_NOT_FOUND,
                Era::Stateless => INVALID_PARAMS,
            },
            ..Refusal::params(format!(
                "unknown resource `{name:.256}`; list the resources and their templates"
            ))
        },
    }
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

/// Where a call may go, as far as the catalogue in memory knows.
#[must_use]
pub fn candidates_of(call: &Call) -> Vec<Candidate> {
    let mount = call
        .offer
        .get()
        .and_then(|offer| call.server.mounts.get(offer.mount));
    candidates(
        mount
            .map(|mount| mount.replicas.as_slice())
            .unwrap_or_default(),
    )
}

fn candidates(replicas: &[Arc<Upstream>]) -> Vec<Candidate> {
    let candidate = |replica: &Arc<Upstream>| Candidate {
        healthy: replica.healthy(),
        in_flight: replica.in_flight(),
        latency_us: replica.latency_us(),
    };
    replicas.iter().map(candidate).collect()
}
