//! What belongs to no reply: the stream that a client opens by `GET`, and what upstreams push into it.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};

use portcullis_protocol::headers::LAST_EVENT_ID;

use crate::call::Call;
use crate::listener::Reply;
use crate::listener::reply;
use crate::policy::Permitted;
use crate::refusal::Refusal;
use crate::session::{Position, Session};
use crate::tenancy::Registry;
use crate::upstream::{Asker, Inbox};

use super::{Pipeline, downward, streams};

impl Pipeline {
    /// `GET`: from now on the session's upstreams are listened to, and the client gets what they push; or the rest of a
    /// reply that it has lost (MCP 2025-11-25, "Listening for Messages from the Server").
    pub(super) fn listen(&self, call: &Permitted) -> Result<Reply, Refusal> {
        let session = call.session.get().ok_or_else(|| {
            Refusal::invalid("a stream belongs to a session; send its id in `Mcp-Session-Id`")
        })?;
        session
            .conversation
            .listen(Arc::new(Pushes::new(call, session, &self.registry)));
        let last_event_id = call.headers.get(LAST_EVENT_ID);
        let position = last_event_id
            .and_then(|id| id.to_str().ok())
            .and_then(Position::parse);
        self.keeper.keep(&call.server);
        let body = match position.filter(|position| !position.is_pushed()) {
            Some(position) => {
                let is_primed = session.revision.rules().primed_streams;
                let reader = session.read_from(Some(position));
                streams::of_log(reader, is_primed, self.limits.keep_alive)
            }
            None => streams::of_pushes(
                session,
                position,
                call.server.catalogue.edition(),
                self.limits.keep_alive,
            ),
        };
        Ok(reply::events(body))
    }
}

/// Takes what upstreams push for one session. It does not keep the session alive.
struct Pushes {
    session: Weak<Session>,
    /// The call that opened the stream, without its session.
    call: Call,
    registry: Arc<Registry>,
}

impl Pushes {
    fn new(call: &Permitted, session: &Arc<Session>, registry: &Arc<Registry>) -> Self {
        Self {
            session: Arc::downgrade(session),
            call: Call {
                session: OnceLock::new(),
                ..Call::clone(call.call())
            },
            registry: Arc::clone(registry),
        }
    }

    /// A message stands under the policies of its own time, not of the time when the stream was opened.
    fn call(&self, session: &Arc<Session>) -> Option<Arc<Call>> {
        let endpoint = self.registry.pin(&self.call.server.name).ok()?;
        if endpoint.generation.tenant != self.call.generation.tenant {
            return None;
        }
        Some(Arc::new(Call {
            generation: endpoint.generation,
            server: endpoint.server,
            session: OnceLock::from(Arc::clone(session)),
            ..self.call.clone()
        }))
    }

    async fn take(&self, from: Option<Asker>, message: String) {
        let Some(session) = self.session.upgrade() else {
            return;
        };
        let Some(call) = self.call(&session) else {
            return;
        };
        let passed = downward::pass(&call, &session, from.as_ref(), &message).await;
        if let Some(message) = passed {
            session.pushed.append(&message).await;
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
            .field("server", &self.call.server.name)
            .finish_non_exhaustive()
    }
}
