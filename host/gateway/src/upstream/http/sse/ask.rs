//! Requests: posted beside the stream, answered on it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use portcullis_protocol::lifecycle;
use portcullis_protocol::revision::{Era, Revision};
use portcullis_protocol::splice::SpliceError;

use super::SseStream;
use crate::upstream::asker::Asker;
use crate::upstream::conversation::Conversation;
use crate::upstream::error::UpstreamError;
use crate::upstream::http::session::gateway;
use crate::upstream::http::{HttpUpstream, Wire};
use crate::upstream::outgoing::{self, Outgoing};
use crate::upstream::pending::{CANCELLED, Caller, OnLeave, Refusal, may_ask};
use crate::upstream::reply::{ReplyKind, UpstreamBody, UpstreamReply};
use crate::upstream::waiting::{Begun, Peer as _, Waiting, WaitingEvents};
use crate::upstream::wish::Wish;

impl HttpUpstream {
    /// Sends a request in a session that has one stream; answers when the reply has begun.
    pub(in crate::upstream::http) async fn call_on_stream(
        &self,
        (wire, conversation): (&Arc<Wire>, &Conversation),
        out: &Outgoing<'_>,
    ) -> Result<UpstreamReply, UpstreamError> {
        let slot = conversation.slot(wire);
        slot.note_level(out);
        let mut session = self.session(&slot).await?;
        if session.stream().is_some_and(|stream| stream.is_over()) {
            slot.forget(&session);
            session = self.session(&slot).await?;
        }
        let Some(stream) = session.stream() else {
            // It was replaced by one that knows a newer transport.
            return Box::pin(self.call_session((wire, conversation), out)).await;
        };
        let asked = stream.ask(conversation.uid(), out).await;
        if stream.is_over() || matches!(&asked, Err(UpstreamError::Status { .. })) {
            // The next call opens another.
            slot.forget(&session);
        }
        if let (Ok(_), Some(wish)) = (&asked, Wish::of(out)) {
            slot.note(wish);
        }
        asked
    }
}

impl SseStream {
    /// Whether nothing comes any more.
    fn is_over(&self) -> bool {
        self.pending.has_ended()
    }

    async fn ask(
        self: &Arc<Self>,
        uid: u64,
        out: &Outgoing<'_>,
    ) -> Result<UpstreamReply, UpstreamError> {
        let id = self.pending.next_id();
        let revision = Revision::newest_of(Era::Session);
        let own = id.to_string();
        let composed = outgoing::compose(out, Era::Session, revision, Some(&own))
            .map_err(|source| untranslatable(&self.wire, source))?;
        let caller = Caller {
            conversation: uid,
            id: Box::from(out.id),
            token: composed.token,
            is_open: may_ask(out.method),
        };
        let on_leave = match out.era {
            // To leave is not to cancel, in sessions.
            Era::Session => OnLeave::Nothing,
            Era::Stateless => OnLeave::Cancel,
        };
        let mut waiting = self.register((id, caller), on_leave)?;
        let mut headers = self.headers.clone();
        outgoing::forward(out, Era::Session, &mut headers);
        let begun = self.begin(&mut waiting, headers, composed.body).await?;
        Ok(self.reply(begun, waiting))
    }

    /// `initialize`: the response.
    ///
    /// # Errors
    /// When there is none.
    pub(in crate::upstream::http) async fn initialize(
        self: &Arc<Self>,
        capabilities: &str,
    ) -> Result<Bytes, UpstreamError> {
        let revision = Revision::newest_of(Era::Session);
        let request = |id: &str| {
            let request = lifecycle::initialize_request(id, revision, capabilities, &gateway());
            Bytes::from(request)
        };
        self.answer(request).await
    }

    /// Sends a request of the gateway's own, under the id that it is given as JSON text; the response.
    ///
    /// # Errors
    /// When there is none.
    pub(in crate::upstream::http) async fn answer(
        self: &Arc<Self>,
        request: impl FnOnce(&str) -> Bytes,
    ) -> Result<Bytes, UpstreamError> {
        let id = self.pending.next_id();
        let body = request(&id.to_string());
        let mut waiting = self.register((id, Caller::gateway(id)), OnLeave::Nothing)?;
        match self.begin(&mut waiting, self.headers.clone(), body).await? {
            Begun::Last(response) => Ok(response),
            Begun::Event(_) => waiting.last_message().await,
        }
    }

    fn register(
        self: &Arc<Self>,
        call: (u64, Caller),
        on_leave: OnLeave,
    ) -> Result<Waiting, UpstreamError> {
        let (peer, limits) = (Arc::clone(self), &self.wire.limits);
        Waiting::at(peer, call, on_leave, limits.call_events_max).map_err(|refusal| match refusal {
            Refusal::Full => UpstreamError::Busy {
                upstream: Arc::clone(&self.wire.name),
                pending_max: limits.stream_pending_max,
            },
            Refusal::Ended => self.ended(),
        })
    }

    /// Posts a request and waits for the first message of its reply. Some upstreams answer the post when they have done
    /// what it asks, and some of what they ask meanwhile comes on the stream: neither waits for the other.
    async fn begin(
        self: &Arc<Self>,
        waiting: &mut Waiting,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Begun, UpstreamError> {
        let stream = Arc::clone(self);
        let mut posting = Box::pin(async move { stream.post(headers, body).await });
        let begun = tokio::select! {
            biased;
            posted = &mut posting => {
                if let Err(error) = posted {
                    waiting.on_leave(OnLeave::Nothing);
                    return Err(error);
                }
                None
            }
            begun = waiting.begin() => Some(begun),
        };
        match begun {
            None => waiting.begin().await,
            Some(begun) => {
                // How the post ends does not matter any more, but the upstream may want to see it end.
                let limit = Duration::from_millis(self.wire.limits.tell_timeout_ms);
                self.wire.tracker.spawn(async move {
                    drop(tokio::time::timeout(limit, posting).await);
                });
                begun
            }
        }
    }

    fn reply(self: &Arc<Self>, begun: Begun, waiting: Waiting) -> UpstreamReply {
        let name = &self.wire.name;
        let (kind, length, body, asker) = match begun {
            Begun::Last(message) => {
                let length = message.len() as u64;
                let body = UpstreamBody::whole(name, message);
                (ReplyKind::Json, Some(length), body, None)
            }
            Begun::Event(event) => {
                let body = UpstreamBody::waiting(name, event, WaitingEvents::new(waiting));
                (ReplyKind::Events, None, body, Some(Asker::stream(self)))
            }
        };
        UpstreamReply {
            era: Era::Session,
            status: StatusCode::OK,
            kind,
            content_length: length,
            body,
            asker,
        }
    }

    /// A notification as the upstream may know it, delivered; nothing, where it is none of its business.
    ///
    /// # Errors
    /// When it could not be delivered in time.
    pub(in crate::upstream::http) async fn notify(
        &self,
        uid: u64,
        out: &Outgoing<'_>,
        revision: Revision,
    ) -> Result<(), UpstreamError> {
        let message = match out.method {
            CANCELLED => self.pending.cancellation(uid, out.params),
            _ => outgoing::compose_notification(out, Era::Session, revision).map(Some),
        };
        match message.map_err(|source| untranslatable(&self.wire, source))? {
            Some(message) => self.tell(message).await,
            None => Ok(()),
        }
    }

    /// Takes a request back that a conversation's caller does not wait for any more.
    pub(in crate::upstream::http) fn take_back(self: &Arc<Self>, uid: u64, client_id: &str) {
        if let Some(id) = self.pending.find(uid, client_id) {
            Arc::clone(self).cancel(id);
        }
    }
}

fn untranslatable(wire: &Wire, source: SpliceError) -> UpstreamError {
    UpstreamError::Params {
        upstream: Arc::clone(&wire.name),
        source,
    }
}
