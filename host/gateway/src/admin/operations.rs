//! `/metrics`, `/config`, `/stats`, and the probes.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use utoipa::ToSchema;

use super::extract::json;
use super::{AdminState, Problem};

/// The gateway at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Stats {
    /// Of this binary.
    pub version: &'static str,
    /// Since this process started, in seconds.
    pub uptime_s: u64,
    /// Tenants in the store.
    pub tenants: u64,
    /// Published plugins.
    pub plugins: u64,
}

/// Metrics in Prometheus's text format.
#[utoipa::path(get, path = "/metrics", tag = "operations", responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn metrics(State(state): State<AdminState>) -> Response {
    let mut response = (state.0.parts.metrics)().into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
    );
    response
}

/// Host settings in effect, without secrets.
#[utoipa::path(get, path = "/config", tag = "operations", responses((status = 200, body = Object)))]
pub(super) async fn config(State(state): State<AdminState>) -> Response {
    json(StatusCode::OK, state.0.parts.settings.as_ref())
}

/// The gateway at a glance.
#[utoipa::path(get, path = "/stats", tag = "operations", responses((status = 200, body = Stats)))]
pub(super) async fn stats(State(state): State<AdminState>) -> Result<Response, Problem> {
    let counts = state.store().counts().await?;
    let stats = Stats {
        version: env!("CARGO_PKG_VERSION"),
        uptime_s: state.0.started.elapsed().as_secs(),
        tenants: counts.tenants,
        plugins: counts.plugins,
    };
    Ok(json(StatusCode::OK, &stats))
}

/// The probes, which need no token: the process runs; it takes traffic.
pub(super) fn probes() -> Router<AdminState> {
    Router::new()
        .route("/health", get(ready))
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/ready", get(ready))
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

async fn live() -> Response {
    json(StatusCode::OK, &Health { status: "live" })
}

async fn ready(State(state): State<AdminState>) -> Response {
    if (state.0.parts.ready)() {
        json(StatusCode::OK, &Health { status: "ready" })
    } else {
        json(
            StatusCode::SERVICE_UNAVAILABLE,
            &Health {
                status: "starting or draining",
            },
        )
    }
}
