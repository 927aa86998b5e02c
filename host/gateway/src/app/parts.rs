//! The parts of a gateway, opened and closed in order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use portcullis_sandbox::{CompileLimits, Sandbox, SandboxSettings};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;
use url::Url;

use crate::admin::{AdminParts, AdminState, CALLBACK_PATH};
use crate::config::{self, Settings};
use crate::listener::Guard;
use crate::model::Secret;
use crate::pipeline::{Pipeline, WalkLimits};
use crate::policy::services::{JwksTiming, ServicesParts, SharedServices};
use crate::policy::{Binder, Sandboxed};
use crate::router::Keeper;
use crate::seal::Seal;
use crate::session::{LogBounds, SessionLimits, SessionMeters, Sessions};
use crate::state::{Clock, StateBounds, StateRoom};
use crate::store::SqliteStore;
use crate::telemetry::Metrics;
use crate::tenancy::{Registry, Shelf, Workshop};
use crate::upstream::{UpstreamLimits, Upstreams};

use super::AppError;
use super::sizing::Sizing;

/// Everything that outlives a request.
pub(super) struct Parts {
    pub(super) store: Arc<SqliteStore>,
    pub(super) registry: Arc<Registry>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) ready: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
    upstreams: Arc<Upstreams>,
    tasks: TaskTracker,
}

impl Parts {
    pub(super) async fn open(
        settings: &Settings,
        binder: Option<Arc<dyn Binder>>,
        (stop, tasks): (&CancellationToken, &TaskTracker),
    ) -> Result<Self, AppError> {
        let store = Arc::new(SqliteStore::open(&settings.data_dir).await?);
        let metrics = Metrics::new()?;
        let sizing = Sizing::of_machine(&settings.sandbox);
        let sandbox = Sandbox::new(SandboxSettings {
            cache_dir: Some(settings.data_dir.join("compiled")),
            instances_max: u32::try_from(sizing.instances_max).unwrap_or(u32::MAX),
            compile: compile_limits(&settings.sandbox, sizing),
            waiting_instances_max: u32::try_from(settings.sandbox.waiting_instances_max)
                .unwrap_or(u32::MAX),
            waiting_queue_len_max: usize::try_from(settings.sandbox.waiting_queue_len_max)
                .unwrap_or(usize::MAX),
            ..SandboxSettings::default()
        })?;
        let upstreams = Upstreams::new(
            metrics.registry(),
            upstream_limits(settings),
            tasks.clone(),
            Arc::<SqliteStore>::clone(&store),
        )?;
        let services = SharedServices::new(ServicesParts {
            state: Arc::new(StateRoom::new(
                StateBounds::default(),
                Clock::system(),
                metrics.registry(),
            )?),
            registry: metrics.registry().clone(),
            runtime: Handle::current(),
            tracker: tasks.clone(),
            shutdown: stop.clone(),
            jwks_timing: JwksTiming::default(),
        })?;
        let workshop = Workshop {
            shelf: Shelf::new(sandbox),
            binder: binder.unwrap_or_else(|| {
                Arc::new(Sandboxed {
                    metrics: Arc::clone(&metrics),
                })
            }),
            upstreams: Arc::clone(&upstreams),
            services,
            metrics: Arc::clone(&metrics),
            catalogue: settings.catalogue.into(),
            deadline_ms: u32::try_from(settings.sandbox.deadline_ms).unwrap_or(u32::MAX),
            waiting_deadline_ms: u32::try_from(settings.sandbox.waiting_deadline_ms)
                .unwrap_or(u32::MAX),
            plugin_files_dir: settings.data_dir.join("plugin-files"),
            memory_bytes_max: settings.sandbox.memory_bytes_max,
            shadows: Arc::default(),
        };
        Ok(Self {
            store,
            registry: Arc::new(Registry::new(workshop, settings.default_server.clone())),
            sessions: Arc::new(Sessions::new(
                session_limits(settings),
                SessionMeters::register(metrics.registry())?,
            )),
            ready: Arc::new(AtomicBool::new(false)),
            metrics,
            upstreams,
            tasks: tasks.clone(),
        })
    }

    pub(super) fn pipeline(
        &self,
        settings: &Settings,
        listen: SocketAddr,
        (stop, tasks): (&CancellationToken, &TaskTracker),
    ) -> Arc<Pipeline> {
        let len = |setting: u64| usize::try_from(setting).unwrap_or(usize::MAX);
        Arc::new(Pipeline {
            registry: Arc::clone(&self.registry),
            sessions: Arc::clone(&self.sessions),
            metrics: Arc::clone(&self.metrics),
            guard: Guard::new(listen, settings.allowed_origins.clone()),
            tracker: tasks.clone(),
            limits: WalkLimits {
                body_bytes_max: len(settings.limits.body_bytes_max),
                event_bytes_max: len(settings.limits.sse_event_bytes_max),
                keep_alive: Duration::from_secs(settings.limits.sse_keep_alive_s),
                stream_time_max: Duration::from_secs(settings.limits.stream_time_max_s),
                websocket_ping: Duration::from_secs(settings.limits.websocket_ping_s),
                batch_messages_max: len(settings.limits.batch_messages_max),
                page_entries_max: len(settings.catalogue.page_entries_max),
            },
            keeper: Keeper {
                registry: Arc::clone(&self.registry),
                tracker: tasks.clone(),
                stop: stop.clone(),
            },
            suspended: Arc::default(),
            seal: Arc::new(Seal::new(settings.seal_key.as_ref())),
            ready: Arc::clone(&self.ready),
        })
    }

    pub(super) fn admin(
        &self,
        settings: Settings,
        (token, address): (Secret, SocketAddr),
        tasks: &TaskTracker,
    ) -> AdminState {
        let (metrics, ready) = (Arc::clone(&self.metrics), Arc::clone(&self.ready));
        AdminState::new(AdminParts {
            store: Arc::<SqliteStore>::clone(&self.store),
            registry: Arc::clone(&self.registry),
            upstreams: Arc::clone(&self.upstreams),
            token,
            callback_url: callback_url(&settings, address),
            settings: Arc::new(settings),
            metrics: Arc::new(move || metrics.render()),
            ready: Arc::new(move || ready.load(Ordering::Relaxed)),
            tasks: tasks.clone(),
        })
    }

    /// Ends upstream sessions, processes, tasks, then the store.
    pub(super) async fn close(self, within: Duration) {
        let closing = async {
            for session in self.sessions.drain() {
                session.end();
                session.conversation.close().await;
            }
            self.upstreams.shutdown().await;
            self.tasks.close();
            self.tasks.wait().await;
        };
        if tokio::time::timeout(within, closing).await.is_err() {
            warn!(
                tasks = self.tasks.len(),
                "tasks were still running when the drain timeout ended"
            );
        }
        self.store.close().await;
    }
}

fn compile_limits(settings: &config::SandboxSettings, sizing: Sizing) -> CompileLimits {
    CompileLimits {
        time_s_max: settings.compile_time_s_max,
        memory_bytes_max: sizing.compile_memory_bytes_max,
        output_bytes_max: settings.compile_output_bytes_max,
        concurrent_max: usize::try_from(settings.compiles_max).unwrap_or(usize::MAX),
        ..CompileLimits::default()
    }
}

/// What sessions may take.
fn session_limits(settings: &Settings) -> SessionLimits {
    SessionLimits {
        sessions_max: usize::try_from(settings.limits.sessions_max).unwrap_or(usize::MAX),
        ttl: Duration::from_secs(settings.limits.session_ttl_s),
        log: LogBounds {
            events_max: usize::try_from(settings.limits.stream_events_max).unwrap_or(usize::MAX),
            bytes_max: usize::try_from(settings.limits.stream_bytes_max).unwrap_or(usize::MAX),
        },
        channel_messages_max: usize::try_from(settings.limits.connection_messages_max)
            .unwrap_or(usize::MAX),
    }
}

/// Where people are sent back to who consented to something.
fn callback_url(settings: &Settings, admin: SocketAddr) -> Option<Url> {
    let local = |ip: IpAddr| match ip {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    let ip = admin.ip();
    let host = if ip.is_unspecified() { local(ip) } else { ip };
    let here = SocketAddr::from((host, admin.port()));
    let own = || Url::parse(&format!("http://{here}{CALLBACK_PATH}")).ok();
    settings.oauth_callback_url.clone().or_else(own)
}

fn upstream_limits(settings: &Settings) -> UpstreamLimits {
    let len = |setting: u64| usize::try_from(setting).unwrap_or(usize::MAX);
    let default = UpstreamLimits::default();
    UpstreamLimits {
        session_processes_max: len(settings.limits.session_processes_max),
        // What a client may be sent whole may be received whole.
        message_bytes_max: default
            .message_bytes_max
            .max(len(settings.limits.sse_event_bytes_max)),
        ..default
    }
}
