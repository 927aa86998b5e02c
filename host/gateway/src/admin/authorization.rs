//! `/upstreams/{name}/authorization`: how an upstream's OAuth stands, and a person's consent to its use.
//!
//! The consent's answer comes to `/oauth/callback`, from a browser and therefore without the admin token: its `state`
//! says that it was asked for, and nothing is done for one that was not.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::Secret;
use crate::telemetry::logs::chain;
use crate::upstream::{AnswerError, AuthorizationView, Callback, ConsentError, Upstream};

use super::extract::json;
use super::{AdminState, Problem};

/// Where browsers bring consents to.
pub const CALLBACK_PATH: &str = "/oauth/callback";

/// A consent that waits for a person.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConsentView {
    /// What a person has to open in a browser. It is of use once.
    pub authorization_url: String,
    /// When the answer is no longer taken, in milliseconds since the Unix epoch.
    pub expires_at_ms: u64,
}

/// What an authorization server sends back by a browser (RFC 6749, section 4.1.2; RFC 9207, section 2).
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    state: String,
    code: Option<Secret>,
    iss: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

/// Shows how an upstream's authorization stands; no token is shown.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/upstreams/{name}/authorization", tag = "upstreams", params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = AuthorizationView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(state): State<AdminState>,
    Path((tenant, name)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let upstream = upstream(&state, &tenant, &name).await?;
    match upstream.authorization().await {
        Some(view) => Ok(json(StatusCode::OK, &view)),
        None => Err(without_auth(&name)),
    }
}

/// Begins a consent: somebody who may has to open the URL. What is there stays in use until the consent is given.
#[utoipa::path(post, path = "/api/v1/tenants/{tenant}/upstreams/{name}/authorization", tag = "upstreams", params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = 201, body = ConsentView), (status = 404, body = Problem), (status = 409, body = Problem), (status = 502, body = Problem)))]
pub(super) async fn begin(
    State(state): State<AdminState>,
    Path((tenant, name)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let upstream = upstream(&state, &tenant, &name).await?;
    let parts = &state.0.parts;
    let callback_url = parts.callback_url.as_ref().ok_or_else(|| {
        Problem::conflict(
            "no-callback",
            "set `oauth_callback_url` and start the gateway again",
        )
    })?;
    match parts.upstreams.ask_consent(&upstream, callback_url).await {
        Some(Ok(asked)) => {
            let consent = ConsentView {
                authorization_url: asked.url.to_string(),
                expires_at_ms: asked.ends_at_ms,
            };
            Ok(json(StatusCode::CREATED, &consent))
        }
        Some(Err(error)) => Err(error.into()),
        None => Err(without_auth(&name)),
    }
}

/// Forgets an upstream's tokens and registration. They are not revoked at the authorization server.
#[utoipa::path(delete, path = "/api/v1/tenants/{tenant}/upstreams/{name}/authorization", tag = "upstreams", params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub(super) async fn forget(
    State(state): State<AdminState>,
    Path((tenant, name)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let upstream = upstream(&state, &tenant, &name).await?;
    let forgotten = state
        .detached(async move { Ok(upstream.forget_authorization().await?) })
        .await?;
    if forgotten {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(without_auth(&name))
    }
}

async fn upstream(state: &AdminState, tenant: &str, name: &str) -> Result<Arc<Upstream>, Problem> {
    let stored = state.tenant_state(tenant).await?;
    let spec = stored
        .upstreams
        .get(name)
        .ok_or_else(|| Problem::missing(format!("there is no upstream `{name}`")))?;
    Ok(state.0.parts.upstreams.get(tenant, name, spec))
}

fn without_auth(name: &str) -> Problem {
    Problem::missing(format!(
        "the upstream `{name}` has no `auth`: there is nothing to authorize"
    ))
}

/// Where browsers bring consents to; without the admin token.
pub(super) fn callback() -> Router<AdminState> {
    Router::new().route(CALLBACK_PATH, get(take))
}

async fn take(State(state): State<AdminState>, Query(answer): Query<Answer>) -> Response {
    let callback = Callback {
        state: answer.state,
        code: answer.code,
        issuer: answer.iss,
        error: answer.error,
        error_description: answer.error_description,
    };
    match state.0.parts.upstreams.take_consent(callback).await {
        Ok((tenant, upstream)) => page(
            StatusCode::OK,
            &format!(
                "The upstream {upstream} of the tenant {tenant} is authorized. You can close this page."
            ),
        ),
        Err(error) => {
            tracing::warn!(error = %chain(&error), "a consent was not taken");
            page(StatusCode::BAD_REQUEST, why(&error))
        }
    }
}

/// What the person may read who consented, or did not.
fn why(error: &ConsentError) -> &'static str {
    let answer = match error {
        ConsentError::UnknownState => {
            return "Nobody waits for this answer, or it took too long. Ask the operator for a new link.";
        }
        ConsentError::Failed(failed) => failed.answer(),
        ConsentError::NotNeeded | ConsentError::Busy => None,
    };
    match answer {
        Some(AnswerError::Denied(_)) => "No consent was given. Nothing has changed.",
        Some(AnswerError::Issuer) => {
            "This answer does not come from the server that was asked. Nothing has changed; tell the operator."
        }
        None => "The consent could not be used. The admin API and the log of the gateway say why.",
    }
}

/// A page that loads nothing, is not kept, and tells nobody where it was.
fn page(status: StatusCode, text: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Portcullis</title><p>{text}</p></html>\n"
    );
    let mut response = (status, Html(html)).into_response();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
    ] {
        let name: HeaderName = name;
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
