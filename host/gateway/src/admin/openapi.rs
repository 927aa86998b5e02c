//! `/openapi.json`, made from the handlers.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::Problem;
use super::extract::json;

/// What the document says of the API as a whole.
#[derive(OpenApi)]
#[openapi(
    info(title = "Portcullis admin API", description = "Desired state of a Portcullis gateway: plugins, tenants, upstreams, servers, issuers, keys and policies."),
    components(schemas(Problem)),
    modifiers(&Bearer),
    security(("admin-token" = []))
)]
pub(super) struct Description;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut Document) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        openapi
            .components
            .get_or_insert_default()
            .add_security_scheme("admin-token", scheme);
    }
}

#[allow(clippy::unused_async, reason = "a handler")]
pub(super) async fn show(document: Arc<Document>) -> Response {
    json(StatusCode::OK, document.as_ref())
}
