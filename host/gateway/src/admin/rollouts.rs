//! `/rollouts`: candidates for a tenant's chain, compared or tried on a share of its sessions before they are live.

mod warden;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::{ChainSpec, RolloutPlan, RolloutRecord, RolloutSpec, RolloutState, Strategy};
use crate::store::{NewChain, RolloutEnd};
use crate::tenancy::rollout::Figures;

use super::changes::{Outcome, no_tenant};
use super::edit::Edit;
use super::extract::{Document, json};
use super::page::{Page, PageOf, PageQuery};
use super::policies::AUTHOR;
use super::resolve::resolve;
use super::{AdminState, Problem, validate};

pub use warden::watch_rollouts;

/// A rollout, and how it goes while it runs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RolloutView {
    /// What is kept of it.
    #[serde(flatten)]
    pub rollout: RolloutRecord,
    /// How it goes, since it started in this process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
}

/// What a running rollout is changed to.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RolloutChange {
    /// Of a canary: percent of sessions that it serves from now on.
    pub percent: f64,
}

/// Why somebody ends a rollout.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RolloutEnding {
    /// Kept with the rollout.
    pub reason: Option<String>,
}

/// Starts a rollout. The candidate is the tenant's next revision, and not live.
#[utoipa::path(post, path = "/api/v1/tenants/{tenant}/rollouts", tag = "policies", params(("tenant" = String, Path)), request_body = RolloutSpec,
    responses((status = 201, body = RolloutView), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn start(
    State(state): State<AdminState>,
    Path(tenant): Path<String>,
    Document(spec): Document<RolloutSpec>,
) -> Result<Response, Problem> {
    if state.store().tenant(&tenant).await?.is_none() {
        return Err(no_tenant(&tenant));
    }
    check(&spec.plan)?;
    let candidate = Box::new(candidate(&state, &tenant, &spec).await?);
    let (plan, strategy) = (spec.plan.clone(), spec.plan.strategy);
    let edit = Edit::StartRollout { plan, candidate };
    let id = match state.change(&tenant, edit).await? {
        Outcome::Rollout(id) => id,
        Outcome::Created | Outcome::Replaced | Outcome::Deleted | Outcome::Revision(_) => {
            return Err(Problem::missing("the change started no rollout"));
        }
    };
    if strategy == Strategy::Immediate {
        let end = RolloutEnd {
            state: RolloutState::Promoted,
            reason: "immediate".to_owned(),
        };
        state.change(&tenant, Edit::EndRollout { id, end }).await?;
    }
    shown(&state, (&tenant, id), StatusCode::CREATED).await
}

/// Lists rollouts, newest first.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/rollouts", tag = "policies", params(("tenant" = String, Path), PageQuery),
    responses((status = 200, body = Page<RolloutRecord>), (status = 404, body = Problem)))]
pub(super) async fn list(
    State(state): State<AdminState>,
    Path(tenant): Path<String>,
    PageOf(query): PageOf,
) -> Result<Response, Problem> {
    let before = query.before()?;
    if state.store().tenant(&tenant).await?.is_none() {
        return Err(no_tenant(&tenant));
    }
    let rollouts = state.store().rollouts(&tenant, before, query.fetch_max());
    let page = Page::new(rollouts.await?, &query, |item: &RolloutRecord| {
        item.id.to_string()
    });
    Ok(json(StatusCode::OK, &page))
}

/// Shows a rollout, and how it goes.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/rollouts/{rollout}", tag = "policies", params(("tenant" = String, Path), ("rollout" = u64, Path)),
    responses((status = 200, body = RolloutView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(state): State<AdminState>,
    Path((tenant, rollout)): Path<(String, String)>,
) -> Result<Response, Problem> {
    shown(&state, (&tenant, number(&rollout)?), StatusCode::OK).await
}

/// Changes the share of a canary. Who is served by it already stays so when it grows.
#[utoipa::path(patch, path = "/api/v1/tenants/{tenant}/rollouts/{rollout}", tag = "policies", params(("tenant" = String, Path), ("rollout" = u64, Path)),
    request_body = RolloutChange, responses((status = 200, body = RolloutView), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn change(
    State(state): State<AdminState>,
    Path((tenant, rollout)): Path<(String, String)>,
    Document(change): Document<RolloutChange>,
) -> Result<Response, Problem> {
    let id = number(&rollout)?;
    let mut plan = find(&state, &tenant, id).await?.plan;
    plan.percent = Some(change.percent);
    check(&plan)?;
    let edit = Edit::ChangeRollout { id, plan };
    state.change(&tenant, edit).await?;
    shown(&state, (&tenant, id), StatusCode::OK).await
}

/// Makes the candidate the live chain.
#[utoipa::path(post, path = "/api/v1/tenants/{tenant}/rollouts/{rollout}/promote", tag = "policies", params(("tenant" = String, Path), ("rollout" = u64, Path)),
    request_body = Option<RolloutEnding>, responses((status = 200, body = RolloutView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn promote(
    State(state): State<AdminState>,
    Path((tenant, rollout)): Path<(String, String)>,
    ending: Option<Document<RolloutEnding>>,
) -> Result<Response, Problem> {
    let at = (tenant.as_str(), number(&rollout)?);
    end(&state, at, (RolloutState::Promoted, ending)).await
}

/// Takes the candidate back.
#[utoipa::path(post, path = "/api/v1/tenants/{tenant}/rollouts/{rollout}/rollback", tag = "policies", params(("tenant" = String, Path), ("rollout" = u64, Path)),
    request_body = Option<RolloutEnding>, responses((status = 200, body = RolloutView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn roll_back(
    State(state): State<AdminState>,
    Path((tenant, rollout)): Path<(String, String)>,
    ending: Option<Document<RolloutEnding>>,
) -> Result<Response, Problem> {
    let at = (tenant.as_str(), number(&rollout)?);
    end(&state, at, (RolloutState::RolledBack, ending)).await
}

async fn end(
    state: &AdminState,
    (tenant, id): (&str, u64),
    (to, ending): (RolloutState, Option<Document<RolloutEnding>>),
) -> Result<Response, Problem> {
    let reason = ending.and_then(|Document(ending)| ending.reason);
    let reason = reason.unwrap_or_else(|| format!("by {AUTHOR}"));
    let end = RolloutEnd { state: to, reason };
    state.change(tenant, Edit::EndRollout { id, end }).await?;
    shown(state, (tenant, id), StatusCode::OK).await
}

async fn shown(
    state: &AdminState,
    (tenant, id): (&str, u64),
    status: StatusCode,
) -> Result<Response, Problem> {
    let rollout = find(state, tenant, id).await?;
    let running = state.registry().rollouts();
    let figures = running
        .iter()
        .find(|(of, running)| of == tenant && running.id == id)
        .map(|(_, running)| running.figures());
    Ok(json(status, &RolloutView { rollout, figures }))
}

async fn find(state: &AdminState, tenant: &str, id: u64) -> Result<RolloutRecord, Problem> {
    let before = Some(id.saturating_add(1));
    let found = state.store().rollouts(tenant, before, 1).await?;
    found
        .into_iter()
        .find(|rollout| rollout.id == id)
        .ok_or_else(|| Problem::missing(format!("tenant `{tenant}` has no rollout {id}")))
}

fn number(text: &str) -> Result<u64, Problem> {
    text.parse()
        .map_err(|_not_a_number| Problem::bad_request("a rollout is a number"))
}

/// The chain that is rolled out.
async fn candidate(
    state: &AdminState,
    tenant: &str,
    spec: &RolloutSpec,
) -> Result<NewChain, Problem> {
    let author = AUTHOR.to_owned();
    match (&spec.policies, spec.revision) {
        (Some(written), None) => {
            let resolved = resolve(state.store(), written).await;
            let resolved = resolved.map_err(|problem| problem.below("/policies"))?;
            validate::chain(&resolved).map_err(|problem| problem.below("/policies"))?;
            let written = ChainSpec::clone(written);
            Ok(NewChain {
                written,
                resolved,
                author,
            })
        }
        (None, Some(number)) => super::policies::again(state, tenant, number).await,
        (Some(_), Some(_)) | (None, None) => Err(Problem::invalid(
            "",
            "exactly one of `policies` and `revision` says what is rolled out",
        )),
    }
}

fn check(plan: &RolloutPlan) -> Result<(), Problem> {
    let percents = [
        ("/percent", plan.percent),
        (
            "/bounds/failures_percent_max",
            Some(plan.bounds.failures_percent_max),
        ),
        (
            "/bounds/denials_percent_over_max",
            plan.bounds.denials_percent_over_max,
        ),
        (
            "/bounds/differences_percent_max",
            plan.bounds.differences_percent_max,
        ),
    ];
    for (pointer, percent) in percents {
        if percent.is_some_and(|percent| !(0.0..=100.0).contains(&percent)) {
            return Err(Problem::invalid(pointer, "a percentage is 0 to 100"));
        }
    }
    match (plan.strategy, plan.percent) {
        (Strategy::Canary, None) => Err(Problem::invalid(
            "/percent",
            "a canary needs a percentage of sessions",
        )),
        (Strategy::Shadow | Strategy::Immediate, Some(_)) => Err(Problem::invalid(
            "/percent",
            "only a canary has a percentage: a shadow sees all calls and serves none, and what is live at once serves all",
        )),
        (Strategy::Canary, Some(_)) | (Strategy::Shadow | Strategy::Immediate, None) => Ok(()),
    }
}
