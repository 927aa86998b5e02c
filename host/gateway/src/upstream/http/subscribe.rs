//! `resources/subscribe` of a session's client at an upstream that has no sessions: it becomes a part of one long listen
//! request, which is made anew with each change of what is subscribed to.
//!
//! The gateway answers the client itself. What the upstream pushes goes to the conversation's inbox.

use std::pin::Pin;
use std::sync::Arc;

use http::StatusCode;
use portcullis_protocol::error::result_body;
use portcullis_protocol::listen::{self, Filter};
use portcullis_protocol::params::Target;
use portcullis_protocol::revision::Era;
use serde_json::value::RawValue;

use super::HttpUpstream;
use super::Wire;
use super::probe::Speaks;
use crate::upstream::asker::Asker;
use crate::upstream::conversation::{Conversation, Listener};
use crate::upstream::inbox::Inbox;
use crate::upstream::outgoing::Outgoing;
use crate::upstream::reply::{ReplyKind, UpstreamBody, UpstreamReply};

/// Resources that one session watches at one upstream; the oldest are given up for newer ones.
const URIS_MAX: usize = 1_000;

impl HttpUpstream {
    /// Answers a subscription, or the end of one; `None` for any other request.
    pub(super) fn subscribe(
        &self,
        (wire, conversation): (&Arc<Wire>, &Conversation),
        out: &Outgoing<'_>,
        speaks: &Arc<Speaks>,
    ) -> Option<UpstreamReply> {
        let is_new = match out.method {
            "resources/subscribe" => true,
            "resources/unsubscribe" => false,
            _ => return None,
        };
        let params: Option<&RawValue> = out
            .params
            .and_then(|params| serde_json::from_str(params).ok());
        let target = Target::of(out.method, params);
        let uri = target.as_str()?.to_owned();
        let watched = conversation.watch(wire, |uris| {
            uris.retain(|known| *known != uri);
            if is_new {
                if uris.len() >= URIS_MAX {
                    uris.remove(0);
                }
                uris.push(uri);
            }
        });
        if let Some((uris, stop)) = watched {
            let filter = Filter {
                uris,
                ..Filter::default()
            };
            let inbox = Arc::new(Updates(conversation.listener()));
            super::listen::listen(wire, Arc::clone(speaks), filter, inbox, stop);
        }
        let body = result_body(out.id, "{}");
        Some(UpstreamReply {
            era: Era::Session,
            status: StatusCode::OK,
            kind: ReplyKind::Json,
            content_length: Some(body.len() as u64),
            body: UpstreamBody::whole(&self.wire.name, body.into()),
            asker: None,
        })
    }
}

/// Passes updates on to whoever listens to the conversation by now, in the words of its era.
#[derive(Debug)]
struct Updates(Listener);

impl Inbox for Updates {
    fn deliver(
        &self,
        _from: Option<Asker>,
        message: String,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            if let (Some(inbox), Ok(message)) =
                (self.0.inbox(), listen::without_subscription(&message))
            {
                inbox.deliver(None, message).await;
            }
        })
    }
}
