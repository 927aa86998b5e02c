//! The session of one conversation with one upstream: opened by the first call that needs it, and again when the upstream
//! has forgotten it.
//!
//! Between a call and its session. Whoever opens one does so for all who wait, tells it what its client wanted to hear of
//! the one before, and listens to it before anything is called, so that nothing is lost which the upstream says at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use portcullis_protocol::params::LOG_LEVELS;
use tokio_util::sync::DropGuard;

use super::conversation::Client;
use super::error::UpstreamError;
use super::http::{self, HttpSession, Wire};
use super::outgoing::Outgoing;
use super::wish::{SET_LEVEL, SUBSCRIBE, Wish, level_params, uri_params};

/// How long a call waits for the stream of a new session, in milliseconds. Some upstreams say nothing on it, not even that
/// it is open, before they have something to say.
const LISTENING_MS: u64 = 1_000;

/// Subscriptions that are made again at a time.
const RESTORING_MAX: usize = 8;

/// A session that is open, being opened, or about to be.
#[derive(Debug)]
pub(super) struct Slot {
    wire: Arc<Wire>,
    client: Arc<Client>,
    open: Mutex<Option<Open>>,
    /// Held by the one that opens a session.
    opening: tokio::sync::Mutex<()>,
    wishes: Mutex<Wishes>,
    /// Whoever works for the slot stops with it.
    in_use: DropGuard,
}

#[derive(Debug)]
struct Open {
    session: Arc<HttpSession>,
    /// Ends the reading of its stream, where it is read.
    listening: Option<DropGuard>,
}

/// What the client wants to hear of this upstream.
#[derive(Debug, Default)]
struct Wishes {
    /// The least severe log messages, as a place in [`LOG_LEVELS`].
    level: Option<usize>,
    /// Resources that it is subscribed to.
    uris: Vec<String>,
}

impl Slot {
    pub(super) fn new(wire: &Arc<Wire>, client: &Arc<Client>) -> Arc<Self> {
        Arc::new(Self {
            wire: Arc::clone(wire),
            client: Arc::clone(client),
            open: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            wishes: Mutex::default(),
            in_use: client.ended().child_token().drop_guard(),
        })
    }

    /// Whether it is the one for that upstream.
    pub(super) fn is_at(&self, wire: &Arc<Wire>) -> bool {
        Arc::ptr_eq(&self.wire, wire)
    }

    /// Whether its upstream is there no longer, at least not as it was.
    pub(super) fn is_left(&self) -> bool {
        self.wire.is_stopped()
    }

    /// The session, where one is open.
    pub(super) fn open_session(&self) -> Option<Arc<HttpSession>> {
        let open = self.lock();
        open.as_ref().map(|open| Arc::clone(&open.session))
    }

    /// The session, opened where it is not: by one of those who wait, for all of them.
    pub(super) async fn session(self: &Arc<Self>) -> Result<Arc<HttpSession>, UpstreamError> {
        if let Some(session) = self.open_session() {
            return Ok(session);
        }
        let _opening = self.opening.lock().await;
        match self.open_session() {
            Some(session) => Ok(session),
            None => Box::pin(self.open()).await,
        }
    }

    async fn open(self: &Arc<Self>) -> Result<Arc<HttpSession>, UpstreamError> {
        let session = HttpSession::open(&self.wire, &self.client).await?;
        let mut open = Open {
            session: Arc::clone(&session),
            listening: None,
        };
        if let Some(listening) = self.follow(&mut open) {
            let limit = Duration::from_millis(LISTENING_MS);
            // It is open, or there is none, or it is read from whenever it opens.
            drop(tokio::time::timeout(limit, listening).await);
        }
        if session.keeps_something() {
            self.restore(&session).await;
        }
        *self.lock() = Some(open);
        // Somebody may have begun to listen in between.
        self.listen();
        Ok(session)
    }

    /// Gives up a session that the upstream does not know any more, unless another has taken its place; says whether it did.
    pub(super) fn forget(&self, gone: &Arc<HttpSession>) -> bool {
        let mut open = self.lock();
        let is_gone = |open: &mut Open| Arc::ptr_eq(&open.session, gone);
        open.take_if(is_gone).is_some()
    }

    /// Has another session take the place of one that is gone, without a call that would need it: somebody listens.
    pub(super) fn renew(self: &Arc<Self>, gone: &Arc<HttpSession>) {
        if !self.forget(gone) {
            return;
        }
        tracing::debug!(upstream = %self.wire.name, "an upstream has forgotten a session; another is opened");
        let (slot, stop) = (Arc::downgrade(self), self.in_use.token().clone());
        self.wire.tracker.spawn(async move {
            let mut failures = 0;
            let renewing = async {
                while let Some(slot) = slot.upgrade() {
                    let Err(error) = slot.session().await else {
                        return;
                    };
                    tracing::debug!(upstream = %slot.wire.name, %error, "no session took the place of another");
                    failures += 1;
                    let pause_ms = slot.wire.limits.backoff_ms(failures);
                    drop(slot);
                    tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                }
            };
            stop.run_until_cancelled(renewing).await;
        });
    }

    /// Reads for the inbox, where there is one and nobody does yet.
    pub(super) fn listen(self: &Arc<Self>) {
        if let Some(open) = self.lock().as_mut() {
            // Calls that wait already wait for nothing else.
            drop(self.follow(open));
        }
    }

    fn follow(self: &Arc<Self>, open: &mut Open) -> Option<http::Listening> {
        // A session with a stream of its own has read for the inbox from the beginning.
        if open.listening.is_some() || open.session.stream().is_some() {
            return None;
        }
        self.client.inbox()?;
        let stop = self.in_use.token().child_token();
        open.listening = Some(stop.clone().drop_guard());
        let to = (self, &self.wire, &self.client);
        Some(http::follow(to, &open.session, stop))
    }

    /// Notes what a request says of what its client wants to hear. What an upstream refuses, its next session refuses, too.
    pub(super) fn note(&self, wish: Wish<'_>) {
        let mut wishes = self.wishes();
        let (uri, is_wanted) = match wish {
            Wish::Level(level) => {
                wishes.level = Some(level);
                return;
            }
            Wish::Subscribe(uri) => (uri, true),
            Wish::Unsubscribe(uri) => (uri, false),
        };
        let Ok(uri) = serde_json::from_str::<String>(uri) else {
            return;
        };
        wishes.uris.retain(|known| *known != uri);
        if is_wanted {
            if wishes.uris.len() >= self.wire.limits.conversation_subscriptions_max.max(1) {
                wishes.uris.remove(0);
            }
            wishes.uris.push(uri);
        }
    }

    /// Notes the level that its client has set, for an upstream that was not there when it did.
    pub(super) fn note_level(&self, out: &Outgoing<'_>) {
        let level = out.log_level.filter(|_| out.method != SET_LEVEL);
        let place = level.and_then(|level| LOG_LEVELS.iter().position(|known| *known == level));
        if let Some(place) = place {
            self.note(Wish::Level(place));
        }
    }

    /// Tells a session what its client wants to hear. Nothing fails because an upstream does not want to know.
    async fn restore(&self, session: &Arc<HttpSession>) {
        let (level, uris) = {
            let wishes = self.wishes();
            (wishes.level, wishes.uris.clone())
        };
        let tell = |method, params: String| async move {
            if let Err(error) = session.ask(&self.wire, method, &params).await {
                tracing::debug!(upstream = %self.wire.name, method, %error, "an upstream was not told again");
            }
        };
        let restoring = async {
            if let Some(level) = level {
                tell(SET_LEVEL, level_params(level)).await;
            }
            let subscribe = |uri: String| tell(SUBSCRIBE, uri_params(&uri));
            let uris = stream::iter(uris);
            uris.for_each_concurrent(RESTORING_MAX, subscribe).await;
        };
        let limit = Duration::from_millis(self.wire.limits.tell_timeout_ms);
        if tokio::time::timeout(limit, restoring).await.is_err() {
            tracing::debug!(upstream = %self.wire.name, "an upstream was not told everything again in time");
        }
    }

    /// Ends the session, as well as it goes.
    pub(super) async fn close(&self) {
        let open = self.lock().take();
        if let Some(open) = open {
            drop(open.listening);
            open.session.close(&self.wire).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wishes(&self) -> MutexGuard<'_, Wishes> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
