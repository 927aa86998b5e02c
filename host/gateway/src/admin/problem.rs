//! What went wrong, for the caller: `application/problem+json` (RFC 9457).
//!
//! The one place that turns the admin plane's errors into a status and public text. Failures of the inside are
//! logged here in full and shown as a sentence that says what to do.

use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tracing::error;
use utoipa::ToSchema;

use crate::model::NothingToKeep;
use crate::oci::PullError;
use crate::store::StoreError;
use crate::telemetry::logs::chain;
use crate::tenancy::{PluginRefused, PrepareError};
use crate::upstream::ConsentError;

/// What a plugin is that is not signed as is required.
const UNTRUSTED: &str = "plugin-untrusted";

/// An error as callers of the admin API get it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// Stable name of this kind of problem.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The kind, for people.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong here, and what to do.
    pub detail: String,
    /// JSON Pointer of the field at fault, in the document that was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Why a plugin was refused: `not-wasm`, `core-module`, `wrong-world`, `unknown-import`, `unsigned`, `unknown-signer`,
    /// `wrong-signature` and others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
}

impl Problem {
    fn new(
        status: StatusCode,
        kind: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            title,
            status: status.as_u16(),
            detail: detail.into(),
            pointer: None,
            code: None,
        }
    }

    /// A document that was understood and is not valid.
    #[must_use]
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid-document",
            "The document is not valid",
            detail,
        );
        Self {
            pointer: Some(pointer.into()),
            ..problem
        }
    }

    /// The same of a part of a document.
    #[must_use]
    pub fn below(mut self, part: &str) -> Self {
        self.pointer = self.pointer.map(|pointer| format!("{part}{pointer}"));
        self
    }

    /// A plugin that is not signed as is required, or not as it says.
    #[must_use]
    pub fn untrusted(
        pointer: impl Into<String>,
        code: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        let problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            UNTRUSTED,
            "The plugin is not trusted",
            detail,
        );
        Self {
            pointer: Some(pointer.into()),
            code: Some(code),
            ..problem
        }
    }

    /// Whether it is one of [`Problem::untrusted`].
    pub(super) fn is_untrusted(&self) -> bool {
        self.kind == UNTRUSTED
    }

    /// A path or query that is not possible.
    #[must_use]
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad-request",
            "The request is not valid",
            detail,
        )
    }

    /// Something that is not there.
    #[must_use]
    pub fn missing(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
    }

    /// A change that what is there does not permit.
    #[must_use]
    pub fn conflict(kind: &'static str, detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            kind,
            "The change conflicts with what is there",
            detail,
        )
    }

    /// A body over its limit.
    #[must_use]
    pub fn too_large(bytes_max: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "The body is too large",
            format!("at most {bytes_max} bytes are accepted here"),
        )
    }

    /// A body of another media type.
    #[must_use]
    pub fn media_type(expected: &'static str) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "media-type",
            "The media type is not accepted",
            format!("send the body with Content-Type: {expected}"),
        )
    }

    /// Without the admin token.
    #[must_use]
    pub fn unauthorized() -> Self {
        let detail = "send Authorization: Bearer with the admin token; it is admin_token of the settings, or the file admin-token in the data folder";
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "The admin token is missing or wrong",
            detail,
        )
    }

    /// A failure of the inside; `source` is for the log alone.
    #[must_use]
    pub fn internal(source: &dyn std::error::Error) -> Self {
        error!(error = %source, "an admin request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The gateway failed",
            "nothing was changed that a GET does not show; the gateway's log says why",
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"portcullis-admin\""),
            );
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let detail = error.to_string();
        match error {
            StoreError::PluginMoved { .. } => Self::conflict("plugin-moved", detail),
            StoreError::PluginInUse { .. } => Self::conflict("in-use", detail),
            StoreError::TooManySignatures { .. } => Self::conflict("limit-reached", detail),
            StoreError::NoSuchPlugin { .. } => Self::invalid("/bindings", detail),
            StoreError::NoSuchTenant { .. } => Self::missing(detail),
            StoreError::ServerTaken { .. } => Self::conflict("name-taken", detail),
            StoreError::HostTaken { .. } => Self {
                pointer: Some("/hosts".to_owned()),
                ..Self::conflict("name-taken", detail)
            },
            StoreError::RolloutRunning { .. } => {
                Self::conflict("rollout-running", error.to_string())
            }
            StoreError::NoRolloutRuns { .. } => Self::conflict("no-rollout", error.to_string()),
            StoreError::RevisionMoved { .. } => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "revision-moved",
                "The policies were changed in between",
                detail,
            ),
            StoreError::Backend(source) => {
                error!(error = %source, "the store failed");
                let detail = "nothing was changed; try again, and look at the gateway's log and disk if it goes on";
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "store-unavailable",
                    "The store failed",
                    detail,
                )
            }
            error @ (StoreError::Folder { .. }
            | StoreError::Open { .. }
            | StoreError::TooNew { .. }
            | StoreError::Document { .. }
            | StoreError::Range { .. }) => Self::internal(&error),
        }
    }
}

impl From<PrepareError> for Problem {
    fn from(error: PrepareError) -> Self {
        Self::invalid(error.pointer, error.message)
    }
}

impl From<PluginRefused> for Problem {
    fn from(refused: PluginRefused) -> Self {
        // Neither of the two says anything of the component.
        let status = match refused.code {
            "compiler-busy" => StatusCode::SERVICE_UNAVAILABLE,
            "compiler-failed" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let title = "The component is not admitted";
        let problem = Self::new(status, "plugin-refused", title, refused.message);
        Self {
            code: Some(refused.code),
            ..problem
        }
    }
}

/// The operator reads here what stands in the way.
impl From<PullError> for Problem {
    fn from(error: PullError) -> Self {
        let (status, kind, title) = if error.is_failure() {
            let title = "The registry cannot be read";
            (StatusCode::BAD_GATEWAY, "registry-failed", title)
        } else {
            let title = "The component is not pulled";
            (StatusCode::UNPROCESSABLE_ENTITY, "pull-refused", title)
        };
        Self::new(status, kind, title, chain(&error))
    }
}

/// The operator reads here what stands in the way.
impl From<ConsentError> for Problem {
    fn from(error: ConsentError) -> Self {
        match error {
            ConsentError::NotNeeded => Self::conflict("no-consent-needed", error.to_string()),
            ConsentError::Busy => Self::conflict("limit-reached", error.to_string()),
            ConsentError::UnknownState | ConsentError::Failed(_) => Self::new(
                StatusCode::BAD_GATEWAY,
                "authorization-failed",
                "The upstream cannot be authorized",
                chain(&error),
            ),
        }
    }
}

impl From<NothingToKeep> for Problem {
    fn from(error: NothingToKeep) -> Self {
        let detail = error.to_string();
        Self::invalid(error.pointer, detail)
    }
}

/// For paths that lead nowhere.
pub(super) async fn not_found(uri: Uri) -> Problem {
    Problem::missing(format!(
        "{} leads nowhere; GET /openapi.json lists every path",
        uri.path()
    ))
}

/// For methods that a path does not have.
pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    let detail = format!(
        "{} does not take {method}; GET /openapi.json lists what it takes",
        uri.path()
    );
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "The method is not allowed",
        detail,
    )
}
