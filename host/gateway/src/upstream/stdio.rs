//! Upstreams by command: supervised processes, spoken to in lines.
//!
//! `Upstream::request` comes here with an admitted call. A process is started by the first call that needs it: one for
//! all callers, or one for each conversation. Ids and progress tokens are replaced on the way in and put back on the way
//! out. A crash ends the calls that wait, and the next call starts another process, after a pause that grows.

use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use portcullis_protocol::revision::Era;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod audience;
mod claims;
mod handshake;
mod inbound;
mod keeper;
mod lines;
mod process;
mod request;
mod seat;
mod stderr;
mod supervise;
mod table;
mod torn;
mod wishes;

pub(super) use process::Process;
pub(super) use seat::Seat;

use super::asker::Asker;
use super::conversation::{Client, Conversation};
use super::error::UpstreamError;
use super::introduction::Introduced;
use super::limits::UpstreamLimits;
use super::mailbox::Mailbox;
use super::metrics::Meters;
use super::outgoing::{self, Outgoing};
use super::pending::{CANCELLED, OnLeave};
use super::reply::{ReplyKind, UpstreamBody, UpstreamReply};
use super::waiting::{Begun, Waiting, WaitingEvents};
use super::wish::Wish;
use crate::model::ProcessScope;
use audience::{Audience, Kind};
use claims::Claims;
use keeper::Keeper;

/// One upstream by command.
#[derive(Debug)]
pub(super) struct StdioUpstream {
    setup: Arc<Setup>,
    timeout: Duration,
    /// The gateway's own, for lists.
    own: Conversation,
    /// The process for all callers, or at least for the gateway itself.
    common: Arc<Keeper>,
    /// Leave to run processes of single callers.
    claims: Arc<Claims>,
}

/// What all processes of an upstream have in common.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) name: Arc<str>,
    pub(super) scope: ProcessScope,
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
    /// The whole environment.
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) limits: Arc<UpstreamLimits>,
    pub(super) meters: Arc<Meters>,
    pub(super) introduced: Arc<Introduced>,
    /// Processes live on this one; waiting for it is waiting for them.
    pub(super) processes: TaskTracker,
    pub(super) stop: CancellationToken,
    /// The era of the last process; a command hardly ever changes it.
    pub(super) era: Mutex<Option<Era>>,
    /// Counts how often a process said that one of its lists has changed.
    pub(super) announced: Arc<watch::Sender<u64>>,
}

impl Setup {
    /// A way to the inbox of that client's conversation.
    fn mailbox(&self, client: &Arc<Client>) -> Mailbox {
        Mailbox::open(client, &self.limits, (&self.processes, self.stop.clone()))
    }

    fn era(&self) -> Option<Era> {
        *self.era.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_era(&self, era: Era) {
        *self.era.lock().unwrap_or_else(PoisonError::into_inner) = Some(era);
    }

    fn note_change(&self) {
        self.announced.send_modify(|announced| *announced += 1);
    }
}

/// Which process serves a call, and the caller's place at it where it has one.
struct Place {
    keeper: Arc<Keeper>,
    seat: Option<Arc<Seat>>,
}

impl StdioUpstream {
    pub(super) fn new(setup: Setup, timeout: Duration) -> Self {
        let setup = Arc::new(setup);
        let processes_max = setup.limits.session_processes_max;
        Self {
            timeout,
            own: Conversation::default(),
            common: Keeper::new(&setup, Audience::of_all(setup.scope), None),
            claims: Arc::new(Claims::new(&setup.name, processes_max)),
            setup,
        }
    }

    /// The conversation of the gateway itself.
    pub(super) fn own(&self) -> &Conversation {
        &self.own
    }

    /// The era in which the gateway's own requests go out: that of the process for all, which is started where there is
    /// none.
    pub(super) async fn own_era(&self) -> Result<Era, UpstreamError> {
        match tokio::time::timeout(self.timeout, Box::pin(self.common.ready())).await {
            Ok(process) => Ok(process?.era()),
            Err(_elapsed) => Err(self.timed_out()),
        }
    }

    /// Sends a request; answers when the reply has begun.
    pub(super) async fn call(
        &self,
        conversation: &Conversation,
        out: &Outgoing<'_>,
    ) -> Result<UpstreamReply, UpstreamError> {
        let deadline = tokio::time::Instant::now() + self.timeout;
        if let Some(wish) = Wish::of(out) {
            let granted = Box::pin(self.grant(conversation, wish, out));
            return match tokio::time::timeout_at(deadline, granted).await {
                Ok(answer) => Ok(self.whole(Era::Session, answer?)),
                Err(_elapsed) => Err(self.timed_out()),
            };
        }
        let place = self.place(conversation);
        let taken = Box::pin(self.take_in(&place, conversation, out));
        let (process, mut waiting, line) = match tokio::time::timeout_at(deadline, taken).await {
            Ok(taken) => taken?,
            Err(_elapsed) => return Err(self.timed_out()),
        };
        waiting.seat = place.seat;
        let begun = async {
            process.send(line).await?;
            waiting.begin().await
        };
        let begun = match tokio::time::timeout_at(deadline, begun).await {
            Ok(begun) => begun?,
            Err(_elapsed) => {
                waiting.on_leave(OnLeave::Cancel);
                return Err(self.timed_out());
            }
        };
        Ok(self.reply(&process, begun, waiting))
    }

    /// Passes a notification on. A process that callers share is told of cancellations alone.
    pub(super) async fn notify(
        &self,
        conversation: &Conversation,
        out: &Outgoing<'_>,
    ) -> Result<(), UpstreamError> {
        let keeper = match self.setup.scope {
            ProcessScope::Shared => Some(Arc::clone(&self.common)),
            ProcessScope::Session => conversation
                .taken_seat(&self.setup)
                .map(|seat| Arc::clone(&seat.keeper)),
        };
        let Some(process) = keeper.and_then(|keeper| keeper.alive()) else {
            return Ok(());
        };
        let Some(message) = self.notification(&process, conversation, out)? else {
            return Ok(());
        };
        match tokio::time::timeout(self.timeout, process.send(process::line(&message))).await {
            Ok(sent) => sent,
            Err(_elapsed) => Err(self.timed_out()),
        }
    }

    /// A notification as the process may know it; `None` where it is none of its business.
    fn notification(
        &self,
        process: &Process,
        conversation: &Conversation,
        out: &Outgoing<'_>,
    ) -> Result<Option<Bytes>, UpstreamError> {
        let untranslatable = |source| request::untranslatable(&self.setup, source);
        if out.method == CANCELLED {
            let cancelled = process.pending.cancellation(conversation.uid(), out.params);
            return cancelled.map_err(untranslatable);
        }
        match (process.audience.kind(), process.era()) {
            (Kind::Session(_), Era::Session) => {
                outgoing::compose_notification(out, Era::Session, process.revision())
                    .map(Some)
                    .map_err(untranslatable)
            }
            (Kind::Session(_), Era::Stateless) | (Kind::Caller | Kind::All, _) => Ok(None),
        }
    }

    /// Where a conversation's calls go. Nothing is started yet. The gateway itself uses the process for all.
    fn place(&self, conversation: &Conversation) -> Place {
        let is_own = conversation.uid() == self.own.uid();
        match self.setup.scope {
            ProcessScope::Session if !is_own => {
                let seat = self.seat(conversation);
                Place {
                    keeper: Arc::clone(&seat.keeper),
                    seat: Some(seat),
                }
            }
            ProcessScope::Session | ProcessScope::Shared => Place {
                keeper: Arc::clone(&self.common),
                seat: None,
            },
        }
    }

    fn seat(&self, conversation: &Conversation) -> Arc<Seat> {
        let uid = conversation.uid();
        conversation.seat(&self.setup, |client| match self.setup.scope {
            ProcessScope::Session => Seat::of_own(&self.setup, &self.claims, (uid, client)),
            ProcessScope::Shared => Seat::among_others(&self.common, None, (uid, client)),
        })
    }

    /// Gives one conversation a place at the process that serves another of the same caller.
    pub(super) fn join(&self, guest: &Conversation, caller: &Conversation) {
        let Place { keeper, seat } = self.place(caller);
        let uid = guest.uid();
        guest.seat(&self.setup, |client| {
            Seat::among_others(&keeper, seat, (uid, client))
        });
    }

    /// A place among those who wait for a process, which is started where there is none.
    async fn take_in(
        &self,
        place: &Place,
        conversation: &Conversation,
        out: &Outgoing<'_>,
    ) -> Result<(Arc<Process>, Waiting, Bytes), UpstreamError> {
        let mut process = place.keeper.ready().await?;
        let mut taken = request::of_caller(&process, conversation.uid(), out);
        if taken.is_err() && !process.is_alive() {
            // It has just ended, and has seen nothing of the request.
            process = place.keeper.ready().await?;
            taken = request::of_caller(&process, conversation.uid(), out);
        }
        let (waiting, line) = taken?;
        Ok((process, waiting, line))
    }

    /// What a caller wants to hear; the answer under its own id.
    async fn grant(
        &self,
        conversation: &Conversation,
        wish: Wish<'_>,
        out: &Outgoing<'_>,
    ) -> Result<Bytes, UpstreamError> {
        let seat = self.seat(conversation);
        match wish {
            Wish::Level(level) => wishes::set_level(&seat, level, out).await,
            Wish::Subscribe(uri) => {
                let process = seat.keeper.ready().await?;
                wishes::subscribe(&seat, &process, (uri, out)).await
            }
            Wish::Unsubscribe(uri) => {
                let process = seat.keeper.ready().await?;
                wishes::unsubscribe(&seat, &process, (uri, out)).await
            }
        }
    }

    fn reply(&self, process: &Arc<Process>, begun: Begun, waiting: Waiting) -> UpstreamReply {
        match begun {
            Begun::Last(message) => self.whole(process.era(), message),
            Begun::Event(event) => UpstreamReply {
                era: process.era(),
                status: StatusCode::OK,
                kind: ReplyKind::Events,
                content_length: None,
                body: UpstreamBody::waiting(&self.setup.name, event, WaitingEvents::new(waiting)),
                asker: match process.audience.scope() {
                    ProcessScope::Session => Some(Asker::process(process)),
                    ProcessScope::Shared => None,
                },
            },
        }
    }

    fn whole(&self, era: Era, message: Bytes) -> UpstreamReply {
        UpstreamReply {
            era,
            status: StatusCode::OK,
            kind: ReplyKind::Json,
            content_length: Some(message.len() as u64),
            body: UpstreamBody::whole(&self.setup.name, message),
            asker: None,
        }
    }

    fn timed_out(&self) -> UpstreamError {
        UpstreamError::Timeout {
            upstream: Arc::clone(&self.setup.name),
            timeout_ms: u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl Drop for StdioUpstream {
    fn drop(&mut self) {
        self.setup.stop.cancel();
    }
}
