//! What changes while the server runs, and who is told.
//!
//! Tools make changes; session-era clients hear of them on their standalone stream, stateless clients on their
//! `subscriptions/listen`. Nothing is told to a client that did not ask for it.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rmcp::{
    ErrorData, Peer, RoleServer,
    model::ResourceUpdatedNotificationParam,
    service::{SubscriptionContext, SubscriptionSendError},
};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

const PENDING_CHANGES_MAX: usize = 64;
const SESSIONS_MAX: usize = 4_096;
const URIS_PER_SESSION_MAX: usize = 256;
/// A session without a standalone stream may never take its notification: nobody else waits for it.
const NOTIFY_MS: u64 = 1_000;

/// Something that clients may have subscribed to.
#[derive(Clone, Debug)]
pub enum Change {
    /// The list of tools.
    Tools,
    /// The list of prompts.
    Prompts,
    /// The content of one resource, by URI.
    Resource(String),
}

/// The changeable part of the server and its audience.
pub struct Changes {
    dynamic_tool: AtomicBool,
    dynamic_prompt: AtomicBool,
    listeners: broadcast::Sender<Change>,
    sessions: Mutex<Vec<Session>>,
}

struct Session {
    handler_id: u64,
    peer: Peer<RoleServer>,
    uris: BTreeSet<String>,
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            dynamic_tool: AtomicBool::new(false),
            dynamic_prompt: AtomicBool::new(false),
            listeners: broadcast::channel(PENDING_CHANGES_MAX).0,
            sessions: Mutex::default(),
        }
    }
}

impl Changes {
    /// Whether the tool that comes and goes is there now.
    pub fn has_dynamic_tool(&self) -> bool {
        self.dynamic_tool.load(Ordering::Relaxed)
    }

    /// Whether the prompt that comes and goes is there now.
    pub fn has_dynamic_prompt(&self) -> bool {
        self.dynamic_prompt.load(Ordering::Relaxed)
    }

    /// Adds or removes the dynamic tool and says so; returns whether it is there now.
    pub async fn toggle_tool(&self) -> bool {
        let there = !self.dynamic_tool.fetch_xor(true, Ordering::Relaxed);
        self.publish(Change::Tools).await;
        there
    }

    /// Adds or removes the dynamic prompt and says so; returns whether it is there now.
    pub async fn toggle_prompt(&self) -> bool {
        let there = !self.dynamic_prompt.fetch_xor(true, Ordering::Relaxed);
        self.publish(Change::Prompts).await;
        there
    }

    /// A session is ready for notifications.
    pub fn register(&self, handler_id: u64, peer: Peer<RoleServer>) {
        self.with_session(handler_id, peer, |_| ());
    }

    /// A session wants to hear of one resource.
    ///
    /// # Errors
    ///
    /// -32602 when the session or the server holds too many subscriptions.
    pub fn subscribe(
        &self,
        handler_id: u64,
        peer: Peer<RoleServer>,
        uri: String,
    ) -> Result<(), ErrorData> {
        let subscribed = self.with_session(handler_id, peer, |session| {
            let room = session.uris.len() < URIS_PER_SESSION_MAX;
            if room {
                session.uris.insert(uri);
            }
            room
        });
        match subscribed {
            Some(true) => Ok(()),
            Some(false) | None => Err(ErrorData::invalid_params("too many subscriptions", None)),
        }
    }

    /// A session no longer wants to hear of one resource.
    pub fn unsubscribe(&self, handler_id: u64, uri: &str) {
        if let Some(session) = self
            .lock()
            .iter_mut()
            .find(|session| session.handler_id == handler_id)
        {
            session.uris.remove(uri);
        }
    }

    /// Tells everyone who asked.
    pub async fn publish(&self, change: Change) {
        // Without a listener there is nobody to tell, which is no error.
        let _ = self.listeners.send(change.clone());
        for peer in self.audience(&change) {
            let told =
                tokio::time::timeout(Duration::from_millis(NOTIFY_MS), notify(&peer, &change))
                    .await;
            if !matches!(told, Ok(Ok(()))) {
                tracing::debug!(?change, "a session missed a notification");
            }
        }
    }

    /// Serves one `subscriptions/listen` until its client or the server ends it.
    pub async fn forward(&self, subscription: &SubscriptionContext, stop: &CancellationToken) {
        let mut changes = self.listeners.subscribe();
        loop {
            let change = tokio::select! {
                () = subscription.cancelled() => return,
                () = stop.cancelled() => return,
                change = changes.recv() => change,
            };
            let sent = match change {
                Ok(change) => send(subscription, change).await,
                // The listener will refetch what it watches after the next notification.
                Err(broadcast::error::RecvError::Lagged(_)) => continue,
                Err(broadcast::error::RecvError::Closed) => return,
            };
            match sent {
                Ok(()) | Err(SubscriptionSendError::NotificationNotAccepted(_)) => {}
                Err(error) => {
                    tracing::debug!(%error, "subscription ended");
                    return;
                }
            }
        }
    }

    fn audience(&self, change: &Change) -> Vec<Peer<RoleServer>> {
        let mut sessions = self.lock();
        sessions.retain(|session| !session.peer.is_transport_closed());
        sessions
            .iter()
            .filter(|session| match change {
                Change::Tools | Change::Prompts => true,
                Change::Resource(uri) => session.uris.contains(uri),
            })
            .map(|session| session.peer.clone())
            .collect()
    }

    fn with_session<T>(
        &self,
        handler_id: u64,
        peer: Peer<RoleServer>,
        act: impl FnOnce(&mut Session) -> T,
    ) -> Option<T> {
        let mut sessions = self.lock();
        if let Some(session) = sessions
            .iter_mut()
            .find(|session| session.handler_id == handler_id)
        {
            return Some(act(session));
        }
        sessions.retain(|session| !session.peer.is_transport_closed());
        if sessions.len() >= SESSIONS_MAX {
            return None;
        }
        let mut session = Session {
            handler_id,
            peer,
            uris: BTreeSet::new(),
        };
        let done = act(&mut session);
        sessions.push(session);
        Some(done)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn notify(peer: &Peer<RoleServer>, change: &Change) -> Result<(), rmcp::ServiceError> {
    match change {
        Change::Tools => peer.notify_tool_list_changed().await,
        Change::Prompts => peer.notify_prompt_list_changed().await,
        Change::Resource(uri) => {
            peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri.clone()))
                .await
        }
    }
}

async fn send(
    subscription: &SubscriptionContext,
    change: Change,
) -> Result<(), SubscriptionSendError> {
    let sink = subscription.sink();
    match change {
        Change::Tools => sink.notify_tool_list_changed().await,
        Change::Prompts => sink.notify_prompt_list_changed().await,
        Change::Resource(uri) => sink.notify_resource_updated(uri).await,
    }
}
