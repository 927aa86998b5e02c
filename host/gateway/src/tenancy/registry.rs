//! The live generations of all tenants, replaced one tenant at a time.
//!
//! Readers load one pointer and look up one name. Writers, the admin plane's changes, copy the table aside.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};
use foldhash::HashMap;
use http::HeaderMap;
use http::header::HOST;
use tokio::sync::Notify;
use tracing::info;

use crate::model::{ChainSpec, TenantState};
use crate::policy::Binder;
use crate::policy::services::SharedServices;
use crate::refusal::Refusal;
use crate::router::CatalogueTiming;
use crate::telemetry::Metrics;
use crate::upstream::Upstreams;

use super::rollout::Shadows;
use super::{Endpoint, PrepareError, Prepared, Rollout, Samples, Server, Shelf, Trial};

/// What every generation is made with.
pub struct Workshop {
    /// Admitted plugins.
    pub shelf: Shelf,
    /// Makes hooks of plugins.
    pub binder: Arc<dyn Binder>,
    /// Pools and processes.
    pub upstreams: Arc<Upstreams>,
    /// What the host does for guests.
    pub services: Arc<SharedServices>,
    /// Handles.
    pub metrics: Arc<Metrics>,
    /// How long what upstreams offer is believed, waited for and kept.
    pub catalogue: CatalogueTiming,
    /// Deadline of a hook whose binding names none, in milliseconds.
    pub deadline_ms: u32,
    /// The same for a plugin that waits.
    pub waiting_deadline_ms: u32,
    /// Where the folders of plugins are.
    pub plugin_files_dir: PathBuf,
    /// Memory of an instance whose binding says nothing, in bytes.
    pub memory_bytes_max: u64,
    /// Where candidates are compared with live chains.
    pub shadows: Arc<Shadows>,
}

/// Endpoints by server name and by host name.
#[derive(Default, Clone)]
struct Table {
    servers: HashMap<String, Endpoint>,
    hosts: HashMap<String, String>,
}

/// All tenants of this process.
pub struct Registry {
    workshop: Workshop,
    default_server: Option<String>,
    table: ArcSwap<Table>,
    writer: Mutex<()>,
    /// Told when a server is gone.
    removal: Notify,
}

impl Registry {
    /// No tenants yet. `default_server` is what `/mcp` means when no server claims the request's host.
    #[must_use]
    pub fn new(workshop: Workshop, default_server: Option<String>) -> Self {
        Self {
            workshop,
            default_server,
            table: ArcSwap::default(),
            writer: Mutex::default(),
            removal: Notify::new(),
        }
    }

    /// Plugins that chains may name.
    #[must_use]
    pub fn shelf(&self) -> &Shelf {
        &self.workshop.shelf
    }

    /// The endpoint of `/servers/{server}/mcp`.
    ///
    /// # Errors
    /// 404.
    pub fn pin(&self, server: &str) -> Result<Endpoint, Refusal> {
        let table: Guard<Arc<Table>> = self.table.load();
        table.servers.get(server).cloned().ok_or_else(|| {
            Refusal::not_found(
                "there is no server of this name; check the path `/servers/{server}/mcp`",
            )
        })
    }

    /// Whether the tenant has a server of this name.
    #[must_use]
    pub fn serves(&self, tenant: &str, server: &str) -> bool {
        let table = self.table.load();
        let endpoint = table.servers.get(server);
        endpoint.is_some_and(|endpoint| endpoint.generation.tenant == tenant)
    }

    /// Waits until a server is gone, for the one who tidies up behind it; what was missed meanwhile counts.
    pub async fn removal(&self) {
        self.removal.notified().await;
    }

    /// The endpoint of `/mcp`: the server that claims the request's host, else the default, else the only one.
    ///
    /// # Errors
    /// 404, with what to configure.
    pub fn pin_default(&self, headers: &HeaderMap) -> Result<Endpoint, Refusal> {
        let table = self.table.load();
        let host = headers
            .get(HOST)
            .and_then(|host| host.to_str().ok())
            .map(host_name)
            .unwrap_or_default();
        let by_host = table
            .hosts
            .get(&host.to_ascii_lowercase())
            .or(self.default_server.as_ref());
        let endpoint = match by_host {
            Some(server) => table.servers.get(server),
            None => table
                .servers
                .values()
                .next()
                .filter(|_| table.servers.len() == 1),
        };
        endpoint.cloned().ok_or_else(|| {
            Refusal::not_found("`/mcp` leads to no server here; use `/servers/{server}/mcp`, or give a server this host name")
        })
    }

    /// Whether a server has claimed this host name.
    #[must_use]
    pub fn claims_host(&self, host: &str) -> bool {
        self.table
            .load()
            .hosts
            .contains_key(&host_name(host).to_ascii_lowercase())
    }

    /// Compiles `state` aside. Plugins resolve by digest on the shelf; the caller has resolved `name@version`.
    ///
    /// # Errors
    /// [`PrepareError`] with the field at fault.
    pub async fn prepare(&self, state: &TenantState) -> Result<Prepared, PrepareError> {
        let before = self.endpoints_of(&state.name);
        Box::pin(super::prepare::prepare(&self.workshop, state, &before)).await
    }

    /// Compiles a chain of the tenant's to be tried out.
    ///
    /// # Errors
    /// [`PrepareError`] with the field at fault.
    pub async fn trial(
        &self,
        state: &TenantState,
        chain: &ChainSpec,
    ) -> Result<Trial, PrepareError> {
        Box::pin(super::prepare::trial(&self.workshop, state, chain)).await
    }

    /// The samples of a tenant's calls.
    #[must_use]
    pub fn samples(&self, tenant: &str) -> Option<Arc<Samples>> {
        let endpoints = self.endpoints_of(tenant);
        endpoints
            .iter()
            .find_map(|endpoint| endpoint.generation.samples.clone())
    }

    /// Replaces the tenant's generation. Requests in flight end on the one they began with.
    pub fn install(&self, prepared: Prepared) {
        let generation = Arc::clone(&prepared.generation);
        let servers: Vec<_> = prepared
            .servers
            .iter()
            .map(|(server, _)| Arc::clone(server))
            .collect();
        self.replace(&generation.tenant, |table| {
            for (server, hosts) in prepared.servers {
                let name = server.name.clone();
                table.hosts.extend(
                    hosts
                        .into_iter()
                        .map(|host| (host.to_ascii_lowercase(), name.clone())),
                );
                table.servers.insert(
                    name,
                    Endpoint {
                        generation: Arc::clone(&generation),
                        server,
                        rollout: prepared.rollout.clone(),
                    },
                );
            }
        });
        // Other policies may show other lists.
        for server in servers {
            server.catalogue.reissue();
        }
        self.workshop
            .metrics
            .generation(&generation.tenant, generation.revision);
        info!(
            tenant = generation.tenant,
            revision = generation.revision,
            "a generation is installed"
        );
    }

    /// Takes a tenant out of service, with its counters and values.
    pub fn remove(&self, tenant: &str) {
        self.replace(tenant, |_| {});
        self.workshop.metrics.forget(tenant);
        self.workshop.services.forget_tenant(tenant);
    }

    /// The rollouts that run, with their tenants.
    #[must_use]
    pub fn rollouts(&self) -> Vec<(String, Arc<Rollout>)> {
        let table = self.table.load();
        let mut running: Vec<(String, Arc<Rollout>)> = Vec::new();
        for endpoint in table.servers.values() {
            if let Some(rollout) = &endpoint.rollout
                && !running.iter().any(|(_, known)| Arc::ptr_eq(known, rollout))
            {
                running.push((endpoint.generation.tenant.clone(), Arc::clone(rollout)));
            }
        }
        running
    }

    /// The servers of a tenant.
    #[must_use]
    pub fn endpoints_of(&self, tenant: &str) -> Vec<Endpoint> {
        self.table
            .load()
            .servers
            .values()
            .filter(|endpoint| endpoint.generation.tenant == tenant)
            .cloned()
            .collect()
    }

    fn replace(&self, tenant: &str, add: impl FnOnce(&mut Table)) {
        let _one_writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut table = Table::clone(&self.table.load());
        let mut former: Vec<Arc<Server>> = Vec::new();
        table.servers.retain(|_, endpoint| {
            let is_kept = endpoint.generation.tenant != tenant;
            former.extend((!is_kept).then(|| Arc::clone(&endpoint.server)));
            is_kept
        });
        let Table { servers, hosts } = &mut table;
        hosts.retain(|_, server| servers.contains_key(server));
        add(&mut table);
        former.retain(|server| !table.servers.contains_key(&server.name));
        self.table.store(Arc::new(table));
        for server in &former {
            server.gone.cancel();
        }
        if !former.is_empty() {
            self.removal.notify_one();
        }
    }
}

/// A `Host` header without its port.
pub(crate) fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        Some(_) | None => host,
    }
}
