//! What is counted and logged of a message: once, however it came and wherever its reply goes.
//!
//! Opened when a request is pinned, or a frame has come; closed with the head of the reply.

use std::sync::Arc;
use std::time::Instant;

use tracing::{debug, info};

use crate::call::{Call, Message};
use crate::pipeline::{Pipeline, Unread};
use crate::refusal::Refusal;
use crate::telemetry::RequestId;
use crate::tenancy::{Endpoint, Generation, Server};

use super::reply::{self, Reply};

/// One message, or a request of the transport that carries none.
pub(super) struct Account {
    request_id: RequestId,
    started: Instant,
    generation: Arc<Generation>,
    server: Arc<Server>,
}

impl Account {
    pub(super) fn open(request_id: RequestId, started: Instant, endpoint: &Endpoint) -> Self {
        Self {
            request_id,
            started,
            generation: Arc::clone(&endpoint.generation),
            server: Arc::clone(&endpoint.server),
        }
    }

    /// Of one of several messages in a request.
    pub(super) fn of_part(&self, request_id: RequestId) -> Self {
        Self {
            request_id,
            started: self.started,
            generation: Arc::clone(&self.generation),
            server: Arc::clone(&self.server),
        }
    }

    /// Answered by the transport itself.
    pub(super) fn answered(self, reply: Reply) -> Reply {
        self.record(None, "ok");
        reply
    }

    /// No message, so it cannot be walked.
    pub(super) fn unread(self, unread: Unread) -> Reply {
        let Unread { id, refusal } = unread;
        info!(
            request_id = %self.request_id, tenant = self.generation.tenant, server = self.server.name,
            status = refusal.status.as_u16(), reason = %refusal.message, "a request was refused"
        );
        self.record(None, refusal.outcome);
        reply::refusal(self.request_id, id.as_ref(), &refusal)
    }

    /// Walks a message.
    pub(super) async fn walk(self, pipeline: &Pipeline, call: Arc<Call>) -> Reply {
        let message = call.message.clone();
        let outcome = pipeline.walk(call).await;
        self.walked(&message, outcome)
    }

    /// Walked, with this outcome.
    pub(super) fn walked(self, message: &Message, outcome: Result<Reply, Refusal>) -> Reply {
        let method = message.method.as_deref();
        match outcome {
            Ok(reply) => {
                debug!(
                    request_id = %self.request_id, tenant = self.generation.tenant, server = self.server.name,
                    method, target = message.target.as_deref(), "a message was served"
                );
                self.record(method, "ok");
                reply
            }
            Err(refusal) => {
                info!(
                    request_id = %self.request_id, tenant = self.generation.tenant, server = self.server.name,
                    method, target = message.target.as_deref(), status = refusal.status.as_u16(),
                    outcome = refusal.outcome, reason = %refusal.message, "a message was refused"
                );
                self.record(method, refusal.outcome);
                reply::refusal(self.request_id, message.id.as_ref(), &refusal)
            }
        }
    }

    fn record(&self, method: Option<&str>, outcome: &str) {
        let method = method.unwrap_or("transport");
        self.server
            .metrics
            .record(method, outcome, self.started.elapsed());
    }
}
