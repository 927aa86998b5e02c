//! A policy decision point that speaks OPA's data API: `POST /v1/data/{path}` with an input, answered with a result.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, body::Bytes};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::fakes::Gate;

/// The value of a rule for an input; none where it is undefined.
type Rule = Box<dyn Fn(&Value) -> Option<Value> + Send + Sync>;

/// A running decision point with one rule, at `mcp/allow`.
pub struct DecisionPoint {
    address: String,
    inner: Arc<Inner>,
    _serving: JoinSet<()>,
}

struct Inner {
    rule: Rule,
    asked: Mutex<Vec<Value>>,
    gate: Option<Gate>,
}

impl DecisionPoint {
    /// Starts one.
    pub async fn start(rule: impl Fn(&Value) -> Option<Value> + Send + Sync + 'static) -> Self {
        Self::serve(Box::new(rule), None).await
    }

    /// Starts one that says yes to everything, as soon as the gate is open.
    pub async fn behind(gate: &Gate) -> Self {
        Self::serve(Box::new(|_| Some(json!(true))), Some(gate.clone())).await
    }

    async fn serve(rule: Rule, gate: Option<Gate>) -> Self {
        let inner = Arc::new(Inner {
            rule,
            asked: Mutex::default(),
            gate,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let app = Router::new()
            .route("/v1/data/{*path}", post(decide))
            .with_state(Arc::clone(&inner));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            axum::serve(listener, app).await.expect("it serves");
        });
        Self {
            address,
            inner,
            _serving: serving,
        }
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where its rule is asked for.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/v1/data/mcp/allow", self.address)
    }

    /// Every input that it was asked about, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<Value> {
        self.inner.asked().clone()
    }
}

impl Inner {
    fn asked(&self) -> MutexGuard<'_, Vec<Value>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As OPA does it: a body that is no JSON is 400, a document that is not there has no result.
async fn decide(
    State(inner): State<Arc<Inner>>,
    Path(path): Path<String>,
    body: Bytes,
) -> (StatusCode, Json<Value>) {
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        let error = json!({ "code": "invalid_parameter", "message": "malformed" });
        return (StatusCode::BAD_REQUEST, Json(error));
    };
    let input = body.get("input").cloned().unwrap_or_default();
    inner.asked().push(input.clone());
    if let Some(gate) = &inner.gate {
        gate.pass().await;
    }
    let result = (path == "mcp/allow")
        .then(|| (inner.rule)(&input))
        .flatten();
    let answer = match result {
        Some(result) => json!({ "result": result }),
        None => json!({}),
    };
    (StatusCode::OK, Json(answer))
}
