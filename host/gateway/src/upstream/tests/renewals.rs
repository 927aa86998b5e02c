//! Sessions that an upstream forgets: another takes their place, and nobody who listens misses it.

use std::collections::HashMap;
use std::sync::Mutex;

use ::http::Method;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::unfold;
use tokio::sync::mpsc;

use super::ears::Ears;
use super::peer::{Peer, Seen, lifecycle, reply, result};
use super::process::quick;
use super::*;

const UPDATED: &str = "notifications/resources/updated";

/// A server that forgets its sessions when it is told to.
struct Forgetful {
    peer: Peer,
    sessions: Arc<Mutex<Sessions>>,
}

#[derive(Default)]
struct Sessions {
    opened: usize,
    /// Those that are known, with the stream of each where it is open.
    known: HashMap<String, Option<mpsc::Sender<Bytes>>>,
    /// What each stream begins with.
    greeting: Option<Value>,
}

impl Forgetful {
    async fn start() -> Self {
        let sessions = Arc::<Mutex<Sessions>>::default();
        let shared = Arc::clone(&sessions);
        let peer = Peer::start(move |seen| {
            let answer = shared.lock().unwrap().answer(&seen);
            async move { answer }
        })
        .await;
        Self { peer, sessions }
    }

    fn forget(&self) {
        self.sessions.lock().unwrap().known.clear();
    }

    /// The stream of its one session, once it is open.
    async fn stream(&self) -> mpsc::Sender<Bytes> {
        let open = || {
            let sessions = self.sessions.lock().unwrap();
            sessions.known.values().flatten().next().cloned()
        };
        until("a stream", || open().is_some()).await;
        open().unwrap()
    }

    /// What it was asked in this session after its opening, a stream being `GET`.
    fn asked(&self, session: &str) -> Vec<String> {
        let seen = self.peer.seen();
        let own = seen
            .iter()
            .filter(|seen| seen.header("mcp-session-id") == Some(session));
        let asked = own.map(|seen| match seen.rpc() {
            "" => seen.method.to_string(),
            rpc => format!("{rpc} {}", seen.body["params"]),
        });
        asked
            .filter(|asked| !asked.starts_with("notifications/"))
            .collect()
    }
}

impl Sessions {
    fn answer(&mut self, seen: &Seen) -> Response {
        if seen.rpc() == "initialize" {
            self.opened += 1;
            let id = format!("s-{}", self.opened);
            self.known.insert(id.clone(), None);
            return lifecycle(seen, &id).unwrap();
        }
        if seen.rpc() == "server/discover" {
            return lifecycle(seen, "").unwrap();
        }
        let greeting = self.greeting.as_ref().map(event);
        let own = seen.header("mcp-session-id").unwrap_or_default();
        let Some(stream) = self.known.get_mut(own) else {
            return reply(404, "text/plain", "");
        };
        if seen.method != Method::GET {
            return lifecycle(seen, "").unwrap_or_else(|| result(seen, &json!({})));
        }
        let (events, body) = mpsc::channel(8);
        if let Some(greeting) = greeting {
            events.try_send(greeting).unwrap();
        }
        *stream = Some(events);
        let body = unfold(body, |mut body| async move {
            Some((Ok::<_, std::io::Error>(body.recv().await?), body))
        });
        reply(200, "text/event-stream", Body::from_stream(body))
    }
}

fn event(message: &Value) -> Bytes {
    Bytes::from(format!("data: {message}\n\n"))
}

fn updated(uri: &str) -> Value {
    json!({"jsonrpc": "2.0", "method": UPDATED, "params": {"uri": uri}})
}

async fn request(
    upstream: &Arc<Upstream>,
    conversation: &Conversation,
    (method, params): (&str, &str),
) {
    let asked = Ask {
        method,
        params,
        ..tool(Era::Session, "1", "")
    };
    let answer = ask(upstream, conversation, asked).await.unwrap();
    assert_eq!(messages(answer).await[0]["result"], json!({}), "{method}");
}

/// Wishes of a client, as it tells them.
const WISHES: [(&str, &str); 5] = [
    ("resources/subscribe", r#"{"uri":"test://a"}"#),
    ("resources/subscribe", r#"{"uri":"test://b"}"#),
    ("logging/setLevel", r#"{"level":"debug"}"#),
    ("logging/setLevel", r#"{"level":"error"}"#),
    ("resources/unsubscribe", r#"{"uri":"test:\/\/b"}"#),
];

/// What its next session is told of them, before anything else.
const TOLD_AGAIN: [&str; 3] = [
    "GET",
    r#"logging/setLevel {"level":"error"}"#,
    r#"resources/subscribe {"uri":"test://a"}"#,
];

#[tokio::test]
async fn a_call_that_finds_its_session_gone_brings_back_what_its_client_wants_to_hear() {
    let server = Forgetful::start().await;
    let bed = Bed::with(quick());
    let upstream = bed.url(&server.peer.url);
    let (ears, conversation) = Ears::of("{}");
    for wish in WISHES {
        request(&upstream, &conversation, wish).await;
    }
    server.forget();
    request(&upstream, &conversation, ("tools/call", "{}")).await;
    // The first was opened to find out what it speaks.
    let mut asked = server.asked("s-3");
    assert_eq!(asked.pop().unwrap(), "tools/call {}");
    assert_eq!(asked, TOLD_AGAIN);
    let pushed = server
        .stream()
        .await
        .send(event(&updated("test://a")))
        .await;
    pushed.unwrap();
    assert_eq!(ears.hear(UPDATED).await.1, updated("test://a"));
}

#[tokio::test]
async fn who_only_listens_gets_another_session_without_a_call() {
    let server = Forgetful::start().await;
    let bed = Bed::with(quick());
    let upstream = bed.url(&server.peer.url);
    let (ears, conversation) = Ears::of("{}");
    for wish in WISHES {
        request(&upstream, &conversation, wish).await;
    }
    server.stream().await;
    server.forget();
    server
        .stream()
        .await
        .send(event(&updated("test://a")))
        .await
        .unwrap();
    assert_eq!(ears.hear(UPDATED).await.1, updated("test://a"));
    until("its wishes", || server.asked("s-3") == TOLD_AGAIN).await;
}

#[tokio::test]
async fn nothing_is_called_before_its_session_is_listened_to() {
    let server = Forgetful::start().await;
    let roots = json!({"jsonrpc": "2.0", "id": 1, "method": "roots/list"});
    server.sessions.lock().unwrap().greeting = Some(roots.clone());
    let bed = Bed::new();
    let upstream = bed.url(&server.peer.url);
    let (ears, conversation) = Ears::of(r#"{"roots":{}}"#);
    request(&upstream, &conversation, ("tools/call", "{}")).await;
    assert_eq!(server.asked("s-2"), ["GET", "tools/call {}"]);
    assert_eq!(ears.hear("roots/list").await.1, roots);
}

#[tokio::test]
async fn where_nobody_listens_no_stream_is_opened() {
    let server = Forgetful::start().await;
    let bed = Bed::new();
    let upstream = bed.url(&server.peer.url);
    let conversation = Conversation::new("{}");
    request(&upstream, &conversation, ("tools/call", "{}")).await;
    server.forget();
    request(&upstream, &conversation, ("tools/call", "{}")).await;
    conversation.close().await;
    bed.settle().await;
    let streams = server.peer.seen();
    assert!(streams.iter().all(|seen| seen.method != Method::GET));
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_get_holds_up_its_first_call_for_a_moment() {
    let peer = Peer::start(|seen| async move {
        if seen.method == Method::GET {
            std::future::pending::<()>().await;
        }
        lifecycle(&seen, "s-1").unwrap_or_else(|| result(&seen, &json!({})))
    })
    .await;
    let bed = Bed::new();
    let upstream = bed.url(&peer.url);
    let (_ears, conversation) = Ears::of(r#"{"sampling":{}}"#);
    request(&upstream, &conversation, ("tools/call", "{}")).await;
    conversation.close().await;
    bed.settle().await;
}

#[tokio::test]
async fn an_upstream_that_is_there_no_longer_is_listened_to_no_longer() {
    let server = Forgetful::start().await;
    let bed = Bed::new();
    let upstream = bed.url(&server.peer.url);
    let (_ears, conversation) = Ears::of("{}");
    request(&upstream, &conversation, ("tools/call", "{}")).await;
    let stream = server.stream().await;
    drop(upstream);
    stream.closed().await;
    conversation.close().await;
}
