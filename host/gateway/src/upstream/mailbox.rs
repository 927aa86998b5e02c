//! The way from a peer that calls share to the inbox of one conversation, on which the peer never waits.
//!
//! A process has one for each conversation that wants to hear something, a session with one stream has one. What is posted
//! waits in a bounded queue, and a task of its own takes it to whoever listens; there may be nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::asker::Asker;
use super::conversation::Client;
use super::limits::UpstreamLimits;

/// Takes messages for one conversation; they are carried for as long as it is held.
#[derive(Debug)]
pub(super) struct Mailbox {
    client: Arc<Client>,
    queue: mpsc::Sender<Mail>,
    bytes: Arc<AtomicUsize>,
    bytes_max: usize,
}

#[derive(Debug)]
struct Mail {
    from: Asker,
    message: String,
}

/// Why a message goes nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undelivered {
    /// No stream of the client is open, and none was.
    NobodyListens,
    /// The client reads too slowly.
    Full,
}

impl Mailbox {
    /// To that client; its task ends with the mailbox, with the client's conversation, or when it is to `stop`.
    pub(super) fn open(
        client: &Arc<Client>,
        limits: &UpstreamLimits,
        (tracker, stop): (&TaskTracker, CancellationToken),
    ) -> Self {
        let (queue, mail) = mpsc::channel(limits.mailbox_len_max.max(1));
        let bytes = Arc::new(AtomicUsize::new(0));
        let carried = carry(Arc::clone(client), mail, Arc::clone(&bytes));
        let (client, ended) = (Arc::clone(client), client.ended().clone());
        tracker.spawn(async move {
            tokio::select! {
                () = carried => {}
                () = ended.cancelled() => {}
                () = stop.cancelled() => {}
            }
        });
        Self {
            client,
            queue,
            bytes,
            bytes_max: limits.mailbox_bytes_max,
        }
    }

    /// Queues a message, without waiting.
    pub(super) fn post(&self, from: Asker, message: &str) -> Result<(), Undelivered> {
        if self.client.inbox().is_none() {
            return Err(Undelivered::NobodyListens);
        }
        let waiting = self.bytes.fetch_add(message.len(), Ordering::Relaxed);
        let mail = Mail {
            from,
            message: message.to_owned(),
        };
        let fits = waiting == 0 || waiting.saturating_add(message.len()) <= self.bytes_max;
        if fits && self.queue.try_send(mail).is_ok() {
            return Ok(());
        }
        self.bytes.fetch_sub(message.len(), Ordering::Relaxed);
        Err(Undelivered::Full)
    }
}

async fn carry(client: Arc<Client>, mut mail: mpsc::Receiver<Mail>, bytes: Arc<AtomicUsize>) {
    while let Some(Mail { from, message }) = mail.recv().await {
        bytes.fetch_sub(message.len(), Ordering::Relaxed);
        if let Some(inbox) = client.inbox() {
            inbox.deliver(Some(from), message).await;
        }
    }
}
