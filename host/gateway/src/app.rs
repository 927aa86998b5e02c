//! The whole gateway, put together and taken apart: settings in, two listeners out.
//!
//! Everything is opened here, once, in the order in which it is needed, and closed in the reverse order. No room
//! makes another; they meet here.

mod error;
mod parts;
mod ready_file;
mod sizing;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::config::{LogFormat, Settings};
use crate::listener::{self, Bounds, Workers};
use crate::model::Secret;
use crate::policy::Binder;
use crate::session::{Session, Sessions};
use crate::telemetry::logs;
use crate::tenancy::Registry;
use crate::{admin, config};

pub use error::AppError;
use parts::Parts;
pub use ready_file::{READY_FILE, write_private};

/// How often expired sessions are looked for.
const EXPIRY: Duration = Duration::from_secs(30);
/// Sessions whose upstream sessions are ended at a time.
const CLOSING_MAX: usize = 16;

/// A gateway that serves.
pub struct Running {
    /// Where clients connect.
    pub gateway: SocketAddr,
    /// Where the admin API is.
    pub admin: SocketAddr,
    /// What the admin API asks for.
    pub admin_token: Secret,
    parts: Parts,
    stop: CancellationToken,
    listeners: TaskTracker,
    workers: Arc<Workers>,
    drain: Duration,
}

/// Serves until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// [`AppError`], with what to change, when the gateway cannot start.
pub async fn serve(settings: Settings) -> Result<(), AppError> {
    let format = match settings.log.format {
        LogFormat::Json => logs::LogFormat::Json,
        LogFormat::Text => logs::LogFormat::Text,
    };
    logs::init(format, settings.log.level.as_str());
    let ready_file = settings.data_dir.join(READY_FILE);
    let running = start(settings).await?;
    ready_file::write(&ready_file, &running)?;
    info!(gateway = %running.gateway, admin = %running.admin, "ready");
    stop_signal().await?;
    info!("stopping: no new requests, and those under way may end");
    running.stop().await;
    // It says where a gateway serves; none does any more.
    drop(std::fs::remove_file(ready_file));
    Ok(())
}

/// Starts both listeners, with everything from the store already served.
///
/// # Errors
/// [`AppError`], with what to change.
pub async fn start(settings: Settings) -> Result<Running, AppError> {
    start_with(settings, None).await
}

/// As [`start`], with another way to make hooks of plugins: benchmarks compare the sandbox with native code.
///
/// # Errors
/// As [`start`].
pub async fn start_with(
    settings: Settings,
    binder: Option<Arc<dyn Binder>>,
) -> Result<Running, AppError> {
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let parts = Parts::open(&settings, binder, (&stop, &tasks)).await?;
    let admin_token = config::admin_token(&settings)?;
    let gateway = bind(settings.listen, "listen").await?;
    let admin = bind(settings.admin_listen, "admin_listen").await?;
    let addresses = (
        address(&gateway, settings.listen),
        address(&admin, settings.admin_listen),
    );
    admin::restore(parts.store.as_ref(), &parts.registry, &settings.plugins).await?;

    let listeners = TaskTracker::new();
    let limits = settings.limits;
    let drain = Duration::from_secs(settings.drain_timeout_s);
    let bounds = Bounds {
        connections_max: usize::try_from(limits.connections_max).unwrap_or(usize::MAX),
        header_bytes_max: usize::try_from(limits.header_bytes_max).unwrap_or(usize::MAX),
        drain,
    };
    let pipeline = parts.pipeline(&settings, addresses.0, (&stop, &tasks));
    let workers = Arc::new(Workers::start(settings.worker_threads).map_err(AppError::Threads)?);
    listeners.spawn(listener::serve(
        gateway,
        Arc::clone(&pipeline),
        Arc::clone(&workers),
        bounds,
        stop.clone(),
    ));
    let state = parts.admin(settings, (admin_token.clone(), addresses.1), &tasks);
    tasks.spawn(admin::watch_rollouts(state.clone(), stop.clone()));
    let api = admin::router(state);
    let stopped = stop.clone();
    listeners.spawn(async move {
        let served = axum::serve(admin, api)
            .with_graceful_shutdown(stopped.cancelled_owned())
            .await;
        if let Err(err) = served {
            warn!(error = %err, "the admin listener ended badly");
        }
    });
    let (sessions, registry) = (Arc::clone(&parts.sessions), Arc::clone(&parts.registry));
    tasks.spawn(expire_sessions(sessions, registry, stop.clone()));
    parts.ready.store(true, Ordering::Relaxed);
    Ok(Running {
        gateway: addresses.0,
        admin: addresses.1,
        admin_token,
        parts,
        stop,
        listeners,
        workers,
        drain,
    })
}

impl Running {
    /// Stops accepting, lets requests end within the drain timeout, then closes what is open.
    pub async fn stop(self) {
        self.parts.ready.store(false, Ordering::Relaxed);
        self.stop.cancel();
        // Streams have no end of their own that could be waited for.
        self.parts.sessions.end_streams();
        self.listeners.close();
        if tokio::time::timeout(self.drain, self.listeners.wait())
            .await
            .is_err()
        {
            warn!("listeners did not end within the drain timeout");
        }
        self.parts.close(self.drain).await;
        // Their tasks have ended or have had their time.
        drop(tokio::task::spawn_blocking(move || drop(self.workers)).await);
        info!("stopped");
    }
}

async fn bind(address: SocketAddr, setting: &'static str) -> Result<TcpListener, AppError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| AppError::Bind {
            address,
            setting,
            source,
        })
}

/// With the port that the system chose, where it was asked to.
fn address(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(asked)
}

/// Until SIGTERM or SIGINT.
///
/// # Errors
/// When the signals cannot be caught.
pub async fn stop_signal() -> Result<(), AppError> {
    let mut term = signal(SignalKind::terminate()).map_err(AppError::Signal)?;
    let mut int = signal(SignalKind::interrupt()).map_err(AppError::Signal)?;
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}

/// Ends sessions that nobody uses, and at once those whose server is gone.
async fn expire_sessions(
    sessions: Arc<Sessions>,
    registry: Arc<Registry>,
    stop: CancellationToken,
) {
    let occasion = || async {
        tokio::select! {
            () = tokio::time::sleep(EXPIRY) => {}
            () = registry.removal() => {}
        }
    };
    while stop.run_until_cancelled(occasion()).await.is_some() {
        let over = sessions.expire(|tenant, server| registry.serves(tenant, server));
        // No client waits for an upstream that is slow to let go.
        for session in &over {
            session.end();
        }
        let closing = |session: Arc<Session>| async move { session.conversation.close().await };
        stream::iter(over)
            .for_each_concurrent(CLOSING_MAX, closing)
            .await;
    }
}
