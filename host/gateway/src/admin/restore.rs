//! At start: from the store to what is served. One tenant or plugin that fails leaves the others served.

use std::sync::Arc;

use tracing::{error, info};

use crate::model::PluginRef;
use crate::store::{Store, StoreError};
use crate::tenancy::Registry;

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
pub async fn restore(store: &dyn Store, registry: &Registry) -> Result<Restored, StoreError> {
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
            if serve(store, registry, &tenant).await {
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
        let plugins = store.plugins(after.take(), PAGE_MAX).await?;
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

async fn serve(store: &dyn Store, registry: &Registry, tenant: &str) -> bool {
    let state = match store.tenant_state(tenant).await {
        Ok(Some(state)) => state,
        // Deleted since it was listed.
        Ok(None) => return true,
        Err(failed) => {
            error!(tenant, error = %failed, "a tenant cannot be read and is not served");
            return false;
        }
    };
    match registry.prepare(&state).await {
        Ok(prepared) => {
            registry.install(prepared);
            true
        }
        Err(failed) => {
            error!(tenant, error = %failed, "a tenant is not served");
            false
        }
    }
}
