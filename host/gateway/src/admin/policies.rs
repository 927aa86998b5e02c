//! `/policies`: a tenant's chain and its revisions. The entity tag is the revision's number.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::model::ChainSpec;
use crate::store::{NewChain, Revision};

use super::changes::{Outcome, no_tenant};
use super::edit::Edit;
use super::extract::{Document, json};
use super::page::{Page, PageOf, PageQuery};
use super::resolve::resolve;
use super::{AdminState, Problem, validate};

/// Who changes what through the admin token.
const AUTHOR: &str = "admin";

/// A revision in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RevisionSummary {
    /// From 1.
    pub revision: u64,
    /// Who put it.
    pub author: String,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: u64,
    /// Its bindings' plugins, as written.
    pub plugins: Vec<String>,
}

/// A revision in full.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RevisionView {
    /// From 1.
    pub revision: u64,
    /// Who put it.
    pub author: String,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: u64,
    /// As it was sent.
    pub chain: ChainSpec,
    /// With plugins resolved to digests and bindings named.
    pub resolved: ChainSpec,
}

/// What a `PUT` made.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Applied {
    /// The live revision from now on.
    pub revision: u64,
}

/// Shows the live chain as it was written; `ETag` is its revision.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/policies", tag = "policies", params(("tenant" = String, Path)),
    responses((status = 200, body = ChainSpec, headers(("ETag" = String))), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(state): State<AdminState>,
    Path(tenant): Path<String>,
) -> Result<Response, Problem> {
    let current = state.tenant_state(&tenant).await?.revision;
    let chain = match state.store().revision(&tenant, current).await? {
        Some(revision) => revision.written,
        None => ChainSpec::default(),
    };
    Ok(tagged(json(StatusCode::OK, &chain), current))
}

/// Makes a chain the live one. Calls in flight end on the one they began with.
#[utoipa::path(put, path = "/api/v1/tenants/{tenant}/policies", tag = "policies",
    params(("tenant" = String, Path), ("If-Match" = Option<String>, Header, description = "revision that this replaces, quoted; any when absent")),
    request_body = ChainSpec, responses((status = 200, body = Applied, headers(("ETag" = String))), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn put(
    State(state): State<AdminState>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    Document(written): Document<ChainSpec>,
) -> Result<Response, Problem> {
    let if_match = if_match(&headers)?;
    if state.store().tenant(&tenant).await?.is_none() {
        return Err(no_tenant(&tenant));
    }
    let resolved = resolve(state.store(), &written).await?;
    validate::chain(&resolved)?;
    let chain = Box::new(NewChain {
        written,
        resolved,
        author: AUTHOR.to_owned(),
    });
    match state
        .change(&tenant, Edit::Chain { if_match, chain })
        .await?
    {
        Outcome::Revision(revision) => Ok(tagged(
            json(StatusCode::OK, &Applied { revision }),
            revision,
        )),
        Outcome::Created | Outcome::Replaced | Outcome::Deleted => {
            Err(Problem::missing("the change made no revision"))
        }
    }
}

/// Lists revisions, newest first.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/policies/revisions", tag = "policies", params(("tenant" = String, Path), PageQuery),
    responses((status = 200, body = Page<RevisionSummary>), (status = 404, body = Problem)))]
pub(super) async fn list_revisions(
    State(state): State<AdminState>,
    Path(tenant): Path<String>,
    PageOf(query): PageOf,
) -> Result<Response, Problem> {
    let before = match &query.cursor {
        Some(cursor) => Some(cursor.parse().map_err(|_not_a_number| {
            Problem::bad_request("the cursor is not one that this list gave")
        })?),
        None => None,
    };
    if state.store().tenant(&tenant).await?.is_none() {
        return Err(no_tenant(&tenant));
    }
    let revisions = state
        .store()
        .revisions(&tenant, before, query.fetch_max())
        .await?;
    let items = revisions.into_iter().map(RevisionSummary::from).collect();
    Ok(json(
        StatusCode::OK,
        &Page::new(items, &query, |item: &RevisionSummary| {
            item.revision.to_string()
        }),
    ))
}

/// Shows one revision.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/policies/revisions/{revision}", tag = "policies", params(("tenant" = String, Path), ("revision" = u64, Path)),
    responses((status = 200, body = RevisionView), (status = 404, body = Problem)))]
pub(super) async fn show_revision(
    State(state): State<AdminState>,
    Path((tenant, number)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let number: u64 = number
        .parse()
        .map_err(|_not_a_number| Problem::bad_request("a revision is a number"))?;
    match state.store().revision(&tenant, number).await? {
        Some(revision) => Ok(tagged(
            json(StatusCode::OK, &RevisionView::from(revision)),
            number,
        )),
        None => Err(Problem::missing(format!(
            "tenant `{tenant}` has no revision {number}, or no longer keeps it"
        ))),
    }
}

impl From<Revision> for RevisionSummary {
    fn from(revision: Revision) -> Self {
        let plugins = revision
            .written
            .bindings
            .into_iter()
            .map(|binding| binding.plugin)
            .collect();
        Self {
            revision: revision.number,
            author: revision.author,
            created_at_ms: revision.created_at_ms,
            plugins,
        }
    }
}

impl From<Revision> for RevisionView {
    fn from(revision: Revision) -> Self {
        Self {
            revision: revision.number,
            author: revision.author,
            created_at_ms: revision.created_at_ms,
            chain: revision.written,
            resolved: revision.resolved,
        }
    }
}

fn tagged(mut response: Response, revision: u64) -> Response {
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{revision}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// The revisions that `If-Match` names; none when it is absent or `*` (RFC 9110, section 13.1.1).
fn if_match(headers: &HeaderMap) -> Result<Option<Vec<u64>>, Problem> {
    let mut revisions = Vec::new();
    for value in headers.get_all(header::IF_MATCH) {
        let text = value.to_str().unwrap_or_default();
        for tag in text.split(',').map(str::trim) {
            if tag == "*" {
                return Ok(None);
            }
            let number = tag
                .strip_prefix('"')
                .and_then(|tag| tag.strip_suffix('"'))
                .and_then(|tag| tag.parse().ok());
            revisions.push(number.ok_or_else(|| {
                Problem::bad_request("If-Match is a revision in double quotes, as ETag gave it")
            })?);
        }
    }
    Ok(if revisions.is_empty() {
        None
    } else {
        Some(revisions)
    })
}
