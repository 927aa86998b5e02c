//! One URL's key set: what verifiers see of it, and the task that renews it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::Uri;
use prometheus::{IntCounter, IntCounterVec};
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{debug, warn};

use super::JwksTiming;
use super::client::{FetchError, JwksClient};
use crate::policy::services::jwt::KeySet;
use crate::state::Clock;

/// One URL's key set, as verifiers see it. Fetching ends when the last of them lets go.
pub(in crate::policy::services) struct JwksSource {
    shelf: Arc<Shelf>,
    _stop: DropGuard,
}

/// Between the task and the verifiers.
pub(super) struct Shelf {
    set: ArcSwapOption<KeySet>,
    /// A fetch is on its way, or asked for.
    pending: AtomicBool,
    started_ns: AtomicU64,
    early_min: Duration,
    wake: Notify,
    first_done: watch::Sender<bool>,
    clock: Clock,
}

impl JwksSource {
    pub(super) fn new(shelf: Arc<Shelf>, stop: DropGuard) -> Self {
        Self { shelf, _stop: stop }
    }

    /// The keys, once they were fetched.
    pub(in crate::policy::services) fn current(&self) -> Option<Arc<KeySet>> {
        self.shelf.set.load_full()
    }

    /// True when `set` is what is there now.
    pub(in crate::policy::services) fn holds(&self, set: &Arc<KeySet>) -> bool {
        self.shelf
            .set
            .load()
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, set))
    }

    /// Asks for the keys ahead of time, unless they were asked for a moment ago. True when they are on their way.
    pub(in crate::policy::services) fn refresh_early(&self) -> bool {
        self.shelf.refresh_early()
    }

    /// Ends when the first fetch has, however it went.
    pub(in crate::policy::services) async fn first_fetch(&self) {
        // The sender is in the same place as the receiver: it can not go away before.
        let _ = self
            .shelf
            .first_done
            .subscribe()
            .wait_for(|done| *done)
            .await;
    }
}

impl Shelf {
    fn refresh_early(&self) -> bool {
        if self.pending.load(Ordering::Acquire) {
            return true;
        }
        let since = self
            .clock
            .now_ns()
            .saturating_sub(self.started_ns.load(Ordering::Acquire));
        if Duration::from_nanos(since) < self.early_min {
            return false;
        }
        if !self.pending.swap(true, Ordering::AcqRel) {
            self.wake.notify_one();
        }
        true
    }
}

/// The task of one URL.
pub(super) struct Fetcher {
    uri: Uri,
    timing: JwksTiming,
    client: Arc<JwksClient>,
    shelf: Arc<Shelf>,
    ok: IntCounter,
    failed: IntCounter,
    failures_in_row: u32,
    /// When the keys last came, and the hash of what came.
    last: Option<(Instant, [u8; 32])>,
}

impl Fetcher {
    pub(super) fn new(
        uri: Uri,
        timing: JwksTiming,
        client: Arc<JwksClient>,
        fetches: &IntCounterVec,
    ) -> Self {
        let shelf = Shelf {
            set: ArcSwapOption::empty(),
            pending: AtomicBool::new(true),
            started_ns: AtomicU64::new(0),
            early_min: timing.early_min,
            wake: Notify::new(),
            first_done: watch::Sender::new(false),
            clock: Clock::system(),
        };
        Self {
            uri,
            timing,
            client,
            shelf: Arc::new(shelf),
            ok: fetches.with_label_values(&["ok"]),
            failed: fetches.with_label_values(&["failed"]),
            failures_in_row: 0,
            last: None,
        }
    }

    pub(super) fn shelf(&self) -> Arc<Shelf> {
        Arc::clone(&self.shelf)
    }

    /// Fetches, again and again, until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let renewed = async {
            loop {
                let wait = self.renew().await;
                tokio::select! {
                    () = sleep(wait) => {}
                    () = self.shelf.wake.notified() => {}
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = renewed => {}
        }
    }

    /// One fetch. Returns how long to wait for the next.
    async fn renew(&mut self) -> Duration {
        self.shelf.pending.store(true, Ordering::Release);
        self.shelf
            .started_ns
            .store(self.shelf.clock.now_ns(), Ordering::Release);
        let wait = match self.fetch().await {
            Ok(()) => {
                self.ok.inc();
                self.failures_in_row = 0;
                self.timing.refresh
            }
            Err(error) => {
                self.failed.inc();
                self.note_failure(&error);
                let doubled = self
                    .timing
                    .retry_min
                    .saturating_mul(1 << self.failures_in_row.min(16));
                self.failures_in_row = self.failures_in_row.saturating_add(1);
                doubled.min(self.timing.retry_max)
            }
        };
        self.shelf.pending.store(false, Ordering::Release);
        self.shelf.first_done.send_replace(true);
        wait.mul_f64(rand::random_range(0.9..1.1))
    }

    async fn fetch(&mut self) -> Result<(), FetchError> {
        let body = timeout(self.timing.timeout, self.client.get(&self.uri)).await??;
        let sha256: [u8; 32] = Sha256::digest(&body).into();
        let same =
            self.last.is_some_and(|(_, last)| last == sha256) && self.shelf.set.load().is_some();
        if !same {
            // Tokens that were verified with the keys before are verified again.
            let set = KeySet::from_slice(&body)?;
            self.shelf.set.store(Some(Arc::new(set)));
            debug!(
                host = self.uri.host(),
                path = self.uri.path(),
                "an issuer's keys are new"
            );
        }
        self.last = Some((Instant::now(), sha256));
        Ok(())
    }

    fn note_failure(&self, error: &FetchError) {
        let error: &dyn std::error::Error = error;
        // Neither user nor query: they may be secrets.
        warn!(
            host = self.uri.host(),
            path = self.uri.path(),
            error,
            "an issuer's keys can not be fetched"
        );
        if self
            .last
            .is_some_and(|(at, _)| at.elapsed() > self.timing.stale_max)
        {
            self.shelf.set.store(None);
        }
    }
}
