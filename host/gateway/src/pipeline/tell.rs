//! What a client tells: notifications, and answers to what upstreams have asked. Nobody answers these.

use bytes::Bytes;
use portcullis_protocol::splice;
use tracing::debug;

use crate::listener::Reply;
use crate::policy::Permitted;

use super::ask::as_it_came;
use super::{Pipeline, lifecycle};

impl Pipeline {
    /// Tells the upstreams that the session talks to. Ids are the client's own, so the one that knows a cancelled
    /// request ends it and the others do not care (MCP 2025-11-25, "Cancellation").
    pub(super) fn tell_all(&self, call: &Permitted) -> Reply {
        let (held, call) = (self.sessions.conversation(call), call.clone());
        self.tracker.spawn(async move {
            for upstream in call.server.mounts.iter().flat_map(|mount| &mount.replicas) {
                let told = upstream.notify(held.conversation(), as_it_came(&call)).await;
                if let Err(err) = told {
                    debug!(upstream = upstream.name(), error = %err, "a notification did not arrive");
                }
            }
        });
        lifecycle::taken()
    }

    /// Tells the upstream that asked the client something how far the client is with it.
    pub(super) fn tell_progress(&self, call: &Permitted) -> Reply {
        let params = call.message.params.as_deref().unwrap_or_default();
        let asker = call.session.get().and_then(|session| {
            let token = splice::get_member(params, "progressToken")?;
            session.questions.asker_of(token)
        });
        if let Some(asker) = asker {
            let body = call.message.body.as_bytes().clone();
            self.tracker.spawn(async move {
                if let Err(err) = asker.tell(body).await {
                    debug!(error = %err, "progress did not arrive");
                }
            });
        }
        lifecycle::taken()
    }

    /// Passes an answer to the upstream that asked, under the id that it asked with. An answer that nobody waits for, or
    /// no longer, is taken and forgotten.
    pub(super) fn answer(&self, call: &Permitted) -> Reply {
        let question = call.session.get().and_then(|session| {
            let id = call.message.id.as_deref()?;
            session.questions.answered(id)
        });
        let Some(question) = question else {
            debug!(request_id = %call.request_id, "a client answered what nobody asked");
            return lifecycle::taken();
        };
        match splice::set_member(&call.message.body, "id", &question.theirs) {
            Ok(answer) => {
                self.tracker.spawn(async move {
                    if let Err(err) = question.asker.tell(Bytes::from(answer)).await {
                        debug!(error = %err, "an answer did not arrive");
                    }
                });
            }
            Err(err) => {
                debug!(request_id = %call.request_id, error = %err, "an answer is left out")
            }
        }
        lifecycle::taken()
    }
}
