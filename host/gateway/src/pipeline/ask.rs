//! A request on its way to the upstream that offers what it asks for, and what is told to all of a session's upstreams.

use std::sync::Arc;

use bytestring::ByteString;
use futures_util::future::join_all;
use http_body_util::{BodyExt, Limited};
use portcullis_protocol::params::log_level;
use portcullis_protocol::splice::{self, SpliceError};

use crate::listener::Reply;
use crate::policy::Permitted;
use crate::refusal::Refusal;
use crate::router::Route;
use crate::session::Held;
use crate::upstream::{Outgoing, Upstream, UpstreamError, UpstreamReply};

use super::{Pipeline, lifecycle};

/// Most bytes that are read of an answer in which nobody is interested.
const ANSWER_BYTES_MAX: usize = 64 << 10;

impl Pipeline {
    /// `logging/setLevel` (MCP 2025-11-25, "Logging"): for the session, and for every upstream behind it. One that
    /// keeps no logs says so, and nobody minds.
    pub(super) async fn set_level(&self, call: &Permitted) -> Result<Reply, Refusal> {
        let session = call
            .session
            .get()
            .ok_or_else(|| Refusal::unknown_method("logging/setLevel"))?;
        let params = call.message.params.as_deref().unwrap_or_default();
        let level = log_level(params).ok_or_else(|| {
            Refusal::params(
                "`params.level` must be one of debug, info, notice, warning, error, critical, alert, emergency",
            )
        })?;
        session.set_log_level(level);
        let upstreams = call.server.mounts.iter().flat_map(|mount| &mount.replicas);
        join_all(upstreams.map(|upstream| async {
            let told = upstream.request(&session.conversation, as_it_came(call)).await;
            let read = match told {
                Ok(reply) => Limited::new(reply.body, ANSWER_BYTES_MAX).collect().await.map(drop),
                Err(err) => Err(err.into()),
            };
            if let Err(err) = read {
                tracing::debug!(upstream = upstream.name(), error = %err, "an upstream was not told the log level");
            }
        }))
        .await;
        Ok(lifecycle::pong(call))
    }
}

/// A message of the client, as it came.
pub(super) fn as_it_came(call: &Permitted) -> Outgoing<'_> {
    let (message, session) = (&call.message, call.session.get());
    Outgoing {
        era: call.era,
        revision: session.map_or(call.revision, |session| session.revision()),
        id: lifecycle::id(call),
        method: message.method.as_deref().unwrap_or_default(),
        params: message.params.as_deref(),
        original: Some(message.body.as_bytes().clone()),
        headers: &call.headers,
        capabilities: session.map_or("{}", |session| session.conversation.capabilities()),
        log_level: session.and_then(|session| session.log_level()),
        mirrored: None,
    }
}

/// How a call was sent, so that it can be sent again with what its upstream wants to know.
pub(super) struct Sent {
    pub(super) upstream: Arc<Upstream>,
    pub(super) held: Held,
    /// In the upstream's own names.
    pub(super) params: Option<ByteString>,
}

impl Sent {
    /// Sends the call again, with these params.
    pub(super) async fn again(
        &self,
        call: &Permitted,
        params: &str,
    ) -> Result<UpstreamReply, UpstreamError> {
        let outgoing = Outgoing {
            params: Some(params),
            original: None,
            ..as_it_came(call)
        };
        self.upstream
            .request(self.held.conversation(), outgoing)
            .await
    }
}

/// Sends a permitted call; it goes out byte-identical where neither the name in it nor its arguments changed.
pub(super) async fn send(
    route: &Route,
    held: Held,
    call: &Permitted,
) -> Result<(UpstreamReply, Sent), Refusal> {
    let Written { params, original } =
        write(route, call).map_err(|err| Refusal::params(err.to_string()))?;
    let has_no_headers = !call.has_mirrors() || call.message.is_changed;
    let outgoing = Outgoing {
        params: params.as_deref(),
        original: original.map(ByteString::into_bytes),
        mirrored: has_no_headers.then_some(&route.offer.mirrored),
        ..as_it_came(call)
    };
    let mut upstream = Arc::clone(&route.upstream);
    let mut asked = attempt((&upstream, route), &held, call, outgoing.clone()).await;
    if matches!(asked, Err(UpstreamError::Connect { .. })) {
        // Nothing was sent, so another replica may be asked without asking twice.
        for spare in route.spares(&call.server) {
            upstream = spare;
            asked = attempt((&upstream, route), &held, call, outgoing.clone()).await;
            if !matches!(asked, Err(UpstreamError::Connect { .. })) {
                break;
            }
        }
    }
    let reply = asked.map_err(|err| Refusal::from(&err))?;
    let sent = Sent {
        upstream,
        held,
        params,
    };
    Ok((reply, sent))
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
            target = route.offer.name, error = %crate::telemetry::logs::chain(err), "an upstream did not serve a call"
        );
    })
}

/// A call as it goes out: its params, and the whole body where no JSON has to be written anew.
struct Written {
    params: Option<ByteString>,
    original: Option<ByteString>,
}

/// The call under the upstream's own name for what it asks for, with the arguments as the chain left them.
fn write(route: &Route, call: &Permitted) -> Result<Written, SpliceError> {
    let message = &call.message;
    let name = route
        .upstream_name()
        .or(message.target.as_deref())
        .unwrap_or_default();
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
    let path: &[&str] = match message.method.as_deref() {
        Some("completion/complete") => &["ref", "name"],
        Some(_) | None => &["name"],
    };
    let mut params = match route.upstream_name() {
        Some(name) => splice::set_path(params, path, &serde_json::Value::from(name).to_string())?,
        None => params.to_owned(),
    };
    if let Some(arguments) = message.arguments.as_deref().filter(|_| message.is_changed) {
        params = splice::set_member(&params, "arguments", arguments)?;
    }
    Ok(Written {
        params: Some(params.into()),
        original: None,
    })
}
