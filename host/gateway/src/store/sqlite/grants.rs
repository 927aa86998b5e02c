//! What came of upstreams' authorizations, by tenant and upstream. They go with the upstream that they are for.

use crate::model::{Grant, to_stored};
use crate::state::unix_ms;
use crate::store::StoreError;

use super::SqliteStore;
use super::rows::{from_text, to_i64, to_text};

const WHAT: &str = "grant";

pub(super) async fn find(
    store: &SqliteStore,
    tenant: &str,
    upstream: &str,
) -> Result<Option<Grant>, StoreError> {
    let document: Option<String> =
        sqlx::query_scalar("SELECT document FROM grants WHERE tenant = ? AND upstream = ?")
            .bind(tenant)
            .bind(upstream)
            .fetch_optional(&store.pool)
            .await?;
    document
        .map(|document| from_text(WHAT, &document))
        .transpose()
}

pub(super) async fn put(
    store: &SqliteStore,
    tenant: &str,
    upstream: &str,
    grant: &Grant,
) -> Result<(), StoreError> {
    let stored = to_stored(grant).map_err(|source| StoreError::Document { what: WHAT, source })?;
    // An upstream that is gone meanwhile takes no grant, and needs none.
    sqlx::query(
        "INSERT INTO grants (tenant, upstream, document, written_at_ms) \
         SELECT tenant, name, ?3, ?4 FROM resources WHERE tenant = ?1 AND kind = 'upstream' AND name = ?2 \
         ON CONFLICT (tenant, upstream) DO UPDATE SET document = excluded.document, written_at_ms = excluded.written_at_ms",
    )
    .bind(tenant)
    .bind(upstream)
    .bind(to_text(WHAT, &stored)?)
    .bind(to_i64(unix_ms()))
    .execute(&store.pool)
    .await?;
    Ok(())
}

pub(super) async fn delete(
    store: &SqliteStore,
    tenant: &str,
    upstream: &str,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM grants WHERE tenant = ? AND upstream = ?")
        .bind(tenant)
        .bind(upstream)
        .execute(&store.pool)
        .await?;
    Ok(())
}
