//! The upstream sessions of one gateway session, or of one stateless principal.
//!
//! The session room keeps a conversation and hands it to every call. Sessions are opened at the first call that needs
//! one, once for however many calls wait, and ended together. A conversation is never shared between principals.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;

use super::error::UpstreamError;
use super::http::{HttpSession, Wire};

static NEXT_UID: AtomicU64 = AtomicU64::new(0);

/// Sessions with upstreams, by upstream.
#[derive(Debug)]
pub struct Conversation {
    /// Tells callers of one shared process apart.
    uid: u64,
    slots: Mutex<Vec<Arc<Slot>>>,
}

/// A session that is open, being opened, or about to be.
#[derive(Debug)]
pub(super) struct Slot {
    wire: Arc<Wire>,
    session: tokio::sync::OnceCell<Arc<HttpSession>>,
}

impl Default for Conversation {
    fn default() -> Self {
        Self {
            uid: NEXT_UID.fetch_add(1, Ordering::Relaxed),
            slots: Mutex::default(),
        }
    }
}

impl Conversation {
    /// Unlike that of any other conversation of the process.
    pub(super) fn uid(&self) -> u64 {
        self.uid
    }

    /// The slot for an upstream, made where there is none.
    pub(super) fn slot(&self, wire: &Arc<Wire>) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.iter().find(|slot| Arc::ptr_eq(&slot.wire, wire)) {
            return Arc::clone(slot);
        }
        if slots.len() >= wire.limits.conversation_sessions_max.max(1) {
            let oldest = slots.remove(0);
            wire.tracker.spawn(async move { oldest.close().await });
        }
        let slot = Arc::new(Slot {
            wire: Arc::clone(wire),
            session: tokio::sync::OnceCell::new(),
        });
        slots.push(Arc::clone(&slot));
        slot
    }

    /// The session with an upstream, where one is open.
    pub(super) fn open_session(&self, wire: &Arc<Wire>) -> Option<Arc<HttpSession>> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.iter().find(|slot| Arc::ptr_eq(&slot.wire, wire))?;
        slot.session.get().cloned()
    }

    /// Drops a slot whose session is no more; the next call opens another.
    pub(super) fn forget(&self, slot: &Arc<Slot>) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|kept| !Arc::ptr_eq(kept, slot));
    }

    /// Ends every upstream session, as well as it goes and within a bounded time. Calls that come later open others.
    pub async fn close(&self) {
        let slots = std::mem::take(&mut *self.slots.lock().unwrap_or_else(PoisonError::into_inner));
        join_all(slots.iter().map(|slot| slot.close())).await;
    }
}

impl Slot {
    /// The session, opened where it is not: by one of those who wait, for all of them.
    pub(super) async fn session(&self) -> Result<Arc<HttpSession>, UpstreamError> {
        if let Some(session) = self.session.get() {
            return Ok(Arc::clone(session));
        }
        let opened = self
            .session
            .get_or_try_init(|| Box::pin(HttpSession::open(&self.wire)));
        opened.await.cloned()
    }

    async fn close(&self) {
        if let Some(session) = self.session.get() {
            session.close(&self.wire).await;
        }
    }
}
