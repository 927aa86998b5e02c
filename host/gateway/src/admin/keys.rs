//! `/keys`: API keys. A key is shown once, when it is made; only its SHA-256 is kept.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::model::{KeyRecord, KeySpec};
use crate::state::unix_ms;

use super::edit::Edit;
use super::extract::{Document, json};
use super::page::{Page, PageOf, PageQuery};
use super::{AdminState, Problem};

/// A key, without the key itself.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyView {
    /// Names the key in paths.
    pub id: String,
    /// Who it speaks for.
    pub spec: KeySpec,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: u64,
}

/// A key that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NewKey {
    /// The key: shown now, and never again.
    pub key: String,
    /// What is kept of it.
    #[serde(flatten)]
    pub view: KeyView,
}

impl From<&KeyRecord> for KeyView {
    fn from(record: &KeyRecord) -> Self {
        Self {
            id: record.id.clone(),
            spec: record.spec.clone(),
            created_at_ms: record.created_at_ms,
        }
    }
}

/// Lists a tenant's API keys, in the order in which they were made.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/keys", tag = "keys", params(("tenant" = String, Path), PageQuery),
    responses((status = 200, body = Page<KeyView>), (status = 404, body = Problem)))]
pub(super) async fn list(
    State(state): State<AdminState>,
    Path(tenant): Path<String>,
    PageOf(query): PageOf,
) -> Result<Response, Problem> {
    let tenant = state.tenant_state(&tenant).await?;
    let start = match &query.cursor {
        Some(cursor) => tenant
            .keys
            .iter()
            .position(|key| key.id == *cursor)
            .map_or(tenant.keys.len(), |at| at + 1),
        None => 0,
    };
    let count_max = usize::try_from(query.fetch_max()).unwrap_or(usize::MAX);
    let items = tenant
        .keys
        .iter()
        .skip(start)
        .take(count_max)
        .map(KeyView::from)
        .collect();
    Ok(json(
        StatusCode::OK,
        &Page::new(items, &query, |item: &KeyView| item.id.clone()),
    ))
}

/// Makes an API key and shows it, this once.
#[utoipa::path(post, path = "/api/v1/tenants/{tenant}/keys", tag = "keys", params(("tenant" = String, Path)),
    request_body = KeySpec, responses((status = 201, body = NewKey), (status = 422, body = Problem)))]
pub(super) async fn create(
    State(state): State<AdminState>,
    Path(tenant): Path<String>,
    Document(spec): Document<KeySpec>,
) -> Result<Response, Problem> {
    let key = format!("pk_{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
    let record = KeyRecord {
        id: format!("key-{:016x}", rand::random::<u64>()),
        spec,
        sha256: Sha256::digest(&key).into(),
        created_at_ms: unix_ms(),
    };
    let view = KeyView::from(&record);
    state.change(&tenant, Edit::AddKey(record)).await?;
    Ok(json(StatusCode::CREATED, &NewKey { key, view }))
}

/// Deletes an API key. Calls made with it are refused from then on.
#[utoipa::path(delete, path = "/api/v1/tenants/{tenant}/keys/{id}", tag = "keys", params(("tenant" = String, Path), ("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub(super) async fn delete(
    State(state): State<AdminState>,
    Path((tenant, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    state.change(&tenant, Edit::DeleteKey(id)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
