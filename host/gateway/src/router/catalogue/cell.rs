//! The catalogue of a server as it is learnt: each mount is asked by itself, and none waits for another.
//!
//! The first who want a list wait for all mounts, but not for long when some have answered: who is late is listed when
//! it comes. Later ones get what is there, and what is due is asked for behind their backs. A call waits for nobody once
//! it is known who offers what it names. A mount that does not answer costs its own offers alone, and those not at once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use portcullis_protocol::listing::ListKind;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::stock::{Answer, Place, Standing};
use super::{Catalogue, Offer};
use crate::config::CatalogueSettings;
use crate::tenancy::{Mount, Server};
use crate::upstream::UpstreamError;

/// How long what mounts offer is believed, waited for and kept.
#[derive(Debug, Clone, Copy)]
pub struct CatalogueTiming {
    /// A mount is asked again after this long.
    pub refresh: Duration,
    /// Longest wait of a first listing for mounts that have not answered when others have.
    pub wait: Duration,
    /// What a mount offered last stays for this long when it does not answer any more.
    pub grace: Duration,
}

impl From<CatalogueSettings> for CatalogueTiming {
    fn from(settings: CatalogueSettings) -> Self {
        Self {
            refresh: Duration::from_secs(settings.refresh_s),
            wait: Duration::from_millis(settings.wait_ms),
            grace: Duration::from_secs(settings.grace_s),
        }
    }
}

/// The catalogue of a server, shared by its generations.
pub struct CatalogueCell {
    current: ArcSwapOption<Catalogue>,
    /// Whether lists are made of it: every mount was heard of, or waited for long enough.
    is_open: AtomicBool,
    /// By the mounts' places.
    standings: Mutex<Vec<Standing>>,
    /// Tells those who wait that a mount has answered.
    news: watch::Sender<()>,
    /// Tells clients what has changed, also when another catalogue follows this one.
    edition: Arc<watch::Sender<Edition>>,
    /// Whether somebody listens to the upstreams for it.
    pub(in crate::router) is_kept: AtomicBool,
    timing: CatalogueTiming,
    started: Instant,
    /// When the next mount is due, in milliseconds since `started`.
    due_ms: AtomicU64,
    /// When the next mount has lists that are stale, likewise.
    stale_ms: AtomicU64,
}

/// How often each list has changed, in the order of [`ListKind::ALL`].
pub type Edition = [u64; ListKind::ALL.len()];

/// What the catalogue is wanted for.
#[derive(Clone, Copy)]
enum Use {
    /// To be listed: nothing in it may be stale.
    List,
    /// To find something in it, or for nothing in particular.
    Find,
}

/// How those who wait stand.
enum Hope {
    /// Who was asked may still answer.
    Some,
    /// Everybody has been heard of.
    None,
    /// Nothing is known, and nobody has answered.
    Failed(Arc<UpstreamError>),
}

impl CatalogueCell {
    /// Nothing is known of these mounts yet.
    #[must_use]
    pub fn new(mounts: &[Mount], timing: CatalogueTiming) -> Self {
        let standings = mounts.iter().map(|_| Standing::default()).collect();
        Self::with(
            standings,
            timing,
            Arc::new(watch::Sender::new([0; ListKind::ALL.len()])),
        )
    }

    /// Of the mounts that stay, what is known stays known.
    #[must_use]
    pub fn following(&self, before: &[Mount], now: &[Mount]) -> Self {
        let standings = self.lock();
        let moved = now.iter().enumerate().map(|(at, mount)| {
            let was = before.iter().position(|known| known.is_same(mount));
            let known = was.and_then(|was| standings.get(was));
            known.map_or_else(Standing::default, |known| known.moved(at))
        });
        Self::with(moved.collect(), self.timing, Arc::clone(&self.edition))
    }

    fn with(
        standings: Vec<Standing>,
        timing: CatalogueTiming,
        edition: Arc<watch::Sender<Edition>>,
    ) -> Self {
        let is_heard = |standing: &Standing| standing.due.is_some();
        let cell = Self {
            current: ArcSwapOption::empty(),
            is_open: AtomicBool::new(standings.iter().all(is_heard)),
            standings: Mutex::default(),
            news: watch::Sender::new(()),
            edition,
            is_kept: AtomicBool::new(false),
            timing,
            started: Instant::now(),
            due_ms: AtomicU64::new(0),
            stale_ms: AtomicU64::new(0),
        };
        cell.publish(&standings);
        *cell.lock() = standings;
        cell
    }

    /// What is known so far, from memory.
    #[must_use]
    pub fn peek(&self) -> Option<Arc<Catalogue>> {
        self.current.load_full()
    }

    /// What of it changes, from now on.
    #[must_use]
    pub fn edition(&self) -> watch::Receiver<Edition> {
        self.edition.subscribe()
    }

    /// Who may see what has changed, so any list may look different.
    pub fn reissue(&self) {
        self.edition
            .send_modify(|edition| edition.iter_mut().for_each(|count| *count += 1));
    }

    /// Asks a mount anew, whose upstream says that its lists have changed.
    pub fn ask_again(&self, at: usize, server: &Arc<Server>, tracker: &TaskTracker) {
        let mut standings = self.lock();
        if let Some(standing) = standings.get_mut(at) {
            standing.outdate();
        }
        self.look_again(&standings);
        drop(standings);
        self.ask_what_is_due(server, tracker, Use::Find);
    }

    /// Asks mounts that are due, where anybody has asked for them before.
    pub fn look_after(&self, server: &Arc<Server>, tracker: &TaskTracker) {
        if self.current.load().is_some() {
            self.ask_what_is_due(server, tracker, Use::Find);
        }
    }

    /// Whether a mount has ever answered or failed to.
    #[must_use]
    pub fn has_heard(&self, mount: usize) -> bool {
        let standings = self.lock();
        standings
            .get(mount)
            .is_some_and(|standing| standing.due.is_some())
    }

    /// The catalogue to make lists of.
    ///
    /// # Errors
    /// When nothing is known and no upstream answers.
    pub async fn whole(
        &self,
        server: &Arc<Server>,
        tracker: &TaskTracker,
    ) -> Result<Arc<Catalogue>, Arc<UpstreamError>> {
        self.ask_what_is_due(server, tracker, Use::List);
        match self.opened() {
            Some(catalogue) => Ok(catalogue),
            None => Box::pin(self.opens()).await,
        }
    }

    /// What a message means that names a tool, a prompt or a resource: as soon as it is known, and nothing when everybody
    /// has been heard of and nobody offers it.
    ///
    /// # Errors
    /// As [`CatalogueCell::whole`].
    pub async fn find(
        &self,
        server: &Arc<Server>,
        tracker: &TaskTracker,
        (kind, name): (ListKind, &str),
    ) -> Result<Option<Arc<Offer>>, Arc<UpstreamError>> {
        self.ask_what_is_due(server, tracker, Use::Find);
        match self.known(kind, name) {
            Some(offer) => Ok(Some(offer)),
            None => Box::pin(self.comes(kind, name)).await,
        }
    }

    fn known(&self, kind: ListKind, name: &str) -> Option<Arc<Offer>> {
        self.current.load().as_ref()?.find(kind, name).cloned()
    }

    fn opened(&self) -> Option<Arc<Catalogue>> {
        let is_open = self.is_open.load(Ordering::Acquire);
        is_open.then(|| self.peek()).flatten()
    }

    /// Waits for every mount, and for as long as it takes until one has answered.
    async fn opens(&self) -> Result<Arc<Catalogue>, Arc<UpstreamError>> {
        let mut news = self.news.subscribe();
        let mut patience = std::pin::pin!(tokio::time::sleep(self.timing.wait));
        loop {
            if patience.is_elapsed() {
                self.open();
            }
            // Asked before looking, so that nothing that comes in between is missed.
            let hope = self.hope();
            if let Some(catalogue) = self.opened() {
                return Ok(catalogue);
            }
            if let Hope::Failed(err) = hope {
                return Err(err);
            }
            tokio::select! {
                // The sender lives as long as this cell.
                _ = news.changed() => {}
                () = patience.as_mut(), if !patience.is_elapsed() => {}
            }
        }
    }

    /// Waits for the mount that offers this.
    async fn comes(
        &self,
        kind: ListKind,
        name: &str,
    ) -> Result<Option<Arc<Offer>>, Arc<UpstreamError>> {
        let mut news = self.news.subscribe();
        loop {
            let hope = self.hope();
            if let Some(offer) = self.known(kind, name) {
                return Ok(Some(offer));
            }
            match hope {
                Hope::Some => drop(news.changed().await),
                Hope::None => return Ok(None),
                Hope::Failed(err) => return Err(err),
            }
        }
    }

    fn hope(&self) -> Hope {
        let standings = self.lock();
        let is_known = standings.iter().any(|standing| standing.stock.is_some());
        if is_known {
            return match standings.iter().any(Standing::is_new) {
                true => Hope::Some,
                false => Hope::None,
            };
        }
        let failure = standings
            .iter()
            .find_map(|standing| standing.failure.clone());
        match failure {
            Some(err) if !standings.iter().any(|standing| standing.is_asking) => Hope::Failed(err),
            Some(_) | None => Hope::Some,
        }
    }

    /// Those who are late have been waited for long enough, where others have answered.
    fn open(&self) {
        let _standings = self.lock();
        if self.current.load().is_some() {
            self.is_open.store(true, Ordering::Release);
        }
    }

    /// Asks every mount that is due for this use, each on its own. Where nothing is known, every mount is.
    fn ask_what_is_due(&self, server: &Arc<Server>, tracker: &TaskTracker, wanted: Use) {
        let now = Instant::now();
        let is_known = self.current.load().is_some();
        let next_ms = match wanted {
            Use::List => &self.stale_ms,
            Use::Find => &self.due_ms,
        };
        if is_known && self.since_start_ms(now) < next_ms.load(Ordering::Relaxed) {
            return;
        }
        let is_due = |standing: &Standing| match wanted {
            Use::List => standing.is_stale(now),
            Use::Find => standing.is_due(now),
        };
        let mut standings = self.lock();
        for (at, standing) in standings.iter_mut().enumerate() {
            if standing.is_asking || (is_known && !is_due(standing)) {
                continue;
            }
            standing.is_asking = true;
            let server = Arc::clone(server);
            tracker.spawn(async move {
                if let Some(mount) = server.mounts.get(at) {
                    let server = server.as_ref();
                    let answer = Place { server, mount, at }.ask().await;
                    server.catalogue.learn(at, now, answer);
                }
            });
        }
        self.look_again(&standings);
    }

    fn learn(&self, at: usize, asked: Instant, answer: Answer) {
        let mut standings = self.lock();
        if let Some(standing) = standings.get_mut(at) {
            standing.learn(answer, (asked, Instant::now()), self.timing);
        }
        self.publish(&standings);
        if !standings.iter().any(|standing| standing.is_asking) {
            self.is_open.store(true, Ordering::Release);
        }
        drop(standings);
        self.news.send_replace(());
    }

    /// Makes a catalogue of what is known, and none of nothing: where nobody answers, callers are told so.
    fn publish(&self, standings: &[Standing]) {
        let is_known = standings.iter().any(|standing| standing.stock.is_some());
        let now = (is_known || standings.is_empty())
            .then(|| Arc::new(Catalogue::of(standings, Instant::now())));
        if now.is_none() {
            self.is_open.store(false, Ordering::Release);
        }
        let before = self.current.swap(now.clone());
        self.announce(before.as_deref(), now.as_deref());
        self.look_again(standings);
    }

    /// Tells of every list that looks different. The first is no change: nobody has seen another.
    fn announce(&self, before: Option<&Catalogue>, now: Option<&Catalogue>) {
        let Some(before) = before else {
            return;
        };
        let is_same = |kind| now.is_some_and(|now| before.lists_the_same(now, kind));
        let changed = ListKind::ALL.map(|kind| u64::from(!is_same(kind)));
        if changed.contains(&1) {
            self.edition.send_modify(|edition| {
                for (count, more) in edition.iter_mut().zip(changed) {
                    *count += more;
                }
            });
        }
    }

    /// Remembers when the next mount is due that is not being asked already.
    fn look_again(&self, standings: &[Standing]) {
        let next_ms = |when: fn(&Standing) -> Option<Instant>| {
            let idle = standings.iter().filter(|standing| !standing.is_asking);
            let times = idle.map(|standing| when(standing).map_or(0, |at| self.since_start_ms(at)));
            times.min().unwrap_or(u64::MAX)
        };
        let (due_ms, stale_ms) = (
            next_ms(|standing| standing.due),
            next_ms(|standing| standing.stale),
        );
        self.due_ms.store(due_ms, Ordering::Relaxed);
        self.stale_ms.store(stale_ms, Ordering::Relaxed);
    }

    fn since_start_ms(&self, time: Instant) -> u64 {
        let since = time.saturating_duration_since(self.started);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Standing>> {
        self.standings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
