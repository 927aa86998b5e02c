//! A generation made aside: resolved plugins, checked configuration, configured instances.
//!
//! Everything that can be wrong with a tenant's state is found here, before anything is replaced.

mod grants;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use portcullis_sandbox::{BindError, BindingSettings, InstanceClass, PluginClass, Scope};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::model::{
    self, BindingSpec, ChainSpec, RunningRollout, ServerSpec, Strategy, TenantState,
};
use crate::policy::services::{TenantServices, TrialLog};
use crate::policy::{Bound, Chain, Runs};
use crate::router::CatalogueCell;

use grants::Granted;

use super::registry::Workshop;
use super::{Endpoint, Generation, Mount, Rollout, Samples, Server};

/// How long a change waits for keys behind a URL.
const KEYS_WAIT: Duration = Duration::from_secs(1);
const OUTPUT_BYTES_DEFAULT: u64 = 4 << 20;

/// Why a tenant's state cannot be served. The live generation goes on.
#[derive(Debug, Error)]
#[error("{pointer}: {message}")]
pub struct PrepareError {
    /// JSON Pointer into the document that was sent, for example `/bindings/1/config/limits/0/rate`.
    pub pointer: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl PrepareError {
    fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            message: message.into(),
        }
    }
}

/// A generation that is ready to be installed.
pub struct Prepared {
    pub(super) generation: Arc<Generation>,
    /// Servers and the hosts that they claim.
    pub(super) servers: Vec<(Arc<Server>, Vec<String>)>,
    /// The candidate beside it.
    pub(super) rollout: Option<Arc<Rollout>>,
}

/// Builds a generation; `before` is what the tenant is served with now.
pub(super) async fn prepare(
    workshop: &Workshop,
    state: &TenantState,
    before: &[Endpoint],
) -> Result<Prepared, PrepareError> {
    let services = services(workshop, state)?;
    // A new tenant's first caller should find the keys there; an issuer that is down holds nobody up for longer.
    services.keys_fetched(KEYS_WAIT).await;
    let samples = samples(state, before);
    let of = (state.name.as_str(), state.revision, &services);
    let chain = &state.chain;
    let live = generation(workshop, (of, samples.as_ref()), chain, Stage::Live).await?;
    let rollout = match &state.rollout {
        Some(running) => {
            let of = (state.name.as_str(), running.record.revision, &services);
            Some(candidate(workshop, (of, samples.as_ref()), running, before).await?)
        }
        None => None,
    };
    let servers = state.servers.iter().map(|(name, spec)| {
        let server = serve(workshop, state, (name, spec), before)?;
        Ok((Arc::new(server), spec.hosts.clone()))
    });
    Ok(Prepared {
        generation: live,
        servers: servers.collect::<Result<_, _>>()?,
        rollout,
    })
}

/// A chain that is tried out, and what its guests say.
pub struct Trial {
    /// It serves nobody.
    pub generation: Arc<Generation>,
    /// What guests log.
    pub log: Arc<TrialLog>,
}

/// Builds a chain to be tried out.
pub(super) async fn trial(
    workshop: &Workshop,
    state: &TenantState,
    chain: &ChainSpec,
) -> Result<Trial, PrepareError> {
    let services = services(workshop, state)?;
    let log = Arc::default();
    let of = (state.name.as_str(), state.revision, &services);
    let generation = generation(workshop, (of, None), chain, Stage::Trial(&log)).await?;
    Ok(Trial { generation, log })
}

fn services(workshop: &Workshop, state: &TenantState) -> Result<Arc<TenantServices>, PrepareError> {
    let services = workshop
        .services
        .tenant(&state.name, &state.issuers, &state.keys);
    services.map_err(|err| {
        PrepareError::new(
            format!("/issuers/{}/{}", err.issuer, err.field),
            err.to_string(),
        )
    })
}

/// What a chain is there for.
#[derive(Clone, Copy)]
enum Stage<'a> {
    /// It serves calls.
    Live,
    /// It watches others serve them: its counters, values and metrics are its own.
    Shadow,
    /// It is tried out: it sees counters and values, and changes none.
    Trial(&'a Arc<TrialLog>),
}

impl Stage<'_> {
    /// The name that counters and values of a plugin belong to.
    fn scope(self, plugin: &str) -> String {
        match self {
            Self::Live | Self::Trial(_) => plugin.to_owned(),
            Self::Shadow => format!("shadow:{plugin}"),
        }
    }

    /// The name that a binding has in metrics.
    fn label(self, binding: &str) -> String {
        match self {
            Self::Live => binding.to_owned(),
            Self::Shadow => format!("shadow:{binding}"),
            Self::Trial(_) => "explain".to_owned(),
        }
    }
}

/// A tenant's name, the revision to prepare, and what the host does for its guests; where samples are kept.
type Owner<'a> = (
    (&'a str, u64, &'a Arc<TenantServices>),
    Option<&'a Arc<Samples>>,
);

/// Where samples of the tenant's calls are kept. Those that are there stay.
fn samples(state: &TenantState, before: &[Endpoint]) -> Option<Arc<Samples>> {
    let spec = state.capture?;
    let mut known = before
        .iter()
        .filter_map(|endpoint| endpoint.generation.samples.as_ref());
    Some(Arc::new(match known.next() {
        Some(known) => known.following(spec),
        None => Samples::new(spec),
    }))
}

/// The candidate of a rollout. What was seen of it so far stays.
async fn candidate(
    workshop: &Workshop,
    owner: Owner<'_>,
    running: &RunningRollout,
    before: &[Endpoint],
) -> Result<Arc<Rollout>, PrepareError> {
    let record = &running.record;
    let stage = match record.plan.strategy {
        Strategy::Canary | Strategy::Immediate => Stage::Live,
        Strategy::Shadow => Stage::Shadow,
    };
    let candidate = generation(workshop, owner, &running.chain, stage).await?;
    let mut known = before
        .iter()
        .filter_map(|endpoint| endpoint.rollout.as_ref());
    let course = known
        .find(|known| known.id == record.id)
        .map(|known| Arc::clone(&known.course));
    let shared = (course.unwrap_or_default(), Arc::clone(&workshop.shadows));
    Ok(Arc::new(Rollout::new(record, candidate, shared)))
}

async fn generation(
    workshop: &Workshop,
    ((tenant, revision, services), samples): Owner<'_>,
    chain: &ChainSpec,
    stage: Stage<'_>,
) -> Result<Arc<Generation>, PrepareError> {
    let mut bindings = Vec::with_capacity(chain.bindings.len());
    let mut names = BTreeSet::new();
    for (index, spec) in chain.bindings.iter().enumerate() {
        let at = format!("/bindings/{index}");
        if !names.insert(spec.name()) {
            let message = format!(
                "`{}` is bound twice; give one of them another `name`",
                spec.name()
            );
            return Err(PrepareError::new(format!("{at}/name"), message));
        }
        let owner = (tenant, services, stage);
        bindings.push(Arc::new(bind(workshop, owner, spec, &at).await?));
        // Compiled code is only loaded here, but `configure` runs guests: let the runtime breathe in between.
        tokio::task::yield_now().await;
    }
    Ok(Arc::new(Generation {
        tenant: tenant.to_owned(),
        revision,
        chain: Chain::new(bindings, chain.anonymous),
        samples: samples.cloned(),
    }))
}

async fn bind(
    workshop: &Workshop,
    (tenant, services, stage): (&str, &Arc<TenantServices>, Stage<'_>),
    spec: &BindingSpec,
    at: &str,
) -> Result<Bound, PrepareError> {
    let name = spec.name();
    let shelved = workshop.shelf.get(&spec.plugin).ok_or_else(|| {
        PrepareError::new(
            format!("{at}/plugin"),
            format!("no plugin `{}` is published; push it first", spec.plugin),
        )
    })?;
    if let Some(err) = shelved.schema.iter_errors(&spec.config).next() {
        return Err(PrepareError::new(
            format!("{at}/config{}", err.instance_path()),
            err.to_string(),
        ));
    }
    let scope = Scope {
        tenant: tenant.to_owned(),
        plugin: stage.scope(&shelved.info.name),
        binding: name.to_owned(),
    };
    let class = shelved.plugin.class();
    let granted = Granted::of(spec, at)?;
    let (deadline_ms, memory_bytes_max, output_bytes_max) =
        limits(workshop, class, (&spec.limits, at))?;
    let settings = BindingSettings {
        config: spec.config.to_string(),
        grants: granted.names(),
        deadline_ms,
        memory_bytes_max,
        output_bytes_max,
        class: match spec.instances {
            model::InstanceClass::Warm => InstanceClass::Warm,
            model::InstanceClass::Fresh => InstanceClass::Fresh,
        },
        services: match stage {
            Stage::Live | Stage::Shadow => workshop.services.for_binding(services, &scope),
            Stage::Trial(log) => workshop.services.for_trial(services, &scope, log),
        },
        scope,
    };
    let bound = match class {
        PluginClass::Fast => {
            let bound = workshop.binder.bind(&shelved.plugin, settings);
            bound.map(Runs::Now)
        }
        PluginClass::Waiting => {
            let settings = granted.waiting(workshop, (tenant, stage), settings)?;
            let bound = shelved.plugin.bind_waiting(settings).await;
            bound.map(|bound| Runs::Later(Arc::new(bound)))
        }
    };
    let hooks = bound.map_err(|err| {
        let field = match err {
            BindError::Ungranted(_) | BindError::Folder(_) => "grants",
            BindError::Config(_) => "config",
            BindError::Start(_) | BindError::Class(_) => "plugin",
        };
        PrepareError::new(format!("{at}/{field}"), err.to_string())
    })?;
    if let Runs::Later(binding) = &hooks {
        workshop.metrics.watch(binding);
    }
    let how = (spec.on_failure, spec.select.clone());
    let label = stage.label(name);
    let names = (tenant, name, label.as_str());
    Ok(Bound::new(names, hooks, how, &workshop.metrics))
}

/// The deadline of a hook, and the most bytes of an instance and of what a hook hands back.
fn limits(
    workshop: &Workshop,
    class: PluginClass,
    (limits, at): (&model::BindingLimits, &str),
) -> Result<(u32, u64, u64), PrepareError> {
    let (deadline_ms, deadline_ms_max) = match class {
        PluginClass::Fast => (workshop.deadline_ms, 1_000),
        PluginClass::Waiting => (workshop.waiting_deadline_ms, 30_000),
    };
    Ok((
        within(
            limits.deadline_ms.unwrap_or(deadline_ms),
            1..=deadline_ms_max,
            &format!("{at}/limits/deadline_ms"),
        )?,
        within(
            limits.memory_bytes_max.unwrap_or(workshop.memory_bytes_max),
            64 << 10..=64 << 20,
            &format!("{at}/limits/memory_bytes_max"),
        )?,
        within(
            limits.output_bytes_max.unwrap_or(OUTPUT_BYTES_DEFAULT),
            1 << 10..=64 << 20,
            &format!("{at}/limits/output_bytes_max"),
        )?,
    ))
}

fn within<T: PartialOrd + std::fmt::Display>(
    value: T,
    range: std::ops::RangeInclusive<T>,
    at: &str,
) -> Result<T, PrepareError> {
    if range.contains(&value) {
        Ok(value)
    } else {
        Err(PrepareError::new(
            at,
            format!(
                "{value} is out of bounds; use {} to {}",
                range.start(),
                range.end()
            ),
        ))
    }
}

fn serve(
    workshop: &Workshop,
    state: &TenantState,
    (name, spec): (&str, &ServerSpec),
    before: &[Endpoint],
) -> Result<Server, PrepareError> {
    let mounts = spec.upstreams.iter().enumerate().map(|(index, mount)| {
        let own = [mount.name.clone()];
        let replicas = if mount.replicas.is_empty() {
            &own[..]
        } else {
            &mount.replicas
        };
        let connected = replicas
            .iter()
            .map(|upstream| match state.upstreams.get(upstream) {
                Some(spec) => Ok(workshop.upstreams.get(&state.name, upstream, spec)),
                None => Err(PrepareError::new(
                    format!("/upstreams/{index}/name"),
                    format!("the tenant has no upstream `{upstream}`; create it first"),
                )),
            });
        Ok(Mount {
            name: mount.name.clone(),
            replicas: connected.collect::<Result<_, _>>()?,
        })
    });
    let mounts: Vec<Mount> = mounts.collect::<Result<_, PrepareError>>()?;
    let former = before
        .iter()
        .map(|endpoint| &endpoint.server)
        .find(|server| server.name == name);
    let gone = former.map_or_else(CancellationToken::new, |server| server.gone.clone());
    let known = former.filter(|server| server.naming == spec.naming);
    let catalogue = match known {
        // The very same upstreams behind the same names: the catalogue lives on.
        Some(server) if same_mounts(&server.mounts, &mounts) => Arc::clone(&server.catalogue),
        Some(server) => Arc::new(server.catalogue.following(&server.mounts, &mounts)),
        None => Arc::new(CatalogueCell::new(&mounts, workshop.catalogue)),
    };
    Ok(Server {
        name: name.to_owned(),
        naming: spec.naming,
        mounts,
        catalogue,
        metrics: workshop.metrics.server(&state.name, name),
        gone,
    })
}

fn same_mounts(before: &[Mount], now: &[Mount]) -> bool {
    before.len() == now.len()
        && before
            .iter()
            .zip(now)
            .all(|(before, now)| before.is_same(now))
}
