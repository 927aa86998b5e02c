//! Policy services: what the host does for guests, answered from memory.
//!
//! Before it: the sandbox, on behalf of one binding. After it: `state` for counters and values, and tasks in the
//! background that fetch issuers' keys. It never waits for anything but guests' own requests to other hosts, it never hands
//! a key or a secret to a guest, and it never answers one tenant from what another registered.

mod binding;
mod error;
mod guest_log;
mod jwks;
mod jwt;
mod keys;
mod metrics;
mod outbound;
mod tenant;
mod trial;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use portcullis_sandbox::{Outside, Scope, Services};
use prometheus::Registry;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::model::{HttpGrant, IssuerSpec, KeyRecord};
use crate::state::StateRoom;
use binding::BindingServices;
use jwks::JwksPool;
use jwt::Issuers;
use keys::KeyTable;
use metrics::GuestMetrics;
use outbound::OutboundRoom;
use trial::TrialServices;

pub use error::{IssuerProblem, TenantServicesError};
pub use jwks::JwksTiming;
pub use jwt::LEEWAY_S;
pub use outbound::InvalidAllowance;
pub(crate) use outbound::is_public;
pub use tenant::TenantServices;
pub use trial::TrialLog;

/// What the services are built on.
pub struct ServicesParts {
    /// Counters and values.
    pub state: Arc<StateRoom>,
    /// Where metrics are shown.
    pub registry: Registry,
    /// Runs the tasks that fetch keys.
    pub runtime: Handle,
    /// Counts those tasks, so that shutdown waits for them.
    pub tracker: TaskTracker,
    /// Ends them.
    pub shutdown: CancellationToken,
    /// How often keys are fetched.
    pub jwks_timing: JwksTiming,
}

/// Services of all tenants of this process.
pub struct SharedServices {
    state: Arc<StateRoom>,
    metrics: GuestMetrics,
    jwks: JwksPool,
    outbound: OutboundRoom,
    /// By tenant: generations with the same issuers share their keys and their verified tokens.
    issuers: Mutex<HashMap<String, Weak<Issuers>>>,
}

impl SharedServices {
    /// Services without tenants.
    ///
    /// # Errors
    /// When the registry has metrics of these names already.
    pub fn new(parts: ServicesParts) -> Result<Arc<Self>, prometheus::Error> {
        let ServicesParts {
            state,
            registry,
            runtime,
            tracker,
            shutdown,
            jwks_timing,
        } = parts;
        jwt::install_crypto();
        Ok(Arc::new(Self {
            state,
            metrics: GuestMetrics::register(&registry)?,
            outbound: OutboundRoom::new((runtime.clone(), tracker.clone()), &registry)?,
            jwks: JwksPool::new(
                jwks::Spawner {
                    runtime,
                    tracker,
                    shutdown,
                },
                jwks_timing,
                &registry,
            )?,
            issuers: Mutex::default(),
        }))
    }

    /// What a tenant's generation brings to its bindings: issuers and API keys. Built once per generation.
    ///
    /// Where the issuers are those of a generation that is still held, their keys and verified tokens are shared.
    /// Keys behind a URL begin to be fetched here; [`TenantServices::keys_fetched`] waits for them.
    ///
    /// # Errors
    /// [`TenantServicesError`] with the issuer and the field at fault.
    pub fn tenant(
        self: &Arc<Self>,
        name: &str,
        issuers: &BTreeMap<String, IssuerSpec>,
        keys: &[KeyRecord],
    ) -> Result<Arc<TenantServices>, TenantServicesError> {
        let mut known = self.lock_issuers();
        let same = known
            .get(name)
            .and_then(Weak::upgrade)
            .filter(|held| held.are(issuers));
        let issuers = match same {
            Some(same) => same,
            None => Arc::new(Issuers::new(issuers, &self.jwks)?),
        };
        known.retain(|_, issuers| issuers.strong_count() > 0);
        known.insert(name.to_owned(), Arc::downgrade(&issuers));
        Ok(Arc::new(TenantServices::new(issuers, KeyTable::new(keys))))
    }

    /// Services for one binding. Its plugin's counters, values and metrics are looked up here, once.
    #[must_use]
    pub fn for_binding(
        self: &Arc<Self>,
        tenant: &Arc<TenantServices>,
        scope: &Scope,
    ) -> Arc<dyn Services> {
        Arc::new(self.of_binding(tenant, scope))
    }

    /// Services for a binding that is tried out: it sees counters and values, and changes none.
    #[must_use]
    pub fn for_trial(
        self: &Arc<Self>,
        tenant: &Arc<TenantServices>,
        scope: &Scope,
        log: &Arc<TrialLog>,
    ) -> Arc<dyn Services> {
        Arc::new(TrialServices {
            real: self.of_binding(tenant, scope),
            log: Arc::clone(log),
            values: Mutex::default(),
        })
    }

    fn of_binding(&self, tenant: &Arc<TenantServices>, scope: &Scope) -> BindingServices {
        BindingServices {
            tenant: Arc::clone(tenant),
            clock: self.state.clock().clone(),
            quotas: self.state.quotas(&scope.tenant, &scope.plugin),
            state: self.state.plugin_state(&scope.tenant, &scope.plugin),
            metrics: self.metrics.plugin(&scope.tenant, &scope.plugin),
        }
    }

    /// What the guests of one binding may send to other hosts.
    ///
    /// # Errors
    /// What is wrong with the grant.
    pub fn outbound(&self, grant: &HttpGrant) -> Result<Arc<dyn Outside>, InvalidAllowance> {
        Ok(Arc::new(self.outbound.of_binding(grant)?))
    }

    /// Lets go of the counters, values and metrics of a tenant that was deleted.
    pub fn forget_tenant(&self, name: &str) {
        self.state.forget_tenant(name);
        self.metrics.forget_tenant(name);
        self.lock_issuers().remove(name);
    }

    fn lock_issuers(&self) -> MutexGuard<'_, HashMap<String, Weak<Issuers>>> {
        self.issuers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
