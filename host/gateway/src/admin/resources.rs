//! `/upstreams`, `/servers` and `/issuers`: documents by name, all in the same way.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::model::{IssuerSpec, ResourceKind, ResourceSpec, ServerSpec, UpstreamSpec};

use super::changes::Outcome;
use super::edit::Edit;
use super::extract::{Document, json};
use super::page::{Named, Page, PageOf, PageQuery};
use super::{AdminState, Problem};

async fn list<T: ResourceSpec>(
    state: &AdminState,
    tenant: &str,
    query: &PageQuery,
) -> Result<Response, Problem> {
    let tenant = state.tenant_state(tenant).await?;
    let after = query.cursor.as_deref().unwrap_or_default();
    let count_max = usize::try_from(query.fetch_max()).unwrap_or(usize::MAX);
    let items: Vec<Named<&T>> = T::all(&tenant)
        .iter()
        .filter(|(name, _)| name.as_str() > after)
        .take(count_max)
        .map(|(name, spec)| Named {
            name: name.clone(),
            spec,
        })
        .collect();
    Ok(json(
        StatusCode::OK,
        &Page::new(items, query, |item| item.name.clone()),
    ))
}

async fn show<T: ResourceSpec>(
    state: &AdminState,
    tenant: &str,
    name: &str,
) -> Result<Response, Problem> {
    let tenant = state.tenant_state(tenant).await?;
    match T::all(&tenant).get(name) {
        Some(spec) => Ok(json(StatusCode::OK, spec)),
        None => Err(Problem::missing(format!(
            "there is no {} `{name}`",
            T::KIND
        ))),
    }
}

async fn put<T: ResourceSpec>(
    state: &AdminState,
    (tenant, name): (String, String),
    spec: T,
) -> Result<Response, Problem> {
    let outcome = state
        .change(
            &tenant,
            Edit::Put {
                name: name.clone(),
                resource: spec.into(),
            },
        )
        .await?;
    let stored = state.tenant_state(&tenant).await?;
    let status = if outcome == Outcome::Created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok(json(status, &T::all(&stored).get(&name)))
}

async fn delete(
    state: &AdminState,
    (tenant, name): (String, String),
    kind: ResourceKind,
) -> Result<Response, Problem> {
    state.change(&tenant, Edit::Delete { kind, name }).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Lists a tenant's upstreams, ordered by name.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/upstreams", tag = "upstreams", params(("tenant" = String, Path), PageQuery),
    responses((status = 200, body = Page<Named<UpstreamSpec>>), (status = 404, body = Problem)))]
pub(super) async fn list_upstreams(
    State(state): State<AdminState>,
    Path(tenant): Path<String>,
    PageOf(query): PageOf,
) -> Result<Response, Problem> {
    list::<UpstreamSpec>(&state, &tenant, &query).await
}

/// Shows an upstream. Secrets read `***`.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/upstreams/{name}", tag = "upstreams", params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = UpstreamSpec), (status = 404, body = Problem)))]
pub(super) async fn show_upstream(
    State(state): State<AdminState>,
    Path((tenant, name)): Path<(String, String)>,
) -> Result<Response, Problem> {
    show::<UpstreamSpec>(&state, &tenant, &name).await
}

/// Creates or replaces an upstream. A secret sent as `***` keeps its value.
#[utoipa::path(put, path = "/api/v1/tenants/{tenant}/upstreams/{name}", tag = "upstreams", params(("tenant" = String, Path), ("name" = String, Path)),
    request_body = UpstreamSpec, responses((status = 200, body = UpstreamSpec), (status = 201, body = UpstreamSpec), (status = 422, body = Problem)))]
pub(super) async fn put_upstream(
    State(state): State<AdminState>,
    Path(path): Path<(String, String)>,
    Document(spec): Document<UpstreamSpec>,
) -> Result<Response, Problem> {
    put(&state, path, spec).await
}

/// Deletes an upstream that no server mounts.
#[utoipa::path(delete, path = "/api/v1/tenants/{tenant}/upstreams/{name}", tag = "upstreams", params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn delete_upstream(
    State(state): State<AdminState>,
    Path(path): Path<(String, String)>,
) -> Result<Response, Problem> {
    delete(&state, path, ResourceKind::Upstream).await
}

/// Lists a tenant's servers, ordered by name.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/servers", tag = "servers", params(("tenant" = String, Path), PageQuery),
    responses((status = 200, body = Page<Named<ServerSpec>>), (status = 404, body = Problem)))]
pub(super) async fn list_servers(
    State(state): State<AdminState>,
    Path(tenant): Path<String>,
    PageOf(query): PageOf,
) -> Result<Response, Problem> {
    list::<ServerSpec>(&state, &tenant, &query).await
}

/// Shows a server.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/servers/{name}", tag = "servers", params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = ServerSpec), (status = 404, body = Problem)))]
pub(super) async fn show_server(
    State(state): State<AdminState>,
    Path((tenant, name)): Path<(String, String)>,
) -> Result<Response, Problem> {
    show::<ServerSpec>(&state, &tenant, &name).await
}

/// Creates or replaces a server. Its name is unique in the whole gateway.
#[utoipa::path(put, path = "/api/v1/tenants/{tenant}/servers/{name}", tag = "servers", params(("tenant" = String, Path), ("name" = String, Path)),
    request_body = ServerSpec, responses((status = 200, body = ServerSpec), (status = 201, body = ServerSpec), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn put_server(
    State(state): State<AdminState>,
    Path(path): Path<(String, String)>,
    Document(spec): Document<ServerSpec>,
) -> Result<Response, Problem> {
    put(&state, path, spec).await
}

/// Deletes a server.
#[utoipa::path(delete, path = "/api/v1/tenants/{tenant}/servers/{name}", tag = "servers", params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub(super) async fn delete_server(
    State(state): State<AdminState>,
    Path(path): Path<(String, String)>,
) -> Result<Response, Problem> {
    delete(&state, path, ResourceKind::Server).await
}

/// Lists a tenant's token issuers, ordered by name.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/issuers", tag = "issuers", params(("tenant" = String, Path), PageQuery),
    responses((status = 200, body = Page<Named<IssuerSpec>>), (status = 404, body = Problem)))]
pub(super) async fn list_issuers(
    State(state): State<AdminState>,
    Path(tenant): Path<String>,
    PageOf(query): PageOf,
) -> Result<Response, Problem> {
    list::<IssuerSpec>(&state, &tenant, &query).await
}

/// Shows a token issuer. Secrets read `***`.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/issuers/{name}", tag = "issuers", params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = IssuerSpec), (status = 404, body = Problem)))]
pub(super) async fn show_issuer(
    State(state): State<AdminState>,
    Path((tenant, name)): Path<(String, String)>,
) -> Result<Response, Problem> {
    show::<IssuerSpec>(&state, &tenant, &name).await
}

/// Creates or replaces a token issuer. A secret sent as `***` keeps its value.
#[utoipa::path(put, path = "/api/v1/tenants/{tenant}/issuers/{name}", tag = "issuers", params(("tenant" = String, Path), ("name" = String, Path)),
    request_body = IssuerSpec, responses((status = 200, body = IssuerSpec), (status = 201, body = IssuerSpec), (status = 422, body = Problem)))]
pub(super) async fn put_issuer(
    State(state): State<AdminState>,
    Path(path): Path<(String, String)>,
    Document(spec): Document<IssuerSpec>,
) -> Result<Response, Problem> {
    put(&state, path, spec).await
}

/// Deletes a token issuer.
#[utoipa::path(delete, path = "/api/v1/tenants/{tenant}/issuers/{name}", tag = "issuers", params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub(super) async fn delete_issuer(
    State(state): State<AdminState>,
    Path(path): Path<(String, String)>,
) -> Result<Response, Problem> {
    delete(&state, path, ResourceKind::Issuer).await
}
