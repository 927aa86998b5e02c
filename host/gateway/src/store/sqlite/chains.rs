//! Chain revisions: numbered, compared before they are swapped, and kept for a while.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};

use crate::model::{ChainSpec, RolloutState};
use crate::state::unix_ms;
use crate::store::{NewChain, REVISIONS_KEPT_MAX, Revision, RolloutEnd, StoreError};

use super::SqliteStore;
use super::rollouts;
use super::rows::{from_text, to_i64, to_text, to_u64};

pub(super) async fn put(
    store: &SqliteStore,
    tenant: &str,
    expected: Option<u64>,
    chain: NewChain,
) -> Result<u64, StoreError> {
    let mut tx = store.write().await?;
    let current = live(&mut tx, tenant).await?;
    if let Some(expected) = expected.filter(|expected| *expected != current) {
        return Err(StoreError::RevisionMoved { expected, current });
    }
    let number = insert(&mut tx, tenant, &chain).await?;
    sqlx::query("UPDATE tenants SET revision = ? WHERE name = ?")
        .bind(to_i64(number))
        .bind(tenant)
        .execute(&mut *tx)
        .await?;
    let end = RolloutEnd {
        state: RolloutState::Superseded,
        reason: format!("revision {number} was put"),
    };
    rollouts::close(&mut tx, tenant, &end).await?;
    use_plugins(&mut tx, tenant).await?;
    tx.commit().await?;
    Ok(number)
}

/// The live revision.
pub(super) async fn live(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: &str,
) -> Result<u64, StoreError> {
    let current: Option<i64> = sqlx::query_scalar("SELECT revision FROM tenants WHERE name = ?")
        .bind(tenant)
        .fetch_optional(&mut **tx)
        .await?;
    match current {
        Some(current) => to_u64("revision", current),
        None => Err(StoreError::NoSuchTenant {
            tenant: tenant.to_owned(),
        }),
    }
}

/// The newest revision, live or not; 0 when there is none.
pub(super) async fn newest(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: &str,
) -> Result<u64, StoreError> {
    let newest: Option<i64> =
        sqlx::query_scalar("SELECT max(number) FROM revisions WHERE tenant = ?")
            .bind(tenant)
            .fetch_one(&mut **tx)
            .await?;
    to_u64("revision", newest.unwrap_or_default())
}

/// Writes a chain under the next number.
pub(super) async fn insert(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: &str,
    chain: &NewChain,
) -> Result<u64, StoreError> {
    let number = newest(tx, tenant).await?.saturating_add(1);
    sqlx::query("INSERT INTO revisions (tenant, number, chain, written, author, created_at_ms) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(tenant)
        .bind(to_i64(number))
        .bind(to_text("chain", &chain.resolved)?)
        .bind(to_text("chain", &chain.written)?)
        .bind(&chain.author)
        .bind(to_i64(unix_ms()))
        .execute(&mut **tx)
        .await?;
    // The live one stays, however many candidates came after it.
    sqlx::query("DELETE FROM revisions WHERE tenant = ?1 AND number <= ?2 AND number <> (SELECT revision FROM tenants WHERE name = ?1)")
        .bind(tenant)
        .bind(to_i64(number.saturating_sub(REVISIONS_KEPT_MAX)))
        .execute(&mut **tx)
        .await?;
    Ok(number)
}

/// Holds the plugins of the live chain and of the candidate that is rolled out, so that they cannot be deleted.
pub(super) async fn use_plugins(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: &str,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM plugin_uses WHERE tenant = ?")
        .bind(tenant)
        .execute(&mut **tx)
        .await?;
    let chains: Vec<String> = sqlx::query_scalar(
        "SELECT chain FROM revisions WHERE tenant = ?1 AND number IN (
            SELECT revision FROM tenants WHERE name = ?1 UNION SELECT revision FROM rollouts WHERE tenant = ?1 AND state = 'running')",
    )
    .bind(tenant)
    .fetch_all(&mut **tx)
    .await?;
    for chain in chains {
        let chain: ChainSpec = from_text("chain", &chain)?;
        for binding in chain.bindings {
            hold(tx, tenant, binding.plugin).await?;
        }
    }
    Ok(())
}

async fn hold(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: &str,
    digest: String,
) -> Result<(), StoreError> {
    let held = sqlx::query(
        "INSERT INTO plugin_uses (tenant, digest) VALUES (?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(tenant)
    .bind(&digest)
    .execute(&mut **tx)
    .await;
    match held {
        Ok(_) => Ok(()),
        Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
            Err(StoreError::NoSuchPlugin { digest })
        }
        Err(error) => Err(error.into()),
    }
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
