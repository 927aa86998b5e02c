//! The demo server over HTTP+SSE, as of 2024-11-05: each stream leads to a process of its own, which speaks over its
//! standard input and output.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use futures_util::stream;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinSet;

use crate::places;

/// A listening server. It ends with the runtime of whoever started it, and its processes with their streams.
pub struct SseFront {
    url: String,
    _tasks: JoinSet<()>,
}

type Inputs = Arc<Mutex<HashMap<usize, Arc<tokio::sync::Mutex<ChildStdin>>>>>;

#[derive(Deserialize)]
struct Session {
    session: usize,
}

impl SseFront {
    /// Starts one.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/sse", listener.local_addr().expect("its address"));
        let routes = Router::new()
            .route("/sse", get(open))
            .route("/messages", post(take))
            .with_state(Inputs::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { drop(axum::serve(listener, routes).await) });
        Self { url, _tasks: tasks }
    }

    /// Where streams are opened.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// `GET`: a stream, and a process for it.
async fn open(State(inputs): State<Inputs>) -> Response {
    let mut child = Command::new(places::example_upstream())
        .args(["--stdio", "--era", "session"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the demo server");
    let input = child.stdin.take().expect("its input");
    let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let session = {
        let mut inputs = inputs.lock().unwrap_or_else(PoisonError::into_inner);
        let session = inputs.len();
        inputs.insert(session, Arc::new(tokio::sync::Mutex::new(input)));
        session
    };
    let endpoint = format!("event: endpoint\ndata: /messages?session={session}\n\n");
    let events = stream::unfold((Some(endpoint), child, lines), next);
    Response::builder()
        .header("content-type", "text/event-stream")
        .body(Body::from_stream(events))
        .expect("a response")
}

type Output = (Option<String>, Child, Lines<BufReader<ChildStdout>>);

/// The first event, then one for each line.
async fn next((first, child, mut lines): Output) -> Option<(std::io::Result<String>, Output)> {
    let event = match first {
        Some(first) => first,
        None => format!(
            "event: message\ndata: {}\n\n",
            lines.next_line().await.ok()??
        ),
    };
    Some((Ok(event), (None, child, lines)))
}

/// `POST`: a message for the process of a stream.
async fn take(
    State(inputs): State<Inputs>,
    Query(Session { session }): Query<Session>,
    message: String,
) -> StatusCode {
    let input = {
        let inputs = inputs.lock().unwrap_or_else(PoisonError::into_inner);
        inputs.get(&session).cloned()
    };
    let Some(input) = input else {
        return StatusCode::NOT_FOUND;
    };
    let line = format!("{message}\n");
    match input.lock().await.write_all(line.as_bytes()).await {
        Ok(()) => StatusCode::ACCEPTED,
        Err(_ended) => StatusCode::NOT_FOUND,
    }
}
