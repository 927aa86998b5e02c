//! One tenant as it is at one moment. Requests hold it to their end, whatever is installed meanwhile.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::model::Naming;
use crate::policy::Chain;
use crate::router::CatalogueCell;
use crate::telemetry::metrics::ServerMetrics;
use crate::upstream::Upstream;

use super::{Rollout, Samples};

/// A tenant's compiled chain, and which revision it is.
pub struct Generation {
    /// The tenant's name.
    pub tenant: String,
    /// Revision of the chain.
    pub revision: u64,
    /// The policies.
    pub chain: Chain,
    /// Where samples of its calls are kept, if any are.
    pub samples: Option<Arc<Samples>>,
}

/// What clients connect to.
pub struct Server {
    /// Its name, unique in the gateway.
    pub name: String,
    /// How its tools and prompts are named.
    pub naming: Naming,
    /// Namespaces and the upstreams behind them, in order.
    pub mounts: Vec<Mount>,
    /// What its upstreams offer; shared with the generations before and after that mount the same upstreams.
    pub catalogue: Arc<CatalogueCell>,
    /// Handles of its requests.
    pub metrics: ServerMetrics,
    /// Cancelled when its tenant has no such server any more; shared with the generations before and after.
    pub gone: CancellationToken,
}

/// One namespace and the interchangeable upstreams behind it.
pub struct Mount {
    /// Prefix of its tools and prompts.
    pub name: String,
    /// Never empty.
    pub replicas: Vec<Arc<Upstream>>,
}

/// A server in its generation: what a request is pinned to.
#[derive(Clone)]
pub struct Endpoint {
    /// The tenant's state.
    pub generation: Arc<Generation>,
    /// The server.
    pub server: Arc<Server>,
    /// The candidate beside the live chain, while there is one.
    pub rollout: Option<Arc<Rollout>>,
}

impl Endpoint {
    /// The generation for what goes by this name, which is asked for only while a rollout runs.
    #[must_use]
    pub fn generation_of<N: AsRef<[u8]>>(&self, name: impl FnOnce() -> N) -> Arc<Generation> {
        match &self.rollout {
            Some(rollout) if rollout.serves(name().as_ref()) => Arc::clone(&rollout.candidate),
            Some(_) | None => Arc::clone(&self.generation),
        }
    }
}

impl Mount {
    /// Whether the very same upstreams stand behind the same name.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let pairs = || self.replicas.iter().zip(&other.replicas);
        self.name == other.name
            && self.replicas.len() == other.replicas.len()
            && pairs().all(|(one, other)| Arc::ptr_eq(one, other))
    }
}

impl Server {
    /// The name that clients know a mount's tool or prompt by.
    #[must_use]
    pub fn public_name(&self, mount: &Mount, name: &str) -> String {
        match self.naming {
            Naming::Prefixed => format!("{}__{name}", mount.name),
            Naming::Plain => name.to_owned(),
        }
    }
}
