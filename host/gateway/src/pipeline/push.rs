//! What belongs to no reply: the stream that a client opens by `GET`, and what upstreams push into it. A channel is such
//! a stream too, and replies come on it as well.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};

use http::HeaderMap;
use portcullis_protocol::headers::LAST_EVENT_ID;
use portcullis_protocol::revision::{Era, Revision};
use portcullis_sandbox::Identity;
use tokio_util::task::TaskTracker;

use crate::call::{Call, Kind, Message};
use crate::listener::Reply;
use crate::listener::reply;
use crate::policy::Permitted;
use crate::refusal::Refusal;
use crate::router::Edition;
use crate::session::{Position, Session, Sessions};
use crate::telemetry::RequestId;
use crate::tenancy::Registry;
use crate::upstream::{Asker, Inbox};

use super::{Pipeline, downward, lifecycle, streams};

impl Pipeline {
    /// `GET` of a transport that has one connection for everything: opens a session that ends with its stream (MCP
    /// 2024-11-05, "HTTP with SSE"). The session goes with the reply, for the transport.
    pub(super) fn open(&self, call: &Permitted) -> Result<Reply, Refusal> {
        let at = (call.generation.tenant.as_str(), call.server.name.as_str());
        let session = self
            .sessions
            .open_channel(at, call.principal(), |id| call.suits(id))?;
        let pushes = self.take_pushes(call, &session);
        let held = HeldOpen {
            sessions: Arc::clone(&self.sessions),
            tracker: self.tracker.clone(),
            session: Arc::clone(&session),
        };
        self.keeper.keep(&call.server);
        let (edition, keep_alive) = (call.server.catalogue.edition(), self.limits.keep_alive);
        let body = streams::of_pushes((&session, None), (pushes, Some(held)), edition, keep_alive);
        let mut opened = reply::events(body);
        opened.extensions_mut().insert(session);
        Ok(opened)
    }

    /// `GET`: from now on the session's upstreams are listened to, and the client gets what they push; or the rest of a
    /// reply that it has lost (MCP 2025-11-25, "Listening for Messages from the Server").
    pub(super) fn listen(&self, call: &Permitted) -> Result<Reply, Refusal> {
        let session = call.session.get().ok_or_else(|| {
            Refusal::invalid("a stream belongs to a session; send its id in `Mcp-Session-Id`")
        })?;
        let pushes = self.take_pushes(call, session);
        let last_event_id = call.headers.get(LAST_EVENT_ID);
        let position = last_event_id
            .and_then(|id| id.to_str().ok())
            .and_then(Position::parse);
        self.keeper.keep(&call.server);
        let keep_alive = self.limits.keep_alive;
        let body = match position.filter(|position| !position.is_pushed()) {
            Some(position) => {
                let reader = session.read_from(Some(position));
                streams::of_log(reader, session.has_primed_streams(), keep_alive)
            }
            None => {
                let edition = call.server.catalogue.edition();
                streams::of_pushes((session, position), (pushes, None), edition, keep_alive)
            }
        };
        Ok(reply::events(body))
    }
}

impl Pipeline {
    /// From now on, what the session's upstreams push waits for its client, within the bounds of its stream.
    pub(super) fn take_pushes(&self, call: &Permitted, session: &Arc<Session>) -> Arc<Pushes> {
        let pushes = Arc::new(Pushes {
            session: Arc::downgrade(session),
            registry: Arc::clone(&self.registry),
            opened: Opened::by(call),
        });
        session.conversation.listen(Arc::<Pushes>::clone(&pushes));
        pushes
    }
}

/// A session that lives as long as this.
pub(super) struct HeldOpen {
    sessions: Arc<Sessions>,
    tracker: TaskTracker,
    session: Arc<Session>,
}

impl Drop for HeldOpen {
    fn drop(&mut self) {
        lifecycle::end(&self.sessions, &self.tracker, &self.session);
    }
}

/// Takes what upstreams push for one session, and what their catalogue has to tell. It does not keep the session alive.
pub(super) struct Pushes {
    session: Weak<Session>,
    registry: Arc<Registry>,
    opened: Opened,
}

/// What is left of the call since which a client is pushed to. It keeps no generation alive.
struct Opened {
    tenant: String,
    server: String,
    request_id: RequestId,
    headers: Arc<HeaderMap>,
    peer: SocketAddr,
    channel: Option<Arc<str>>,
    era: Era,
    revision: Revision,
    identity: OnceLock<Arc<Identity>>,
}

impl Opened {
    fn by(call: &Permitted) -> Self {
        Self {
            tenant: call.generation.tenant.clone(),
            server: call.server.name.clone(),
            request_id: call.request_id,
            headers: Arc::clone(&call.headers),
            peer: call.peer,
            channel: call.channel.clone(),
            era: call.era,
            revision: call.revision,
            identity: call.identity.clone(),
        }
    }
}

impl Pushes {
    /// A message stands under the policies of its own time, not of the time when the stream was opened.
    fn call(&self, session: &Arc<Session>) -> Option<Arc<Call>> {
        let opened = &self.opened;
        let endpoint = self.registry.pin(&opened.server).ok()?;
        if endpoint.generation.tenant != opened.tenant {
            return None;
        }
        Some(Arc::new(Call {
            generation: endpoint.generation_of(|| session.id()),
            server: endpoint.server,
            rollout: endpoint.rollout,
            witness: None,
            session: OnceLock::from(Arc::clone(session)),
            request_id: opened.request_id,
            headers: Arc::clone(&opened.headers),
            peer: opened.peer,
            channel: opened.channel.clone(),
            is_batched: false,
            message: Message::without_body(Kind::Listen),
            is_from_upstream: true,
            era: opened.era,
            revision: opened.revision,
            identity: opened.identity.clone(),
            offer: OnceLock::new(),
        }))
    }

    /// Tells the client which lists have changed; `None` once the session is no more.
    pub(super) async fn tell_changes(&self, edition: Edition) -> Option<()> {
        let session = self.session.upgrade()?;
        let changes = session.changes(edition);
        if !changes.is_empty()
            && let Some(call) = self.call(&session)
        {
            for change in changes {
                if downward::admit_own(&call, &change).await.is_ok() {
                    session.pushed.append_now(&change);
                }
            }
        }
        Some(())
    }

    async fn take(&self, from: Option<Asker>, message: String) {
        let Some(session) = self.session.upgrade() else {
            return;
        };
        let Some(call) = self.call(&session) else {
            return;
        };
        let passed = downward::pass(&call, &session, from.as_ref(), message).await;
        if let Some(message) = passed {
            session.pushed.append(message).await;
        }
    }
}

impl Inbox for Pushes {
    fn deliver(
        &self,
        from: Option<Asker>,
        message: String,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.take(from, message))
    }
}

impl fmt::Debug for Pushes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Pushes")
            .field("server", &self.opened.server)
            .finish_non_exhaustive()
    }
}
