//! `/tenants`: the unit of isolation.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::model::{TenantSpec, TenantState};
use crate::store::Put;

use super::changes::no_tenant;
use super::extract::{Document, json};
use super::page::{Named, Page, PageOf, PageQuery};
use super::{AdminState, Problem, validate};

const DESCRIPTION_LEN_MAX: usize = 4 << 10;
/// Most tenants of one gateway.
const TENANTS_MAX: u64 = 10_000;

/// Lists tenants, ordered by name.
#[utoipa::path(get, path = "/api/v1/tenants", tag = "tenants", params(PageQuery), responses((status = 200, body = Page<Named<TenantSpec>>)))]
pub(super) async fn list(
    State(state): State<AdminState>,
    PageOf(query): PageOf,
) -> Result<Response, Problem> {
    let tenants = state
        .store()
        .tenants(query.cursor.clone(), query.fetch_max())
        .await?;
    let items = tenants
        .into_iter()
        .map(|(name, spec)| Named { name, spec })
        .collect();
    Ok(json(
        StatusCode::OK,
        &Page::new(items, &query, |item: &Named<TenantSpec>| item.name.clone()),
    ))
}

/// Shows a tenant.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}", tag = "tenants", params(("tenant" = String, Path)),
    responses((status = 200, body = TenantSpec), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(state): State<AdminState>,
    Path(tenant): Path<String>,
) -> Result<Response, Problem> {
    match state.store().tenant(&tenant).await? {
        Some(spec) => Ok(json(StatusCode::OK, &spec)),
        None => Err(no_tenant(&tenant)),
    }
}

/// Creates or replaces a tenant. A new one has the empty chain, which refuses every caller.
#[utoipa::path(put, path = "/api/v1/tenants/{tenant}", tag = "tenants", params(("tenant" = String, Path)),
    request_body = TenantSpec, responses((status = 200, body = TenantSpec), (status = 201, body = TenantSpec), (status = 400, body = Problem)))]
pub(super) async fn put(
    State(state): State<AdminState>,
    Path(tenant): Path<String>,
    Document(spec): Document<TenantSpec>,
) -> Result<Response, Problem> {
    validate::name(&tenant)?;
    if spec.description.len() > DESCRIPTION_LEN_MAX {
        return Err(Problem::invalid(
            "/description",
            format!("at most {DESCRIPTION_LEN_MAX} bytes"),
        ));
    }
    validate::capture(spec.capture.as_ref())?;
    let (work, name, stored) = (state.clone(), tenant.clone(), spec.clone());
    let put = state
        .exclusively(&tenant, async move {
            let mut next = match work.store().tenant_state(&name).await? {
                Some(state) => state,
                None if work.store().counts().await?.tenants >= TENANTS_MAX => {
                    return Err(Problem::conflict(
                        "limit-reached",
                        format!("a gateway has at most {TENANTS_MAX} tenants"),
                    ));
                }
                None => TenantState {
                    name: name.clone(),
                    ..TenantState::default()
                },
            };
            next.capture = stored.capture;
            let prepared = work.registry().prepare(&next).await?;
            let put = work.store().put_tenant(&name, &stored).await?;
            work.registry().install(prepared);
            Ok(put)
        })
        .await?;
    let status = match put {
        Put::Created => StatusCode::CREATED,
        Put::Replaced => StatusCode::OK,
    };
    Ok(json(status, &spec))
}

/// Deletes a tenant and all that is its own. Calls in flight end.
#[utoipa::path(delete, path = "/api/v1/tenants/{tenant}", tag = "tenants", params(("tenant" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub(super) async fn delete(
    State(state): State<AdminState>,
    Path(tenant): Path<String>,
) -> Result<Response, Problem> {
    let (work, name) = (state.clone(), tenant.clone());
    state
        .exclusively(&tenant, async move {
            if !work.store().delete_tenant(&name).await? {
                return Err(no_tenant(&name));
            }
            work.registry().remove(&name);
            Ok(())
        })
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
