//! `/plugins`: components, published once under `name@version` and never moved.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::model::{InvalidPluginRef, PluginRef};
use crate::store::{NewPlugin, PluginRecord, Put};
use crate::tenancy::PluginInfo;

use super::extract::{Component, json};
use super::page::{Page, PageOf, PageQuery};
use super::{AdminState, Problem};

/// Most plugins of one gateway.
const PLUGINS_MAX: u64 = 10_000;

/// Lists plugins, ordered by name and version.
#[utoipa::path(get, path = "/api/v1/plugins", tag = "plugins", params(PageQuery), responses((status = 200, body = Page<PluginInfo>)))]
pub(super) async fn list(
    State(state): State<AdminState>,
    PageOf(query): PageOf,
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
    let plugins = state.store().plugins(after, query.fetch_max()).await?;
    let page = Page::new(plugins, &query, |plugin: &PluginRecord| {
        format!("{}@{}", plugin.name, plugin.version)
    });
    let items: Vec<Value> = page.items.into_iter().map(|plugin| plugin.info).collect();
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
    responses((status = 201, body = PluginInfo), (status = 200, description = "published before", body = PluginInfo),
        (status = 409, body = Problem), (status = 413, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn publish(
    State(state): State<AdminState>,
    Component(bytes): Component,
) -> Result<Response, Problem> {
    if state.store().counts().await?.plugins >= PLUGINS_MAX {
        return Err(Problem::conflict(
            "limit-reached",
            format!("a gateway has at most {PLUGINS_MAX} plugins: delete some that nothing uses"),
        ));
    }
    let work = state.clone();
    let (put, info) = state
        .detached(async move {
            let info = work.registry().shelf().admit(Arc::from(&bytes[..])).await?;
            let document =
                serde_json::to_value(&info).map_err(|error| Problem::internal(&error))?;
            let plugin = NewPlugin {
                digest: info.digest,
                name: info.name,
                version: info.version,
                info: document.clone(),
                bytes: bytes.into(),
            };
            let put = work.store().put_plugin(plugin).await?;
            Ok((put, document))
        })
        .await?;
    let status = match put {
        Put::Created => StatusCode::CREATED,
        Put::Replaced => StatusCode::OK,
    };
    Ok(json(status, &info))
}

/// Shows a plugin, by digest or `name@version`.
#[utoipa::path(get, path = "/api/v1/plugins/{plugin}", tag = "plugins", params(("plugin" = String, Path, description = "sha256:… or name@version")),
    responses((status = 200, body = PluginInfo), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(state): State<AdminState>,
    Path(plugin): Path<String>,
) -> Result<Response, Problem> {
    Ok(json(StatusCode::OK, &find(&state, &plugin).await?.info))
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

async fn find(state: &AdminState, plugin: &str) -> Result<PluginRecord, Problem> {
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
