//! What the gateway answers itself: `initialize`, `server/discover`, `ping`, and the end of a session.

use std::sync::Arc;

use bytestring::ByteString;
use http::{HeaderName, HeaderValue, StatusCode};
use portcullis_protocol::error::INVALID_PARAMS;
use portcullis_protocol::headers::SESSION_ID;
use portcullis_protocol::lifecycle::{
    self, Discovery, InitializeParams, discover_result, initialize_result,
};
use portcullis_protocol::listing::CacheHint;
use portcullis_protocol::revision::negotiate;
use portcullis_protocol::splice;
use serde_json::value::RawValue;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use crate::listener::Reply;
use crate::listener::reply;
use crate::policy::Permitted;
use crate::refusal::Refusal;
use crate::session::{Opening, Session, Sessions};

use super::{Pipeline, cache, introduction};

impl Pipeline {
    /// Opens a session, or settles what one on a channel is about (MCP 2025-11-25, "Lifecycle").
    pub(super) fn initialize(&self, call: &Permitted) -> Result<Reply, Refusal> {
        let params = call
            .message
            .params
            .as_ref()
            .and_then(|params| RawValue::from_string(params.to_string()).ok());
        let asked = InitializeParams::parse(params.as_deref()).map_err(|err| {
            Refusal::new(
                StatusCode::BAD_REQUEST,
                INVALID_PARAMS,
                "invalid",
                err.to_string(),
            )
        })?;
        let revision = negotiate(&asked.protocol_version);
        let at = (call.generation.tenant.as_str(), call.server.name.as_str());
        let offered = client_capabilities(asked.capabilities);
        let opening = Opening {
            revision,
            capabilities: &offered,
            edition: *call.server.catalogue.edition().borrow(),
        };
        let opened = match call.session.get() {
            Some(session) if session.settle(opening) => None,
            Some(_) => {
                return Err(Refusal::invalid(
                    "this session is initialized already; connect again for another",
                ));
            }
            None => Some(
                self.sessions
                    .open((at, call.principal()), opening, |id| call.suits(id))?,
            ),
        };
        if let Some(session) = opened.as_ref().filter(|_| can_be_asked(&offered)) {
            self.take_pushes(call, session);
        }
        let said = introduction::of(call);
        let result = initialize_result(
            revision,
            &said.capabilities,
            &introduction::server_info(call),
            said.instructions.as_deref(),
        );
        let mut answer = reply::result(id(call), &result);
        let session_id = opened.and_then(|session| HeaderValue::from_str(session.id()).ok());
        if let Some(session_id) = session_id {
            answer
                .headers_mut()
                .insert(HeaderName::from_static(SESSION_ID), session_id);
        }
        Ok(answer)
    }

    /// `DELETE`: the session ends, and so do its upstream sessions.
    pub(super) fn end_session(&self, call: &Permitted) -> Reply {
        if let Some(session) = call.session.get() {
            end(&self.sessions, &self.tracker, session);
        }
        reply::empty(StatusCode::NO_CONTENT)
    }
}

/// Ends a session; its upstream sessions are closed by a task of their own.
pub(super) fn end(sessions: &Sessions, tracker: &TaskTracker, session: &Arc<Session>) {
    sessions.end(session);
    session.end();
    // What is dropped after the runtime's end has nobody left to tell.
    if let Ok(runtime) = Handle::try_current() {
        let session = Arc::clone(session);
        tracker.spawn_on(async move { session.conversation.close().await }, &runtime);
    }
}

/// What a client offers to servers and the gateway carries, as JSON text.
fn client_capabilities(offered: Option<&RawValue>) -> String {
    let carried = [
        "/sampling/*",
        "/elicitation/*",
        "/roots/*",
        "/experimental/*",
    ];
    lifecycle::merge_capabilities(offered.map(RawValue::get), &carried)
}

/// Whether upstreams may have questions for a client that offers this, at any time.
fn can_be_asked(offered: &str) -> bool {
    let asks = ["sampling", "elicitation", "roots"];
    asks.iter()
        .any(|capability| splice::get_member(offered, capability).is_some())
}

/// `server/discover` (MCP 2026-07-28).
pub(super) fn discover(call: &Permitted) -> Reply {
    let said = introduction::of(call);
    let discovery = Discovery {
        capabilities: &said.capabilities,
        server_info: &introduction::server_info(call),
        instructions: said.instructions.as_deref(),
        cache: cache::hint(call, said.cache).unwrap_or(CacheHint::NONE),
    };
    reply::result(id(call), &discover_result(&discovery))
}

/// `ping`.
pub(super) fn pong(call: &Permitted) -> Reply {
    reply::result(id(call), "{}")
}

/// A message that wants no reply.
pub(super) fn taken() -> Reply {
    reply::empty(StatusCode::ACCEPTED)
}

/// A request's id; only requests get here.
pub(super) fn id(call: &Permitted) -> &ByteString {
    static NULL: ByteString = ByteString::from_static("null");
    call.message.id.as_ref().unwrap_or(&NULL)
}
