//! An admin plane over a fresh folder, for tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use portcullis_sandbox::{Sandbox, SandboxSettings};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use url::Url;

use crate::admin::{AdminParts, AdminState, restore, router};
use crate::config::Settings;
use crate::model::Secret;
use crate::policy::Sandboxed;
use crate::policy::services::{JwksTiming, ServicesParts, SharedServices};
use crate::state::{Clock, StateBounds, StateRoom};
use crate::store::{NewPlugin, SqliteStore, Store};
use crate::telemetry::Metrics;
use crate::tenancy::{Registry, Shelf, Workshop};
use crate::upstream::{UpstreamLimits, Upstreams};

pub(super) const TOKEN: &str = "the-admin-token-of-tests";

/// A gateway's admin plane over a fresh folder.
pub(super) struct Plane {
    pub(super) router: Router,
    pub(super) store: Arc<dyn Store>,
    pub(super) ready: Arc<AtomicBool>,
    pub(super) folder: tempfile::TempDir,
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
    pub(super) text: String,
}

impl Plane {
    pub(super) async fn new() -> Self {
        Self::over(tempfile::tempdir().unwrap()).await
    }

    pub(super) async fn over(folder: tempfile::TempDir) -> Self {
        let store = Arc::new(SqliteStore::open(folder.path()).await.unwrap());
        let ready = Arc::new(AtomicBool::new(true));
        let probe = Arc::clone(&ready);
        let settings = Settings {
            admin_token: Some(Secret::new(TOKEN)),
            ..Settings::default()
        };
        let upstreams = upstreams(&store);
        let registry = registry(&upstreams);
        restore(store.as_ref(), &registry, &settings.plugins)
            .await
            .unwrap();
        let state = AdminState::new(AdminParts {
            store: Arc::<SqliteStore>::clone(&store),
            registry,
            upstreams,
            token: Secret::new(TOKEN),
            callback_url: Url::parse("http://127.0.0.1:4445/oauth/callback").ok(),
            settings: Arc::new(settings),
            metrics: Arc::new(|| "portcullis_up 1\n".to_owned()),
            ready: Arc::new(move || probe.load(Ordering::Relaxed)),
            tasks: TaskTracker::new(),
        });
        Self {
            router: router(state),
            store,
            ready,
            folder,
        }
    }

    pub(super) async fn ask(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
            text,
        }
    }

    pub(super) async fn send(&self, method: Method, path: &str, document: &Value) -> Answer {
        self.ask(request(
            method,
            path,
            "application/json",
            document.to_string(),
        ))
        .await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask(request(Method::GET, path, "", "")).await
    }

    pub(super) async fn put(&self, path: &str, document: Value) -> Answer {
        self.send(Method::PUT, path, &document).await
    }

    pub(super) async fn delete(&self, path: &str) -> Answer {
        self.ask(request(Method::DELETE, path, "", "")).await
    }

    /// Publishes past admission, for tests of what comes after it.
    pub(super) async fn publish(&self, name: &str, fill: char) -> String {
        let digest = format!("sha256:{}", fill.to_string().repeat(64));
        let info = json!({"digest": digest, "name": name, "version": "1.0.0"});
        let plugin = NewPlugin {
            digest: digest.clone(),
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            info,
            bytes: Vec::new(),
        };
        self.store.put_plugin(plugin).await.unwrap();
        digest
    }
}

impl Answer {
    /// `status type pointer: detail` of a problem.
    pub(super) fn problem(&self) -> String {
        assert_eq!(
            self.headers[header::CONTENT_TYPE],
            "application/problem+json",
            "{}",
            self.text
        );
        assert_eq!(self.body["status"], self.status.as_u16(), "{}", self.text);
        let text = |field: &str| self.body[field].as_str().unwrap_or_default().to_owned();
        let (kind, code) = (text("type"), text("code"));
        let (pointer, detail) = (text("pointer"), text("detail"));
        let status = self.status.as_u16();
        let words = [status.to_string(), kind, code, pointer];
        let head: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
        format!("{}: {detail}", head.join(" "))
    }
}

pub(super) fn request(
    method: Method,
    path: &str,
    media_type: &str,
    body: impl Into<Body>,
) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"));
    if !media_type.is_empty() {
        request = request.header(header::CONTENT_TYPE, media_type);
    }
    request.body(body.into()).unwrap()
}

/// Nothing is registered twice: their metrics are their own.
fn upstreams(store: &Arc<SqliteStore>) -> Arc<Upstreams> {
    let (limits, tracker) = (UpstreamLimits::default(), TaskTracker::new());
    let grants = Arc::<SqliteStore>::clone(store);
    Upstreams::new(&prometheus::Registry::new(), limits, tracker, grants).unwrap()
}

/// No tenants, a small sandbox, and nothing to call.
fn registry(upstreams: &Arc<Upstreams>) -> Arc<Registry> {
    let (metrics, tracker) = (Metrics::new().unwrap(), TaskTracker::new());
    let sandbox = SandboxSettings {
        cache_dir: None,
        instances_max: 8,
        ..SandboxSettings::default()
    };
    let services = ServicesParts {
        state: Arc::new(
            StateRoom::new(StateBounds::default(), Clock::system(), metrics.registry()).unwrap(),
        ),
        registry: metrics.registry().clone(),
        runtime: Handle::current(),
        tracker,
        shutdown: CancellationToken::new(),
        jwks_timing: JwksTiming::default(),
    };
    let workshop = Workshop {
        shelf: Shelf::new(Sandbox::new(sandbox).unwrap()),
        binder: Arc::new(Sandboxed {
            metrics: Arc::clone(&metrics),
        }),
        upstreams: Arc::clone(upstreams),
        services: SharedServices::new(services).unwrap(),
        metrics,
        catalogue: Settings::default().catalogue.into(),
        deadline_ms: 10,
        waiting_deadline_ms: 1_000,
        plugin_files_dir: std::env::temp_dir(),
        memory_bytes_max: 16 << 20,
        shadows: Arc::default(),
    };
    Arc::new(Registry::new(workshop, None))
}
