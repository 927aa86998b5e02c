//! `/plugins/pull`: components from registries, published as if they had been uploaded.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::oci::{InvalidReference, OciReference};

use super::extract::Document;
use super::plugins::{PluginView, admit, published};
use super::{AdminState, Problem};

/// What to pull.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Pull {
    /// The component, by its manifest's digest.
    #[schema(example = "oci://ghcr.io/acme/rate-limit@sha256:…")]
    reference: String,
}

/// Publishes a component of a registry. Its bytes are those of the reference's digest, or it is refused.
#[utoipa::path(post, path = "/api/v1/plugins/pull", tag = "plugins", request_body = Pull,
    responses((status = 201, body = PluginView), (status = 200, description = "published before", body = PluginView),
        (status = 409, body = Problem), (status = 422, body = Problem), (status = 502, body = Problem)))]
pub(super) async fn pull(
    State(state): State<AdminState>,
    Document(pull): Document<Pull>,
) -> Result<Response, Problem> {
    let reference: OciReference = pull
        .reference
        .parse()
        .map_err(|error: InvalidReference| Problem::invalid("/reference", error.to_string()))?;
    let work = state.clone();
    let admitted = state.detached(async move {
        let bytes = work.0.puller.pull(&reference).await?;
        tracing::info!(%reference, bytes = bytes.len(), "a component is pulled");
        admit(&work, Arc::from(&bytes[..])).await
    });
    let (put, view) = admitted.await?;
    Ok(published(put, &view))
}
