//! Tenants, their keys, and everything of one tenant at one moment.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};

use crate::model::{ChainSpec, KeyRecord, ResourceKind, TenantSpec, TenantState, TrustSpec};
use crate::state::unix_ms;
use crate::store::{Counts, Put, StoreError};

use super::SqliteStore;
use super::rows::{from_text, to_i64, to_text, to_u64};
use super::{chains, rollouts};

pub(super) async fn list(
    store: &SqliteStore,
    after: Option<String>,
    count_max: u32,
) -> Result<Vec<(String, TenantSpec)>, StoreError> {
    let rows = sqlx::query("SELECT name, spec FROM tenants WHERE name > ? ORDER BY name LIMIT ?")
        .bind(after.unwrap_or_default())
        .bind(count_max)
        .fetch_all(&store.pool)
        .await?;
    rows.iter()
        .map(|row| {
            Ok((
                row.try_get("name")?,
                from_text("tenant", row.try_get("spec")?)?,
            ))
        })
        .collect()
}

pub(super) async fn find(
    store: &SqliteStore,
    name: &str,
) -> Result<Option<TenantSpec>, StoreError> {
    let spec: Option<String> = sqlx::query_scalar("SELECT spec FROM tenants WHERE name = ?")
        .bind(name)
        .fetch_optional(&store.pool)
        .await?;
    spec.map(|spec| from_text("tenant", &spec)).transpose()
}

pub(super) async fn put(
    store: &SqliteStore,
    name: &str,
    spec: &TenantSpec,
) -> Result<Put, StoreError> {
    let spec = to_text("tenant", spec)?;
    let mut tx = store.write().await?;
    let replaced = sqlx::query("UPDATE tenants SET spec = ? WHERE name = ?")
        .bind(&spec)
        .bind(name)
        .execute(&mut *tx)
        .await?
        .rows_affected()
        > 0;
    if !replaced {
        sqlx::query("INSERT INTO tenants (name, spec, created_at_ms) VALUES (?, ?, ?)")
            .bind(name)
            .bind(&spec)
            .bind(to_i64(unix_ms()))
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    Ok(if replaced {
        Put::Replaced
    } else {
        Put::Created
    })
}

pub(super) async fn put_trust(
    store: &SqliteStore,
    name: &str,
    trust: &TrustSpec,
) -> Result<(), StoreError> {
    let written = sqlx::query("UPDATE tenants SET trust = ? WHERE name = ?")
        .bind(to_text("trust", trust)?)
        .bind(name)
        .execute(&store.pool)
        .await?;
    if written.rows_affected() == 0 {
        let tenant = name.to_owned();
        return Err(StoreError::NoSuchTenant { tenant });
    }
    Ok(())
}

pub(super) async fn delete(store: &SqliteStore, name: &str) -> Result<bool, StoreError> {
    let deleted = sqlx::query("DELETE FROM tenants WHERE name = ?")
        .bind(name)
        .execute(&store.pool)
        .await?;
    Ok(deleted.rows_affected() > 0)
}

pub(super) async fn state(
    store: &SqliteStore,
    name: &str,
) -> Result<Option<TenantState>, StoreError> {
    // One read transaction is one snapshot: a writer in between is either wholly in it or not at all.
    let mut tx = store.pool.begin().await?;
    let tenant: Option<(i64, String, String)> =
        sqlx::query_as("SELECT revision, spec, trust FROM tenants WHERE name = ?")
            .bind(name)
            .fetch_optional(&mut *tx)
            .await?;
    let Some((revision, spec, trust)) = tenant else {
        return Ok(None);
    };
    let spec: TenantSpec = from_text("tenant", &spec)?;
    let chain: Option<String> =
        sqlx::query_scalar("SELECT chain FROM revisions WHERE tenant = ? AND number = ?")
            .bind(name)
            .bind(revision)
            .fetch_optional(&mut *tx)
            .await?;
    let keys = sqlx::query("SELECT id, spec, sha256, created_at_ms FROM keys WHERE tenant = ? ORDER BY created_at_ms, id")
        .bind(name)
        .fetch_all(&mut *tx)
        .await?;
    let state = TenantState {
        name: name.to_owned(),
        upstreams: documents(&mut tx, name, ResourceKind::Upstream).await?,
        servers: documents(&mut tx, name, ResourceKind::Server).await?,
        issuers: documents(&mut tx, name, ResourceKind::Issuer).await?,
        keys: keys.iter().map(key).collect::<Result<_, _>>()?,
        chain: chain.map_or_else(
            || Ok(ChainSpec::default()),
            |chain| from_text("chain", &chain),
        )?,
        revision: to_u64("revision", revision)?,
        capture: spec.capture,
        newest: chains::newest(&mut tx, name).await?,
        rollouts: rollouts::last(&mut tx, name).await?,
        rollout: rollouts::running(&mut tx, name).await?,
        trust: from_text("trust", &trust)?,
    };
    tx.commit().await?;
    Ok(Some(state))
}

async fn documents<T: DeserializeOwned>(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: &str,
    kind: ResourceKind,
) -> Result<BTreeMap<String, T>, StoreError> {
    let rows =
        sqlx::query("SELECT name, spec FROM resources WHERE tenant = ? AND kind = ? ORDER BY name")
            .bind(tenant)
            .bind(kind.as_str())
            .fetch_all(&mut **tx)
            .await?;
    rows.iter()
        .map(|row| {
            Ok((
                row.try_get("name")?,
                from_text(kind.as_str(), row.try_get("spec")?)?,
            ))
        })
        .collect()
}

fn key(row: &SqliteRow) -> Result<KeyRecord, StoreError> {
    let sha256: Vec<u8> = row.try_get("sha256")?;
    Ok(KeyRecord {
        id: row.try_get("id")?,
        spec: from_text("key", row.try_get("spec")?)?,
        sha256: sha256
            .try_into()
            .ok()
            .ok_or(StoreError::Range { what: "key hash" })?,
        created_at_ms: to_u64("key time", row.try_get("created_at_ms")?)?,
    })
}

pub(super) async fn put_key(
    store: &SqliteStore,
    tenant: &str,
    key: &KeyRecord,
) -> Result<(), StoreError> {
    let written = sqlx::query(
        "INSERT INTO keys (id, tenant, spec, sha256, created_at_ms) VALUES (?, ?, ?, ?, ?)",
    )
    .bind(&key.id)
    .bind(tenant)
    .bind(to_text("key", &key.spec)?)
    .bind(key.sha256.as_slice())
    .bind(to_i64(key.created_at_ms))
    .execute(&store.pool)
    .await;
    match written {
        Ok(_) => Ok(()),
        Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
            Err(StoreError::NoSuchTenant {
                tenant: tenant.to_owned(),
            })
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn delete_key(
    store: &SqliteStore,
    tenant: &str,
    id: &str,
) -> Result<bool, StoreError> {
    let deleted = sqlx::query("DELETE FROM keys WHERE tenant = ? AND id = ?")
        .bind(tenant)
        .bind(id)
        .execute(&store.pool)
        .await?;
    Ok(deleted.rows_affected() > 0)
}

pub(super) async fn counts(store: &SqliteStore) -> Result<Counts, StoreError> {
    let row = sqlx::query("SELECT (SELECT count(*) FROM tenants) AS tenants, (SELECT count(*) FROM plugins) AS plugins").fetch_one(&store.pool).await?;
    Ok(Counts {
        tenants: to_u64("count", row.try_get("tenants")?)?,
        plugins: to_u64("count", row.try_get("plugins")?)?,
    })
}
