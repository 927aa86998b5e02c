//! `/plugins/{plugin}/signatures`: who vouches for a plugin. A signature that does not hold is not kept.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use crate::model::Signature;
use crate::store::{PluginRecord, Put};
use crate::trust::Statement;

use super::extract::{Document, json};
use super::plugins::find;
use super::{AdminState, Problem};

/// Lists who signed a plugin.
#[utoipa::path(get, path = "/api/v1/plugins/{plugin}/signatures", tag = "plugins", params(("plugin" = String, Path, description = "sha256:… or name@version")),
    responses((status = 200, body = [Signature]), (status = 404, body = Problem)))]
pub(super) async fn list(
    State(state): State<AdminState>,
    Path(plugin): Path<String>,
) -> Result<Response, Problem> {
    let plugin = find(&state, &plugin).await?;
    Ok(json(StatusCode::OK, &plugin.signatures))
}

/// Adds a signature, as `portcullis plugin sign` writes it. One for each key is kept.
#[utoipa::path(post, path = "/api/v1/plugins/{plugin}/signatures", tag = "plugins", params(("plugin" = String, Path, description = "sha256:… or name@version")),
    request_body = Signature, responses((status = 201, body = Signature), (status = 200, description = "signed by this key before", body = Signature),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn add(
    State(state): State<AdminState>,
    Path(plugin): Path<String>,
    Document(signature): Document<Signature>,
) -> Result<Response, Problem> {
    let plugin = find(&state, &plugin).await?;
    let statement = statement(&state, &plugin)?;
    statement.verify(&signature).map_err(|error| {
        let (name, version) = (&plugin.name, &plugin.version);
        Problem::untrusted("", "wrong-signature", format!("{name}@{version}: {error}"))
    })?;
    let status = match state.store().put_signature(&signature).await? {
        Put::Created => StatusCode::CREATED,
        Put::Replaced => StatusCode::OK,
    };
    Ok(json(status, &signature))
}

/// What signatures of a plugin are over, by the component itself and not by what was written about it.
pub(super) fn statement(state: &AdminState, plugin: &PluginRecord) -> Result<Statement, Problem> {
    let shelved = state.registry().shelf().get(&plugin.digest);
    match shelved {
        Some(shelved) => Ok(Statement::on(&shelved.plugin)),
        None => Err(Problem::conflict(
            "not-admitted",
            format!(
                "{}@{} is stored, but no longer admitted by this version of the gateway; its log says why",
                plugin.name, plugin.version
            ),
        )),
    }
}
