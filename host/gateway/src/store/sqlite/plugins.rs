//! Published plugins: immutable bytes under a digest, and names that never move.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::model::PluginRef;
use crate::state::unix_ms;
use crate::store::{NewPlugin, PluginPage, PluginRecord, Put, StoreError};

use super::SqliteStore;
use super::rows::{from_text, to_i64, to_text, to_u64};

/// Tenants named in "is used by".
const USERS_NAMED_MAX: i64 = 5;

/// Plugins with their signatures, which are one JSON array; what follows says which plugins.
macro_rules! select {
    ($which:literal) => {
        concat!(
            "SELECT digest, name, version, info, published_at_ms, (SELECT json_group_array(json(document)) FROM \
             (SELECT document FROM signatures WHERE signatures.digest = plugins.digest ORDER BY added_at_ms, public_key)\
             ) AS signatures FROM plugins ",
            $which
        )
    };
}

const BY_DIGEST: &str = select!("WHERE digest = ?");
const BY_NAME: &str = select!("WHERE name = ? AND version = ?");
/// No name is empty, so that without a cursor everything comes after it. The collation is registered at opening.
const PAGE: &str = select!(
    "WHERE (?1 IS NULL OR name = ?1) AND (name > ?2 OR (name = ?2 AND version < ?3 COLLATE version)) \
     ORDER BY name, version COLLATE version DESC LIMIT ?4"
);

pub(super) async fn put(store: &SqliteStore, plugin: NewPlugin) -> Result<Put, StoreError> {
    let mut tx = store.write().await?;
    let published: Option<String> =
        sqlx::query_scalar("SELECT digest FROM publications WHERE name = ? AND version = ?")
            .bind(&plugin.name)
            .bind(&plugin.version)
            .fetch_optional(&mut *tx)
            .await?;
    if let Some(published) = published.filter(|published| *published != plugin.digest) {
        return Err(StoreError::PluginMoved {
            name: plugin.name,
            version: plugin.version,
            published,
        });
    }
    sqlx::query(
        "INSERT INTO publications (name, version, digest) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(&plugin.name)
    .bind(&plugin.version)
    .bind(&plugin.digest)
    .execute(&mut *tx)
    .await?;
    let inserted = sqlx::query(
        "INSERT INTO plugins (digest, name, version, info, bytes, published_at_ms) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (digest) DO NOTHING",
    )
    .bind(&plugin.digest)
    .bind(&plugin.name)
    .bind(&plugin.version)
    .bind(to_text("plugin", &plugin.info)?)
    .bind(&plugin.bytes)
    .bind(to_i64(unix_ms()))
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(if inserted.rows_affected() == 0 {
        Put::Replaced
    } else {
        Put::Created
    })
}

pub(super) async fn find(
    store: &SqliteStore,
    plugin: &PluginRef,
) -> Result<Option<PluginRecord>, StoreError> {
    let query = match plugin {
        PluginRef::Digest(digest) => sqlx::query(BY_DIGEST).bind(digest),
        PluginRef::Published { name, version } => sqlx::query(BY_NAME).bind(name).bind(version),
    };
    query
        .fetch_optional(&store.pool)
        .await?
        .map(|row| record(&row))
        .transpose()
}

pub(super) async fn bytes(
    store: &SqliteStore,
    digest: &str,
) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(
        sqlx::query_scalar("SELECT bytes FROM plugins WHERE digest = ?")
            .bind(digest)
            .fetch_optional(&store.pool)
            .await?,
    )
}

pub(super) async fn list(
    store: &SqliteStore,
    page: PluginPage,
) -> Result<Vec<PluginRecord>, StoreError> {
    let (after_name, after_version) = page.after.unwrap_or_default();
    let rows = sqlx::query(PAGE)
        .bind(page.name)
        .bind(after_name)
        .bind(after_version)
        .bind(page.count_max)
        .fetch_all(&store.pool)
        .await?;
    rows.iter().map(record).collect()
}

pub(super) async fn delete(store: &SqliteStore, digest: &str) -> Result<bool, StoreError> {
    let mut tx = store.write().await?;
    let tenants: Vec<String> = sqlx::query_scalar(
        "SELECT tenant FROM plugin_uses WHERE digest = ? ORDER BY tenant LIMIT ?",
    )
    .bind(digest)
    .bind(USERS_NAMED_MAX)
    .fetch_all(&mut *tx)
    .await?;
    if !tenants.is_empty() {
        return Err(StoreError::PluginInUse { tenants });
    }
    let deleted = sqlx::query("DELETE FROM plugins WHERE digest = ?")
        .bind(digest)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(deleted.rows_affected() > 0)
}

fn record(row: &SqliteRow) -> Result<PluginRecord, StoreError> {
    Ok(PluginRecord {
        digest: row.try_get("digest")?,
        name: row.try_get("name")?,
        version: row.try_get("version")?,
        info: from_text("plugin", row.try_get("info")?)?,
        signatures: from_text("signatures", row.try_get("signatures")?)?,
        published_at_ms: to_u64("publication time", row.try_get("published_at_ms")?)?,
    })
}
