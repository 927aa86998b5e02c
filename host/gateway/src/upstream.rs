//! Upstreams: the MCP servers that the gateway calls, by URL or by command.
//!
//! Last stop on the way out: the pipeline comes here with a call that was authenticated, admitted and routed, and goes
//! back with a reply that has begun. This room keeps connections, upstream sessions, processes and health. It never
//! decides who may call what, never looks at arguments, and never lets a client's credentials out.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portcullis_protocol::revision::Era;

mod asker;
mod authorize;
mod changes;
mod conversation;
mod error;
mod flight;
mod health;
mod http;
mod inbox;
mod introduction;
mod limits;
mod list;
mod mailbox;
mod metrics;
mod oauth;
mod outgoing;
mod pending;
mod registry;
mod reply;
mod restore;
mod slot;
mod stdio;
mod waiting;
mod watch;
mod wish;

pub use asker::Asker;
pub use conversation::Conversation;
pub use error::{SetupError, UpstreamError};
pub use inbox::Inbox;
pub use introduction::Introduction;
pub use limits::UpstreamLimits;
pub use list::List;
pub use oauth::{
    AnswerError, Asked, AuthorizationState, AuthorizationView, Callback, ConsentError, OauthError,
};
pub use outgoing::{EVERYTHING, Outgoing};
pub use registry::Upstreams;
pub use reply::{ReplyKind, UpstreamBody, UpstreamReply};
pub use watch::Watch;

use self::changes::Changes;
use self::error::Blame;
use self::flight::{Flight, Load};
use self::health::Health;
use self::http::{HttpUpstream, Means, Wire};
use self::introduction::Introduced;
use self::metrics::Meters;
use self::oauth::Credential;
use self::registry::Shared;
use self::stdio::{Setup, StdioUpstream};
use crate::model::UpstreamSpec;
use tokio_util::task::TaskTracker;

/// One upstream of one tenant.
#[derive(Debug)]
pub struct Upstream {
    name: Arc<str>,
    labels: BTreeMap<String, String>,
    limits: Arc<UpstreamLimits>,
    meters: Arc<Meters>,
    health: Health,
    load: Load,
    changes: Changes,
    tracker: TaskTracker,
    introduced: Arc<Introduced>,
    transport: Transport,
}

#[derive(Debug)]
enum Transport {
    Http(HttpUpstream),
    Stdio(StdioUpstream),
    /// The definition cannot be used, and why.
    Broken(String),
}

impl Upstream {
    fn new(
        (tenant, name): (&str, &str),
        (spec, credential): (&UpstreamSpec, Result<Option<Arc<Credential>>, String>),
        meters: &Arc<Meters>,
        shared: &Shared,
    ) -> Self {
        let name: Arc<str> = Arc::from(name);
        let introduced = Arc::new(Introduced::new(&name));
        let changes = Changes::new(&shared.stop);
        let transport = match credential {
            Ok(credential) => {
                let learnt = (&introduced, &changes);
                Transport::new(&name, (spec, credential), (meters, learnt), shared)
            }
            Err(reason) => Transport::Broken(reason),
        };
        if let Transport::Broken(reason) = &transport {
            tracing::warn!(tenant, upstream = %name, reason, "upstream cannot be used");
        }
        Self {
            health: Health::new(Arc::clone(&name)),
            name,
            labels: spec.labels.clone(),
            limits: Arc::clone(&shared.limits),
            meters: Arc::clone(meters),
            load: Load::default(),
            changes,
            tracker: shared.tracker.clone(),
            introduced,
            transport,
        }
    }

    /// Its name within the tenant.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The labels of its definition.
    #[must_use]
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.labels
    }

    /// Whether a call would be let through: it did not fail repeatedly, or the pause after that is over.
    #[must_use]
    pub fn healthy(&self) -> bool {
        self.health.is_open()
    }

    /// Calls whose reply has not ended.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.load.in_flight()
    }

    /// Moving average of the time until a reply begins, in microseconds; 0 before the first.
    #[must_use]
    pub fn latency_us(&self) -> u64 {
        self.load.latency_us()
    }

    /// What it said of itself when it was opened last, in this era if it could; nothing before that.
    #[must_use]
    pub fn introduction(&self, era: Era) -> Option<Arc<Introduction>> {
        self.introduced.in_era(era)
    }

    /// Sends a request and answers when its reply has begun. Dropping the future or the reply's body ends the call.
    ///
    /// # Errors
    /// When there is no reply. A JSON-RPC error is a reply.
    pub async fn request(
        self: &Arc<Self>,
        conversation: &Conversation,
        out: Outgoing<'_>,
    ) -> Result<UpstreamReply, UpstreamError> {
        if let Err(retry_after_ms) = self.health.admit(&self.limits) {
            let error = UpstreamError::Unhealthy {
                upstream: Arc::clone(&self.name),
                retry_after_ms,
            };
            self.meters.count_failed(&error);
            return Err(error);
        }
        let flight = Flight::begin(self);
        let began = Instant::now();
        let reply = match &self.transport {
            Transport::Http(http) => http.call(conversation, &out).await,
            Transport::Stdio(stdio) => stdio.call(conversation, &out).await,
            Transport::Broken(reason) => Err(self.broken(reason)),
        };
        match reply {
            Ok(mut reply) => {
                self.note_reply(began.elapsed());
                if !http_body::Body::is_end_stream(&reply.body) {
                    reply.body.carry(flight);
                }
                Ok(reply)
            }
            Err(error) => {
                self.meters.count_failed(&error);
                self.health.learn(error.blame(), &self.limits, &self.meters);
                Err(error)
            }
        }
    }

    /// Sends a notification, where the upstream has a use for it. `out.id` is not looked at.
    ///
    /// # Errors
    /// When it could not be delivered.
    pub async fn notify(
        self: &Arc<Self>,
        conversation: &Conversation,
        out: Outgoing<'_>,
    ) -> Result<(), UpstreamError> {
        match &self.transport {
            Transport::Http(http) => http.notify(conversation, &out).await,
            Transport::Stdio(stdio) => stdio.notify(conversation, &out).await,
            Transport::Broken(reason) => Err(self.broken(reason)),
        }
    }

    fn note_reply(&self, latency: Duration) {
        self.load.observe(latency);
        self.meters.count_ok(latency);
        self.health.learn(Blame::None, &self.limits, &self.meters);
    }

    fn broken(&self, reason: &str) -> UpstreamError {
        UpstreamError::Misconfigured {
            upstream: Arc::clone(&self.name),
            reason: reason.to_owned(),
        }
    }
}

impl Transport {
    fn new(
        name: &Arc<str>,
        (spec, credential): (&UpstreamSpec, Option<Arc<Credential>>),
        (meters, (introduced, changes)): (&Arc<Meters>, (&Arc<Introduced>, &Changes)),
        shared: &Shared,
    ) -> Self {
        let timeout = Duration::from_millis(spec.timeout_ms.max(1));
        match (spec.url.as_deref(), spec.command.split_first()) {
            (Some(url), None) => {
                let means = Means {
                    client: shared.client.clone(),
                    limits: Arc::clone(&shared.limits),
                    tracker: shared.tracker.clone(),
                    stop: shared.stop.child_token(),
                    meters: Arc::clone(meters),
                    credential,
                    introduced: Arc::clone(introduced),
                };
                match Wire::new(name, url, spec, means) {
                    Ok(wire) => Self::Http(HttpUpstream::new(Arc::new(wire), timeout)),
                    Err(reason) => Self::Broken(reason),
                }
            }
            (None, Some((program, args))) => {
                let setup = Setup {
                    name: Arc::clone(name),
                    scope: spec.process,
                    program: OsString::from(program),
                    args: args.iter().map(OsString::from).collect(),
                    env: environment(spec, shared),
                    limits: Arc::clone(&shared.limits),
                    meters: Arc::clone(meters),
                    introduced: Arc::clone(introduced),
                    processes: shared.processes.clone(),
                    stop: shared.stop.child_token(),
                    era: Mutex::default(),
                    announced: changes.announced(),
                };
                Self::Stdio(StdioUpstream::new(setup, timeout))
            }
            (Some(_), Some(_)) => {
                Self::Broken("it has both `url` and `command`: keep one".to_owned())
            }
            (None, None) => Self::Broken("it has neither `url` nor `command`: add one".to_owned()),
        }
    }
}

/// What a command sees: what is inherited, then what its definition sets. The later one counts.
fn environment(spec: &UpstreamSpec, shared: &Shared) -> Vec<(OsString, OsString)> {
    let own = spec
        .env
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value.expose())));
    shared.inherited.iter().cloned().chain(own).collect()
}

#[cfg(test)]
mod tests;
