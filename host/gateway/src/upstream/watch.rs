//! Resources that somebody watches for as long as it holds a [`Watch`].
//!
//! In the stateless era that is one long request; in the session era a session of its own, in which the resources are
//! subscribed to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::http::HeaderMap;
use portcullis_protocol::listen::Filter;
use portcullis_protocol::revision::{Era, Revision};
use tokio_util::sync::DropGuard;
use tokio_util::task::TaskTracker;

use super::http::{message_of, result_of};
use super::outgoing::CAPABILITIES;
use super::wish::{SUBSCRIBE, uri_params};
use super::{Conversation, Inbox, Outgoing, Transport, Upstream, UpstreamError};

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// Ends the watching when it is dropped.
#[derive(Debug)]
pub struct Watch(Way);

#[derive(Debug)]
enum Way {
    Listening {
        _stop: DropGuard,
    },
    Subscribed {
        conversation: Option<Conversation>,
        tracker: TaskTracker,
    },
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Way::Subscribed {
            conversation,
            tracker,
        } = &mut self.0
        else {
            return;
        };
        if let (Some(conversation), Ok(_runtime)) =
            (conversation.take(), tokio::runtime::Handle::try_current())
        {
            tracker.spawn(async move { conversation.close().await });
        }
    }
}

impl Upstream {
    /// Tells the inbox when one of these resources changes, as they are for the caller of that conversation, who has sent
    /// these headers.
    ///
    /// # Errors
    /// When the upstream does not answer, or refuses.
    pub async fn watch(
        self: &Arc<Self>,
        (caller, headers): (&Conversation, &HeaderMap),
        uris: Vec<String>,
        inbox: Arc<dyn Inbox>,
    ) -> Result<Watch, UpstreamError> {
        if let Transport::Http(http) = &self.transport
            && http.own_era().await? == Era::Stateless
        {
            let stop = self.changes.stop().drop_guard();
            let filter = Filter {
                uris,
                ..Filter::default()
            };
            let to = (inbox, stop.token().clone());
            http.listen(headers, filter, to).await?;
            return Ok(Watch(Way::Listening { _stop: stop }));
        }
        let conversation = Conversation::default();
        conversation.listen(inbox);
        if let Transport::Stdio(stdio) = &self.transport {
            stdio.join(&conversation, caller);
        }
        for uri in uris {
            self.subscribe((&conversation, headers), &uri).await?;
        }
        Ok(Watch(Way::Subscribed {
            conversation: Some(conversation),
            tracker: self.tracker.clone(),
        }))
    }

    async fn subscribe(
        self: &Arc<Self>,
        (conversation, headers): (&Conversation, &HeaderMap),
        uri: &str,
    ) -> Result<(), UpstreamError> {
        let id = format!("\"pc-watch-{}\"", NEXT_ID.fetch_add(1, Ordering::Relaxed));
        let params = uri_params(uri);
        let out = Outgoing {
            era: Era::Session,
            revision: Revision::newest_of(Era::Session),
            id: &id,
            method: SUBSCRIBE,
            params: Some(&params),
            original: None,
            headers,
            capabilities: CAPABILITIES,
            log_level: None,
            mirrored: None,
        };
        let reply = self.request(conversation, out).await?;
        let answer = message_of(reply, &self.name, &self.limits).await?;
        result_of(&answer, SUBSCRIBE, &self.name).map(drop)
    }
}
