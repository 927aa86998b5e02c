//! Whether what an upstream offers has changed, as it says itself.
//!
//! Catalogues watch it. The upstream is listened to from the first one that watches.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis_protocol::envelope::{self, Message};
use portcullis_protocol::listen::is_list_changed;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Asker, Inbox, Transport, Upstream};

/// Counts the changes that an upstream has announced.
#[derive(Debug)]
pub(super) struct Changes {
    announced: Arc<watch::Sender<u64>>,
    is_followed: AtomicBool,
    /// Whoever listens stops with the upstream.
    in_use: DropGuard,
}

impl Changes {
    pub(super) fn new(stop: &CancellationToken) -> Self {
        Self {
            announced: Arc::new(watch::Sender::new(0)),
            is_followed: AtomicBool::new(false),
            in_use: stop.child_token().drop_guard(),
        }
    }

    /// Where changes are announced.
    pub(super) fn announced(&self) -> Arc<watch::Sender<u64>> {
        Arc::clone(&self.announced)
    }

    /// Cancelled with the upstream.
    pub(super) fn stop(&self) -> CancellationToken {
        self.in_use.token().child_token()
    }
}

impl Upstream {
    /// Changes whenever the upstream says that its lists have.
    #[must_use]
    pub fn changes(self: &Arc<Self>) -> watch::Receiver<u64> {
        if let Transport::Stdio(stdio) = &self.transport {
            return stdio.changes();
        }
        let changes = &self.changes;
        if !changes.is_followed.swap(true, Ordering::AcqRel) {
            self.follow();
        }
        changes.announced.subscribe()
    }

    fn follow(self: &Arc<Self>) {
        // Processes announce what they say without being followed.
        let Transport::Http(_) = &self.transport else {
            return;
        };
        let inbox: Arc<dyn Inbox> = Arc::new(Announcements(Arc::clone(&self.changes.announced)));
        let stop = self.changes.in_use.token().clone();
        let upstream = Arc::downgrade(self);
        self.tracker.spawn(async move {
            let Some(upstream) = upstream.upgrade() else {
                return;
            };
            if let Transport::Http(http) = &upstream.transport {
                http.follow_lists(inbox, stop).await;
            }
        });
    }
}

/// Takes what an upstream pushes to the gateway itself.
#[derive(Debug)]
struct Announcements(Arc<watch::Sender<u64>>);

impl Inbox for Announcements {
    fn deliver(
        &self,
        _from: Option<Asker>,
        message: String,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        if let Ok(Message::Notification(notification)) = envelope::parse_str(&message)
            && is_list_changed(&notification.method)
        {
            self.0.send_modify(|announced| *announced += 1);
        }
        Box::pin(std::future::ready(()))
    }
}
