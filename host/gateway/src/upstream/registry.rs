//! Every upstream of the process, so that generations share what they have in common.
//!
//! `tenancy` asks for upstreams when it builds a generation, by definition; the same definition gives the same
//! upstream for as long as anybody holds it. What nobody holds any more ends by itself.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use prometheus::Registry;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Upstream;
use super::error::SetupError;
use super::http::Client;
use super::limits::UpstreamLimits;
use super::metrics::{Meters, Metrics};
use super::oauth::{self, Consents, Credential};
use crate::model::{AuthSpec, UpstreamSpec};
use crate::store::Grants;

/// The variables that commands inherit, unless their definition sets them.
const INHERITED: [&str; 2] = ["PATH", "HOME"];

/// The upstreams of all tenants, and what they share: HTTP client, metrics, tasks, limits.
#[derive(Debug)]
pub struct Upstreams {
    pub(super) shared: Shared,
    metrics: Metrics,
    pub(super) consents: Consents,
    known: Mutex<HashMap<Key, Known>>,
}

/// Tenant and name.
type Key = (String, String);

/// The upstreams of one name that are in use: one, and for a moment after a change its predecessors.
#[derive(Debug)]
struct Known {
    meters: Arc<Meters>,
    upstreams: Vec<(UpstreamSpec, Weak<Upstream>)>,
    /// By URL and definition: tokens outlive changes of anything else.
    credentials: Vec<((String, AuthSpec), Weak<Credential>)>,
}

/// What upstreams have in common.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) grants: Arc<dyn Grants>,
    /// Where what outlives a call runs.
    pub(super) runtime: Handle,
    pub(super) limits: Arc<UpstreamLimits>,
    pub(super) tracker: TaskTracker,
    /// Processes, which a shutdown waits for.
    pub(super) processes: TaskTracker,
    pub(super) stop: CancellationToken,
    pub(super) inherited: Arc<[(OsString, OsString)]>,
}

impl Upstreams {
    /// Prepares what all upstreams share. `tracker` takes short tasks that outlive a call, such as ending sessions;
    /// those that obtain tokens run on this runtime.
    ///
    /// # Errors
    /// When the metrics are registered already, or TLS cannot be set up.
    pub fn new(
        registry: &Registry,
        limits: UpstreamLimits,
        tracker: TaskTracker,
        grants: Arc<dyn Grants>,
    ) -> Result<Arc<Self>, SetupError> {
        let inherited = INHERITED
            .into_iter()
            .filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)));
        let stop = CancellationToken::new();
        Ok(Arc::new(Self {
            metrics: Metrics::register(registry)?,
            consents: Consents::default(),
            shared: Shared {
                client: Client::new(&limits, stop.clone())?,
                grants,
                runtime: Handle::current(),
                limits: Arc::new(limits),
                tracker,
                processes: TaskTracker::new(),
                stop,
                inherited: inherited.collect(),
            },
            known: Mutex::default(),
        }))
    }

    /// The upstream with that definition; the same one each time, for as long as it is held. Does no I/O: a definition
    /// that cannot be used shows at the first call.
    pub fn get(&self, tenant: &str, name: &str, spec: &UpstreamSpec) -> Arc<Upstream> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (tenant.to_owned(), name.to_owned());
        let entry = known.entry(key).or_insert_with(|| Known {
            meters: Arc::new(self.metrics.of(tenant, name)),
            upstreams: Vec::new(),
            credentials: Vec::new(),
        });
        let same = entry.upstreams.iter().filter(|(known, _)| known == spec);
        if let Some(upstream) = same.filter_map(|(_, upstream)| upstream.upgrade()).next() {
            return upstream;
        }
        let credential = entry.credential((tenant, name), spec, &self.shared);
        let upstream = Arc::new(Upstream::new(
            (tenant, name),
            (spec, credential),
            &entry.meters,
            &self.shared,
        ));
        entry
            .upstreams
            .push((spec.clone(), Arc::downgrade(&upstream)));
        self.sweep(&mut known);
        upstream
    }

    /// Those of a name that somebody holds.
    pub(super) fn in_use(&self, tenant: &str, name: &str) -> Vec<Arc<Upstream>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = known.get(&(tenant.to_owned(), name.to_owned()));
        let upstreams = entry.map_or(&[][..], |entry| &entry.upstreams);
        upstreams
            .iter()
            .filter_map(|(_, upstream)| upstream.upgrade())
            .collect()
    }

    /// Ends every process: its input is closed, then it is sent TERM, then KILL. Calls that wait for one are refused.
    pub async fn shutdown(&self) {
        self.shared.stop.cancel();
        self.shared.processes.close();
        self.shared.processes.wait().await;
    }

    /// Forgets what nobody holds any more, its metrics included.
    fn sweep(&self, known: &mut HashMap<Key, Known>) {
        known.retain(|(tenant, name), entry| {
            entry
                .upstreams
                .retain(|(_, upstream)| upstream.strong_count() > 0);
            entry
                .credentials
                .retain(|(_, credential)| credential.strong_count() > 0);
            let used = !entry.upstreams.is_empty();
            if !used {
                self.metrics.forget(tenant, name);
            }
            used
        });
    }
}

impl Known {
    /// The credential of a definition; the same one for as long as it is held. The error says what is wrong with it.
    fn credential(
        &mut self,
        at: (&str, &str),
        spec: &UpstreamSpec,
        shared: &Shared,
    ) -> Result<Option<Arc<Credential>>, String> {
        let (Some(url), Some(auth)) = (&spec.url, &spec.auth) else {
            return Ok(None);
        };
        let key = (url.clone(), auth.clone());
        let same = self.credentials.iter().filter(|(known, _)| *known == key);
        if let Some(known) = same.filter_map(|(_, known)| known.upgrade()).next() {
            return Ok(Some(known));
        }
        let means = oauth::Means {
            client: shared.client.clone(),
            limits: Arc::clone(&shared.limits),
            grants: Arc::clone(&shared.grants),
            tracker: shared.tracker.clone(),
            runtime: shared.runtime.clone(),
        };
        let made = Credential::new(at, (url, auth), means, Arc::clone(&self.meters))?;
        self.credentials.push((key, Arc::downgrade(&made)));
        Ok(Some(made))
    }
}
