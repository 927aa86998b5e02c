//! At start: from the store to what is served. One tenant or plugin that fails leaves the others served.

use std::sync::Arc;

use tracing::{error, info, warn};

use crate::config::PluginSettings;
use crate::model::{PluginRef, RolloutState};
use crate::store::{PluginPage, RolloutEnd, Store, StoreError};
use crate::tenancy::Registry;

use super::trust;

const PAGE_MAX: u32 = 100;

/// What was brought back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// Admitted plugins.
    pub plugins: usize,
    /// Served tenants.
    pub tenants: usize,
    /// Tenants that could not be served; the log says why.
    pub left_out: Vec<String>,
}

/// Admits every plugin of the store, then prepares and installs every tenant.
///
/// # Errors
/// [`StoreError`], when the store itself cannot be read.
pub async fn restore(
    store: &dyn Store,
    registry: &Registry,
    operator: &PluginSettings,
) -> Result<Restored, StoreError> {
    let mut restored = Restored {
        plugins: plugins(store, registry).await?,
        ..Restored::default()
    };
    let mut after = None;
    loop {
        let tenants = store.tenants(after.take(), PAGE_MAX).await?;
        let Some((last, _)) = tenants.last() else {
            break;
        };
        after = Some(last.clone());
        for (tenant, _) in tenants {
            if serve(store, (registry, operator), &tenant).await {
                restored.tenants += 1;
            } else {
                restored.left_out.push(tenant);
            }
        }
    }
    info!(
        plugins = restored.plugins,
        tenants = restored.tenants,
        left_out = restored.left_out.len(),
        "restored from the store"
    );
    Ok(restored)
}

async fn plugins(store: &dyn Store, registry: &Registry) -> Result<usize, StoreError> {
    let (mut admitted, mut after) = (0, None);
    loop {
        let plugins = store
            .plugins(PluginPage {
                after: after.take(),
                count_max: PAGE_MAX,
                ..PluginPage::default()
            })
            .await?;
        let Some(last) = plugins.last() else {
            return Ok(admitted);
        };
        after = Some((last.name.clone(), last.version.clone()));
        for plugin in plugins {
            let Some(bytes) = store.plugin_bytes(&plugin.digest).await? else {
                continue;
            };
            let shown = PluginRef::Published {
                name: plugin.name,
                version: plugin.version,
            };
            match registry.shelf().admit(Arc::from(bytes)).await {
                Ok(_) => admitted += 1,
                Err(refused) => {
                    error!(plugin = %shown, code = refused.code, error = %refused, "a stored plugin is no longer admitted")
                }
            }
        }
    }
}

async fn serve(
    store: &dyn Store,
    (registry, operator): (&Registry, &PluginSettings),
    tenant: &str,
) -> bool {
    let mut state = match store.tenant_state(tenant).await {
        Ok(Some(state)) => state,
        // Deleted since it was listed.
        Ok(None) => return true,
        Err(failed) => {
            error!(tenant, error = %failed, "a tenant cannot be read and is not served");
            return false;
        }
    };
    let mut prepared = registry.prepare(&state).await;
    if let (Err(failed), Some(candidate)) = (&prepared, &state.rollout) {
        let end = RolloutEnd {
            state: RolloutState::RolledBack,
            reason: format!("it could not be served after a restart: {failed}"),
        };
        warn!(tenant, error = %failed, "a candidate cannot be served, and its rollout ends");
        if let Err(failed) = store.end_rollout(tenant, candidate.record.id, &end).await {
            error!(tenant, error = %failed, "a rollout could not be ended");
        }
        state.rollout = None;
        prepared = registry.prepare(&state).await;
    }
    match prepared {
        Ok(prepared) => {
            registry.install(prepared);
            if let Err(failed) = trust::warn_of(store, registry, operator, &state).await {
                error!(tenant, error = %failed, "the signatures of a tenant's plugins cannot be read");
            }
            true
        }
        Err(failed) => {
            error!(tenant, error = %failed, "a tenant is not served");
            false
        }
    }
}
