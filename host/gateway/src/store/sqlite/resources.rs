//! Upstreams, servers and issuers: documents by tenant, kind and name. Server names and hosts are the gateway's.

use sqlx::{Sqlite, Transaction};

use crate::model::{Resource, ResourceKind, ServerSpec, to_stored};
use crate::store::{Put, StoreError};

use super::SqliteStore;
use super::rows::to_text;

pub(super) async fn put(
    store: &SqliteStore,
    tenant: &str,
    name: &str,
    resource: &Resource,
) -> Result<Put, StoreError> {
    let kind = resource.kind();
    let document = document(resource)?;
    let mut tx = store.write().await?;
    if let Resource::Server(_) = resource {
        let owner: Option<String> = sqlx::query_scalar(
            "SELECT tenant FROM resources WHERE kind = 'server' AND name = ? AND tenant <> ?",
        )
        .bind(name)
        .bind(tenant)
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(owner) = owner {
            return Err(StoreError::ServerTaken {
                name: name.to_owned(),
                owner,
            });
        }
    }
    let existed: Option<i64> =
        sqlx::query_scalar("SELECT 1 FROM resources WHERE tenant = ? AND kind = ? AND name = ?")
            .bind(tenant)
            .bind(kind.as_str())
            .bind(name)
            .fetch_optional(&mut *tx)
            .await?;
    let written = sqlx::query("INSERT INTO resources (tenant, kind, name, spec) VALUES (?, ?, ?, ?) ON CONFLICT (tenant, kind, name) DO UPDATE SET spec = excluded.spec")
        .bind(tenant)
        .bind(kind.as_str())
        .bind(name)
        .bind(document)
        .execute(&mut *tx)
        .await;
    match written {
        Ok(_) => {}
        Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
            return Err(StoreError::NoSuchTenant {
                tenant: tenant.to_owned(),
            });
        }
        Err(error) => return Err(error.into()),
    }
    if let Resource::Server(server) = resource {
        claim_hosts(&mut tx, tenant, name, server).await?;
    }
    tx.commit().await?;
    Ok(if existed.is_some() {
        Put::Replaced
    } else {
        Put::Created
    })
}

fn document(resource: &Resource) -> Result<String, StoreError> {
    let what = resource.kind().as_str();
    let stored = match resource {
        Resource::Upstream(spec) => to_stored(spec),
        Resource::Server(spec) => to_stored(spec),
        Resource::Issuer(spec) => to_stored(spec),
    };
    to_text(
        what,
        &stored.map_err(|source| StoreError::Document { what, source })?,
    )
}

async fn claim_hosts(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: &str,
    name: &str,
    server: &ServerSpec,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM hosts WHERE tenant = ? AND server = ?")
        .bind(tenant)
        .bind(name)
        .execute(&mut **tx)
        .await?;
    for host in &server.hosts {
        let taken: Option<String> = sqlx::query_scalar("SELECT server FROM hosts WHERE host = ?")
            .bind(host)
            .fetch_optional(&mut **tx)
            .await?;
        if let Some(server) = taken {
            return Err(StoreError::HostTaken {
                host: host.clone(),
                server,
            });
        }
        sqlx::query("INSERT INTO hosts (host, tenant, server) VALUES (?, ?, ?)")
            .bind(host)
            .bind(tenant)
            .bind(name)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

pub(super) async fn delete(
    store: &SqliteStore,
    tenant: &str,
    kind: ResourceKind,
    name: &str,
) -> Result<bool, StoreError> {
    let deleted = sqlx::query("DELETE FROM resources WHERE tenant = ? AND kind = ? AND name = ?")
        .bind(tenant)
        .bind(kind.as_str())
        .bind(name)
        .execute(&store.pool)
        .await?;
    Ok(deleted.rows_affected() > 0)
}
