//! `/explain` and `/samples`: what a chain makes of one call, by hand or captured, without an upstream and without a trace.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use portcullis_sandbox::Identity;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use utoipa::ToSchema;

use crate::call::Call;
use crate::model::{ChainSpec, TenantState};
use crate::pipeline::Arrival;
use crate::policy::{Explanation, Premises};
use crate::router;
use crate::telemetry::RequestId;
use crate::tenancy::{Caller, Endpoint, Sample, Trial};

use super::extract::{Document, json as answer};
use super::resolve::resolve;
use super::{AdminState, Problem, trust, validate};

/// A call to explain: by hand, or a sample.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Question {
    /// Id of a sample; what else is given takes the place of what is in it.
    pub sample: Option<String>,
    /// What it is sent to; may be absent where the tenant has one server.
    pub server: Option<String>,
    /// JSON-RPC method; `tools/call` when absent.
    pub method: Option<String>,
    /// `params`.
    #[schema(value_type = Object)]
    pub params: Option<Value>,
    /// Headers, by name.
    pub headers: BTreeMap<String, String>,
    /// The client's address.
    #[schema(value_type = Option<String>)]
    pub peer: Option<IpAddr>,
    /// Who calls. When it is given, no authenticator is asked.
    pub identity: Option<Caller>,
    /// What the upstream answers: transforms of results are run over it.
    #[schema(value_type = Object)]
    pub result: Option<Value>,
    /// The chain of this revision; the live one when absent.
    pub revision: Option<u64>,
    /// A chain that is no revision yet.
    pub policies: Option<ChainSpec>,
}

/// What comes of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Answer {
    /// The chain's revision; absent for one that is none yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// Hook by hook.
    #[serde(flatten)]
    pub explanation: Explanation,
    /// What guests logged.
    pub log: Vec<String>,
}

/// All samples, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SampleList {
    /// Newest first.
    pub items: Vec<Sample>,
}

/// Runs a call through a chain without an upstream. Counters are looked at and not taken from, values are not kept.
#[utoipa::path(post, path = "/api/v1/tenants/{tenant}/explain", tag = "policies", params(("tenant" = String, Path)), request_body = Question,
    responses((status = 200, body = Answer), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn explain(
    State(state): State<AdminState>,
    Path(tenant): Path<String>,
    Document(question): Document<Question>,
) -> Result<Response, Problem> {
    let now = state.tenant_state(&tenant).await?;
    let question = with_sample(&state, &tenant, question)?;
    let (chain, revision) = chain(&state, &now, &question).await?;
    let within = |problem: Problem| match question.policies {
        Some(_) => problem.below("/policies"),
        None => problem,
    };
    if revision != Some(now.revision) {
        trust::require(&state, &now, &chain).await.map_err(within)?;
    }
    let trial = state.registry().trial(&now, &chain).await;
    let trial = trial.map_err(|error| within(error.into()))?;
    let endpoint = endpoint(&state, &tenant, question.server.as_deref())?;
    let (call, premises) = call(endpoint, &trial, question)?;
    let log = Arc::clone(&trial.log);
    let runtime = Handle::current();
    let work = move || runtime.block_on(trial.generation.chain.explain(call, premises));
    let explained = tokio::task::spawn_blocking(work).await;
    let explanation = explained.map_err(|failed| Problem::internal(&failed))?;
    let log = log.lines();
    Ok(answer(
        StatusCode::OK,
        &Answer {
            revision,
            explanation,
            log,
        },
    ))
}

/// Lists the samples of a tenant's calls, newest first. Their secrets were taken out before they were kept.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/samples", tag = "policies", params(("tenant" = String, Path)),
    responses((status = 200, body = SampleList), (status = 404, body = Problem)))]
pub(super) async fn samples(
    State(state): State<AdminState>,
    Path(tenant): Path<String>,
) -> Result<Response, Problem> {
    state.tenant_state(&tenant).await?;
    let samples = state.registry().samples(&tenant);
    let items = samples.map(|samples| samples.all()).unwrap_or_default();
    let items = items.iter().map(|sample| Sample::clone(sample)).collect();
    Ok(answer(StatusCode::OK, &SampleList { items }))
}

/// Forgets the samples of a tenant's calls.
#[utoipa::path(delete, path = "/api/v1/tenants/{tenant}/samples", tag = "policies", params(("tenant" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub(super) async fn forget_samples(
    State(state): State<AdminState>,
    Path(tenant): Path<String>,
) -> Result<Response, Problem> {
    state.tenant_state(&tenant).await?;
    if let Some(samples) = state.registry().samples(&tenant) {
        samples.clear();
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn with_sample(state: &AdminState, tenant: &str, asked: Question) -> Result<Question, Problem> {
    let Some(id) = &asked.sample else {
        return Ok(asked);
    };
    let samples = state.registry().samples(tenant);
    let sample = samples.and_then(|samples| samples.find(id));
    let sample = sample.ok_or_else(|| {
        Problem::missing(format!(
            "there is no sample `{id}`: GET /samples lists those that are kept, and `capture` of the tenant says which are"
        ))
    })?;
    let mut headers = sample.headers.clone();
    headers.extend(asked.headers);
    Ok(Question {
        server: asked.server.or_else(|| Some(sample.server.clone())),
        method: asked.method.or_else(|| Some(sample.method.clone())),
        params: asked.params.or_else(|| sample.params.clone()),
        peer: asked.peer.or_else(|| sample.peer.parse().ok()),
        identity: asked.identity.or_else(|| sample.identity.clone()),
        result: asked.result.or_else(|| sample.result.clone()),
        headers,
        ..asked
    })
}

/// The chain to explain by, and its revision.
async fn chain(
    state: &AdminState,
    now: &TenantState,
    question: &Question,
) -> Result<(ChainSpec, Option<u64>), Problem> {
    match (&question.policies, question.revision) {
        (None, None) => Ok((now.chain.clone(), Some(now.revision))),
        (None, Some(number)) => {
            let chain = super::policies::again(state, &now.name, number).await?;
            Ok((chain.resolved, Some(number)))
        }
        (Some(written), None) => {
            let resolved = resolve(state.store(), written).await;
            let resolved = resolved.map_err(|problem| problem.below("/policies"))?;
            validate::chain(&resolved).map_err(|problem| problem.below("/policies"))?;
            Ok((resolved, None))
        }
        (Some(_), Some(_)) => Err(Problem::invalid(
            "",
            "`policies` and `revision` both say by which chain; give one of them",
        )),
    }
}

fn endpoint(state: &AdminState, tenant: &str, server: Option<&str>) -> Result<Endpoint, Problem> {
    let mut servers = state.registry().endpoints_of(tenant);
    if let Some(name) = server {
        servers.retain(|endpoint| endpoint.server.name == name);
    }
    match (servers.pop(), servers.is_empty(), server) {
        (Some(endpoint), true, _) => Ok(endpoint),
        (None, _, Some(name)) => Err(Problem::invalid(
            "/server",
            format!("the tenant has no server `{name}`"),
        )),
        (None, _, None) => Err(Problem::invalid(
            "/server",
            "the tenant has no server: a call needs one to be sent to",
        )),
        (Some(_), false, _) => Err(Problem::invalid(
            "/server",
            "the tenant has several servers: say which one the call is sent to",
        )),
    }
}

/// The call as the walk would have it, pinned to the chain that is tried out.
fn call(
    endpoint: Endpoint,
    trial: &Trial,
    question: Question,
) -> Result<(Arc<Call>, Premises), Problem> {
    let mut headers = HeaderMap::new();
    for (name, value) in &question.headers {
        let pair = name.parse::<HeaderName>().ok();
        let pair = pair.zip(HeaderValue::from_str(value).ok());
        let (name, value) = pair.ok_or_else(|| {
            Problem::invalid(
                "/headers",
                format!("`{name}` is no header, or its value is none"),
            )
        })?;
        headers.insert(name, value);
    }
    let peer = question.peer.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let arrival = Arrival {
        request_id: RequestId::next(),
        endpoint: Endpoint {
            generation: Arc::clone(&trial.generation),
            server: endpoint.server,
            rollout: None,
        },
        headers: Arc::new(headers),
        peer: SocketAddr::new(peer, 0),
        channel: None,
        is_batched: false,
    };
    let method = question.method.unwrap_or_else(|| "tools/call".to_owned());
    let mut message = json!({ "jsonrpc": "2.0", "id": 1, "method": method });
    if let (Some(params), Some(message)) = (question.params, message.as_object_mut()) {
        message.insert("params".to_owned(), params);
    }
    let call = arrival.frame(message.to_string().into(), true);
    let call = call.map_err(|unread| {
        Problem::invalid(
            "",
            format!("this is no message: {}", unread.refusal.message),
        )
    })?;
    call.recall_offer();
    let candidates = router::candidates_of(&call);
    let premises = Premises {
        identity: question.identity.map(Identity::from),
        candidates,
        result: question.result.map(|result| result.to_string()),
    };
    Ok((Arc::new(call), premises))
}
