//! Tools: the merged listing that a caller may see, and a call on its way to an upstream.

use std::sync::Arc;

use bytestring::ByteString;
use http::StatusCode;
use portcullis_protocol::error::INVALID_PARAMS;
use portcullis_protocol::listing::{self, CacheHint, CacheScope, ListKind};
use portcullis_protocol::splice::{self, SpliceError};
use portcullis_sandbox::Entry;
use serde_json::value::RawValue;

use crate::listener::Reply;
use crate::listener::reply;
use crate::policy::Permitted;
use crate::refusal::Refusal;
use crate::router::{Catalogue, Route};
use crate::session::Held;
use crate::upstream::{Outgoing, Upstream, UpstreamError, UpstreamReply};

use super::{Pipeline, lifecycle};

/// How long a stateless client may reuse a listing.
const LIST_TTL_MS: u64 = 5_000;

impl Pipeline {
    /// `tools/list`: one page, since the whole catalogue is in memory.
    pub(super) async fn list_tools(&self, call: &Permitted) -> Result<Reply, Refusal> {
        let cursor = call
            .message
            .params
            .as_deref()
            .and_then(|params| splice::get_member(params, "cursor"));
        if cursor.is_some_and(|cursor| cursor != "null") {
            let message = "this cursor is not from this listing; list again without one";
            return Err(Refusal::new(
                StatusCode::OK,
                INVALID_PARAMS,
                "invalid",
                message,
            ));
        }
        let server = &call.server;
        let catalogue = server
            .catalogue
            .get(server, &self.tracker)
            .await
            .map_err(|err| Refusal::from(&err))?;
        let cache = lifecycle::is_stateless(call).then_some(CacheHint {
            ttl_ms: LIST_TTL_MS,
            scope: CacheScope::Private,
        });
        let chain = &call.generation.chain;
        let result = if chain.transforms_listing(call) {
            let seen = chain.transform_listing(call, entries(&catalogue))?;
            let raw: Vec<_> = seen
                .into_iter()
                .filter_map(|entry| RawValue::from_string(entry.definition).ok())
                .collect();
            listing::assemble(ListKind::Tools, raw.iter().map(AsRef::as_ref), None, cache)
        } else {
            listing::assemble(
                ListKind::Tools,
                catalogue.tools.iter().map(|tool| tool.definition.as_ref()),
                None,
                cache,
            )
        };
        Ok(reply::result(lifecycle::id(call), &result))
    }
}

impl Pipeline {
    /// Tells the upstreams that the session talks to. Ids are the client's own, so the one that knows the request
    /// ends it and the others do not care (MCP 2025-11-25, "Cancellation").
    pub(super) fn cancel(&self, call: &Permitted) -> Reply {
        let (held, call) = (self.sessions.conversation(call), call.clone());
        self.tracker.spawn(async move {
            let message = &call.message;
            for upstream in call.server.mounts.iter().flat_map(|mount| &mount.replicas) {
                let outgoing = Outgoing {
                    era: call.era,
                    revision: call.revision,
                    id: "null",
                    method: message.method.as_deref().unwrap_or_default(),
                    params: message.params.as_deref(),
                    original: Some(message.body.as_bytes().clone()),
                    headers: &call.headers,
                };
                if let Err(err) = upstream.notify(held.conversation(), outgoing).await {
                    tracing::debug!(upstream = upstream.name(), error = %err, "a cancellation did not arrive");
                }
            }
        });
        lifecycle::taken()
    }
}

fn entries(catalogue: &Catalogue) -> Vec<Entry> {
    catalogue
        .tools
        .iter()
        .map(|tool| Entry {
            name: tool.name.clone(),
            definition: tool.definition.get().to_owned(),
        })
        .collect()
}

/// Sends a permitted call; it goes out byte-identical where neither the tool's name nor its arguments changed.
pub(super) async fn send(
    route: &Route,
    conversation: &Held,
    call: &Permitted,
) -> Result<UpstreamReply, Refusal> {
    let message = &call.message;
    let Written { params, original } =
        write(route, call).map_err(|err| Refusal::params(err.to_string()))?;
    let outgoing = Outgoing {
        era: call.era,
        revision: call
            .session
            .get()
            .map_or(call.revision, |session| session.revision),
        id: lifecycle::id(call),
        method: message.method.as_deref().unwrap_or_default(),
        params: params.as_deref(),
        original: original.map(ByteString::into_bytes),
        headers: &call.headers,
    };
    let asked = attempt(
        (&route.upstream, route),
        conversation,
        call,
        outgoing.clone(),
    )
    .await;
    let Err(UpstreamError::Connect { .. }) = &asked else {
        return asked.map_err(|err| Refusal::from(&err));
    };
    // Nothing was sent, so another replica may be asked without asking twice.
    let mut last = asked;
    for spare in route.spares(&call.server) {
        last = attempt((&spare, route), conversation, call, outgoing.clone()).await;
        if !matches!(last, Err(UpstreamError::Connect { .. })) {
            break;
        }
    }
    last.map_err(|err| Refusal::from(&err))
}

async fn attempt(
    (upstream, route): (&Arc<Upstream>, &Route),
    conversation: &Held,
    call: &Permitted,
    outgoing: Outgoing<'_>,
) -> Result<UpstreamReply, UpstreamError> {
    let asked = upstream
        .request(conversation.conversation(), outgoing)
        .await;
    asked.inspect_err(|err| {
        tracing::warn!(
            request_id = %call.request_id, tenant = call.generation.tenant, upstream = upstream.name(),
            tool = route.tool.name, error = %crate::telemetry::logs::chain(err), "an upstream did not serve a call"
        );
    })
}

/// A call as it goes out: its params, and the whole body where no JSON has to be written anew.
struct Written {
    params: Option<ByteString>,
    original: Option<ByteString>,
}

/// The call under the upstream's own name for the tool, with the arguments as the chain left them.
fn write(route: &Route, call: &Permitted) -> Result<Written, SpliceError> {
    let (message, name) = (&call.message, route.tool.upstream_name.as_str());
    let is_named = message.target.as_deref() == Some(name);
    if !message.is_changed && is_named {
        return Ok(Written {
            params: message.params.clone(),
            original: Some(message.body.clone()),
        });
    }
    if !message.is_changed
        && let Some((body, params)) = message.renamed(name)
    {
        return Ok(Written {
            params: Some(params),
            original: Some(body),
        });
    }
    let Some(params) = message.params.as_deref() else {
        return Ok(Written {
            params: None,
            original: None,
        });
    };
    let mut params =
        splice::set_member(params, "name", &serde_json::Value::from(name).to_string())?;
    if let Some(arguments) = message.arguments.as_deref().filter(|_| message.is_changed) {
        params = splice::set_member(&params, "arguments", arguments)?;
    }
    Ok(Written {
        params: Some(params.into()),
        original: None,
    })
}
