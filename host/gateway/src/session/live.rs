//! One MCP session: whose it is, what was agreed, and every stream that leads to its client.
//!
//! Held by the store; calls hold it to their end. Its upstream sessions live in its conversation.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use portcullis_protocol::listen;
use portcullis_protocol::listing::ListKind;
use portcullis_protocol::params::LOG_LEVELS;
use portcullis_protocol::revision::Revision;
use prometheus::IntCounter;
use tokio_util::sync::CancellationToken;

use crate::router::Edition;
use crate::upstream::Conversation;

use super::channel::Channel;
use super::event_log::{EventLog, LogBounds, LogReader, PUSHED, Position};
use super::questions::Questions;

/// Streams of replies that a client may come back to; the oldest are forgotten for newer ones.
const REPLIES_MAX: usize = 32;

/// Whose it is, and of what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Owner {
    pub(super) tenant: String,
    pub(super) server: String,
    pub(super) principal: String,
}

/// What a client and the gateway agreed on in `initialize`.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// The revision that both speak.
    pub revision: Revision,
    /// What the client offers to servers, as JSON text.
    pub capabilities: &'a str,
    /// The server's lists as they are now.
    pub edition: Edition,
}

/// One MCP session.
pub struct Session {
    id: String,
    owner: Owner,
    /// What `initialize` settled on.
    settled: OnceLock<Revision>,
    /// The connection that it lives on, where its transport has one.
    pub channel: Option<Channel>,
    /// Upstream sessions, opened lazily.
    pub conversation: Conversation,
    /// What upstreams want to know of the client.
    pub questions: Questions,
    /// What belongs to no reply, for the stream that the client opens by `GET`; on a channel, everything.
    pub pushed: Arc<EventLog>,
    /// Cancelled when the session ends.
    pub ended: CancellationToken,
    replies: Mutex<VecDeque<Arc<EventLog>>>,
    /// The lists that the client was told of last; nothing, before it may be told anything.
    edition: Mutex<Option<Edition>>,
    next_stream: AtomicU64,
    log_bounds: LogBounds,
    dropped: IntCounter,
    /// Place in [`LOG_LEVELS`]; its length while the client has not said what it wants.
    log_level: AtomicUsize,
    used_ms: AtomicU64,
}

impl Session {
    /// A session that nothing has been agreed on yet.
    pub(super) fn new(
        id: String,
        owner: Owner,
        (log_bounds, dropped): (LogBounds, &IntCounter),
    ) -> Self {
        Self {
            id,
            owner,
            settled: OnceLock::new(),
            channel: None,
            conversation: Conversation::default(),
            questions: Questions::default(),
            pushed: EventLog::new(PUSHED, (log_bounds, dropped)),
            ended: CancellationToken::new(),
            replies: Mutex::default(),
            edition: Mutex::default(),
            next_stream: AtomicU64::new(PUSHED + 1),
            log_bounds,
            dropped: dropped.clone(),
            log_level: AtomicUsize::new(LOG_LEVELS.len()),
            used_ms: AtomicU64::new(0),
        }
    }

    /// The same, on a connection of its own.
    pub(super) fn on(self, channel: Channel) -> Self {
        Self {
            channel: Some(channel),
            pushed: EventLog::of_channel((self.log_bounds, &self.dropped)),
            ..self
        }
    }

    /// Notes what `initialize` agreed on; only the first counts, and `false` says that this was another.
    pub fn settle(&self, opening: Opening<'_>) -> bool {
        let is_first = self.settled.set(opening.revision).is_ok();
        if is_first {
            let (revision, capabilities) = (opening.revision, opening.capabilities);
            self.conversation.introduce(revision.era(), capabilities);
            *self.edition.lock().unwrap_or_else(PoisonError::into_inner) = Some(opening.edition);
        }
        is_first
    }

    /// Whether `initialize` has come.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.settled.get().is_some()
    }

    /// The revision that both speak; before `initialize`, the one of the oldest clients.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.settled.get().copied().unwrap_or(Revision::V2024_11_05)
    }

    /// Whether a stream tells the client, at its beginning, how to come back to it. Nobody comes back to a channel.
    #[must_use]
    pub fn has_primed_streams(&self) -> bool {
        self.channel.is_none() && self.revision().rules().primed_streams
    }

    /// Unguessable, visible ASCII.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The least severe log message that the client wants, where it said so.
    #[must_use]
    pub fn log_level(&self) -> Option<&'static str> {
        LOG_LEVELS
            .get(self.log_level.load(Ordering::Relaxed))
            .copied()
    }

    /// Remembers what the client wants; an unknown level is none.
    pub fn set_log_level(&self, level: &str) {
        let at = LOG_LEVELS.iter().position(|known| *known == level);
        self.log_level
            .store(at.unwrap_or(LOG_LEVELS.len()), Ordering::Relaxed);
    }

    /// A stream for the reply to one request. On a channel nobody comes back to it: it ends as the channel does.
    #[must_use]
    pub fn open_reply(&self) -> Arc<EventLog> {
        let number = self.next_stream.fetch_add(1, Ordering::Relaxed);
        let log = EventLog::new(number, (self.log_bounds, &self.dropped));
        if self.channel.is_some() {
            return log;
        }
        let mut replies = self.replies.lock().unwrap_or_else(PoisonError::into_inner);
        if replies.len() >= REPLIES_MAX {
            replies.pop_front();
        }
        replies.push_back(Arc::clone(&log));
        log
    }

    /// The stream that a client comes back to, from where it was; otherwise the one of what belongs to no reply.
    #[must_use]
    pub fn read_from(&self, position: Option<Position>) -> LogReader {
        let Some(Position { stream, number }) = position else {
            return self.pushed.read(None);
        };
        let replies = self.replies.lock().unwrap_or_else(PoisonError::into_inner);
        match replies.iter().find(|log| log.stream() == stream) {
            Some(log) => log.read(Some(number)),
            None => self.pushed.read(Some(number).filter(|_| stream == PUSHED)),
        }
    }

    /// What to tell the client of its lists, which may have changed since it was told last. It is said once.
    #[must_use]
    pub fn changes(&self, edition: Edition) -> Vec<String> {
        let mut told = self.edition.lock().unwrap_or_else(PoisonError::into_inner);
        match told.as_mut() {
            Some(told) => changed_lists(&std::mem::replace(told, edition), &edition),
            None => Vec::new(),
        }
    }

    /// Ends the stream of what belongs to no reply, at shutdown; a channel only once nothing is under way on it.
    pub fn end_pushed(&self) {
        if self.channel.as_ref().is_none_or(Channel::close) {
            self.pushed.end();
        }
    }

    /// Ends its streams and everything that works for them. Its upstream sessions are the caller's to close.
    pub fn end(&self) {
        self.ended.cancel();
        self.pushed.end();
        let replies =
            std::mem::take(&mut *self.replies.lock().unwrap_or_else(PoisonError::into_inner));
        for reply in replies {
            reply.end();
        }
    }

    pub(super) fn is_of(&self, (tenant, server): (&str, &str), principal: &str) -> bool {
        let Owner {
            tenant: own_tenant,
            server: own_server,
            principal: own_principal,
        } = &self.owner;
        own_tenant == tenant && own_server == server && own_principal == principal
    }

    /// The tenant and the server that it is on.
    pub(super) fn at(&self) -> (&str, &str) {
        (&self.owner.tenant, &self.owner.server)
    }

    pub(super) fn note_use(&self, now_ms: u64) {
        self.used_ms.store(now_ms, Ordering::Relaxed);
    }

    pub(super) fn used_ms(&self) -> u64 {
        self.used_ms.load(Ordering::Relaxed)
    }
}

/// One notification for each kind of list that has changed. Templates are resources to a client.
fn changed_lists(told: &Edition, now: &Edition) -> Vec<String> {
    let mut changed = Vec::new();
    for (kind, (told, now)) in ListKind::ALL.into_iter().zip(told.iter().zip(now)) {
        let notification = listen::list_changed(kind, None);
        if told != now && !changed.contains(&notification) {
            changed.push(notification);
        }
    }
    changed
}
