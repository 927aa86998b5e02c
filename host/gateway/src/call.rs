//! One message on its way through the gateway, and everything it has been pinned to so far.
//!
//! The listener makes a [`Call`]; each room fills in what it found: identity, session, tool. Policies read it through
//! [`CallView`]. Only the chain can turn it into a `Permitted` one, and only that reaches an upstream.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use bytestring::ByteString;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use portcullis_protocol::envelope::{self, EnvelopeError};
use portcullis_protocol::listing::ListKind;
use portcullis_protocol::params::{CallParams, Target};
use portcullis_protocol::revision::{Era, Revision};
use portcullis_protocol::splice;
use portcullis_sandbox::{CallView, Identity, bearer_token};

use crate::router::Offer;
use crate::session::Session;
use crate::telemetry::RequestId;
use crate::tenancy::rollout::{Tally, Witness};
use crate::tenancy::{Generation, RefusedBy, Rollout, Server};
use crate::upstream::Upstream;

/// The kind of a client's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Wants a reply.
    Request,
    /// Wants none.
    Notification,
    /// Answers a server's request.
    Response,
    /// `GET`, without a message: opens a channel, and the session that lives on it.
    Open,
    /// `GET`, without a message: opens a stream.
    Listen,
    /// `DELETE`, without a message: ends the session.
    End,
}

/// A client's message, taken apart without copying: every part is a slice of the body.
#[derive(Debug, Clone)]
pub struct Message {
    /// What it is.
    pub kind: Kind,
    /// JSON-RPC id, as written.
    pub id: Option<ByteString>,
    /// JSON-RPC method.
    pub method: Option<ByteString>,
    /// `params`, as written.
    pub params: Option<ByteString>,
    /// Tool, prompt, resource or task that it names.
    pub target: Option<ByteString>,
    /// The list that the target stands in, where there is one.
    pub target_kind: Option<ListKind>,
    /// `params.arguments`: as written, or as a transform left them.
    pub arguments: Option<ByteString>,
    /// Whether a transform has changed the arguments.
    pub is_changed: bool,
    /// The whole body, as written.
    pub body: ByteString,
}

impl Message {
    /// Of a request of the transport, which carries none.
    #[must_use]
    pub fn without_body(kind: Kind) -> Self {
        Self {
            kind,
            id: None,
            method: None,
            params: None,
            target: None,
            target_kind: None,
            arguments: None,
            is_changed: false,
            body: ByteString::new(),
        }
    }

    /// Owns what was parsed out of `body`; `called` is what a `tools/call` or `prompts/get` names, which has been read already.
    #[must_use]
    pub fn of(
        body: &ByteString,
        parsed: &envelope::Message<'_>,
        called: Option<&CallParams<'_>>,
    ) -> Self {
        let kind = match parsed {
            envelope::Message::Request(_) => Kind::Request,
            envelope::Message::Notification(_) => Kind::Notification,
            envelope::Message::Response(_) => Kind::Response,
        };
        let part = |text: &str| slice(body, text);
        let params = parsed.params();
        let method = parsed.method().unwrap_or_default();
        let (target, arguments) = match called {
            Some(called) if method == "prompts/get" => {
                (Target::Prompt(called.name.clone()), called.arguments)
            }
            Some(called) => (Target::Tool(called.name.clone()), called.arguments),
            None => (
                Target::of(method, params),
                params.and_then(|params| splice::get_member(params.get(), "arguments")),
            ),
        };
        Self {
            kind,
            id: parsed.id().map(|id| part(id.get())),
            method: parsed.method().map(part),
            params: params.map(|params| part(params.get())),
            target: target.as_str().map(part),
            target_kind: target.kind(),
            arguments: arguments.map(part),
            is_changed: false,
            body: body.clone(),
        }
    }

    /// What it asks for, among the things that servers list.
    #[must_use]
    pub fn named(&self) -> Option<(ListKind, &str)> {
        Some((self.target_kind?, self.target.as_deref()?))
    }

    /// The id, as written, under which its sender awaits a reply.
    #[must_use]
    pub fn awaited_under(&self) -> Option<ByteString> {
        self.id.clone().filter(|_| self.kind == Kind::Request)
    }

    /// The body and its params with the target's name replaced, where the name stands in the body as it is read:
    /// everything around it stays byte-identical, and nothing is parsed again.
    #[must_use]
    pub fn renamed(&self, name: &str) -> Option<(ByteString, ByteString)> {
        let (target, params) = (self.target.as_ref()?, self.params.as_ref()?);
        let at = offset(&self.body, target)?;
        let params_at = offset(&self.body, params)?;
        let is_plain = |text: &str| text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\');
        if !is_plain(name) || !is_plain(target) {
            return None;
        }
        let (before, after) = (self.body.get(..at)?, self.body.get(at + target.len()..)?);
        let body = ByteString::from([before, name, after].concat());
        let params_end = params_at + params.len() - target.len() + name.len();
        let params = body.slice_ref(body.get(params_at..params_end)?);
        Some((body, params))
    }
}

/// Where `part` stands in `body`, if it is a slice of it.
fn offset(body: &str, part: &str) -> Option<usize> {
    let at = (part.as_ptr() as usize).checked_sub(body.as_ptr() as usize)?;
    (at + part.len() <= body.len()).then_some(at)
}

/// A part of `body` without copying; a text that was unescaped on the way is copied.
fn slice(body: &ByteString, text: &str) -> ByteString {
    match offset(body, text) {
        Some(_) => body.slice_ref(text),
        None => ByteString::from(text),
    }
}

/// Reads a body as UTF-8 without copying it.
///
/// # Errors
/// [`EnvelopeError`] for a body that is not UTF-8.
pub fn text_of(body: Bytes) -> Result<ByteString, EnvelopeError> {
    ByteString::try_from(body).map_err(EnvelopeError::NotUtf8)
}

/// One message on its way. Cheap to clone: parts are shared.
#[derive(Clone)]
pub struct Call {
    /// Names it in logs.
    pub request_id: RequestId,
    /// The tenant as it was when the message arrived; kept to the end.
    pub generation: Arc<Generation>,
    /// What the client connected to.
    pub server: Arc<Server>,
    /// The client's headers.
    pub headers: Arc<HeaderMap>,
    /// The client's address.
    pub peer: SocketAddr,
    /// The session that lives on the connection it came by, where there is such a one.
    pub channel: Option<Arc<str>>,
    /// Whether it came with others, in one request.
    pub is_batched: bool,
    /// What it says.
    pub message: Message,
    /// Whether an upstream says it to the client.
    pub is_from_upstream: bool,
    /// The client's era for this message.
    pub era: Era,
    /// The client's revision for this message.
    pub revision: Revision,
    /// Who is calling.
    pub identity: OnceLock<Arc<Identity>>,
    /// Its session, in the session era.
    pub session: OnceLock<Arc<Session>>,
    /// The tool, prompt or resource that it asks for, where the catalogue knows it.
    pub offer: OnceLock<Arc<Offer>>,
    /// The candidate beside the live chain, while there is one.
    pub rollout: Option<Arc<Rollout>>,
    /// Notes what the chain makes of it, where somebody wants to know.
    pub witness: Option<Arc<Witness>>,
}

impl Call {
    /// The same call with other arguments; it must be admitted again.
    #[must_use]
    pub fn with_arguments(&self, arguments: String) -> Self {
        let mut changed = self.clone();
        changed.message.arguments = Some(arguments.into());
        changed.message.is_changed = true;
        changed
    }

    /// Remembers what it asks for, where the catalogue is in memory, so that admission sees the definition.
    pub fn recall_offer(&self) {
        if let Some((kind, name)) = self.message.named()
            && let Some(catalogue) = self.server.catalogue.peek()
            && let Some(offer) = catalogue.find(kind, name)
        {
            self.offer.get_or_init(|| Arc::clone(offer));
        }
    }

    /// What is counted of its chain, while a rollout runs.
    #[must_use]
    pub fn tally(&self) -> Option<&Tally> {
        let rollout = self.rollout.as_deref()?;
        Some(rollout.tally(&self.generation))
    }

    /// Notes which policy refused it, and with which code.
    pub fn refused(&self, policy: Option<&str>, code: &str) {
        if let Some(witness) = &self.witness {
            witness.refused.get_or_init(|| RefusedBy {
                policy: policy.map(str::to_owned),
                code: code.to_owned(),
            });
        }
    }

    /// Notes a result as its upstream gave it and as the chain leaves it.
    pub fn note_result(&self, raw: &str, left: &str) {
        if let Some(witness) = &self.witness {
            witness.raw.get_or_init(|| raw.to_owned());
            witness.result.get_or_init(|| left.to_owned());
        }
    }

    /// Notes its arguments as the chain leaves them.
    pub fn note_arguments(&self) {
        if let (Some(witness), Some(arguments)) = (&self.witness, &self.message.arguments) {
            witness.arguments.get_or_init(|| arguments.clone());
        }
    }

    /// Whether a session of this id would be served by the generation that serves this call.
    #[must_use]
    pub fn suits(&self, session_id: &str) -> bool {
        self.rollout.as_deref().is_none_or(|rollout| {
            let is_candidates = Arc::ptr_eq(&self.generation, &rollout.candidate);
            rollout.serves(session_id.as_bytes()) == is_candidates
        })
    }

    /// Whether headers came with it that repeat what it says, as the stateless era wants it over HTTP. Frames have none.
    #[must_use]
    pub fn has_mirrors(&self) -> bool {
        self.era == Era::Stateless && self.channel.is_none()
    }

    /// A replica of the upstream that it goes to.
    fn replica(&self, index: usize) -> Option<&Arc<Upstream>> {
        let mount = self.server.mounts.get(self.offer.get()?.mount)?;
        mount.replicas.get(index)
    }

    /// Who the session and its upstream sessions belong to.
    #[must_use]
    pub fn principal(&self) -> &str {
        self.identity
            .get()
            .map_or("", |identity| identity.subject.as_str())
    }
}

impl CallView for Call {
    fn tenant(&self) -> &str {
        &self.generation.tenant
    }

    fn server(&self) -> &str {
        &self.server.name
    }

    fn method(&self) -> Option<&str> {
        self.message.method.as_deref()
    }

    fn is_from_upstream(&self) -> bool {
        self.is_from_upstream
    }

    fn target(&self) -> Option<Cow<'_, str>> {
        self.message.target.as_deref().map(Cow::Borrowed)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn bearer(&self) -> Option<&str> {
        let value = self.headers.get(AUTHORIZATION)?;
        bearer_token(std::str::from_utf8(value.as_bytes()).ok()?)
    }

    fn peer(&self) -> Cow<'_, str> {
        Cow::Owned(self.peer.ip().to_string())
    }

    fn identity(&self) -> Option<&Identity> {
        self.identity.get().map(Arc::as_ref)
    }

    fn session(&self) -> Option<&str> {
        self.session.get().map(|session| session.id())
    }

    fn arguments(&self) -> Option<&str> {
        self.message.arguments.as_deref()
    }

    fn argument(&self, pointer: &str) -> Option<&str> {
        self.message
            .arguments
            .as_deref()
            .and_then(|arguments| splice::get_pointer(arguments, pointer))
    }

    fn definition(&self) -> Option<&str> {
        let definition = self.offer.get()?.definition.as_ref()?;
        Some(definition.get())
    }

    fn candidate(&self, index: usize) -> Option<&str> {
        self.replica(index).map(|replica| replica.name())
    }

    fn candidate_label(&self, index: usize, label: &str) -> Option<&str> {
        self.replica(index)?.labels().get(label).map(String::as_str)
    }
}
