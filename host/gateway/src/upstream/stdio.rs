//! Upstreams by command: one supervised process each, spoken to in lines.
//!
//! `Upstream::request` comes here with an admitted call. The process is started by the first call and shared by all
//! callers; their ids and progress tokens are replaced on the way in and put back on the way out. A crash ends the
//! calls that wait, and the next call starts another process, after a pause that grows.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use http::StatusCode;
use portcullis_protocol::revision::Era;
use portcullis_protocol::splice;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod events;
mod handshake;
mod inbound;
mod lines;
mod pending;
mod process;
mod stderr;
mod supervise;

pub(super) use events::ProcessEvents;
pub(super) use process::Process;

use super::conversation::Conversation;
use super::error::UpstreamError;
use super::limits::UpstreamLimits;
use super::metrics::Meters;
use super::outgoing::{self, Outgoing};
use super::reply::{ReplyKind, UpstreamBody, UpstreamReply};
use events::{Begun, Waiting};
use pending::OnLeave;

/// A pause before a restart that is waited for instead of refusing the call.
const RESTART_WAIT_MS: u64 = 1_000;
const CANCELLED: &str = "notifications/cancelled";

/// One upstream by command.
#[derive(Debug)]
pub(super) struct StdioUpstream {
    setup: Arc<Setup>,
    timeout: Duration,
    current: ArcSwapOption<Process>,
    /// Held by the one that starts a process.
    start: tokio::sync::Mutex<Restart>,
}

/// What a process is started with.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) name: Arc<str>,
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
    /// The whole environment.
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) limits: Arc<UpstreamLimits>,
    pub(super) meters: Arc<Meters>,
    /// Processes live on this one; waiting for it is waiting for them.
    pub(super) processes: TaskTracker,
    pub(super) stop: CancellationToken,
}

/// What the next start has to know of the earlier ones.
#[derive(Debug, Default)]
struct Restart {
    /// Processes started so far.
    starts: u32,
    /// Starts and processes in a row that ended too soon.
    failures: u32,
    not_before: Option<Instant>,
    /// The era of the last process; a command hardly ever changes it.
    era: Option<Era>,
}

impl StdioUpstream {
    pub(super) fn new(setup: Setup, timeout: Duration) -> Self {
        Self {
            setup: Arc::new(setup),
            timeout,
            current: ArcSwapOption::empty(),
            start: tokio::sync::Mutex::default(),
        }
    }

    /// Sends a request; answers when the reply has begun.
    pub(super) async fn call(
        self: &Arc<Self>,
        conversation: &Conversation,
        out: &Outgoing<'_>,
    ) -> Result<UpstreamReply, UpstreamError> {
        let deadline = tokio::time::Instant::now() + self.timeout;
        let process = match tokio::time::timeout_at(deadline, Box::pin(self.ready())).await {
            Ok(process) => process?,
            Err(_elapsed) => return Err(self.timed_out()),
        };
        let (mut waiting, line) = self.register(&process, conversation, out)?;
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
        Ok(self.reply(process.era(), begun, waiting))
    }

    /// Passes a cancellation on to the process; it is told nothing else, since callers share it.
    pub(super) async fn notify(
        &self,
        conversation: &Conversation,
        out: &Outgoing<'_>,
    ) -> Result<(), UpstreamError> {
        if out.method != CANCELLED {
            return Ok(());
        }
        let (Some(process), Some(params)) = (self.current.load_full(), out.params) else {
            return Ok(());
        };
        let theirs = splice::get_member(params, "requestId");
        let Some(id) = theirs.and_then(|id| process.pending.find(conversation.uid(), id)) else {
            return Ok(());
        };
        let params = splice::set_member(params, "requestId", &id.to_string())
            .map_err(|source| self.untranslatable(source))?;
        let line = process::line(&outgoing::message(None, CANCELLED, Some(&params)));
        match tokio::time::timeout(self.timeout, process.send(line)).await {
            Ok(sent) => sent,
            Err(_elapsed) => Err(self.timed_out()),
        }
    }

    /// The era of the process, which is started where there is none.
    pub(super) async fn era(self: &Arc<Self>) -> Result<Era, UpstreamError> {
        match tokio::time::timeout(self.timeout, Box::pin(self.ready())).await {
            Ok(process) => Ok(process?.era()),
            Err(_elapsed) => Err(self.timed_out()),
        }
    }

    fn register(
        &self,
        process: &Arc<Process>,
        conversation: &Conversation,
        out: &Outgoing<'_>,
    ) -> Result<(Waiting, bytes::Bytes), UpstreamError> {
        let id = process.pending.next_id();
        let own = id.to_string();
        let composed = outgoing::compose(out, process.era(), process.revision(), Some(&own))
            .map_err(|source| self.untranslatable(source))?;
        let on_leave = match out.era {
            // To leave is not to cancel, in sessions.
            Era::Session => OnLeave::Nothing,
            Era::Stateless => OnLeave::Cancel,
        };
        let caller = pending::Caller {
            conversation: conversation.uid(),
            id: Box::from(out.id),
            token: composed.token,
        };
        let waiting = process.register(id, caller, on_leave)?;
        Ok((waiting, process::line(&composed.body)))
    }

    fn reply(&self, era: Era, begun: Begun, waiting: Waiting) -> UpstreamReply {
        let name = &self.setup.name;
        let (status, asker) = (StatusCode::OK, None);
        match begun {
            Begun::Last(message) => UpstreamReply {
                era,
                status,
                kind: ReplyKind::Json,
                content_length: Some(message.len() as u64),
                body: UpstreamBody::whole(name, message),
                asker,
            },
            Begun::Event(event) => UpstreamReply {
                era,
                status,
                kind: ReplyKind::Events,
                content_length: None,
                body: UpstreamBody::process(name, event, ProcessEvents::new(waiting)),
                asker,
            },
        }
    }

    /// The process, alive and introduced. The start goes on when its caller leaves: slow commands get there, too.
    async fn ready(self: &Arc<Self>) -> Result<Arc<Process>, UpstreamError> {
        if let Some(process) = self.alive() {
            return Ok(process);
        }
        let starting = Arc::clone(self);
        let started = self
            .setup
            .processes
            .spawn(async move { starting.started().await });
        started.await.unwrap_or_else(|_ended| Err(self.stopped()))
    }

    fn alive(&self) -> Option<Arc<Process>> {
        self.current
            .load_full()
            .filter(|process| process.is_alive())
    }

    async fn started(self: Arc<Self>) -> Result<Arc<Process>, UpstreamError> {
        let mut restart = self.start.lock().await;
        if let Some(process) = self.alive() {
            return Ok(process);
        }
        if let Some(dead) = self.current.swap(None) {
            self.note_end(&mut restart, dead.lived());
        }
        self.pause(&restart).await?;
        if self.setup.stop.is_cancelled() {
            return Err(self.stopped());
        }
        restart.starts = restart.starts.saturating_add(1);
        if restart.starts > 1 {
            self.setup.meters.restarts.inc();
        }
        match Box::pin(handshake::start(&self.setup, restart.era)).await {
            Ok(process) => {
                restart.era = Some(process.era());
                self.setup.meters.sessions_opened.inc();
                self.current.store(Some(Arc::clone(&process)));
                Ok(process)
            }
            Err(error) => {
                self.note_end(&mut restart, Duration::ZERO);
                Err(error)
            }
        }
    }

    fn note_end(&self, restart: &mut Restart, lived: Duration) {
        let settled = lived >= Duration::from_millis(self.setup.limits.process_settled_ms);
        restart.failures = if settled {
            0
        } else {
            restart.failures.saturating_add(1)
        };
        let pause_ms = if settled {
            0
        } else {
            self.setup.limits.backoff_ms(restart.failures)
        };
        restart.not_before = Instant::now().checked_add(Duration::from_millis(pause_ms));
    }

    /// Waits out a short pause; refuses the call during a long one.
    async fn pause(&self, restart: &Restart) -> Result<(), UpstreamError> {
        let left = restart.not_before.map_or(Duration::ZERO, |then| {
            then.saturating_duration_since(Instant::now())
        });
        if left > Duration::from_millis(RESTART_WAIT_MS) {
            return Err(UpstreamError::Restarting {
                upstream: Arc::clone(&self.setup.name),
                retry_after_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            });
        }
        tokio::select! {
            () = tokio::time::sleep(left) => Ok(()),
            () = self.setup.stop.cancelled() => Err(self.stopped()),
        }
    }

    fn timed_out(&self) -> UpstreamError {
        UpstreamError::Timeout {
            upstream: Arc::clone(&self.setup.name),
            timeout_ms: u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn stopped(&self) -> UpstreamError {
        UpstreamError::Stopped {
            upstream: Arc::clone(&self.setup.name),
        }
    }

    fn untranslatable(&self, source: splice::SpliceError) -> UpstreamError {
        UpstreamError::Params {
            upstream: Arc::clone(&self.setup.name),
            source,
        }
    }
}

impl Drop for StdioUpstream {
    fn drop(&mut self) {
        self.setup.stop.cancel();
    }
}
