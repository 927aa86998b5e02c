//! A front before a real registry: it wants a token, sends its clients elsewhere, or changes what passes through it.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{PASSWORD, Registry, USERNAME};
use crate::admin::http;

/// What the front does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrontRule {
    /// Pass everything on.
    Pass,
    /// Want a token of this realm, which this front gives at `/token` to who logs in.
    Token {
        /// The realm's URL; none for the front's own.
        realm: Option<String>,
    },
    /// Send who asks for a layer to the same path at this host.
    Blobs(String),
    /// Send everybody back to where they came from.
    Circle,
    /// Change a byte of every layer.
    Forge,
    /// Answer with more than was asked for.
    Flood,
    /// Answer with this status.
    Fail(u16),
}

/// What somebody asked, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Path and query.
    pub target: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
}

/// A running front. It ends with the runtime of its test.
pub struct Front {
    inner: Arc<Inner>,
    _serving: JoinSet<()>,
}

struct Inner {
    host: String,
    registry: String,
    rule: FrontRule,
    asked: Mutex<Vec<Asked>>,
}

/// The token that the front gives.
const TOKEN: &str = "the-token-for-this-pull";

impl Front {
    /// Starts one before a registry.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn before(registry: &Registry, rule: FrontRule) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let inner = Arc::new(Inner {
            host: listener.local_addr().expect("its address").to_string(),
            registry: registry.url(),
            rule,
            asked: Mutex::default(),
        });
        let app = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&inner));
        let mut serving = JoinSet::new();
        serving.spawn(async move { drop(axum::serve(listener, app).await) });
        Self {
            inner,
            _serving: serving,
        }
    }

    /// Host and port.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.inner.host
    }

    /// What was asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        let asked = self.inner.asked.lock();
        asked.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn answer(State(front): State<Arc<Inner>>, request: Request) -> Response {
    let target = request.uri().to_string();
    let authorization = text(request.headers(), header::AUTHORIZATION);
    let accept = text(request.headers(), header::ACCEPT).unwrap_or_default();
    front
        .asked
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(Asked {
            target: target.clone(),
            authorization: authorization.clone(),
        });
    let is_blob = target.contains("/blobs/");
    match &front.rule {
        FrontRule::Token { .. } if target.starts_with("/token") => {
            let login = STANDARD.encode(format!("{USERNAME}:{PASSWORD}"));
            if authorization != Some(format!("Basic {login}")) {
                return StatusCode::UNAUTHORIZED.into_response();
            }
            axum::Json(json!({ "access_token": TOKEN, "expires_in": 60 })).into_response()
        }
        FrontRule::Token { realm } if authorization != Some(format!("Bearer {TOKEN}")) => {
            let own = format!("http://{}/token?a=b", front.host);
            let realm = realm.as_ref().unwrap_or(&own);
            let challenge = format!("Bearer realm=\"{realm}\",service=\"front\"");
            let headers = [(header::WWW_AUTHENTICATE, challenge)];
            (StatusCode::UNAUTHORIZED, headers).into_response()
        }
        FrontRule::Blobs(host) if is_blob => to(&format!("http://{host}{target}")),
        FrontRule::Circle => to(&target),
        FrontRule::Fail(status) => StatusCode::from_u16(*status)
            .expect("a status")
            .into_response(),
        FrontRule::Flood => Body::from(vec![b' '; 5 << 20]).into_response(),
        FrontRule::Forge if is_blob => {
            let (status, headers, mut bytes) = pass(&front, &target, accept).await;
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
            }
            (status, headers, bytes).into_response()
        }
        FrontRule::Pass | FrontRule::Token { .. } | FrontRule::Blobs(_) | FrontRule::Forge => {
            pass(&front, &target, accept).await.into_response()
        }
    }
}

fn to(location: &str) -> Response {
    let headers = [(header::LOCATION, location.to_owned())];
    (StatusCode::TEMPORARY_REDIRECT, headers).into_response()
}

async fn pass(
    front: &Inner,
    target: &str,
    accept: String,
) -> (StatusCode, [(header::HeaderName, String); 1], Vec<u8>) {
    let url = format!("{}{target}", front.registry);
    let reply = http().get(url).header("accept", accept).send().await;
    let reply = reply.expect("the registry answers");
    let status = reply.status();
    let kind = text(reply.headers(), header::CONTENT_TYPE).unwrap_or_default();
    let bytes = reply.bytes().await.expect("a whole answer").to_vec();
    (status, [(header::CONTENT_TYPE, kind)], bytes)
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    let value = headers.get(name)?;
    value.to_str().ok().map(str::to_owned)
}
