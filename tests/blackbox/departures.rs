//! What is deleted while it is used: sessions on it end, and so does all that their upstreams keep of them.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use futures_util::stream;
use portcullis_tests::gateway::Gateway;
use portcullis_tests::mcp::{Peer, SESSION_REVISION, Stream};
use portcullis_tests::wait;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// An upstream that counts its sessions and their streams.
struct Upstream {
    url: String,
    seen: Arc<Seen>,
    _serving: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    opened: AtomicUsize,
    ended: Mutex<Vec<String>>,
    streams: AtomicUsize,
}

impl Upstream {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/mcp", listener.local_addr().expect("its address"));
        let seen = Arc::<Seen>::default();
        let shared = Arc::clone(&seen);
        let answer = move |method: Method, headers: HeaderMap, body: String| {
            let answer = shared.answer(&method, &headers, &body);
            async move { answer }
        };
        let app = Router::new().route("/mcp", routing::any(answer));
        let mut serving = JoinSet::new();
        serving.spawn(async move { drop(axum::serve(listener, app).await) });
        Self {
            url,
            seen,
            _serving: serving,
        }
    }

    fn streams(&self) -> usize {
        self.seen.streams.load(Ordering::Relaxed)
    }

    fn ended(&self) -> Vec<String> {
        let ended = self.seen.ended.lock();
        ended.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Seen {
    fn answer(self: &Arc<Self>, method: &Method, headers: &HeaderMap, body: &str) -> Response {
        let session = headers.get("mcp-session-id");
        let session = session.and_then(|id| id.to_str().ok()).unwrap_or_default();
        match *method {
            Method::GET => self.stream(),
            Method::DELETE => {
                let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
                ended.push(session.to_owned());
                StatusCode::OK.into_response()
            }
            _ => self.message(&serde_json::from_str(body).unwrap_or_default()),
        }
    }

    /// A stream on which nothing comes, counted while it is open.
    fn stream(self: &Arc<Self>) -> Response {
        self.streams.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(Arc::clone(self));
        let nothing = stream::unfold(counted, |counted| async move {
            std::future::pending::<()>().await;
            Some((Ok::<_, Infallible>("never"), counted))
        });
        let kind = [(header::CONTENT_TYPE, "text/event-stream")];
        (kind, Body::from_stream(nothing)).into_response()
    }

    fn message(&self, message: &Value) -> Response {
        let result = match message["method"].as_str().unwrap_or_default() {
            "initialize" => json!({
                "protocolVersion": SESSION_REVISION, "capabilities": { "tools": {} },
                "serverInfo": { "name": "counting", "version": "1" },
            }),
            "tools/list" => {
                json!({ "tools": [{ "name": "t", "inputSchema": { "type": "object" } }] })
            }
            "tools/call" => json!({ "content": [] }),
            method if method.starts_with("notifications/") => {
                return StatusCode::ACCEPTED.into_response();
            }
            _ => return StatusCode::BAD_REQUEST.into_response(),
        };
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        let session = [("mcp-session-id", format!("s-{number}"))];
        let body = json!({ "jsonrpc": "2.0", "id": message["id"], "result": result });
        (session, Json(body)).into_response()
    }
}

struct Counted(Arc<Seen>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn sessions_end_with_their_server_or_tenant() {
    let gateway = Gateway::start().await;
    let admin = gateway.admin();
    for deleted in ["/servers/leaving", ""] {
        let upstream = Upstream::start().await;
        let tenant = admin.tenant("acme").await;
        tenant.upstream("up", json!({ "url": upstream.url })).await;
        tenant.server("leaving", &["up"]).await;
        tenant.open_chain(&[]).await;
        let url = gateway.mcp("leaving");
        let peer = Peer::session_with(&url, "nobody", json!({ "sampling": {} })).await;
        let mut pushed = peer.listen().await;
        assert_eq!(peer.call("up__t", json!({})).await.status, 200);
        // Of the session, and of the gateway itself, which listens for changes of lists.
        wait::so("streams at the upstream", || upstream.streams() == 2).await;
        let stateless = Peer::stateless(&url, "nobody");
        let filter = json!({ "notifications": { "toolsListChanged": true } });
        let mut listening = Stream::open(stateless.build("subscriptions/listen", filter)).await;

        let gone = admin.delete(&tenant.path(deleted)).await;
        assert_eq!(gone.status, 204, "{deleted}: {}", gone.shown());
        assert_eq!(peer.call("up__t", json!({})).await.status, 404, "{deleted}");
        let end = wait::at_most("the end of a stream", pushed.message()).await;
        assert_eq!(end, None, "{deleted}");
        let end = listening.response().await;
        assert_eq!(end["result"]["resultType"], "complete", "{deleted}");
        wait::so("the end of the session at the upstream", || {
            !upstream.ended().is_empty()
        })
        .await;
        wait::so("the end of its streams", || upstream.streams() == 0).await;
    }
}
