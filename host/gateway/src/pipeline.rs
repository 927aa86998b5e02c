//! The walk of one message, whole and in order.
//!
//! Before it: the listener, which bounded and pinned the request. After it: the listener again, with a reply. Nothing
//! reaches an upstream that the chain has not made [`Permitted`], on any path through this file.

mod arrival;
mod ask;
mod back;
mod cache;
mod downward;
mod incoming;
mod introduction;
mod lifecycle;
mod listing;
mod mirrors;
mod push;
mod rounds;
mod streams;
mod subscribe;
mod tasks;
mod tell;
mod translate;

use std::sync::Arc;
use std::time::Duration;

use portcullis_protocol::listing::ListKind;
use tokio_util::task::TaskTracker;

use crate::call::{Call, Kind};
use crate::listener::{Guard, Reply};
use crate::policy::Permitted;
use crate::refusal::Refusal;
use crate::router::Keeper;
use crate::seal::Seal;
use crate::session::Sessions;
use crate::telemetry::Metrics;
use crate::tenancy::Registry;

pub use arrival::{Arrival, Batched, Unread};
pub(crate) use rounds::Suspended;

/// Bounds that the walk keeps.
#[derive(Debug, Clone, Copy)]
pub struct WalkLimits {
    /// Largest request body.
    pub body_bytes_max: usize,
    /// Largest single event of a stream, and largest whole reply that a transform may see.
    pub event_bytes_max: usize,
    /// How long a stream may be quiet before a comment keeps it open.
    pub keep_alive: Duration,
    /// How long a reply may take from its beginning to its end, whatever comes meanwhile.
    pub stream_time_max: Duration,
    /// How often a WebSocket is asked whether its client is there.
    pub websocket_ping: Duration,
    /// Most messages of one batch.
    pub batch_messages_max: usize,
    /// Most entries of one page of a listing.
    pub page_entries_max: usize,
}

/// A call whose caller is known, and its session found. Only the walk makes one.
pub struct Identified(Arc<Call>);

impl Identified {
    /// The call.
    #[must_use]
    pub fn call(&self) -> &Arc<Call> {
        &self.0
    }
}

/// The rooms of the walk, wired together.
pub struct Pipeline {
    pub(crate) registry: Arc<Registry>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) guard: Guard,
    pub(crate) tracker: TaskTracker,
    pub(crate) limits: WalkLimits,
    pub(crate) seal: Arc<Seal>,
    pub(crate) keeper: Keeper,
    pub(crate) suspended: Arc<Suspended>,
    pub(crate) ready: Arc<std::sync::atomic::AtomicBool>,
}

impl Pipeline {
    /// All tenants.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Where requests are counted.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Whether traffic should come here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// One message, from its arrival to the head of its reply.
    ///
    /// # Errors
    /// The first refusal on the way.
    pub async fn walk(&self, call: Arc<Call>) -> Result<Reply, Refusal> {
        let call = self.identify(call).await?;
        self.serve(call).await
    }

    /// The first half: who is calling, and in which session. Whoever replies on another connection needs to know that
    /// before it says that the message is taken.
    ///
    /// # Errors
    /// 401 for nobody, 404 for a session of somebody else.
    pub async fn identify(&self, call: Arc<Call>) -> Result<Identified, Refusal> {
        match call.generation.chain.authenticate(&call).await {
            Ok(identity) => self.sessions.attach(call, identity).map(Identified),
            Err(refusal) => {
                witnessed(&call);
                Err(refusal)
            }
        }
    }

    /// The second half: may it, where to, and what comes of it.
    ///
    /// # Errors
    /// As [`Pipeline::walk`].
    pub async fn serve(&self, Identified(call): Identified) -> Result<Reply, Refusal> {
        if call.witness.is_none() {
            return self.judge_and_serve(call).await;
        }
        let watched = Arc::clone(&call);
        let outcome = Box::pin(self.judge_and_serve(call)).await;
        witnessed(&watched);
        outcome
    }

    async fn judge_and_serve(&self, call: Arc<Call>) -> Result<Reply, Refusal> {
        call.recall_offer();
        let generation = Arc::clone(&call.generation);
        let call = generation.chain.admit(call).await?;

        match (
            call.message.kind,
            call.message.method.as_deref().unwrap_or_default(),
        ) {
            (Kind::Request, "initialize") => self.initialize(&call),
            (Kind::Request, "server/discover") => Ok(lifecycle::discover(&call)),
            (Kind::Request, "ping") => Ok(lifecycle::pong(&call)),
            (Kind::Request, "logging/setLevel") => self.set_level(&call).await,
            (
                Kind::Request,
                "tools/call"
                | "prompts/get"
                | "resources/read"
                | "resources/subscribe"
                | "resources/unsubscribe"
                | "completion/complete",
            ) => self.ask(call).await,
            (Kind::Request, "subscriptions/listen") => self.subscribe(call).await,
            (Kind::Request, "tasks/get" | "tasks/result" | "tasks/update" | "tasks/cancel") => {
                self.ask_task(call).await
            }
            (Kind::Request, method) => match ListKind::of_method(method) {
                Some(kind) => self.list(&call, kind).await,
                None => Err(Refusal::unknown_method(method)),
            },
            (Kind::Notification, "notifications/initialized") => Ok(lifecycle::taken()),
            (Kind::Notification, "notifications/progress") => Ok(self.tell_progress(&call)),
            (Kind::Notification, _) => Ok(self.tell_all(&call)),
            (Kind::Response, _) => Ok(self.answer(&call)),
            (Kind::Open, _) => self.open(&call),
            (Kind::Listen, _) => self.listen(&call),
            (Kind::End, _) => Ok(self.end_session(&call)),
        }
    }

    /// A request for something that one upstream offers.
    async fn ask(&self, call: Permitted) -> Result<Reply, Refusal> {
        if let Some(paused) = self.paused(&call)? {
            return Box::pin(self.resume(call, paused)).await;
        }
        let route = crate::router::find(&call, &self.tracker).await?;
        mirrors::check(&call, &route.offer)?;
        let generation = Arc::clone(&call.generation);
        let call = generation.chain.transform_call(call).await?;
        call.note_arguments();
        let held = self.sessions.conversation(&call);
        let answer = ask::send(&route, held, &call).await?;
        back::carry(self, call, answer).await
    }
}

/// What is done with a call that somebody wants to know about, when the chain is done with it.
fn witnessed(call: &Arc<Call>) {
    let Some(witness) = &call.witness else {
        return;
    };
    if let Some(rollout) = call.rollout.as_ref().filter(|rollout| rollout.watches()) {
        rollout.compare(call);
    }
    if let Some(samples) = call
        .generation
        .samples
        .as_ref()
        .filter(|_| witness.is_sample)
    {
        samples.keep(call);
    }
}
