//! Rollouts: the candidate's revision is written with its start, and made the live one by its end.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};

use crate::model::{RolloutPlan, RolloutRecord, RolloutState, RunningRollout};
use crate::state::unix_ms;
use crate::store::{NewChain, REVISIONS_KEPT_MAX, RolloutEnd, StoreError};

use super::SqliteStore;
use super::chains;
use super::rows::{from_text, to_i64, to_text, to_u64};

const COLUMNS: &str = "id, revision, base, plan, state, reason, author, started_at_ms, ended_at_ms";

pub(super) async fn start(
    store: &SqliteStore,
    tenant: &str,
    plan: &RolloutPlan,
    candidate: NewChain,
) -> Result<RolloutRecord, StoreError> {
    let mut tx = store.write().await?;
    if let Some(running) = running_id(&mut tx, tenant).await? {
        return Err(StoreError::RolloutRunning { id: running });
    }
    let base = chains::live(&mut tx, tenant).await?;
    let revision = chains::insert(&mut tx, tenant, &candidate).await?;
    let record = RolloutRecord {
        id: last(&mut tx, tenant).await?.saturating_add(1),
        revision,
        base,
        plan: plan.clone(),
        state: RolloutState::Running,
        reason: None,
        author: candidate.author.clone(),
        started_at_ms: unix_ms(),
        ended_at_ms: None,
    };
    sqlx::query("INSERT INTO rollouts (tenant, id, revision, base, plan, state, author, started_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(tenant)
        .bind(to_i64(record.id))
        .bind(to_i64(revision))
        .bind(to_i64(base))
        .bind(to_text("rollout", plan)?)
        .bind(name_of(record.state))
        .bind(&record.author)
        .bind(to_i64(record.started_at_ms))
        .execute(&mut *tx)
        .await?;
    sqlx::query("DELETE FROM rollouts WHERE tenant = ? AND id <= ?")
        .bind(tenant)
        .bind(to_i64(record.id.saturating_sub(REVISIONS_KEPT_MAX)))
        .execute(&mut *tx)
        .await?;
    chains::use_plugins(&mut tx, tenant).await?;
    tx.commit().await?;
    Ok(record)
}

pub(super) async fn change(
    store: &SqliteStore,
    tenant: &str,
    id: u64,
    plan: &RolloutPlan,
) -> Result<(), StoreError> {
    let changed = sqlx::query(
        "UPDATE rollouts SET plan = ? WHERE tenant = ? AND id = ? AND state = 'running'",
    )
    .bind(to_text("rollout", plan)?)
    .bind(tenant)
    .bind(to_i64(id))
    .execute(&store.pool)
    .await?;
    match changed.rows_affected() {
        0 => Err(StoreError::NoRolloutRuns { id }),
        _ => Ok(()),
    }
}

pub(super) async fn end(
    store: &SqliteStore,
    tenant: &str,
    id: u64,
    end: &RolloutEnd,
) -> Result<(), StoreError> {
    let mut tx = store.write().await?;
    if running_id(&mut tx, tenant).await? != Some(id) {
        return Err(StoreError::NoRolloutRuns { id });
    }
    if end.state == RolloutState::Promoted {
        sqlx::query("UPDATE tenants SET revision = (SELECT revision FROM rollouts WHERE tenant = ? AND id = ?) WHERE name = ?")
            .bind(tenant)
            .bind(to_i64(id))
            .bind(tenant)
            .execute(&mut *tx)
            .await?;
    }
    close(&mut tx, tenant, end).await?;
    chains::use_plugins(&mut tx, tenant).await?;
    tx.commit().await?;
    Ok(())
}

/// Ends the rollout that runs, if there is one.
pub(super) async fn close(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: &str,
    end: &RolloutEnd,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE rollouts SET state = ?, reason = ?, ended_at_ms = ? WHERE tenant = ? AND state = 'running'")
        .bind(name_of(end.state))
        .bind(&end.reason)
        .bind(to_i64(unix_ms()))
        .bind(tenant)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The number of the newest one; 0 when there is none.
pub(super) async fn last(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: &str,
) -> Result<u64, StoreError> {
    let last: Option<i64> = sqlx::query_scalar("SELECT max(id) FROM rollouts WHERE tenant = ?")
        .bind(tenant)
        .fetch_one(&mut **tx)
        .await?;
    to_u64("rollout", last.unwrap_or_default())
}

async fn running_id(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: &str,
) -> Result<Option<u64>, StoreError> {
    let id: Option<i64> =
        sqlx::query_scalar("SELECT id FROM rollouts WHERE tenant = ? AND state = 'running'")
            .bind(tenant)
            .fetch_optional(&mut **tx)
            .await?;
    id.map(|id| to_u64("rollout", id)).transpose()
}

/// The one that runs, with its candidate.
pub(super) async fn running(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: &str,
) -> Result<Option<RunningRollout>, StoreError> {
    let query = format!("SELECT {COLUMNS} FROM rollouts WHERE tenant = ? AND state = 'running'");
    let row = sqlx::query(sqlx::AssertSqlSafe(query))
        .bind(tenant)
        .fetch_optional(&mut **tx)
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let record = record(&row)?;
    let chain: String =
        sqlx::query_scalar("SELECT chain FROM revisions WHERE tenant = ? AND number = ?")
            .bind(tenant)
            .bind(to_i64(record.revision))
            .fetch_one(&mut **tx)
            .await?;
    let chain = from_text("chain", &chain)?;
    Ok(Some(RunningRollout { record, chain }))
}

pub(super) async fn list(
    store: &SqliteStore,
    tenant: &str,
    before: Option<u64>,
    count_max: u32,
) -> Result<Vec<RolloutRecord>, StoreError> {
    let query = format!(
        "SELECT {COLUMNS} FROM rollouts WHERE tenant = ? AND id < ? ORDER BY id DESC LIMIT ?"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(query))
        .bind(tenant)
        .bind(before.map_or(i64::MAX, to_i64))
        .bind(count_max)
        .fetch_all(&store.pool)
        .await?;
    rows.iter().map(record).collect()
}

fn record(row: &SqliteRow) -> Result<RolloutRecord, StoreError> {
    let ended_at_ms: Option<i64> = row.try_get("ended_at_ms")?;
    Ok(RolloutRecord {
        id: to_u64("rollout", row.try_get("id")?)?,
        revision: to_u64("revision", row.try_get("revision")?)?,
        base: to_u64("revision", row.try_get("base")?)?,
        plan: from_text("rollout", row.try_get("plan")?)?,
        state: state_of(row.try_get("state")?)?,
        reason: row.try_get("reason")?,
        author: row.try_get("author")?,
        started_at_ms: to_u64("rollout time", row.try_get("started_at_ms")?)?,
        ended_at_ms: ended_at_ms
            .map(|ended| to_u64("rollout time", ended))
            .transpose()?,
    })
}

const STATES: [(RolloutState, &str); 4] = [
    (RolloutState::Running, "running"),
    (RolloutState::Promoted, "promoted"),
    (RolloutState::RolledBack, "rolled-back"),
    (RolloutState::Superseded, "superseded"),
];

fn name_of(state: RolloutState) -> &'static str {
    let row = STATES.into_iter().find(|(known, _)| *known == state);
    row.map_or("running", |(_, name)| name)
}

fn state_of(name: &str) -> Result<RolloutState, StoreError> {
    let row = STATES.into_iter().find(|(_, known)| *known == name);
    row.map(|(state, _)| state).ok_or(StoreError::Range {
        what: "rollout state",
    })
}
