//! Upstream sessions: opened once, reopened when they are gone, ended with the conversation.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::future::join_all;

use super::peer::{Peer, lifecycle, reply, result, rpc_error};
use super::*;

#[tokio::test]
async fn one_session_serves_a_conversation() {
    let peer = Peer::start(|seen| async move {
        lifecycle(&seen, "s-1")
            .unwrap_or_else(|| result(&seen, &json!({"echo": seen.body["params"]})))
    })
    .await;
    let bed = Bed::new();
    let upstream = bed.get(json!({"url": peer.url, "headers": {"x-key": "upstream-secret", "authorization": "Bearer up"}}));
    let conversation = Conversation::default();

    let mut client = HeaderMap::new();
    for (name, value) in [
        ("authorization", "Bearer client"),
        ("cookie", "a=b"),
        ("traceparent", "00-1-2-01"),
    ] {
        client.insert(name, value.parse().unwrap());
    }
    let body = r#"{ "jsonrpc":"2.0","id": 1,"method":"tools/call","params":{"name":"t","arguments":{"n": 1.10}} }"#;
    let mut out = outgoing_of(tool(Era::Session, "1", r#"{"name":"t"}"#), &client);
    out.original = Some(Bytes::from_static(body.as_bytes()));
    let replies = join_all((0..20).map(|_| upstream.request(&conversation, out.clone()))).await;
    for reply in replies {
        let reply = reply.unwrap();
        assert_eq!((reply.era, reply.kind), (Era::Session, ReplyKind::Json));
        assert!(reply.content_length.is_some());
    }

    assert_eq!(
        (
            peer.count("initialize"),
            peer.count("notifications/initialized")
        ),
        (2, 2),
        "the probe's and the conversation's"
    );
    for seen in peer.seen().iter().filter(|seen| seen.rpc() == "tools/call") {
        assert_eq!(seen.text, body);
        assert_eq!(seen.header("mcp-session-id"), Some("s-1"));
        assert_eq!(seen.header("mcp-protocol-version"), Some("2025-11-25"));
        assert_eq!(
            seen.header("accept"),
            Some("application/json, text/event-stream")
        );
        assert_eq!(seen.header("authorization"), Some("Bearer up"));
        assert_eq!(seen.header("x-key"), Some("upstream-secret"));
        assert_eq!(seen.header("traceparent"), Some("00-1-2-01"));
        assert_eq!(seen.header("cookie"), None);
    }

    conversation.close().await;
    let deleted = peer
        .seen()
        .iter()
        .filter(|seen| seen.method == ::http::Method::DELETE)
        .count();
    assert_eq!(deleted, 1);
    assert_eq!(bed.metric("portcullis_upstream_sessions_opened_total"), 2.0);
    assert_eq!(bed.metric("portcullis_upstream_requests_total"), 20.0);
}

/// Calls succeed although the second call finds the session gone.
async fn survives(gone: fn(&Value) -> axum::response::Response) {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let calls = CALLS.load(Ordering::Relaxed);
    let peer = Peer::start(move |seen| async move {
        if let Some(response) = lifecycle(&seen, "s-1") {
            return response;
        }
        match CALLS.fetch_add(1, Ordering::Relaxed) - calls {
            1 => gone(&Value::Null),
            _ => result(&seen, &json!({})),
        }
    })
    .await;
    let bed = Bed::new();
    let (upstream, conversation) = (bed.url(&peer.url), Conversation::default());
    for id in ["1", "2", "3"] {
        let reply = ask(&upstream, &conversation, tool(Era::Session, id, "{}"))
            .await
            .unwrap();
        assert_eq!(messages(reply).await[0]["id"].to_string(), id);
    }
    assert_eq!(peer.count("tools/call"), 4);
    assert_eq!(peer.count("initialize"), 3);
}

#[tokio::test]
async fn an_expired_session_is_reopened_and_the_caller_does_not_notice() {
    survives(|_| reply(404, "text/plain", "session not found")).await;
    survives(|id| rpc_error(400, id, -32000, "Bad Request: No valid session ID provided")).await;
}

#[tokio::test]
async fn a_session_that_stays_gone_is_an_error() {
    let peer = Peer::start(|seen| async move {
        lifecycle(&seen, "s-1").unwrap_or_else(|| reply(404, "text/plain", ""))
    })
    .await;
    let bed = Bed::new();
    let upstream = bed.url(&peer.url);
    let error = ask(
        &upstream,
        &Conversation::default(),
        tool(Era::Session, "1", "{}"),
    )
    .await
    .unwrap_err();
    assert!(matches!(error, UpstreamError::Status { .. }), "{error:?}");
    assert_eq!(peer.count("tools/call"), 2);
}

#[tokio::test]
async fn an_upstream_that_keeps_no_sessions_is_initialized_once_for_all() {
    let peer = Peer::start(|seen| async move {
        lifecycle(&seen, "").unwrap_or_else(|| result(&seen, &json!({})))
    })
    .await;
    let bed = Bed::new();
    let upstream = bed.url(&peer.url);
    for _ in 0..5 {
        let conversation = Conversation::default();
        ask(&upstream, &conversation, tool(Era::Session, "1", "{}"))
            .await
            .unwrap();
        conversation.close().await;
    }
    assert_eq!(peer.count("initialize"), 1);
    assert!(
        peer.seen()
            .iter()
            .all(|seen| seen.method != ::http::Method::DELETE)
    );
}

#[tokio::test]
async fn notifications_go_to_sessions_that_are_open() {
    let peer = Peer::start(|seen| async move {
        lifecycle(&seen, "s-1").unwrap_or_else(|| result(&seen, &json!({})))
    })
    .await;
    let bed = Bed::new();
    let (upstream, conversation) = (bed.url(&peer.url), Conversation::default());
    let headers = HeaderMap::new();
    let cancelled = Ask {
        era: Era::Session,
        id: "",
        method: "notifications/cancelled",
        params: r#"{"requestId":1}"#,
    };
    upstream
        .notify(&conversation, outgoing_of(cancelled, &headers))
        .await
        .unwrap();
    assert_eq!(peer.seen().len(), 0);
    ask(&upstream, &conversation, tool(Era::Session, "1", "{}"))
        .await
        .unwrap();
    upstream
        .notify(&conversation, outgoing_of(cancelled, &headers))
        .await
        .unwrap();
    let seen = peer.seen();
    let last = seen.last().unwrap();
    assert_eq!(
        last.text,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#
    );
    assert_eq!(last.header("mcp-session-id"), Some("s-1"));
}
