//! Keeps one process alive: started by the first call that needs it, and again after a crash, after a pause that grows.
//!
//! `stdio` has one for all callers, and a `seat` one for each caller that has a process to itself. It starts processes
//! through `handshake`; what callers wanted of the last one is wanted of the next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio_util::sync::CancellationToken;

use super::audience::Audience;
use super::claims::{Claim, Claims};
use super::process::Process;
use super::{Setup, handshake, wishes};
use crate::upstream::error::UpstreamError;

/// A pause before a restart that is waited for instead of refusing the call.
const RESTART_WAIT_MS: u64 = 1_000;

/// One process after the other.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) setup: Arc<Setup>,
    pub(super) audience: Arc<Audience>,
    /// Where leave to run a process is had, unless it is the one for all.
    claims: Option<Arc<Claims>>,
    stop: CancellationToken,
    current: ArcSwapOption<Process>,
    /// Held by the one that starts a process.
    start: tokio::sync::Mutex<Restart>,
}

/// What a process is started with, beside what all of its upstream have in common.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) setup: Arc<Setup>,
    pub(super) audience: Arc<Audience>,
    /// Ends it.
    pub(super) stop: CancellationToken,
    /// Given back when nothing is left of it.
    pub(super) claim: Option<Claim>,
}

/// What the next start has to know of the earlier ones.
#[derive(Debug, Default)]
struct Restart {
    claim: Option<Claim>,
    /// Processes started so far.
    starts: u32,
    /// Starts and processes in a row that ended too soon.
    failures: u32,
    not_before: Option<Instant>,
}

impl Keeper {
    /// No process yet.
    pub(super) fn new(
        setup: &Arc<Setup>,
        audience: Audience,
        claims: Option<Arc<Claims>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            stop: setup.stop.child_token(),
            setup: Arc::clone(setup),
            audience: Arc::new(audience),
            claims,
            current: ArcSwapOption::empty(),
            start: tokio::sync::Mutex::default(),
        })
    }

    /// The process, alive and introduced. The start goes on when its caller leaves: slow commands get there, too.
    pub(super) async fn ready(self: &Arc<Self>) -> Result<Arc<Process>, UpstreamError> {
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

    /// The process, where one is alive.
    pub(super) fn alive(&self) -> Option<Arc<Process>> {
        self.current
            .load_full()
            .filter(|process| process.is_alive())
    }

    /// Ends the process; another is not started.
    pub(super) fn close(&self) {
        self.stop.cancel();
    }

    /// Ends the process if no call waits for it, and gives up its claim; says whether it had one. The next call starts
    /// another.
    pub(super) fn retire(&self) -> bool {
        let Ok(mut restart) = self.start.try_lock() else {
            return false;
        };
        let is_used = |process: Arc<Process>| {
            // Who has subscribed to something waits for the process, too.
            !self.audience.table().is_quiet() || !process.retire()
        };
        if self.alive().is_some_and(is_used) {
            return false;
        }
        self.current.store(None);
        restart.claim.take().is_some()
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
        if let (None, Some(claims)) = (&restart.claim, &self.claims) {
            restart.claim = Some(claims.claim().await?);
        }
        if self.stop.is_cancelled() {
            return Err(self.stopped());
        }
        restart.starts = restart.starts.saturating_add(1);
        if restart.starts > 1 {
            self.setup.meters.restarts.inc();
        }
        let order = Order {
            setup: Arc::clone(&self.setup),
            audience: Arc::clone(&self.audience),
            stop: self.stop.clone(),
            claim: restart.claim.clone(),
        };
        match Box::pin(handshake::start(&order)).await {
            Ok(process) => {
                self.setup.meters.sessions_opened.inc();
                self.current.store(Some(Arc::clone(&process)));
                wishes::renew(&process);
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
            () = self.stop.cancelled() => Err(self.stopped()),
        }
    }

    fn stopped(&self) -> UpstreamError {
        UpstreamError::Stopped {
            upstream: Arc::clone(&self.setup.name),
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.close();
    }
}
