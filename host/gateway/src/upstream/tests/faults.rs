//! Upstreams that are down, slow, or answer nonsense; health; calls that end early.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use super::peer::{Peer, lifecycle, reply, result};
use super::*;

fn impatient() -> UpstreamLimits {
    UpstreamLimits {
        failures_max: 2,
        backoff_first_ms: 20,
        backoff_max_ms: 40,
        ..UpstreamLimits::default()
    }
}

#[tokio::test]
async fn a_closed_port_is_a_connect_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    drop(listener);
    let bed = Bed::new();
    let error = ask(
        &bed.url(&url),
        &Conversation::default(),
        tool(Era::Session, "1", "{}"),
    )
    .await
    .unwrap_err();
    assert!(matches!(error, UpstreamError::Connect { .. }), "{error:?}");
    assert!(std::error::Error::source(&error).is_some());
    assert!(!error.public_message().contains("127.0.0.1"));
}

#[tokio::test]
async fn a_slow_upstream_times_out_and_is_told() {
    let peer = Peer::start(|seen| async move {
        match lifecycle(&seen, "s-1") {
            Some(response) => response,
            None => std::future::pending().await,
        }
    })
    .await;
    let bed = Bed::new();
    let upstream = bed.get(json!({"url": peer.url, "timeout_ms": 300}));
    let conversation = Conversation::default();
    let params = stateless_params("t", json!({}), None);
    for (era, params) in [(Era::Session, "{}"), (Era::Stateless, params.as_str())] {
        let error = ask(&upstream, &conversation, tool(era, "\"x\"", params))
            .await
            .unwrap_err();
        assert!(
            matches!(
                error,
                UpstreamError::Timeout {
                    timeout_ms: 300,
                    ..
                }
            ),
            "{error:?}"
        );
        assert_eq!((error.http_status(), error.label()), (504, "timeout"));
    }
    assert_eq!(upstream.in_flight(), 0);
    bed.settle().await;
    let cancelled: Vec<_> = peer
        .seen()
        .into_iter()
        .filter(|seen| seen.rpc() == "notifications/cancelled")
        .collect();
    let calls: Vec<_> = peer
        .seen()
        .into_iter()
        .filter(|seen| seen.rpc() == "tools/call")
        .collect();
    assert_eq!(cancelled.len(), 2);
    for (cancelled, call) in cancelled.iter().zip(&calls) {
        assert_eq!(cancelled.body["params"]["requestId"], call.body["id"]);
    }
}

#[tokio::test]
async fn a_stream_without_a_first_byte_times_out() {
    let peer = Peer::start(|seen| async move {
        lifecycle(&seen, "s-1").unwrap_or_else(|| {
            let never = stream::pending::<Result<Bytes, std::io::Error>>();
            reply(200, "text/event-stream", Body::from_stream(never))
        })
    })
    .await;
    let bed = Bed::new();
    let upstream = bed.get(json!({"url": peer.url, "timeout_ms": 300}));
    let error = ask(
        &upstream,
        &Conversation::default(),
        tool(Era::Session, "1", "{}"),
    )
    .await
    .unwrap_err();
    assert!(matches!(error, UpstreamError::Timeout { .. }), "{error:?}");
}

#[tokio::test]
async fn nonsense_is_named() {
    let peer = Peer::start(|seen| async move {
        lifecycle(&seen, "s-1").unwrap_or_else(|| {
            match seen.body["params"]["name"].as_str().unwrap() {
                "html" => reply(200, "text/html", "<html>"),
                "redirect" => reply(302, "application/json", "{}"),
                "teapot" => reply(418, "text/plain", "no"),
                "accepted" => reply(202, "text/plain", ""),
                _ => reply(500, "application/json", "{}"),
            }
        })
    })
    .await;
    let bed = Bed::new();
    let (upstream, conversation) = (bed.url(&peer.url), Conversation::default());
    for (name, label) in [
        ("html", "content_type"),
        ("accepted", "content_type"),
        ("redirect", "status"),
        ("teapot", "status"),
        ("boom", "status"),
    ] {
        let params = json!({"name": name}).to_string();
        let error = ask(&upstream, &conversation, tool(Era::Session, "1", &params))
            .await
            .unwrap_err();
        assert_eq!((error.label(), error.http_status()), (label, 502), "{name}");
    }
}

#[tokio::test]
async fn an_upstream_that_introduces_itself_in_nonsense_is_refused() {
    for (body, label) in [
        ("nonsense", "protocol"),
        (
            r#"{"jsonrpc":"2.0","id":"pc-initialize","result":{}}"#,
            "handshake",
        ),
        (
            r#"{"jsonrpc":"2.0","id":"pc-initialize","result":{"protocolVersion":"1999-01-01"}}"#,
            "handshake",
        ),
        (
            r#"{"jsonrpc":"2.0","id":"pc-initialize","error":{"code":-32000,"message":"go away"}}"#,
            "refused",
        ),
    ] {
        let peer = Peer::start(move |_| async move { reply(200, "application/json", body) }).await;
        let bed = Bed::new();
        let error = ask(
            &bed.url(&peer.url),
            &Conversation::default(),
            tool(Era::Session, "1", "{}"),
        )
        .await
        .unwrap_err();
        assert_eq!(error.label(), label, "{error:?}");
        assert!(!error.public_message().contains("go away"));
    }
}

#[tokio::test]
async fn failures_make_an_upstream_unhealthy_and_a_success_heals_it() {
    static DOWN: AtomicBool = AtomicBool::new(false);
    let peer = Peer::start(|seen| async move {
        match DOWN.load(Ordering::Relaxed) {
            true => reply(503, "text/plain", ""),
            false => lifecycle(&seen, "s-1").unwrap_or_else(|| result(&seen, &json!({}))),
        }
    })
    .await;
    let bed = Bed::with(impatient());
    let (upstream, conversation) = (bed.url(&peer.url), Conversation::default());
    let call = tool(Era::Session, "1", "{}");
    ask(&upstream, &conversation, call).await.unwrap();

    DOWN.store(true, Ordering::Relaxed);
    for _ in 0..2 {
        assert!(upstream.healthy());
        ask(&upstream, &conversation, call).await.unwrap_err();
    }
    assert!(!upstream.healthy());
    assert_eq!(bed.metric("portcullis_upstream_healthy"), 0.0);
    let calls = peer.seen().len();
    let error = ask(&upstream, &conversation, call).await.unwrap_err();
    assert!(
        matches!(error, UpstreamError::Unhealthy { .. }) && error.retry_after_ms().is_some(),
        "{error:?}"
    );
    assert_eq!(peer.seen().len(), calls, "it is left alone");

    until("the pause is over", || upstream.healthy()).await;
    ask(&upstream, &conversation, call).await.unwrap_err();
    assert!(!upstream.healthy(), "one failure is enough now");

    DOWN.store(false, Ordering::Relaxed);
    until("the pause is over", || upstream.healthy()).await;
    ask(&upstream, &conversation, call).await.unwrap();
    assert!(upstream.healthy());
    assert_eq!(bed.metric("portcullis_upstream_healthy"), 1.0);
}

#[tokio::test]
async fn a_call_counts_until_its_body_ends_or_is_dropped() {
    let peer = Peer::start(|seen| async move {
        lifecycle(&seen, "s-1").unwrap_or_else(|| {
            let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b": hello\n\n"))]);
            reply(
                200,
                "text/event-stream",
                Body::from_stream(first.chain(stream::pending())),
            )
        })
    })
    .await;
    let bed = Bed::new();
    let (upstream, conversation) = (bed.url(&peer.url), Conversation::default());
    let reply = ask(&upstream, &conversation, tool(Era::Session, "1", "{}"))
        .await
        .unwrap();
    assert_eq!(reply.kind, ReplyKind::Events);
    assert_eq!(
        (
            upstream.in_flight(),
            bed.metric("portcullis_upstream_in_flight")
        ),
        (1, 1.0)
    );
    assert!(upstream.latency_us() > 0);
    drop(reply);
    assert_eq!(
        (
            upstream.in_flight(),
            bed.metric("portcullis_upstream_in_flight")
        ),
        (0, 0.0)
    );
}

#[tokio::test]
async fn a_stateless_caller_that_leaves_a_session_cancels() {
    let peer = Peer::start(|seen| async move {
        lifecycle(&seen, "s-1").unwrap_or_else(|| {
            let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(
                b"data: {\"jsonrpc\":\"2.0\",\"method\":\"x\"}\n\n",
            ))]);
            reply(
                200,
                "text/event-stream",
                Body::from_stream(first.chain(stream::pending())),
            )
        })
    })
    .await;
    let bed = Bed::new();
    let (upstream, conversation) = (bed.url(&peer.url), Conversation::default());
    let params = stateless_params("t", json!({}), None);
    let mut reply = ask(&upstream, &conversation, tool(Era::Stateless, "1", &params))
        .await
        .unwrap();
    reply.body.frame().await.unwrap().unwrap();
    drop(reply);
    bed.settle().await;
    let seen = peer.seen();
    let call = seen.iter().find(|seen| seen.rpc() == "tools/call").unwrap();
    let cancelled = seen
        .iter()
        .find(|seen| seen.rpc() == "notifications/cancelled")
        .unwrap();
    assert_eq!(cancelled.body["params"]["requestId"], call.body["id"]);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_and_ends_the_call() {
    let peer = Peer::start(|seen| async move {
        lifecycle(&seen, "s-1").unwrap_or_else(|| {
            let parts = [
                Ok(Bytes::from_static(b": hello\n\n")),
                Err(std::io::Error::other("cut")),
            ];
            reply(
                200,
                "text/event-stream",
                Body::from_stream(stream::iter(parts)),
            )
        })
    })
    .await;
    let bed = Bed::new();
    let (upstream, conversation) = (bed.url(&peer.url), Conversation::default());
    let reply = ask(&upstream, &conversation, tool(Era::Session, "1", "{}")).await;
    // Whether the break is seen before the first byte is read is the connection's affair.
    let error = match reply {
        Ok(reply) => reply.body.collect().await.unwrap_err(),
        Err(error) => error,
    };
    assert!(
        matches!(
            error,
            UpstreamError::Body { .. } | UpstreamError::Interrupted { .. }
        ),
        "{error:?}"
    );
    assert_eq!(upstream.in_flight(), 0);
}

#[tokio::test]
async fn a_reply_that_must_be_held_has_a_bound() {
    let peer = Peer::start(|seen| async move {
        lifecycle(&seen, "s-1")
            .unwrap_or_else(|| result(&seen, &json!({"text": "x".repeat(10_000)})))
    })
    .await;
    let bed = Bed::with(UpstreamLimits {
        message_bytes_max: 5_000,
        ..UpstreamLimits::default()
    });
    let (upstream, conversation) = (bed.url(&peer.url), Conversation::default());
    let params = stateless_params("t", json!({}), None);
    let reply = ask(&upstream, &conversation, tool(Era::Stateless, "1", &params))
        .await
        .unwrap();
    let error = reply.body.collect().await.unwrap_err();
    assert!(matches!(error, UpstreamError::TooLarge { .. }), "{error:?}");
    let streamed = ask(&upstream, &conversation, tool(Era::Session, "1", "{}"))
        .await
        .unwrap();
    assert!(text(streamed).await.len() > 10_000);
}
