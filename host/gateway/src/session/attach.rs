//! From an identified call to its session, and from a permitted one to the conversation with upstreams.

use std::sync::Arc;

use portcullis_protocol::envelope::EnvelopeError;
use portcullis_protocol::headers::SESSION_ID;
use portcullis_protocol::lifecycle::merge_capabilities;
use portcullis_protocol::params::META_CLIENT_CAPABILITIES;
use portcullis_protocol::revision::Era;
use portcullis_protocol::splice;
use portcullis_sandbox::Identity;

use crate::call::{Call, Kind};
use crate::policy::Permitted;
use crate::refusal::Refusal;
use crate::upstream::{Conversation, EVERYTHING};

use super::meters::Refused;
use super::{Session, SessionError, Sessions};

/// Keeps a conversation alive for the length of a call.
pub struct Held(Arc<Session>);

impl Held {
    /// The upstream sessions to use.
    #[must_use]
    pub fn conversation(&self) -> &Conversation {
        &self.0.conversation
    }
}

impl Sessions {
    /// Binds the call to its identity and, in the session era, to the session of its channel or the one that its header
    /// names.
    ///
    /// # Errors
    /// 400 without a session, or in a batch that its revision does not have; 404 for a session that ended or is not this
    /// principal's.
    pub fn attach(&self, call: Arc<Call>, identity: Arc<Identity>) -> Result<Arc<Call>, Refusal> {
        // Nobody else has set it: the call has only just been authenticated.
        let identity = call.identity.get_or_init(|| identity);
        if call.is_batched && opens_one(&call) {
            return Err(Refusal::invalid(
                "`initialize` must not be part of a batch; send it in a request of its own",
            ));
        }
        if call.era == Era::Session && !opens_one(&call) {
            let named = || call.headers.get(SESSION_ID).and_then(|id| id.to_str().ok());
            let session = self.find(
                call.channel.as_deref().or_else(named),
                (&call.generation.tenant, &call.server.name),
                &identity.subject,
            )?;
            // A session that lives on a channel is not to be had in another way.
            if session.channel.is_some() != call.channel.is_some() {
                return Err(self.refuse(Refused::Foreign).into());
            }
            if !session.is_settled() && !may_be_first(&call) {
                return Err(SessionError::NotInitialized.into());
            }
            if call.is_batched && !session.revision().rules().batches {
                return Err(EnvelopeError::Batch.into());
            }
            call.session.get_or_init(|| session);
        }
        Ok(call)
    }

    /// The upstream sessions that a call may use: its session's, or its stateless principal's.
    #[must_use]
    pub fn conversation(&self, call: &Permitted) -> Held {
        match call.session.get() {
            Some(session) => Held(Arc::clone(session)),
            None => Held(self.stateless(
                (&call.generation.tenant, &call.server.name),
                call.principal(),
                &offered(call),
            )),
        }
    }
}

/// What a stateless caller offers to servers. Who offers nothing is taken to offer everything: an upstream that asks is
/// then refused in the words of the caller's own era.
fn offered(call: &Permitted) -> String {
    let params = call.message.params.as_deref().unwrap_or_default();
    let meta = splice::get_member(params, "_meta").unwrap_or_default();
    let declared = splice::get_member(meta, META_CLIENT_CAPABILITIES);
    let carried = ["/sampling/*", "/elicitation/*", "/roots/*"];
    let offered = merge_capabilities(declared, &carried);
    match offered.as_str() {
        "{}" => EVERYTHING.to_owned(),
        _ => offered,
    }
}

/// Whether a session comes of it.
fn opens_one(call: &Call) -> bool {
    let message = &call.message;
    match message.kind {
        Kind::Open => true,
        // On a channel, `initialize` is about the session that is there.
        Kind::Request => call.channel.is_none() && message.method.as_deref() == Some("initialize"),
        Kind::Notification | Kind::Response | Kind::Listen | Kind::End => false,
    }
}

/// What a client may send before it has agreed with the gateway on anything (MCP 2024-11-05, "Lifecycle").
fn may_be_first(call: &Call) -> bool {
    matches!(call.message.method.as_deref(), Some("initialize" | "ping"))
}
