//! Upstreams by URL: Streamable HTTP over pooled connections, or HTTP+SSE for those that know nothing newer.
//!
//! `Upstream::request` comes here with an admitted call. The upstream's eras are known (or found out once), the body
//! is in the right one, and the reply goes back as it arrives. No connection and no session is made for one call alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis_protocol::listen::Filter;
use portcullis_protocol::revision::{Era, Revision};
use portcullis_protocol::{bridge, headers};
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

mod abandon;
mod callers;
mod client;
mod follow;
mod listen;
mod pool;
mod probe;
mod receive;
mod session;
mod sse;
mod subscribe;
mod wire;

pub(super) use abandon::Abandon;
pub(super) use client::{Client, ResponseBody, SendError};
pub(super) use follow::{Listening, follow, reopen};
pub(super) use receive::{message_of, result_of};
pub(super) use session::{HttpSession, gateway};
pub(super) use sse::SseStream;
pub(super) use wire::{AGENT, Means, Wire};

use super::asker::Asker;
use super::conversation::Conversation;
use super::error::UpstreamError;
use super::inbox::Inbox;
use super::oauth::Credential;
use super::outgoing::{self, Composed, Outgoing};
use super::reply::{ReplyKind, UpstreamReply};
use super::restore::Restore;
use super::slot::Slot;
use super::wish::Wish;
use callers::Callers;
use probe::Speaks;
use receive::Received;

const METHOD: HeaderName = HeaderName::from_static(headers::METHOD);
const NAME: HeaderName = HeaderName::from_static(headers::NAME);
const TOOLS_CALL: HeaderValue = HeaderValue::from_static("tools/call");

/// One upstream by URL.
#[derive(Debug)]
pub(super) struct HttpUpstream {
    wire: Arc<Wire>,
    /// The ways of those who are known to it themselves.
    callers: Option<Callers>,
    timeout: Duration,
    /// What was found out about its eras.
    speaks: ArcSwapOption<Speaks>,
    /// Held by the one that finds out.
    probing: tokio::sync::Mutex<()>,
    /// The gateway's own sessions with it, for lists.
    own: Conversation,
    /// Ids for requests of callers that share a session.
    next_id: AtomicU64,
}

/// A request that is ready but for its session.
struct Ready<'a> {
    out: &'a Outgoing<'a>,
    body: Bytes,
    /// The gateway's own id, and the caller's names for the way back, where they share a session.
    shared: Option<(String, Restore)>,
}

impl HttpUpstream {
    pub(super) fn new(wire: Arc<Wire>, timeout: Duration) -> Self {
        Self {
            callers: Callers::of(&wire),
            wire,
            timeout,
            speaks: ArcSwapOption::empty(),
            probing: tokio::sync::Mutex::new(()),
            // Servers hide what a client cannot use; the gateway lists for clients that can do anything.
            own: Conversation::stateless(outgoing::EVERYTHING),
            next_id: AtomicU64::new(1),
        }
    }

    /// What it is shown beside static headers.
    pub(super) fn credential(&self) -> Option<&Arc<Credential>> {
        self.wire.credential()
    }

    /// The conversation of the gateway itself.
    pub(super) fn own(&self) -> &Conversation {
        &self.own
    }

    /// The era in which the gateway's own requests go out: without sessions where there is a choice.
    pub(super) async fn own_era(&self) -> Result<Era, UpstreamError> {
        match tokio::time::timeout(self.timeout, self.speaks()).await {
            Ok(speaks) => Ok(speaks?.era_for(Era::Stateless)),
            Err(_elapsed) => Err(self.timed_out()),
        }
    }

    /// From now on, reads for the inbox what the upstream pushes about its lists.
    pub(super) async fn follow_lists(
        &self,
        inbox: Arc<dyn Inbox>,
        stop: CancellationToken,
    ) -> Result<(), UpstreamError> {
        let speaks = self.speaks().await?;
        match speaks.era_for(Era::Stateless) {
            Era::Stateless => listen::listen(&self.wire, speaks, Filter::lists(), inbox, stop),
            Era::Session => self.own.listen(inbox),
        }
        Ok(())
    }

    /// Reads for the inbox what the upstream, which has no sessions, pushes of what the filter names to the caller who has
    /// sent these headers.
    pub(super) async fn listen(
        &self,
        headers: &HeaderMap,
        filter: Filter,
        (inbox, stop): (Arc<dyn Inbox>, CancellationToken),
    ) -> Result<(), UpstreamError> {
        // Nobody is told of what its own token may not see.
        let caller = match &self.callers {
            Some(callers) => Some(callers.wire(&self.wire, headers)?),
            None => None,
        };
        let wire = caller.as_ref().unwrap_or(&self.wire);
        let speaks = self.speaks().await?;
        listen::listen(wire, speaks, filter, inbox, stop);
        Ok(())
    }

    /// Sends a request; answers when the reply has begun.
    pub(super) async fn call(
        &self,
        conversation: &Conversation,
        out: &Outgoing<'_>,
    ) -> Result<UpstreamReply, UpstreamError> {
        let caller = self.caller(conversation, out)?;
        let wire = caller.as_ref().unwrap_or(&self.wire);
        // In place: the exchange is too large to be moved about.
        let exchange = std::pin::pin!(self.exchange((wire, conversation), out));
        match tokio::time::timeout(self.timeout, exchange).await {
            Ok(reply) => reply,
            Err(_elapsed) => {
                // A stateless caller's request is taken back by `Abandon`, under the id that it went out with.
                if out.era == Era::Session
                    && let Some(session) = conversation.open_session(wire)
                {
                    match session.stream() {
                        Some(stream) => stream.take_back(conversation.uid(), out.id),
                        None => abandon::cancel_soon(wire, session, out.id),
                    }
                }
                Err(self.timed_out())
            }
        }
    }

    /// Sends a notification. Nothing is opened for it: an upstream without a session has nothing to be told.
    pub(super) async fn notify(
        &self,
        conversation: &Conversation,
        out: &Outgoing<'_>,
    ) -> Result<(), UpstreamError> {
        let Some(speaks) = self.speaks.load_full() else {
            return Ok(());
        };
        // Without sessions there is only one thing to notify of, a cancellation, and there a closed stream says it.
        if speaks.era_for(out.era) == Era::Stateless {
            return Ok(());
        }
        let caller = self.caller(conversation, out)?;
        let wire = caller.as_ref().unwrap_or(&self.wire);
        let Some(session) = conversation.open_session(wire) else {
            return Ok(());
        };
        if let Some(stream) = session.stream() {
            return stream
                .notify(conversation.uid(), out, session.revision())
                .await;
        }
        let body = outgoing::compose_notification(out, Era::Session, session.revision())
            .map_err(|source| self.untranslatable(source))?;
        let mut headers = session.headers().clone();
        outgoing::forward(out, Era::Session, &mut headers);
        match tokio::time::timeout(self.timeout, wire.notify(headers, body)).await {
            Ok(sent) => sent,
            Err(_elapsed) => Err(self.timed_out()),
        }
    }

    /// The way of this caller, where it is known to the upstream itself. None for the gateway's own requests.
    fn caller(
        &self,
        conversation: &Conversation,
        out: &Outgoing<'_>,
    ) -> Result<Option<Arc<Wire>>, UpstreamError> {
        match &self.callers {
            Some(callers) if !std::ptr::eq(conversation, &self.own) => {
                callers.wire(&self.wire, out.headers).map(Some)
            }
            Some(_) | None => Ok(None),
        }
    }

    async fn exchange(
        &self,
        (wire, conversation): (&Arc<Wire>, &Conversation),
        out: &Outgoing<'_>,
    ) -> Result<UpstreamReply, UpstreamError> {
        let speaks = match self.speaks.load_full() {
            Some(speaks) => speaks,
            None => Box::pin(self.speaks()).await?,
        };
        match (speaks.era_for(out.era), &speaks.stateless) {
            (Era::Stateless, Some(stateless)) => {
                if out.era == Era::Session
                    && let Some(answer) = self.subscribe((wire, conversation), out, &speaks)
                {
                    return Ok(answer);
                }
                self.call_stateless(wire, out, (stateless.revision, &stateless.headers))
                    .await
            }
            (Era::Session, _) | (Era::Stateless, None) if wire.speaks_sse() => {
                Box::pin(self.call_on_stream((wire, conversation), out)).await
            }
            (Era::Session, _) | (Era::Stateless, None) => {
                self.call_session((wire, conversation), out).await
            }
        }
    }

    async fn call_stateless(
        &self,
        wire: &Arc<Wire>,
        out: &Outgoing<'_>,
        (revision, headers): (Revision, &HeaderMap),
    ) -> Result<UpstreamReply, UpstreamError> {
        let Composed { body, token: _ } = outgoing::compose(out, Era::Stateless, revision, None)
            .map_err(|source| self.untranslatable(source))?;
        let mut headers = headers.clone();
        Self::mirror(out, revision, &mut headers);
        outgoing::forward(out, Era::Stateless, &mut headers);
        let response = wire.post(headers, body).await?;
        match wire.receive(response, Era::Stateless).await? {
            Received::Body(head) => wire.begin(head, Era::Stateless, None).await,
            Received::Error { status, body } => {
                if receive::is_unsupported_version(&body) {
                    // It was replaced by another version of itself: ask again what it speaks.
                    self.speaks.store(None);
                }
                Ok(wire.refusal(Era::Stateless, status, body))
            }
            Received::Gone(status) => Err(wire.status(status)),
        }
    }

    /// `Mcp-Method` and `Mcp-Name`, which mirror the body.
    fn mirror(out: &Outgoing<'_>, revision: Revision, headers: &mut HeaderMap) {
        let method = if out.method == "tools/call" {
            Some(TOOLS_CALL)
        } else {
            HeaderValue::from_str(out.method).ok()
        };
        headers.extend(method.map(|method| (METHOD, method)));
        let params: Option<&RawValue> = out
            .params
            .and_then(|params| serde_json::from_str(params).ok());
        let name = bridge::stateless_headers(revision, out.method, params).name;
        let name = name.and_then(|name| HeaderValue::try_from(name).ok());
        headers.extend(name.map(|name| (NAME, name)));
    }

    async fn call_session(
        &self,
        (wire, conversation): (&Arc<Wire>, &Conversation),
        out: &Outgoing<'_>,
    ) -> Result<UpstreamReply, UpstreamError> {
        let ready = self.ready(out)?;
        let slot = conversation.slot(wire);
        slot.note_level(out);
        let mut session = self.session(&slot).await?;
        let mut received = self.send((wire, &session), &ready).await?;
        if matches!(received, Received::Gone(_)) {
            // The upstream has forgotten the session and has not looked at the request: open another, ask again.
            slot.forget(&session);
            session = self.session(&slot).await?;
            received = self.send((wire, &session), &ready).await?;
        }
        match received {
            Received::Body(head) => {
                if let Some(wish) = Wish::of(out) {
                    slot.note(wish);
                }
                let (restore, abandon) = match ready.shared {
                    Some((id, restore)) => {
                        let abandon = Abandon::arm(wire, Arc::clone(&session), id);
                        (Some(restore), Some(abandon))
                    }
                    None => (None, None),
                };
                let mut reply = wire.begin(head, Era::Session, restore).await?;
                reply.body.cancel_with(abandon);
                if reply.kind == ReplyKind::Events {
                    reply.asker = Some(Asker::session(wire, &session));
                }
                Ok(reply)
            }
            Received::Error { status, body } => Ok(wire.refusal(Era::Session, status, body)),
            Received::Gone(status) => {
                slot.forget(&session);
                Err(wire.status(status))
            }
        }
    }

    /// Writes the body. Callers without a session share one, so theirs goes out under an id of the gateway's.
    fn ready<'a>(&self, out: &'a Outgoing<'a>) -> Result<Ready<'a>, UpstreamError> {
        let own = match out.era {
            Era::Session => None,
            Era::Stateless => Some(format!(
                "\"pc-{}\"",
                self.next_id.fetch_add(1, Ordering::Relaxed)
            )),
        };
        let revision = Revision::newest_of(Era::Session);
        let Composed { body, token } =
            outgoing::compose(out, Era::Session, revision, own.as_deref())
                .map_err(|source| self.untranslatable(source))?;
        let shared = own.map(|own| {
            let id = Box::from(out.id);
            let restore = Restore {
                own: Box::from(own.as_str()),
                id,
                token,
            };
            (own, restore)
        });
        Ok(Ready { out, body, shared })
    }

    async fn send(
        &self,
        (wire, session): (&Arc<Wire>, &Arc<HttpSession>),
        ready: &Ready<'_>,
    ) -> Result<Received, UpstreamError> {
        let mut headers = session.headers().clone();
        outgoing::forward(ready.out, Era::Session, &mut headers);
        // Until its reply begins, a caller that leaves takes its request back too.
        let abandon = ready
            .shared
            .as_ref()
            .map(|(id, _)| Abandon::arm(wire, Arc::clone(session), id.clone()));
        let response = wire.post(headers, ready.body.clone()).await;
        if let Some(abandon) = abandon {
            abandon.disarm();
        }
        let received = wire.receive(response?, Era::Session).await?;
        if matches!(received, Received::Gone(_)) {
            wire.forget_shared_session(session);
        }
        Ok(received)
    }

    async fn session(&self, slot: &Arc<Slot>) -> Result<Arc<HttpSession>, UpstreamError> {
        slot.session().await.inspect_err(|error| {
            if receive::speaks_otherwise(error) {
                self.speaks.store(None);
            }
        })
    }

    fn timed_out(&self) -> UpstreamError {
        UpstreamError::Timeout {
            upstream: Arc::clone(&self.wire.name),
            timeout_ms: u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn untranslatable(&self, source: portcullis_protocol::splice::SpliceError) -> UpstreamError {
        UpstreamError::Params {
            upstream: Arc::clone(&self.wire.name),
            source,
        }
    }
}

impl Drop for HttpUpstream {
    /// What is read for as long as the upstream is there ends; its sessions end with their conversations.
    fn drop(&mut self) {
        self.wire.stop.cancel();
    }
}
