//! The upstream sessions of one gateway session, or of one stateless principal, and its places at processes.
//!
//! The session room keeps a conversation and hands it to every call. Sessions are opened at the first call that needs
//! one, once for however many calls wait, and ended together. A conversation is never shared between principals.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use futures_util::future::join_all;
use portcullis_protocol::revision::Era;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::http::{HttpSession, Wire};
use super::inbox::Inbox;
use super::outgoing::CAPABILITIES;
use super::slot::Slot;
use super::stdio::{Seat, Setup};

static NEXT_UID: AtomicU64 = AtomicU64::new(0);

/// Sessions with upstreams, by upstream, and places at their processes.
#[derive(Debug)]
pub struct Conversation {
    /// Tells callers of one shared process apart.
    uid: u64,
    slots: Mutex<Vec<Arc<Slot>>>,
    /// What is watched at upstreams that have no sessions.
    watched: Mutex<Vec<Watched>>,
    seats: Mutex<Vec<Arc<Seat>>>,
    client: Arc<Client>,
}

/// Resources of one upstream that the client has subscribed to.
#[derive(Debug)]
struct Watched {
    wire: Arc<Wire>,
    uris: Vec<String>,
    /// Ends the request that listens for them.
    _listening: DropGuard,
}

/// Whoever listens to a conversation.
#[derive(Debug, Clone)]
pub(super) struct Listener(Arc<Client>);

impl Listener {
    /// Where messages go by now, if anywhere.
    pub(super) fn inbox(&self) -> Option<Arc<dyn Inbox>> {
        self.0.inbox()
    }
}

/// Who is behind a conversation.
#[derive(Debug)]
pub(super) struct Client {
    /// What it offers to servers, once it has introduced itself.
    offer: OnceLock<Offer>,
    /// Takes what upstreams send outside of replies, where somebody wants it.
    inbox: Mutex<Option<Arc<dyn Inbox>>>,
    /// Stops whoever reads for the inbox.
    ended: CancellationToken,
}

/// What somebody offers to servers.
#[derive(Debug)]
struct Offer {
    era: Era,
    /// As JSON text.
    capabilities: Box<str>,
}

impl Default for Conversation {
    /// Of somebody who offers nothing: the gateway itself, or a client that has not introduced itself.
    fn default() -> Self {
        Self {
            uid: NEXT_UID.fetch_add(1, Ordering::Relaxed),
            slots: Mutex::default(),
            watched: Mutex::default(),
            seats: Mutex::default(),
            client: Arc::new(Client {
                offer: OnceLock::new(),
                inbox: Mutex::default(),
                ended: CancellationToken::new(),
            }),
        }
    }
}

impl Conversation {
    /// Of a session whose client has these capabilities, a JSON text.
    #[must_use]
    pub fn new(capabilities: &str) -> Self {
        let conversation = Self::default();
        conversation.introduce(Era::Session, capabilities);
        conversation
    }

    /// Of a caller without sessions who has these capabilities, a JSON text.
    #[must_use]
    pub fn stateless(capabilities: &str) -> Self {
        let conversation = Self::default();
        conversation.introduce(Era::Stateless, capabilities);
        conversation
    }

    /// It is of a client of that era with these capabilities, a JSON text, and upstreams are told of them from now on.
    /// That is said once.
    pub fn introduce(&self, era: Era, capabilities: &str) {
        self.client.offer.get_or_init(|| Offer {
            era,
            capabilities: capabilities.into(),
        });
    }

    /// What its client offers to servers, as JSON text.
    #[must_use]
    pub fn capabilities(&self) -> &str {
        self.client.capabilities()
    }

    /// From now on, what upstreams send outside of replies goes to this inbox.
    pub fn listen(&self, inbox: Arc<dyn Inbox>) {
        self.client.set_inbox(inbox);
        for slot in self.lock().iter() {
            slot.listen();
        }
    }

    /// Whoever listens, now or later.
    pub(super) fn listener(&self) -> Listener {
        Listener(Arc::clone(&self.client))
    }

    /// Changes what is watched at an upstream. What to listen for from now on, if anything, and what ends it.
    pub(super) fn watch(
        &self,
        wire: &Arc<Wire>,
        change: impl FnOnce(&mut Vec<String>),
    ) -> Option<(Vec<String>, CancellationToken)> {
        let mut all = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let place = all.iter().position(|known| Arc::ptr_eq(&known.wire, wire));
        let mut uris = place.map_or_else(Vec::new, |place| all.swap_remove(place).uris);
        change(&mut uris);
        if uris.is_empty() {
            return None;
        }
        let stop = self.client.ended.child_token();
        all.push(Watched {
            wire: Arc::clone(wire),
            uris: uris.clone(),
            _listening: stop.clone().drop_guard(),
        });
        Some((uris, stop))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Unlike that of any other conversation of the process.
    pub(super) fn uid(&self) -> u64 {
        self.uid
    }

    /// The slot for an upstream, made where there is none; those of upstreams that are there no longer are closed.
    pub(super) fn slot(&self, wire: &Arc<Wire>) -> Arc<Slot> {
        let mut slots = self.lock();
        if let Some(slot) = slots.iter().find(|slot| slot.is_at(wire)) {
            return Arc::clone(slot);
        }
        let mut closed: Vec<_> = slots.extract_if(.., |slot| slot.is_left()).collect();
        if slots.len() >= wire.limits.conversation_sessions_max.max(1) {
            closed.push(slots.remove(0));
        }
        for slot in closed {
            wire.tracker.spawn(async move { slot.close().await });
        }
        let slot = Slot::new(wire, &self.client);
        slots.push(Arc::clone(&slot));
        slot
    }

    /// The session with an upstream, where one is open.
    pub(super) fn open_session(&self, wire: &Arc<Wire>) -> Option<Arc<HttpSession>> {
        let slots = self.lock();
        slots.iter().find(|slot| slot.is_at(wire))?.open_session()
    }

    /// The place at an upstream by command; taken by `sit` where there is none.
    pub(super) fn seat(
        &self,
        setup: &Arc<Setup>,
        sit: impl FnOnce(&Arc<Client>) -> Seat,
    ) -> Arc<Seat> {
        let mut seats = self.seats();
        if let Some(seat) = seats.iter().find(|seat| seat.is_at(setup)) {
            return Arc::clone(seat);
        }
        if seats.len() >= setup.limits.conversation_sessions_max.max(1) {
            seats.remove(0).close();
        }
        let seat = Arc::new(sit(&self.client));
        seats.push(Arc::clone(&seat));
        seat
    }

    /// The place at an upstream by command, where it was taken.
    pub(super) fn taken_seat(&self, setup: &Arc<Setup>) -> Option<Arc<Seat>> {
        let seats = self.seats();
        seats.iter().find(|seat| seat.is_at(setup)).cloned()
    }

    fn seats(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Seat>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends every upstream session, as well as it goes and within a bounded time, and tells every process of its own to
    /// end. Calls that come later open others.
    pub async fn close(&self) {
        let slots = std::mem::take(&mut *self.lock());
        let seats = std::mem::take(&mut *self.seats());
        self.client.ended.cancel();
        seats.iter().for_each(|seat| seat.close());
        join_all(slots.iter().map(|slot| slot.close())).await;
    }
}

impl Client {
    /// What upstreams are told that it can do, as JSON text.
    pub(super) fn capabilities(&self) -> &str {
        let offer = self.offer.get();
        offer.map_or(CAPABILITIES, |offer| &offer.capabilities)
    }

    /// Whether it has a session.
    pub(super) fn has_session(&self) -> bool {
        self.offer
            .get()
            .is_some_and(|offer| offer.era == Era::Session)
    }

    /// Cancelled when the conversation ends.
    pub(super) fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    /// Who takes what upstreams send outside of replies.
    pub(super) fn inbox(&self) -> Option<Arc<dyn Inbox>> {
        let inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        inbox.clone()
    }

    fn set_inbox(&self, inbox: Arc<dyn Inbox>) {
        *self.inbox.lock().unwrap_or_else(PoisonError::into_inner) = Some(inbox);
    }
}
