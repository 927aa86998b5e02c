//! `/trust`: whose signatures count for a tenant. And the question that every new chain has to answer: is each of its
//! plugins signed by somebody who is trusted?
//!
//! It is asked when a chain is put, and never of one that is served: a key that is trusted no more takes nothing out of
//! service, and `GET` shows what it leaves behind.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tracing::warn;
use utoipa::ToSchema;

use crate::config::PluginSettings;
use crate::model::{BindingSpec, ChainSpec, PluginRef, TenantState, TrustSpec, TrustedKey};
use crate::store::{Store, StoreError};
use crate::tenancy::Registry;
use crate::trust::{Distrust, Judgement, Statement, judge};

use super::extract::{Document, json};
use super::{AdminState, Problem, validate};

/// Whose signatures count for a tenant, and what of its chains nobody trusted has signed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TrustDocument {
    /// Every plugin of a new chain must be signed by one of `keys`, or of the operator's.
    pub require_signature: bool,
    /// Keys whose signatures count for this tenant.
    pub keys: Vec<TrustedKey>,
    /// Bindings of what is served that could not be put again. Shown, and not read.
    #[schema(read_only)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub untrusted: Vec<Untrusted>,
}

/// A binding whose plugin is not signed as is required.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(super) struct Untrusted {
    /// Its name.
    pub binding: String,
    /// Its plugin's digest.
    pub plugin: String,
    /// Why.
    pub reason: String,
}

/// Shows whose signatures count for a tenant.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/trust", tag = "tenants", params(("tenant" = String, Path)),
    responses((status = 200, body = TrustDocument), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(state): State<AdminState>,
    Path(tenant): Path<String>,
) -> Result<Response, Problem> {
    document(&state, &state.tenant_state(&tenant).await?).await
}

/// Replaces whose signatures count for a tenant. What is served goes on; the next chain is held to it.
#[utoipa::path(put, path = "/api/v1/tenants/{tenant}/trust", tag = "tenants", params(("tenant" = String, Path)),
    request_body = TrustDocument, responses((status = 200, body = TrustDocument), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn put(
    State(state): State<AdminState>,
    Path(tenant): Path<String>,
    Document(document): Document<TrustDocument>,
) -> Result<Response, Problem> {
    let mut trust = TrustSpec {
        require_signature: document.require_signature,
        keys: document.keys,
    };
    validate::trust(&trust, &state.0.parts.settings.plugins)?;
    for key in &mut trust.keys {
        key.id = Some(key.public_key.id());
    }
    let (work, name) = (state.clone(), tenant.clone());
    let changed = state.exclusively(&tenant, async move {
        work.tenant_state(&name).await?;
        work.store().put_trust(&name, &trust).await?;
        work.tenant_state(&name).await
    });
    self::document(&state, &changed.await?).await
}

async fn document(state: &AdminState, tenant: &TenantState) -> Result<Response, Problem> {
    let operator = &state.0.parts.settings.plugins;
    let untrusted = all_untrusted(state.store(), state.registry(), operator, tenant).await?;
    let document = TrustDocument {
        require_signature: tenant.trust.require_signature,
        keys: tenant.trust.keys.clone(),
        untrusted: untrusted.iter().map(Untrusted::from).collect(),
    };
    Ok(json(StatusCode::OK, &document))
}

/// Refuses a chain of a tenant that binds a plugin that is not signed as is required, before anything of it runs.
pub(super) async fn require(
    state: &AdminState,
    tenant: &TenantState,
    chain: &ChainSpec,
) -> Result<(), Problem> {
    let judgement = judgement(&state.0.parts.settings.plugins, tenant);
    let found = untrusted(state.store(), state.registry(), judgement, chain).await?;
    found.into_iter().next().map_or(Ok(()), |found| {
        let (binding, plugin, distrust) = (found.binding.name(), &found.plugin, &found.distrust);
        Err(Problem::untrusted(
            format!("/bindings/{}/plugin", found.at),
            distrust.code(),
            format!("the binding `{binding}` may not use {plugin}: {distrust}"),
        ))
    })
}

/// Says of a tenant that is served again which of its bindings could not be put again.
pub(super) async fn warn_of(
    store: &dyn Store,
    registry: &Registry,
    operator: &PluginSettings,
    tenant: &TenantState,
) -> Result<(), StoreError> {
    for found in all_untrusted(store, registry, operator, tenant).await? {
        warn!(
            tenant = tenant.name, binding = found.binding.name(), plugin = found.plugin, reason = %found.distrust,
            "a plugin that is not signed as is required goes on being served; the next chain is held to it"
        );
    }
    Ok(())
}

/// A binding of a chain, and why its plugin may not be bound.
struct Found<'a> {
    /// Place in the chain.
    at: usize,
    binding: &'a BindingSpec,
    /// `name@version (sha256:…)`.
    plugin: String,
    distrust: Distrust,
}

impl From<&Found<'_>> for Untrusted {
    fn from(found: &Found<'_>) -> Self {
        Self {
            binding: found.binding.name().to_owned(),
            plugin: found.plugin.clone(),
            reason: found.distrust.to_string(),
        }
    }
}

fn judgement<'a>(operator: &'a PluginSettings, tenant: &'a TenantState) -> Judgement<'a> {
    Judgement {
        operator_requires: operator.require_signature,
        operator_keys: &operator.trusted_keys,
        tenant: &tenant.trust,
    }
}

/// Of everything that a tenant is served with: the live chain, and a candidate that is rolled out.
async fn all_untrusted<'a>(
    store: &dyn Store,
    registry: &Registry,
    operator: &'a PluginSettings,
    tenant: &'a TenantState,
) -> Result<Vec<Found<'a>>, StoreError> {
    let judgement = judgement(operator, tenant);
    let mut found = untrusted(store, registry, judgement, &tenant.chain).await?;
    if let Some(candidate) = &tenant.rollout {
        found.extend(untrusted(store, registry, judgement, &candidate.chain).await?);
    }
    Ok(found)
}

async fn untrusted<'a>(
    store: &dyn Store,
    registry: &Registry,
    judgement: Judgement<'_>,
    chain: &'a ChainSpec,
) -> Result<Vec<Found<'a>>, StoreError> {
    let mut found = Vec::new();
    if !judgement.requires() {
        return Ok(found);
    }
    for (at, binding) in chain.bindings.iter().enumerate() {
        let digest = PluginRef::Digest(binding.plugin.clone());
        // What is not there, or not admitted, is refused where the chain is prepared.
        let Some(shelved) = registry.shelf().get(&binding.plugin) else {
            continue;
        };
        let Some(plugin) = store.plugin(&digest).await? else {
            continue;
        };
        let statement = Statement::on(&shelved.plugin);
        if let Err(distrust) = judge(judgement, &statement, &plugin.signatures) {
            found.push(Found {
                at,
                binding,
                plugin: format!("{}@{} ({})", plugin.name, plugin.version, plugin.digest),
                distrust,
            });
        }
    }
    Ok(found)
}
