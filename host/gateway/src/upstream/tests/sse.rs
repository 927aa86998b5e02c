//! Upstreams that know nothing newer than HTTP+SSE: found out, asked, answered, lost and found again.

use std::sync::Mutex;

use ::http::Method;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream::unfold;
use portcullis_protocol::listing::ListKind;
use tokio::sync::mpsc;

use super::ears::{Ears, Unfolding};
use super::peer::{Peer, Seen, reply};
use super::*;

const CLIENT: &str = r#"{"sampling":{}}"#;

/// What the peer answers to a message: what comes on the stream.
type Rule = fn(&Seen) -> Vec<Value>;

/// A server of 2024-11-05.
struct Older {
    peer: Peer,
    streams: Arc<Mutex<Vec<mpsc::Sender<Bytes>>>>,
}

impl Older {
    async fn start(endpoint: &'static str, rule: Rule) -> Self {
        let streams = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&streams);
        let peer = Peer::start(move |seen| {
            let answer = answer(&kept, endpoint, rule, &seen);
            async move { answer }
        })
        .await;
        Self { peer, streams }
    }

    /// Puts a message on the newest stream, as the server's own.
    fn push(&self, message: &Value) {
        let streams = self.streams.lock().unwrap();
        let newest = streams.last().unwrap();
        newest.try_send(event(message)).unwrap();
    }

    /// Closes every stream.
    fn hang_up(&self) {
        self.streams.lock().unwrap().clear();
    }

    fn opened(&self) -> usize {
        let seen = self.peer.seen();
        seen.iter()
            .filter(|seen| seen.method == Method::GET)
            .count()
    }

    /// Bodies of what was posted by that method.
    fn posted(&self, method: &str) -> Vec<Value> {
        let seen = self.peer.seen().into_iter();
        seen.filter(|seen| seen.rpc() == method)
            .map(|seen| seen.body)
            .collect()
    }
}

fn event(message: &Value) -> Bytes {
    Bytes::from(format!("event: message\ndata: {message}\n\n"))
}

fn answer(
    streams: &Mutex<Vec<mpsc::Sender<Bytes>>>,
    endpoint: &str,
    rule: Rule,
    seen: &Seen,
) -> Response {
    let mut streams = streams.lock().unwrap();
    if seen.method == Method::GET {
        let (sender, receiver) = mpsc::channel(64);
        let named = endpoint.replace('#', &streams.len().to_string());
        sender
            .try_send(Bytes::from(format!(
                ": hello\r\n\r\nevent: endpoint\r\ndata: {named}\r\n\r\n"
            )))
            .unwrap();
        streams.push(sender);
        let events = unfold(receiver, |mut receiver| async move {
            let event = receiver.recv().await?;
            Some((Ok::<_, std::io::Error>(event), receiver))
        });
        return reply(200, "text/event-stream", Body::from_stream(events));
    }
    let number = seen.path.strip_prefix("/post?session=");
    let Some(number) = number.and_then(|number| number.parse::<usize>().ok()) else {
        return reply(405, "text/plain", "");
    };
    let Some(stream) = streams.get(number) else {
        return reply(404, "text/plain", "");
    };
    for message in messages_of(rule, seen) {
        stream.try_send(event(&message)).ok();
    }
    reply(202, "text/plain", "Accepted")
}

fn messages_of(rule: Rule, seen: &Seen) -> Vec<Value> {
    match seen.rpc() {
        "initialize" => vec![result(
            seen,
            json!({"protocolVersion": "2024-11-05", "capabilities": {"tools": {}}, "serverInfo": {"name": "old", "version": "1"}}),
        )],
        method if method.starts_with("notifications/") => Vec::new(),
        _ => rule(seen),
    }
}

fn result(seen: &Seen, result: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": seen.body["id"], "result": result})
}

/// Progress under the token that came, then the params back.
fn echo(seen: &Seen) -> Vec<Value> {
    if seen.rpc() == "tools/list" {
        return vec![result(
            seen,
            json!({"tools": [{"name": "t", "inputSchema": {}}]}),
        )];
    }
    let token = &seen.body["params"]["_meta"]["progressToken"];
    let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}});
    let echoed = result(seen, json!({"echo": seen.body["params"]["arguments"]}));
    match token.is_null() {
        true => vec![echoed],
        false => vec![progress, echoed],
    }
}

fn never(_: &Seen) -> Vec<Value> {
    Vec::new()
}

fn params(arguments: Value, token: &str) -> String {
    json!({"name": "t", "arguments": arguments, "_meta": {"progressToken": token}}).to_string()
}

#[tokio::test]
async fn an_upstream_that_knows_nothing_newer_is_found_out() {
    let older = Older::start("/post?session=#", echo).await;
    let bed = Bed::new();
    let upstream = bed.url(&older.peer.url);
    let tools = upstream.list(ListKind::Tools).await.unwrap();
    assert_eq!(tools.entries.len(), 1);
    let conversation = Conversation::new(CLIENT);
    for id in ["1", "\"a\"", "1"] {
        let call = tool(Era::Session, id, r#"{"name":"t","arguments":{"n":1.10}}"#);
        let reply = ask(&upstream, &conversation, call).await.unwrap();
        assert_eq!((reply.era, reply.kind), (Era::Session, ReplyKind::Json));
        let text = text(reply).await;
        assert!(text.contains(&format!(r#""id":{id}"#)), "{text}");
    }
    assert_eq!(
        older.opened(),
        2,
        "one stream for lists, one for the session"
    );
    assert_eq!(older.posted("notifications/initialized").len(), 2);
    let introductions = older.posted("initialize");
    let introduced = introductions.last().unwrap();
    assert_eq!(
        introduced["params"]["capabilities"],
        json!({"sampling": {}})
    );
    assert_eq!(bed.metric("portcullis_upstream_sessions_opened_total"), 2.0);
    conversation.close().await;
    until("its stream is closed", || {
        older.streams.lock().unwrap()[1].is_closed()
    })
    .await;
}

#[tokio::test]
async fn what_its_definition_says_is_not_found_out() {
    let older = Older::start("/post?session=#", echo).await;
    let bed = Bed::new();
    let upstream = bed.get(json!({"url": older.peer.url, "transport": "sse"}));
    let call = tool(Era::Session, "1", r#"{"name":"t"}"#);
    ask(&upstream, &Conversation::default(), call)
        .await
        .unwrap();
    let asked_in_vain = |older: &Older| {
        let seen = older.peer.seen();
        seen.iter()
            .filter(|seen| seen.method == Method::POST && seen.path == "/mcp")
            .count()
    };
    assert_eq!(asked_in_vain(&older), 0);

    let newer = bed.get(json!({"url": older.peer.url, "transport": "streamable-http"}));
    let error = ask(&newer, &Conversation::default(), call)
        .await
        .unwrap_err();
    assert!(matches!(error, UpstreamError::Status { .. }), "{error:?}");
    assert_eq!(older.opened(), 2);
    assert!(asked_in_vain(&older) > 0);
}

#[tokio::test]
async fn callers_are_never_mixed_up() {
    let older = Older::start("/post?session=#", echo).await;
    let bed = Bed::new();
    let upstream = bed.url(&older.peer.url);
    let (alice, bob) = (Conversation::new("{}"), Conversation::stateless("{}"));
    // The same id and the same token, in one session and of callers that share one, all at once.
    let calls = (0..40).map(|number| {
        let (upstream, alice, bob) = (&upstream, &alice, &bob);
        async move {
            let (era, conversation, params) = match number % 2 {
                0 => (Era::Session, alice, params(json!({"n": number}), "p")),
                _ => {
                    let (arguments, token) = (json!({"n": number}), Some(json!("p")));
                    (Era::Stateless, bob, stateless_params("t", arguments, token))
                }
            };
            let reply = ask(upstream, conversation, tool(era, "7", &params)).await;
            let messages = messages(reply.unwrap()).await;
            assert_eq!(messages.len(), 2, "{messages:?}");
            assert_eq!(messages[0]["params"]["progressToken"], "p");
            assert_eq!(messages[1]["id"], 7);
            assert_eq!(messages[1]["result"]["echo"]["n"], number);
        }
    });
    join_all(calls).await;
    assert_eq!(older.opened(), 3);
    let mut ids: Vec<String> = older
        .posted("tools/call")
        .iter()
        .map(|call| format!("{}", call["id"]))
        .collect();
    ids.sort();
    ids.dedup();
    assert!(ids.len() >= 20, "{ids:?}");
}

#[tokio::test]
async fn an_address_of_another_origin_is_not_used() {
    for endpoint in [
        "http://evil.example/post?session=#",
        "//evil.example/post",
        "https://127.0.0.1/post",
        "javascript:alert(1)",
    ] {
        let older = Older::start(endpoint, echo).await;
        let bed = Bed::new();
        let upstream = bed.get(json!({"url": older.peer.url, "transport": "sse"}));
        let call = tool(Era::Session, "1", "{}");
        let error = ask(&upstream, &Conversation::default(), call)
            .await
            .unwrap_err();
        assert!(
            matches!(error, UpstreamError::Unexpected { .. }),
            "{endpoint}: {error:?}"
        );
        assert_eq!(older.posted("initialize").len(), 0);
    }
    // Relative to the stream's own address, or whole.
    for endpoint in ["post?session=#", "/post?session=#"] {
        let older = Older::start(endpoint, echo).await;
        let bed = Bed::new();
        let upstream = bed.get(json!({"url": older.peer.url, "transport": "sse"}));
        let call = tool(Era::Session, "1", "{}");
        ask(&upstream, &Conversation::default(), call)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_lost_stream_ends_its_calls_and_the_next_call_opens_another() {
    let older = Older::start("/post?session=#", |seen| {
        match seen.body["params"]["name"] == "never" {
            true => Vec::new(),
            false => echo(seen),
        }
    })
    .await;
    let bed = Bed::new();
    let (upstream, conversation) = (bed.url(&older.peer.url), Conversation::new("{}"));
    let call = tool(Era::Session, "1", r#"{"name":"t"}"#);
    ask(&upstream, &conversation, call).await.unwrap();
    let stuck = tool(Era::Session, "2", r#"{"name":"never"}"#);
    let waiting = ask(&upstream, &conversation, stuck);
    let lost = async {
        until("the call at the upstream", || {
            older.posted("tools/call").len() == 2
        })
        .await;
        older.hang_up();
    };
    let (error, ()) = tokio::join!(waiting, lost);
    let error = error.unwrap_err();
    assert!(
        matches!(error, UpstreamError::Interrupted { .. }),
        "{error:?}"
    );
    // Streams are numbered by those that are open.
    for id in ["3", "4"] {
        let call = tool(Era::Session, id, r#"{"name":"t"}"#);
        ask(&upstream, &conversation, call).await.unwrap();
    }
    assert_eq!(older.opened(), 3);
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_cancelled_under_its_own_id() {
    let older = Older::start("/post?session=#", never).await;
    let bed = Bed::new();
    let upstream = bed.get(json!({"url": older.peer.url, "transport": "sse", "timeout_ms": 300}));
    let conversation = Conversation::new("{}");
    let call = tool(Era::Session, "\"mine\"", r#"{"name":"t"}"#);
    let error = ask(&upstream, &conversation, call).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Timeout { .. }), "{error:?}");
    until("the cancellation", || {
        older.posted("notifications/cancelled").len() == 1
    })
    .await;

    let waiting = ask(&upstream, &conversation, call);
    let cancelled = async {
        until("another call", || older.posted("tools/call").len() == 2).await;
        let headers = HeaderMap::new();
        let cancel = Ask {
            method: "notifications/cancelled",
            params: r#"{"requestId":"mine","reason":"enough"}"#,
            ..call
        };
        upstream
            .notify(&conversation, outgoing_of(cancel, &headers))
            .await
            .unwrap();
    };
    let (error, ()) = tokio::join!(waiting, cancelled);
    error.unwrap_err();
    let calls = older.posted("tools/call");
    let told = older.posted("notifications/cancelled");
    assert_eq!(told[0]["params"]["requestId"], calls[0]["id"]);
    assert_eq!(told[1]["params"]["requestId"], calls[1]["id"]);
    assert_eq!(told[1]["params"]["reason"], "enough");

    let params = stateless_params("t", json!({}), None);
    let stateless = Conversation::stateless("{}");
    let left = ask(&upstream, &stateless, tool(Era::Stateless, "1", &params));
    tokio::select! {
        _ = left => panic!("it is never answered"),
        () = until("a third call", || older.posted("tools/call").len() == 3) => {}
    }
    until("a stateless caller that leaves", || {
        older.posted("notifications/cancelled").len() >= 4
    })
    .await;
}

#[tokio::test]
async fn questions_go_to_the_call_or_to_the_inbox_and_their_answers_back() {
    let older = Older::start("/post?session=#", |seen| match seen.rpc() {
        "tools/call" => vec![
            json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}}),
            json!({"jsonrpc": "2.0", "id": "q", "method": "sampling/createMessage", "params": {}}),
        ],
        _ => Vec::new(),
    })
    .await;
    let bed = Bed::new();
    let (upstream, conversation) = (bed.url(&older.peer.url), Conversation::new(CLIENT));
    let call = tool(Era::Session, "1", r#"{"name":"t"}"#);
    let reply = ask(&upstream, &conversation, call).await.unwrap();
    assert_eq!(reply.kind, ReplyKind::Events);
    let mut during = Unfolding::new(reply);
    let logged = during.next().await.unwrap();
    assert_eq!(logged["method"], "notifications/message");
    during
        .answer("sampling/createMessage", json!({"ok": true}))
        .await;
    let is_told = |id: &str, member: &str| {
        let seen = older.peer.seen().into_iter();
        let mut told = seen.map(|seen| seen.body).filter(|body| body["id"] == *id);
        told.next().map(|mut body| body[member].take())
    };
    assert_eq!(is_told("q", "result"), Some(json!({"ok": true})));
    let own = &older.posted("tools/call")[0]["id"];
    older.push(&json!({"jsonrpc": "2.0", "id": own, "result": {}}));
    assert_eq!(during.next().await.unwrap()["id"], 1);

    // Outside of calls.
    let roots = json!({"jsonrpc": "2.0", "id": "r", "method": "roots/list"});
    older.push(&json!({"jsonrpc": "2.0", "id": "p", "method": "ping"}));
    older.push(&roots);
    until("an answer to the ping, and a refusal", || {
        is_told("p", "result").is_some() && is_told("r", "error").is_some()
    })
    .await;
    assert_eq!(is_told("p", "result"), Some(json!({})));
    assert_eq!(
        is_told("r", "error").unwrap()["code"],
        -32601,
        "nobody listens"
    );
    let ears = Ears::open();
    conversation.listen(Arc::clone(&ears) as Arc<dyn Inbox>);
    older.push(&roots);
    let (asker, question) = ears.hear("roots/list").await;
    super::ears::tell(&asker, &question, json!({"roots": []})).await;
    let answers = older
        .peer
        .seen()
        .into_iter()
        .filter(|seen| seen.body["id"] == "r");
    assert_eq!(answers.last().unwrap().body["result"], json!({"roots": []}));
}
