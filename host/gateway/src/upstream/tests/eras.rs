//! Callers and upstreams of different eras, and callers that share a session.

use futures_util::future::join_all;

use super::peer::{Peer, discovery, lifecycle, reply, result, rpc_error};
use super::*;

#[tokio::test]
async fn a_stateless_upstream_serves_both_eras_without_a_session() {
    let peer = Peer::start(|seen| async move {
        discovery(&seen, &["2026-07-28"])
            .unwrap_or_else(|| result(&seen, &json!({"resultType": "complete"})))
    })
    .await;
    let bed = Bed::new();
    let (upstream, conversation) = (bed.url(&peer.url), Conversation::default());
    let params = stateless_params("sné", json!({}), None);
    for ask_ in [
        tool(Era::Session, "1", r#"{"name":"sné"}"#),
        tool(Era::Stateless, "\"two\"", &params),
    ] {
        let reply = ask(&upstream, &conversation, ask_).await.unwrap();
        assert_eq!(reply.era, Era::Stateless);
        assert_eq!(messages(reply).await[0]["id"].to_string(), ask_.id);
    }
    assert_eq!(
        (peer.count("server/discover"), peer.count("initialize")),
        (1, 0)
    );
    for seen in peer.seen().iter().filter(|seen| seen.rpc() == "tools/call") {
        assert_eq!(seen.header("mcp-protocol-version"), Some("2026-07-28"));
        assert_eq!(seen.header("mcp-method"), Some("tools/call"));
        assert_eq!(seen.header("mcp-name"), Some("=?base64?c27DqQ==?="));
        assert_eq!(seen.header("mcp-session-id"), None);
        assert_eq!(
            seen.body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"],
            "2026-07-28"
        );
    }
}

#[tokio::test]
async fn an_upstream_of_both_eras_is_called_in_the_callers() {
    let peer = Peer::start(|seen| async move {
        discovery(&seen, &["2026-07-28", "2025-11-25"])
            .or_else(|| lifecycle(&seen, "s-1"))
            .unwrap_or_else(|| result(&seen, &json!({})))
    })
    .await;
    let bed = Bed::new();
    let (upstream, conversation) = (bed.url(&peer.url), Conversation::default());
    let params = stateless_params("t", json!({}), None);
    for (era, params) in [(Era::Session, "{}"), (Era::Stateless, params.as_str())] {
        let reply = ask(&upstream, &conversation, tool(era, "1", params))
            .await
            .unwrap();
        assert_eq!(reply.era, era);
    }
    assert_eq!(peer.count("initialize"), 1);
}

#[tokio::test]
async fn callers_that_share_a_session_never_mix() {
    // Answers under whatever names it is given, in events and in JSON.
    let peer = Peer::start(|seen| async move {
        if let Some(response) = lifecycle(&seen, "s-1") {
            return response;
        }
        let params = &seen.body["params"];
        assert_eq!(params["_meta"].get("io.modelcontextprotocol/protocolVersion"), None);
        let Some(token) = params["_meta"].get("progressToken") else {
            return result(&seen, &json!({"for": params["arguments"]}));
        };
        let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}});
        let last = json!({"jsonrpc": "2.0", "id": seen.body["id"], "result": {"for": params["arguments"]}});
        reply(200, "text/event-stream", format!("id: 1\nretry: 5\ndata:\n\ndata: {progress}\n\nid: 2\ndata: {last}\n\n"))
    })
    .await;
    let bed = Bed::new();
    let (upstream, conversation) = (bed.url(&peer.url), Conversation::default());
    let calls = (0..8).map(|n| {
        let (upstream, conversation) = (&upstream, &conversation);
        async move {
            let token = (n % 2 == 0).then(|| json!("same"));
            let params = stateless_params("t", json!({"n": n}), token);
            let reply = ask(
                upstream,
                conversation,
                tool(Era::Stateless, "\"same\"", &params),
            )
            .await
            .unwrap();
            assert_eq!(reply.era, Era::Session);
            let messages = messages(reply).await;
            let last = messages.last().unwrap();
            assert_eq!(
                (&last["id"], &last["result"]["for"]["n"]),
                (&json!("same"), &json!(n))
            );
            if n % 2 == 0 {
                assert_eq!(messages[0]["params"]["progressToken"], "same");
            }
        }
    });
    join_all(calls).await;
    let seen = peer.seen();
    let calls: Vec<_> = seen
        .iter()
        .filter(|seen| seen.rpc() == "tools/call")
        .collect();
    let ids: std::collections::HashSet<_> = calls
        .iter()
        .map(|seen| seen.body["id"].to_string())
        .collect();
    assert_eq!((calls.len(), ids.len()), (8, 8));
}

#[tokio::test]
async fn a_refusal_with_a_status_of_its_own_is_a_reply() {
    let peer = Peer::start(|seen| async move {
        discovery(&seen, &["2026-07-28"]).unwrap_or_else(|| {
            match seen.body["params"]["name"].as_str() {
                Some("unknown") => rpc_error(404, &seen.body["id"], -32601, "No such method"),
                Some("caps") => rpc_error(400, &Value::Null, -32021, "Missing capability"),
                Some("denied") => rpc_error(403, &seen.body["id"], -32000, "token expired"),
                _ => reply(400, "application/json", "{}"),
            }
        })
    })
    .await;
    let bed = Bed::new();
    let (upstream, conversation) = (bed.url(&peer.url), Conversation::default());
    for (name, status, code) in [("unknown", 404, -32601), ("caps", 400, -32021)] {
        let params = stateless_params(name, json!({}), None);
        let reply = ask(&upstream, &conversation, tool(Era::Stateless, "1", &params))
            .await
            .unwrap();
        assert_eq!(reply.status.as_u16(), status);
        assert_eq!(messages(reply).await[0]["error"]["code"], code);
    }
    for name in ["denied", "odd"] {
        let params = stateless_params(name, json!({}), None);
        let error = ask(&upstream, &conversation, tool(Era::Stateless, "1", &params))
            .await
            .unwrap_err();
        assert!(matches!(error, UpstreamError::Status { .. }), "{error:?}");
    }
    assert!(upstream.healthy());
}

#[tokio::test]
async fn what_an_upstream_names_instead_is_tried_once() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    for (names, refusals, want) in [
        ("2026-07-28", 1, Era::Stateless),
        ("2026-07-28", 9, Era::Session),
        ("2030-01-01", 1, Era::Session),
    ] {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let peer = Peer::start(move |seen| {
            let count = Arc::clone(&count);
            async move {
                if seen.rpc() == "server/discover" && count.fetch_add(1, Ordering::Relaxed) < refusals {
                    let data = json!({"supported": [names], "requested": "x"});
                    let error = json!({"code": -32022, "message": "Unsupported protocol version", "data": data});
                    let body = json!({"jsonrpc": "2.0", "id": seen.body["id"], "error": error});
                    return reply(400, "application/json", body.to_string());
                }
                discovery(&seen, &["2026-07-28"])
                    .or_else(|| lifecycle(&seen, "s-1"))
                    .unwrap_or_else(|| result(&seen, &json!({})))
            }
        })
        .await;
        let (bed, conversation) = (Bed::new(), Conversation::default());
        let params = stateless_params("t", json!({}), None);
        let call = tool(Era::Stateless, "1", &params);
        let answer = ask(&bed.url(&peer.url), &conversation, call).await.unwrap();
        assert_eq!(answer.era, want, "{names} {refusals}");
        assert!(asked.load(Ordering::Relaxed) <= 2, "{names} {refusals}");
    }
}

#[tokio::test]
async fn an_upstream_that_is_replaced_by_another_version_is_asked_again() {
    use std::sync::atomic::{AtomicBool, Ordering};
    static OLD: AtomicBool = AtomicBool::new(false);
    let peer = Peer::start(|seen| async move {
        if OLD.load(Ordering::Relaxed) {
            return lifecycle(&seen, "s-1").unwrap_or_else(|| {
                match seen.header("mcp-session-id") {
                    Some(_) => result(&seen, &json!({})),
                    None => rpc_error(400, &seen.body["id"], -32022, "Unsupported version"),
                }
            });
        }
        discovery(&seen, &["2026-07-28"]).unwrap_or_else(|| result(&seen, &json!({})))
    })
    .await;
    let bed = Bed::new();
    let (upstream, conversation) = (bed.url(&peer.url), Conversation::default());
    let params = stateless_params("t", json!({}), None);
    let call = tool(Era::Stateless, "1", &params);
    assert_eq!(
        ask(&upstream, &conversation, call).await.unwrap().era,
        Era::Stateless
    );
    OLD.store(true, Ordering::Relaxed);
    assert_eq!(
        ask(&upstream, &conversation, call).await.unwrap().status,
        400
    );
    assert_eq!(
        ask(&upstream, &conversation, call).await.unwrap().era,
        Era::Session
    );
}
