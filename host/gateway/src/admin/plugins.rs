//! `/plugins`: components, published once under `name@version` and never moved.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::model::{InvalidPluginRef, PluginRef, Signature};
use crate::store::{NewPlugin, PluginPage, PluginRecord, Put, StoreError};
use crate::tenancy::PluginInfo;

use super::extract::{Component, json};
use super::page::{NamedPageOf, NamedPageQuery, Page};
use super::{AdminState, Problem};

/// Most plugins of one gateway.
const PLUGINS_MAX: u64 = 10_000;

/// A published plugin: what it is, what it asks for, and who vouches for it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PluginView {
    #[serde(flatten)]
    #[schema(value_type = PluginInfo)]
    info: Value,
    /// When it was published, in milliseconds since the Unix epoch.
    published_at_ms: u64,
    /// Who signed it.
    signatures: Vec<Signature>,
}

impl From<PluginRecord> for PluginView {
    fn from(plugin: PluginRecord) -> Self {
        Self {
            info: plugin.info,
            published_at_ms: plugin.published_at_ms,
            signatures: plugin.signatures,
        }
    }
}

/// Lists plugins, ordered by name, newest version first.
#[utoipa::path(get, path = "/api/v1/plugins", tag = "plugins", params(NamedPageQuery), responses((status = 200, body = Page<PluginView>)))]
pub(super) async fn list(
    State(state): State<AdminState>,
    NamedPageOf { name, page: query }: NamedPageOf,
) -> Result<Response, Problem> {
    let after = match &query.cursor {
        Some(cursor) => match cursor.parse() {
            Ok(PluginRef::Published { name, version }) => Some((name, version)),
            Ok(PluginRef::Digest(_)) | Err(_) => {
                return Err(Problem::bad_request(
                    "the cursor is not one that this list gave",
                ));
            }
        },
        None => None,
    };
    let count_max = query.fetch_max();
    let page = PluginPage {
        name,
        after,
        count_max,
    };
    let plugins = state.store().plugins(page).await?;
    let page = Page::new(plugins, &query, |plugin: &PluginRecord| {
        format!("{}@{}", plugin.name, plugin.version)
    });
    let items: Vec<PluginView> = page.items.into_iter().map(PluginView::from).collect();
    Ok(json(
        StatusCode::OK,
        &Page {
            items,
            next_cursor: page.next_cursor,
        },
    ))
}

/// Publishes a component. The same bytes can be sent again; other bytes need another version.
#[utoipa::path(post, path = "/api/v1/plugins", tag = "plugins", request_body(content = Vec<u8>, content_type = "application/wasm"),
    responses((status = 201, body = PluginView), (status = 200, description = "published before", body = PluginView),
        (status = 409, body = Problem), (status = 413, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn publish(
    State(state): State<AdminState>,
    Component(bytes): Component,
) -> Result<Response, Problem> {
    let work = state.clone();
    let admitted = state.detached(async move { admit(&work, Arc::from(&bytes[..])).await });
    let (put, view) = admitted.await?;
    Ok(published(put, &view))
}

/// Admits a component and publishes it.
pub(super) async fn admit(
    state: &AdminState,
    bytes: Arc<[u8]>,
) -> Result<(Put, PluginView), Problem> {
    if state.store().counts().await?.plugins >= PLUGINS_MAX {
        return Err(Problem::conflict(
            "limit-reached",
            format!("a gateway has at most {PLUGINS_MAX} plugins: delete some that nothing uses"),
        ));
    }
    let shelf = state.registry().shelf();
    let info = shelf.admit(Arc::clone(&bytes)).await?;
    let document = serde_json::to_value(&info).map_err(|error| Problem::internal(&error))?;
    let (digest, name, version) = (info.digest, info.name, info.version);
    let plugin = NewPlugin {
        digest: digest.clone(),
        name,
        version,
        info: document,
        bytes: bytes.to_vec(),
    };
    let put = state.store().put_plugin(plugin).await;
    if let Err(StoreError::PluginMoved { .. }) = &put {
        // Nobody can name it, so nothing should hold it.
        shelf.remove(&digest);
    }
    let put = put?;
    let plugin = find(state, &digest).await?;
    Ok((put, plugin.into()))
}

/// The answer to whoever published.
pub(super) fn published(put: Put, view: &PluginView) -> Response {
    let status = match put {
        Put::Created => StatusCode::CREATED,
        Put::Replaced => StatusCode::OK,
    };
    json(status, view)
}

/// Shows a plugin, by digest or `name@version`.
#[utoipa::path(get, path = "/api/v1/plugins/{plugin}", tag = "plugins", params(("plugin" = String, Path, description = "sha256:… or name@version")),
    responses((status = 200, body = PluginView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(state): State<AdminState>,
    Path(plugin): Path<String>,
) -> Result<Response, Problem> {
    let plugin = find(&state, &plugin).await?;
    Ok(json(StatusCode::OK, &PluginView::from(plugin)))
}

/// Deletes a plugin that no live chain uses. Its `name@version` stays taken.
#[utoipa::path(delete, path = "/api/v1/plugins/{plugin}", tag = "plugins", params(("plugin" = String, Path, description = "sha256:… or name@version")),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn delete(
    State(state): State<AdminState>,
    Path(plugin): Path<String>,
) -> Result<Response, Problem> {
    let plugin = find(&state, &plugin).await?;
    state.store().delete_plugin(&plugin.digest).await?;
    state.registry().shelf().remove(&plugin.digest);
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A published plugin by its reference, or 404.
pub(super) async fn find(state: &AdminState, plugin: &str) -> Result<PluginRecord, Problem> {
    let reference: PluginRef = plugin
        .parse()
        .map_err(|error: InvalidPluginRef| Problem::bad_request(error.to_string()))?;
    match state.store().plugin(&reference).await? {
        Some(plugin) => Ok(plugin),
        None => Err(Problem::missing(format!(
            "the plugin {reference} is not published"
        ))),
    }
}
