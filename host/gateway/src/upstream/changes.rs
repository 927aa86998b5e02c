//! Whether what an upstream offers has changed, as it says itself.
//!
//! Catalogues watch it. The upstream is listened to from the first one that watches.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

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
        let changes = &self.changes;
        if !changes.is_followed.swap(true, Ordering::AcqRel) {
            self.follow();
        }
        changes.announced.subscribe()
    }

    /// What it offers may be another thing now, though it has not said so.
    pub(super) fn announce(&self) {
        let announced = &self.changes.announced;
        announced.send_modify(|announced| *announced += 1);
    }

    fn follow(self: &Arc<Self>) {
        // Processes announce what they say without being followed.
        let Transport::Http(_) = &self.transport else {
            return;
        };
        let inbox: Arc<dyn Inbox> = Arc::new(Announcements(Arc::clone(&self.changes.announced)));
        let stop = self.changes.in_use.token().clone();
        let (upstream, limits) = (Arc::downgrade(self), Arc::clone(&self.limits));
        self.tracker.spawn(async move {
            let mut failures = 0;
            // While it cannot be reached, nothing here keeps it alive.
            while let Some(upstream) = upstream.upgrade() {
                if upstream.is_listened_to(&inbox, &stop).await {
                    return;
                }
                drop(upstream);
                failures += 1;
                let pause = tokio::time::sleep(Duration::from_millis(limits.backoff_ms(failures)));
                if stop.run_until_cancelled(pause).await.is_none() {
                    return;
                }
            }
        });
    }

    async fn is_listened_to(&self, inbox: &Arc<dyn Inbox>, stop: &CancellationToken) -> bool {
        let Transport::Http(http) = &self.transport else {
            return true;
        };
        let listening = http.follow_lists(Arc::clone(inbox), stop.clone());
        matches!(
            stop.run_until_cancelled(listening).await,
            None | Some(Ok(()))
        )
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
