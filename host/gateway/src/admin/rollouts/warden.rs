//! Judges the rollouts that run, and ends those whose time has come.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::admin::AdminState;
use crate::admin::edit::Edit;
use crate::model::RolloutState;
use crate::store::RolloutEnd;
use crate::tenancy::rollout::{Judgement, judge};

/// How often rollouts are judged: a broken bound is found within this.
const PAUSE: Duration = Duration::from_millis(250);

/// Until the gateway stops.
pub async fn watch_rollouts(state: AdminState, stop: CancellationToken) {
    while stop
        .run_until_cancelled(tokio::time::sleep(PAUSE))
        .await
        .is_some()
    {
        for (tenant, rollout) in state.registry().rollouts() {
            let (to, reason) = match judge(&rollout) {
                Judgement::GoOn => continue,
                Judgement::RollBack(reason) => (RolloutState::RolledBack, reason),
                Judgement::Promote(reason) => (RolloutState::Promoted, reason),
            };
            warn!(
                tenant,
                rollout = rollout.id,
                revision = rollout.candidate.revision,
                reason,
                "a rollout ends by itself"
            );
            let end = RolloutEnd { state: to, reason };
            let id = rollout.id;
            let ended = match state.change(&tenant, Edit::EndRollout { id, end }).await {
                // Whoever signed the candidate is trusted no more.
                Err(problem) if problem.is_untrusted() => {
                    let end = RolloutEnd {
                        state: RolloutState::RolledBack,
                        reason: problem.detail,
                    };
                    state.change(&tenant, Edit::EndRollout { id, end }).await
                }
                other => other,
            };
            if let Err(problem) = ended {
                error!(tenant, rollout = id, error = %problem.detail, "a rollout could not be ended, and is tried again");
            }
        }
    }
}
