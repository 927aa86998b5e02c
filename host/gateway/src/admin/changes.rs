//! Changes to tenants, one at a time for each: read, apply, prepare, write, install.
//!
//! A change runs on a task of its own. A caller who hangs up therefore cannot leave the store ahead of what is served.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::model::TenantState;

use super::edit::Edit;
use super::{AdminState, Problem, trust};

/// One lock for each tenant that is being changed: bounded by the changes under way.
#[derive(Default)]
pub(super) struct Changes(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl Changes {
    async fn lock(&self, tenant: &str) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(locks.entry(tenant.to_owned()).or_default())
        };
        lock.lock_owned().await
    }
}

/// What a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Made something.
    Created,
    /// Replaced something.
    Replaced,
    /// Removed something.
    Deleted,
    /// Made a chain the live one.
    Revision(u64),
    /// Started, changed or ended a rollout.
    Rollout(u64),
}

impl AdminState {
    /// Applies one edit to a tenant.
    pub(super) async fn change(&self, tenant: &str, edit: Edit) -> Result<Outcome, Problem> {
        let (state, tenant) = (self.clone(), tenant.to_owned());
        self.detached(async move {
            let _one_at_a_time = state.0.changes.lock(&tenant).await;
            let mut next = state.tenant_state(&tenant).await?;
            let applied = edit.apply(&mut next)?;
            if let Some((chain, part)) = applied.chain(&next) {
                let trusted = trust::require(&state, &next, chain).await;
                trusted.map_err(|problem| problem.below(part))?;
            }
            let prepared = state
                .registry()
                .prepare(&next)
                .await
                .map_err(|error| applied.blame(error))?;
            let outcome = applied.write(state.store(), &tenant).await?;
            state.registry().install(prepared);
            Ok(outcome)
        })
        .await
    }

    /// Runs `work` while no other change of the tenant runs.
    pub(super) async fn exclusively<T, F>(&self, tenant: &str, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        let (state, tenant) = (self.clone(), tenant.to_owned());
        self.detached(async move {
            let _one_at_a_time = state.0.changes.lock(&tenant).await;
            work.await
        })
        .await
    }

    /// Runs `work` to its end even when the caller hangs up.
    pub(super) async fn detached<T, F>(&self, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        match self.0.parts.tasks.spawn(work).await {
            Ok(result) => result,
            Err(failed) => Err(Problem::internal(&failed)),
        }
    }

    /// Everything of a tenant, or 404.
    pub(super) async fn tenant_state(&self, tenant: &str) -> Result<TenantState, Problem> {
        match self.store().tenant_state(tenant).await? {
            Some(state) => Ok(state),
            None => Err(no_tenant(tenant)),
        }
    }
}

pub(super) fn no_tenant(tenant: &str) -> Problem {
    Problem::missing(format!(
        "there is no tenant `{tenant}`: create it with PUT /api/v1/tenants/{tenant}"
    ))
}
