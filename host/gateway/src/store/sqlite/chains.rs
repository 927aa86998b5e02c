//! Chain revisions: numbered, compared before they are swapped, and kept for a while.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};

use crate::store::{NewChain, REVISIONS_KEPT_MAX, Revision, StoreError};

use super::SqliteStore;
use super::rows::{from_text, now_ms, to_i64, to_text, to_u64};

pub(super) async fn put(
    store: &SqliteStore,
    tenant: &str,
    expected: Option<u64>,
    chain: NewChain,
) -> Result<u64, StoreError> {
    let mut tx = store.write().await?;
    let current: Option<i64> = sqlx::query_scalar("SELECT revision FROM tenants WHERE name = ?")
        .bind(tenant)
        .fetch_optional(&mut *tx)
        .await?;
    let Some(current) = current else {
        return Err(StoreError::NoSuchTenant {
            tenant: tenant.to_owned(),
        });
    };
    let current = to_u64("revision", current)?;
    if let Some(expected) = expected.filter(|expected| *expected != current) {
        return Err(StoreError::RevisionMoved { expected, current });
    }
    let number = current.saturating_add(1);
    sqlx::query("INSERT INTO revisions (tenant, number, chain, written, author, created_at_ms) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(tenant)
        .bind(to_i64(number))
        .bind(to_text("chain", &chain.resolved)?)
        .bind(to_text("chain", &chain.written)?)
        .bind(&chain.author)
        .bind(to_i64(now_ms()))
        .execute(&mut *tx)
        .await?;
    sqlx::query("UPDATE tenants SET revision = ? WHERE name = ?")
        .bind(to_i64(number))
        .bind(tenant)
        .execute(&mut *tx)
        .await?;
    sqlx::query("DELETE FROM revisions WHERE tenant = ? AND number <= ?")
        .bind(tenant)
        .bind(to_i64(number.saturating_sub(REVISIONS_KEPT_MAX)))
        .execute(&mut *tx)
        .await?;
    use_plugins(&mut tx, tenant, &chain).await?;
    tx.commit().await?;
    Ok(number)
}

/// Holds the chain's plugins, so that they cannot be deleted while it is live.
async fn use_plugins(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: &str,
    chain: &NewChain,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM plugin_uses WHERE tenant = ?")
        .bind(tenant)
        .execute(&mut **tx)
        .await?;
    for binding in &chain.resolved.bindings {
        let held = sqlx::query(
            "INSERT INTO plugin_uses (tenant, digest) VALUES (?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(tenant)
        .bind(&binding.plugin)
        .execute(&mut **tx)
        .await;
        match held {
            Ok(_) => {}
            Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
                return Err(StoreError::NoSuchPlugin {
                    digest: binding.plugin.clone(),
                });
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

pub(super) async fn list(
    store: &SqliteStore,
    tenant: &str,
    before: Option<u64>,
    count_max: u32,
) -> Result<Vec<Revision>, StoreError> {
    let rows = sqlx::query(
        "SELECT number, chain, written, author, created_at_ms FROM revisions WHERE tenant = ? AND number < ? ORDER BY number DESC LIMIT ?",
    )
    .bind(tenant)
    .bind(before.map_or(i64::MAX, to_i64))
    .bind(count_max)
    .fetch_all(&store.pool)
    .await?;
    rows.iter().map(revision).collect()
}

pub(super) async fn find(
    store: &SqliteStore,
    tenant: &str,
    number: u64,
) -> Result<Option<Revision>, StoreError> {
    let row = sqlx::query("SELECT number, chain, written, author, created_at_ms FROM revisions WHERE tenant = ? AND number = ?")
        .bind(tenant)
        .bind(to_i64(number))
        .fetch_optional(&store.pool)
        .await?;
    row.map(|row| revision(&row)).transpose()
}

fn revision(row: &SqliteRow) -> Result<Revision, StoreError> {
    Ok(Revision {
        number: to_u64("revision", row.try_get("number")?)?,
        written: from_text("chain", row.try_get("written")?)?,
        resolved: from_text("chain", row.try_get("chain")?)?,
        author: row.try_get("author")?,
        created_at_ms: to_u64("revision time", row.try_get("created_at_ms")?)?,
    })
}
