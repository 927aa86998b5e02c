//! Sessions in memory: sharded, bounded, expiring when they are not used.

use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use foldhash::HashMap;
use foldhash::quality::RandomState;
use http::StatusCode;
use portcullis_protocol::revision::{Era, Revision};
use thiserror::Error;

use crate::refusal::Refusal;
use crate::router::Edition;

use super::Session;
use super::channel::Channel;
use super::event_log::LogBounds;
use super::live::{Opening, Owner};
use super::meters::{Refused, SessionMeters};

/// Ids that are made for one session, at most.
const IDS_TRIED_MAX: usize = 10_000;
const SHARDS_LEN: usize = 32;

/// Bounds of the store.
#[derive(Debug, Clone, Copy)]
pub struct SessionLimits {
    /// Most live sessions.
    pub sessions_max: usize,
    /// A session ends when it was not used for this long.
    pub ttl: Duration,
    /// What is kept of each stream of events.
    pub log: LogBounds,
    /// Most messages that are under way on one connection to which a session is bound.
    pub channel_messages_max: usize,
}

/// Why there is no session for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SessionError {
    /// The header is missing.
    #[error(
        "the `Mcp-Session-Id` header is missing; initialize a session first and send its id with every request"
    )]
    Missing,
    /// Unknown, ended, or somebody else's: the caller cannot tell which.
    #[error("this session has ended or never was; initialize a new one")]
    Gone,
    /// On a connection that has a session, and before what that begins with.
    #[error("nothing is agreed on yet; send `initialize` first")]
    NotInitialized,
    /// The bound is reached.
    #[error("the gateway holds as many sessions as it may; try again later")]
    Full,
}

impl From<SessionError> for Refusal {
    fn from(err: SessionError) -> Self {
        match err {
            SessionError::Missing | SessionError::NotInitialized => Self::invalid(err.to_string()),
            SessionError::Gone => Self::not_found(err.to_string()),
            SessionError::Full => Self {
                retry_after_ms: Some(10_000),
                ..Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    crate::refusal::code::UNAVAILABLE,
                    "error",
                    err.to_string(),
                )
            },
        }
    }
}

type Shard = Mutex<HashMap<String, Arc<Session>>>;

/// All sessions of this process.
pub struct Sessions {
    shards: [Shard; SHARDS_LEN],
    /// Conversations of stateless callers, by owner and by what the caller offers to servers.
    stateless: Mutex<HashMap<(Owner, String), Arc<Session>>>,

    hasher: RandomState,
    started: Instant,
    limits: SessionLimits,
    meters: SessionMeters,
}

impl Sessions {
    /// An empty store.
    #[must_use]
    pub fn new(limits: SessionLimits, meters: SessionMeters) -> Self {
        Self {
            shards: std::array::from_fn(|_| Shard::default()),
            stateless: Mutex::default(),
            hasher: RandomState::default(),
            started: Instant::now(),
            limits,
            meters,
        }
    }

    /// What is counted of sessions.
    #[must_use]
    pub fn meters(&self) -> &SessionMeters {
        &self.meters
    }

    /// Opens a session for this principal, under an id that suits its chain.
    ///
    /// # Errors
    /// [`SessionError::Full`].
    pub fn open(
        &self,
        ((tenant, server), principal): ((&str, &str), &str),
        opening: Opening<'_>,
        suits: impl Fn(&str) -> bool,
    ) -> Result<Arc<Session>, SessionError> {
        let session = self.new_session(owner((tenant, server), principal), suits)?;
        session.settle(opening);
        Ok(self.keep(session))
    }

    /// Opens a session that lives on a connection of its own, before anything is agreed on.
    ///
    /// # Errors
    /// [`SessionError::Full`].
    pub fn open_channel(
        &self,
        (tenant, server): (&str, &str),
        principal: &str,
        suits: impl Fn(&str) -> bool,
    ) -> Result<Arc<Session>, SessionError> {
        let session = self.new_session(owner((tenant, server), principal), suits)?;
        Ok(self.keep(session.on(Channel::new(self.limits.channel_messages_max))))
    }

    fn new_session(
        &self,
        owner: Owner,
        suits: impl Fn(&str) -> bool,
    ) -> Result<Session, SessionError> {
        if usize::try_from(self.meters.live.get()).unwrap_or(0) >= self.limits.sessions_max {
            return Err(SessionError::Full);
        }
        let any = || BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 24]>());
        // Where a chain serves hardly any session, its ids are rare, and another will do in the end.
        let mut tries = std::iter::repeat_with(any).take(IDS_TRIED_MAX);
        let id = tries.find(|id| suits(id)).unwrap_or_else(any);
        Ok(Session::new(
            id,
            owner,
            (self.limits.log, &self.meters.dropped),
        ))
    }

    fn keep(&self, session: Session) -> Arc<Session> {
        session.note_use(self.now_ms());
        let session = Arc::new(session);
        self.shard(session.id())
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(session.id().to_owned(), Arc::clone(&session));
        self.meters.live.inc();
        session
    }

    /// The session of this id, if it is this principal's on this server.
    ///
    /// # Errors
    /// [`SessionError`]
    pub fn find(
        &self,
        id: Option<&str>,
        (tenant, server): (&str, &str),
        principal: &str,
    ) -> Result<Arc<Session>, SessionError> {
        let id = id.ok_or(SessionError::Missing)?;
        let session = self
            .shard(id)
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .cloned();
        let session = session
            .filter(|session| !self.is_over(session))
            .ok_or_else(|| self.refuse(Refused::Unknown))?;
        if !session.is_of((tenant, server), principal) {
            return Err(self.refuse(Refused::Foreign));
        }
        session.note_use(self.now_ms());
        Ok(session)
    }

    /// Counts an id that opens no session; whoever sent it learns no more than that.
    pub(super) fn refuse(&self, refused: Refused) -> SessionError {
        self.meters.refused(refused).inc();
        SessionError::Gone
    }

    /// Ends a session. Its upstream sessions are the caller's to close.
    pub fn end(&self, session: &Session) {
        if self
            .shard(session.id())
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(session.id())
            .is_some()
        {
            self.meters.live.dec();
        }
    }

    /// The conversation that a stateless principal's calls share, so that a call costs one upstream request.
    #[must_use]
    pub fn stateless(
        &self,
        (tenant, server): (&str, &str),
        principal: &str,
        capabilities: &str,
    ) -> Arc<Session> {
        let owner = (owner((tenant, server), principal), capabilities.to_owned());
        let mut sessions = self
            .stateless
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = sessions.get(&owner) {
            session.note_use(self.now_ms());
            return Arc::clone(session);
        }
        let log = (self.limits.log, &self.meters.dropped);
        let session = Session::new(String::new(), owner.0.clone(), log);
        session.settle(Opening {
            revision: Revision::newest_of(Era::Stateless),
            capabilities,
            edition: Edition::default(),
        });
        session.note_use(self.now_ms());
        let session = Arc::new(session);
        // Past the bound a conversation serves one call: slower, and nothing piles up.
        if sessions.len() < self.limits.sessions_max {
            sessions.insert(owner, Arc::clone(&session));
        }
        session
    }

    /// Ends what was not used for too long, or is on a server that is not served any more, and hands it over to be closed.
    #[must_use]
    pub fn expire(&self, is_served: impl Fn(&str, &str) -> bool) -> Vec<Arc<Session>> {
        let is_over = |session: &Session| {
            let (tenant, server) = session.at();
            self.is_over(session) || !is_served(tenant, server)
        };
        let mut over = Vec::new();
        for shard in &self.shards {
            let mut sessions = shard.lock().unwrap_or_else(PoisonError::into_inner);
            over.extend(
                sessions
                    .extract_if(|_, session| is_over(session))
                    .map(|(_, session)| session),
            );
        }
        self.meters
            .live
            .sub(i64::try_from(over.len()).unwrap_or(i64::MAX));
        let mut stateless = self
            .stateless
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        over.extend(
            stateless
                .extract_if(|_, session| is_over(session))
                .map(|(_, session)| session),
        );
        over
    }

    /// Ends the streams that wait for what upstreams push, at shutdown; replies may end by themselves.
    pub fn end_streams(&self) {
        for shard in &self.shards {
            let sessions = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for session in sessions.values() {
                session.end_pushed();
            }
        }
    }

    /// Ends everything, at shutdown.
    #[must_use]
    pub fn drain(&self) -> Vec<Arc<Session>> {
        let mut all: Vec<_> = Vec::new();
        for shard in &self.shards {
            all.extend(
                shard
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .drain()
                    .map(|(_, session)| session),
            );
        }
        self.meters.live.set(0);
        all.extend(
            self.stateless
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .drain()
                .map(|(_, session)| session),
        );
        all
    }

    fn shard(&self, id: &str) -> &Shard {
        let at = usize::try_from(self.hasher.hash_one(id) % SHARDS_LEN as u64).unwrap_or_default();
        // `at` is below the number of shards.
        self.shards.get(at).unwrap_or(&self.shards[0])
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A session whose stream is read is in use, however quiet it is.
    fn is_over(&self, session: &Session) -> bool {
        let idle_ms = self.now_ms().saturating_sub(session.used_ms());
        u128::from(idle_ms) >= self.limits.ttl.as_millis() && !session.pushed.is_read()
    }
}

fn owner((tenant, server): (&str, &str), principal: &str) -> Owner {
    Owner {
        tenant: tenant.to_owned(),
        server: server.to_owned(),
        principal: principal.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(sessions_max: usize, ttl: Duration) -> Sessions {
        Sessions::new(
            SessionLimits {
                sessions_max,
                ttl,
                log: LogBounds {
                    events_max: 16,
                    bytes_max: 1 << 10,
                },
                channel_messages_max: 2,
            },
            SessionMeters::register(&prometheus::Registry::new()).unwrap(),
        )
    }

    const AT: (&str, &str) = ("acme", "tools");
    const OPENING: Opening<'static> = Opening {
        revision: Revision::newest_of(Era::Session),
        capabilities: "{}",
        edition: [0; 4],
    };

    #[test]
    fn a_session_is_its_principals_alone() {
        let sessions = sessions(10, Duration::from_secs(60));
        let id = sessions
            .open((AT, "alice"), OPENING, |_| true)
            .unwrap()
            .id()
            .to_owned();
        assert!(sessions.find(Some(&id), AT, "alice").is_ok());
        let foreign = [
            (Some(id.as_str()), AT, "bob", SessionError::Gone),
            (
                Some(id.as_str()),
                ("globex", "tools"),
                "alice",
                SessionError::Gone,
            ),
            (
                Some(id.as_str()),
                ("acme", "other"),
                "alice",
                SessionError::Gone,
            ),
            (Some("guess"), AT, "alice", SessionError::Gone),
            (None, AT, "alice", SessionError::Missing),
        ];
        for (id, at, principal, want) in foreign {
            assert_eq!(
                sessions.find(id, at, principal).err(),
                Some(want),
                "{id:?} {at:?} {principal}"
            );
        }
        let counted =
            [Refused::Foreign, Refused::Unknown].map(|why| sessions.meters.refused(why).get());
        assert_eq!(counted, [3, 1]);
    }

    #[test]
    fn sessions_are_bounded_and_end() {
        let sessions = sessions(1, Duration::from_secs(60));
        let first = sessions.open((AT, "alice"), OPENING, |_| true).unwrap();
        assert_eq!(
            sessions.open((AT, "alice"), OPENING, |_| true).err(),
            Some(SessionError::Full)
        );
        sessions.end(&first);
        sessions.end(&first);
        assert!(sessions.open((AT, "alice"), OPENING, |_| true).is_ok());
    }

    #[test]
    fn unused_sessions_expire() {
        let sessions = sessions(10, Duration::ZERO);
        let id = sessions
            .open((AT, "alice"), OPENING, |_| true)
            .unwrap()
            .id()
            .to_owned();
        let _ = sessions.stateless(AT, "bob", "{}");
        assert_eq!(
            sessions.find(Some(&id), AT, "alice").err(),
            Some(SessionError::Gone)
        );
        assert_eq!(sessions.expire(|_, _| true).len(), 2);
        assert_eq!(sessions.meters.live.get(), 0);
    }

    #[test]
    fn sessions_end_with_their_server() {
        let sessions = sessions(10, Duration::from_secs(60));
        let other = ("acme", "other");
        for at in [AT, other, ("globex", "tools")] {
            sessions.open((at, "alice"), OPENING, |_| true).unwrap();
            let _ = sessions.stateless(at, "bob", "{}");
        }
        assert!(sessions.expire(|_, _| true).is_empty());
        let ended = sessions.expire(|tenant, server| (tenant, server) != other);
        assert_eq!(ended.len(), 2);
        assert!(ended.iter().all(|session| session.at() == other));
        assert_eq!(sessions.expire(|tenant, _| tenant == "globex").len(), 2);
        assert_eq!(sessions.meters.live.get(), 1);
    }

    #[test]
    fn stateless_principals_do_not_share() {
        let sessions = sessions(10, Duration::from_secs(60));
        let alice = sessions.stateless(AT, "alice", "{}");
        assert!(Arc::ptr_eq(&alice, &sessions.stateless(AT, "alice", "{}")));
        assert!(!Arc::ptr_eq(&alice, &sessions.stateless(AT, "bob", "{}")));
        let offering = sessions.stateless(AT, "alice", r#"{"sampling":{}}"#);
        assert!(!Arc::ptr_eq(&alice, &offering));
    }
}
