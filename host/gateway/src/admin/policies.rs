//! `/policies`: a tenant's chain and its revisions. The entity tag is the revision's number.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::model::{BindingSpec, ChainSpec, pointer_segment};
use crate::store::{NewChain, Revision};

use super::changes::{Outcome, no_tenant};
use super::edit::Edit;
use super::extract::{Document, json};
use super::page::{Page, PageOf, PageQuery};
use super::resolve::resolve;
use super::{AdminState, Problem, validate};

/// Who changes what through the admin token.
pub(super) const AUTHOR: &str = "admin";

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
    applied(
        state
            .change(&tenant, Edit::Chain { if_match, chain })
            .await?,
    )
}

fn applied(outcome: Outcome) -> Result<Response, Problem> {
    match outcome {
        Outcome::Revision(revision) => Ok(tagged(
            json(StatusCode::OK, &Applied { revision }),
            revision,
        )),
        Outcome::Created | Outcome::Replaced | Outcome::Deleted | Outcome::Rollout(_) => {
            Err(Problem::missing("the change made no revision"))
        }
    }
}

/// The chain of an earlier revision, to be put again.
pub(super) async fn again(
    state: &AdminState,
    tenant: &str,
    number: u64,
) -> Result<NewChain, Problem> {
    match state.store().revision(tenant, number).await? {
        Some(revision) => Ok(NewChain {
            written: revision.written,
            resolved: revision.resolved,
            author: AUTHOR.to_owned(),
        }),
        None => Err(no_revision(tenant, number)),
    }
}

fn no_revision(tenant: &str, number: u64) -> Problem {
    Problem::missing(format!(
        "tenant `{tenant}` has no revision {number}, or no longer keeps it"
    ))
}

/// Which revision to go back to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RollbackTo {
    /// From 1.
    pub revision: u64,
}

/// Makes the chain of an earlier revision the live one again, as a revision of its own. A rollout that runs is ended.
#[utoipa::path(post, path = "/api/v1/tenants/{tenant}/policies/rollback", tag = "policies", params(("tenant" = String, Path)), request_body = RollbackTo,
    responses((status = 200, body = Applied, headers(("ETag" = String))), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn roll_back(
    State(state): State<AdminState>,
    Path(tenant): Path<String>,
    Document(to): Document<RollbackTo>,
) -> Result<Response, Problem> {
    if state.store().tenant(&tenant).await?.is_none() {
        return Err(no_tenant(&tenant));
    }
    let chain = Box::new(again(&state, &tenant, to.revision).await?);
    let if_match = None;
    applied(
        state
            .change(&tenant, Edit::Chain { if_match, chain })
            .await?,
    )
}

/// Two revisions to compare.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DiffQuery {
    /// From 1.
    pub from: u64,
    /// From 1; the live one when absent.
    pub to: Option<u64>,
}

/// What lies between two revisions.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RevisionDiff {
    /// The older one.
    pub from: u64,
    /// The newer one.
    pub to: u64,
    /// In the order of the document.
    pub changes: Vec<Change>,
}

/// One place at which two revisions differ.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Change {
    /// JSON Pointer (RFC 6901) into the chain, its bindings by their names: `/bindings/rate-limit/config/limits/0/rate`.
    pub pointer: String,
    /// Absent where it was added.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub before: Option<Value>,
    /// Absent where it was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub after: Option<Value>,
}

/// Shows what changed between two revisions, plugins resolved to digests.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/policies/diff", tag = "policies", params(("tenant" = String, Path), DiffQuery),
    responses((status = 200, body = RevisionDiff), (status = 404, body = Problem)))]
pub(super) async fn diff(
    State(state): State<AdminState>,
    Path(tenant): Path<String>,
    query: Result<Query<DiffQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|_rejection| {
        Problem::bad_request("the query is not valid. Use from=REVISION and to=REVISION")
    })?;
    let live = state.tenant_state(&tenant).await?.revision;
    let (from, to) = (query.from, query.to.unwrap_or(live));
    let (one, other) = (again(&state, &tenant, from), again(&state, &tenant, to));
    let (one, other) = (one.await?.resolved, other.await?.resolved);
    let mut changes = Vec::new();
    differences(
        &by_name(&one),
        &by_name(&other),
        &mut String::new(),
        &mut changes,
    );
    Ok(json(StatusCode::OK, &RevisionDiff { from, to, changes }))
}

/// A chain with its bindings by name, and their order beside them: a binding that moves changes nothing but the order.
fn by_name(chain: &ChainSpec) -> Value {
    let bindings: serde_json::Map<_, _> = chain
        .bindings
        .iter()
        .map(|binding| (binding.name().to_owned(), serde_json::json!(binding)))
        .collect();
    let order: Vec<&str> = chain.bindings.iter().map(BindingSpec::name).collect();
    serde_json::json!({ "bindings": bindings, "order": order, "anonymous": chain.anonymous })
}

fn differences(before: &Value, after: &Value, at: &mut String, changes: &mut Vec<Change>) {
    if before == after {
        return;
    }
    let depth = at.len();
    match (before, after) {
        (Value::Object(one), Value::Object(other)) => {
            let added = other.keys().filter(|key| !one.contains_key(*key));
            for key in one.keys().chain(added) {
                at.push('/');
                at.push_str(&pointer_segment(key));
                match (one.get(key), other.get(key)) {
                    (Some(one), Some(other)) => differences(one, other, at, changes),
                    (before, after) => changes.push(Change {
                        pointer: at.clone(),
                        before: before.cloned(),
                        after: after.cloned(),
                    }),
                }
                at.truncate(depth);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                at.push_str(&format!("/{index}"));
                differences(one, other, at, changes);
                at.truncate(depth);
            }
        }
        _ => changes.push(Change {
            pointer: at.clone(),
            before: Some(before.clone()),
            after: Some(after.clone()),
        }),
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
    let before = query.before()?;
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
        None => Err(no_revision(&tenant, number)),
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
