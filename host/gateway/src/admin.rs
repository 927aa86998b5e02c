//! The admin plane: desired state over HTTP, on a listener of its own.
//!
//! A change is read from the store, applied to the tenant's state, prepared aside as a generation, written, and
//! installed; what cannot be served is never written. It never touches a request in flight, and no `GET` shows a secret.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::get;
use tokio_util::task::TaskTracker;
use url::Url;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::config::Settings;
use crate::model::Secret;
use crate::oci::Puller;
use crate::store::Store;
use crate::tenancy::Registry;
use crate::upstream::Upstreams;

mod auth;
mod authorization;
mod changes;
mod edit;
mod explain;
mod extract;
mod keys;
mod openapi;
mod operations;
mod page;
mod plugins;
mod policies;
mod problem;
mod pull;
mod resolve;
mod resources;
mod restore;
mod rollouts;
mod signatures;
mod tenants;
#[cfg(test)]
mod tests;
mod trust;
mod validate;

pub use authorization::CALLBACK_PATH;
pub use problem::Problem;
pub use restore::{Restored, restore};
pub use rollouts::watch_rollouts;

/// Largest plugin, in bytes.
pub const PLUGIN_BYTES_MAX: usize = 32 << 20;
/// Largest JSON document, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 1 << 20;

/// Everything that the admin plane is made from.
pub struct AdminParts {
    /// Desired state.
    pub store: Arc<dyn Store>,
    /// What is served.
    pub registry: Arc<Registry>,
    /// The upstreams that are served.
    pub upstreams: Arc<Upstreams>,
    /// The token that every caller presents.
    pub token: Secret,
    /// Where people are sent back to who consented to something.
    pub callback_url: Option<Url>,
    /// Shown, redacted, by `/config`.
    pub settings: Arc<Settings>,
    /// The text of `/metrics`.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Whether the gateway takes traffic.
    pub ready: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Changes run on it, so that a caller who hangs up cannot leave one half done, and shutdown waits for them.
    pub tasks: TaskTracker,
}

/// The admin plane's state, shared by its handlers.
#[derive(Clone)]
pub struct AdminState(Arc<Inner>);

struct Inner {
    parts: AdminParts,
    changes: changes::Changes,
    puller: Puller,
    started: Instant,
}

impl AdminState {
    /// The state of a gateway that starts now.
    #[must_use]
    pub fn new(parts: AdminParts) -> Self {
        let registries = parts.settings.plugins.registries.clone();
        Self(Arc::new(Inner {
            parts,
            puller: Puller::new(registries, PLUGIN_BYTES_MAX),
            changes: changes::Changes::default(),
            started: Instant::now(),
        }))
    }

    fn store(&self) -> &dyn Store {
        self.0.parts.store.as_ref()
    }

    fn registry(&self) -> &Registry {
        &self.0.parts.registry
    }
}

/// The admin plane as a service: everything authenticated but the probes, and browsers that bring back a consent.
pub fn router(state: AdminState) -> Router {
    let (api, openapi) = api().split_for_parts();
    let openapi = Arc::new(openapi);
    let guarded = api
        .route(
            "/openapi.json",
            get(move || openapi::show(Arc::clone(&openapi))),
        )
        .method_not_allowed_fallback(problem::method_not_allowed)
        .fallback(problem::not_found)
        .layer(middleware::from_fn_with_state(
            state.clone(),
            auth::require_token,
        ));
    guarded
        .merge(operations::probes().method_not_allowed_fallback(problem::method_not_allowed))
        .merge(authorization::callback().method_not_allowed_fallback(problem::method_not_allowed))
        .with_state(state)
}

/// The OpenAPI document of the admin plane.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    api().split_for_parts().1
}

fn api() -> OpenApiRouter<AdminState> {
    let plugins = OpenApiRouter::new()
        .routes(routes!(plugins::list, plugins::publish))
        .routes(routes!(plugins::show, plugins::delete))
        .layer(DefaultBodyLimit::max(PLUGIN_BYTES_MAX));
    let documents = OpenApiRouter::new()
        .routes(routes!(pull::pull))
        .routes(routes!(signatures::list, signatures::add))
        .routes(routes!(trust::show, trust::put))
        .routes(routes!(tenants::list))
        .routes(routes!(tenants::show, tenants::put, tenants::delete))
        .routes(routes!(resources::list_upstreams))
        .routes(routes!(
            resources::show_upstream,
            resources::put_upstream,
            resources::delete_upstream
        ))
        .routes(routes!(
            authorization::show,
            authorization::begin,
            authorization::forget
        ))
        .routes(routes!(resources::list_servers))
        .routes(routes!(
            resources::show_server,
            resources::put_server,
            resources::delete_server
        ))
        .routes(routes!(resources::list_issuers))
        .routes(routes!(
            resources::show_issuer,
            resources::put_issuer,
            resources::delete_issuer
        ))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::delete))
        .routes(routes!(policies::show, policies::put))
        .routes(routes!(policies::list_revisions))
        .routes(routes!(policies::show_revision))
        .routes(routes!(policies::diff))
        .routes(routes!(policies::roll_back))
        .routes(routes!(explain::explain))
        .routes(routes!(explain::samples, explain::forget_samples))
        .routes(routes!(rollouts::list, rollouts::start))
        .routes(routes!(rollouts::show, rollouts::change))
        .routes(routes!(rollouts::promote))
        .routes(routes!(rollouts::roll_back))
        .routes(routes!(operations::metrics))
        .routes(routes!(operations::config))
        .routes(routes!(operations::stats))
        .layer(DefaultBodyLimit::max(DOCUMENT_BYTES_MAX));
    OpenApiRouter::with_openapi(openapi::Description::openapi())
        .merge(plugins)
        .merge(documents)
}
