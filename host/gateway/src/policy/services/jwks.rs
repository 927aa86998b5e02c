//! Key sets behind URLs: fetched in the background, shared by all issuers that name the same URL.
//!
//! Before it: a generation that names a URL. After it: the issuer's server. It is never waited for on the request
//! path: a verifier takes what is there. A source is fetched for as long as a generation holds it.

mod client;
mod source;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use http::Uri;
use prometheus::{IntCounterVec, Opts, Registry};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use client::JwksClient;
use source::Fetcher;

pub(super) use source::JwksSource;

/// How often keys are fetched.
#[derive(Debug, Clone, Copy)]
pub struct JwksTiming {
    /// After a fetch that went well, give or take a tenth.
    pub refresh: Duration,
    /// At the least between the beginnings of two fetches, when tokens name a key that is not in the set.
    pub early_min: Duration,
    /// After a first fetch that failed; doubled for each further one, give or take a tenth.
    pub retry_min: Duration,
    /// The longest wait after a fetch that failed.
    pub retry_max: Duration,
    /// For one fetch, from connecting to the last byte.
    pub timeout: Duration,
    /// Keys that could not be renewed for this long are no longer used.
    pub stale_max: Duration,
}

impl Default for JwksTiming {
    fn default() -> Self {
        Self {
            refresh: Duration::from_secs(300),
            early_min: Duration::from_secs(10),
            retry_min: Duration::from_secs(1),
            retry_max: Duration::from_secs(60),
            timeout: Duration::from_secs(5),
            stale_max: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// Where tasks in the background run, and what ends them.
pub(super) struct Spawner {
    pub(super) runtime: Handle,
    pub(super) tracker: TaskTracker,
    pub(super) shutdown: CancellationToken,
}

/// All sources of this process, by URL.
pub(super) struct JwksPool {
    spawner: Spawner,
    timing: JwksTiming,
    client: Arc<JwksClient>,
    fetches: IntCounterVec,
    sources: Mutex<HashMap<Uri, Weak<JwksSource>>>,
}

impl JwksPool {
    pub(super) fn new(
        spawner: Spawner,
        timing: JwksTiming,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let fetches = IntCounterVec::new(
            Opts::new(
                "portcullis_jwks_fetches_total",
                "Fetches of issuers' key sets, by outcome: ok, failed",
            ),
            &["outcome"],
        )?;
        registry.register(Box::new(fetches.clone()))?;
        Ok(Self {
            spawner,
            timing,
            client: Arc::new(JwksClient::new()),
            fetches,
            sources: Mutex::default(),
        })
    }

    /// The source for a URL; begins to fetch when it is new. None for a URL that can not be fetched.
    pub(super) fn source(&self, url: &str) -> Option<Arc<JwksSource>> {
        let uri: Uri = url.parse().ok()?;
        if !matches!(uri.scheme_str(), Some("http" | "https"))
            || uri.host().is_none_or(str::is_empty)
        {
            return None;
        }
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = sources.get(&uri).and_then(Weak::upgrade) {
            return Some(source);
        }
        sources.retain(|_, source| source.strong_count() > 0);
        let source = Arc::new(self.start(uri.clone()));
        sources.insert(uri, Arc::downgrade(&source));
        Some(source)
    }

    fn start(&self, uri: Uri) -> JwksSource {
        let stop = self.spawner.shutdown.child_token();
        let fetcher = Fetcher::new(uri, self.timing, Arc::clone(&self.client), &self.fetches);
        let source = JwksSource::new(fetcher.shelf(), stop.clone().drop_guard());
        self.spawner
            .tracker
            .spawn_on(fetcher.run(stop), &self.spawner.runtime);
        source
    }
}
