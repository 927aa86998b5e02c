//! WebSocket for clients of both eras: a message a frame, a session a socket.

use futures_util::SinkExt;
use portcullis_tests::fakes::{self, Answer, Fake, Gate};
use portcullis_tests::gateway::Gateway;
use portcullis_tests::mcp::Peer;
use portcullis_tests::stage::{SERVER, Stage};
use portcullis_tests::upstreams::Upstream;
use portcullis_tests::wait;
use portcullis_tests::websocket::{WsClient, dial, refused, stateless, upgrade};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{STAGE, hooks, refuse_deletion, text_of};

const REVISION: &str = "2025-11-25";

async fn connect(stage: &Stage) -> WsClient {
    WsClient::connect(upgrade(stage.gateway.url(), SERVER, &stage.alice), REVISION).await
}

async fn open(stage: &Stage) -> WsClient {
    WsClient::open(upgrade(stage.gateway.url(), SERVER, &stage.alice)).await
}

/// A stage whose one tool answers when a gate opens.
async fn gated(gateway: Gateway) -> (Stage, Fake, Gate) {
    let stage = Stage::on(gateway).await;
    let gate = Gate::closed();
    let held = gate.clone();
    let fake = Fake::start(fakes::server(&["greet"], move |asked| {
        Answer::After(held.clone(), Box::new(fakes::says(asked, "hello")))
    }))
    .await;
    let tenant = stage.tenant();
    tenant.upstream("fake", fake.spec()).await;
    tenant.server(SERVER, &["fake"]).await;
    (stage, fake, gate)
}

#[tokio::test]
async fn a_socket_is_a_session() {
    let stage = STAGE.get(Stage::set).await;
    let mut asked = upgrade(stage.gateway.url(), SERVER, &stage.alice);
    asked
        .headers_mut()
        .insert("sec-websocket-protocol", "mcp".parse().expect("a header"));
    let client = WsClient::connect(asked, REVISION).await;
    assert_eq!(client.opened.headers()["sec-websocket-protocol"], "mcp");
    let tools = client.request("tools/list", json!({})).await;
    let tools = tools["result"]["tools"].as_array().expect("tools");
    assert!(tools.iter().any(|tool| tool["name"] == "demo__echo"));
    let echo = client
        .call("demo__echo", json!({ "message": "grüße,\n1.10" }))
        .await;
    assert_eq!(text_of(&echo), "grüße,\n1.10");
    let again = client.request("initialize", json!({ "protocolVersion": REVISION, "capabilities": {}, "clientInfo": { "name": "x", "version": "1" } })).await;
    assert_eq!(again["error"]["code"], -32600, "{again}");
    client.close().await;
    assert_eq!(client.heard.end().await, "closed");
}

#[tokio::test]
async fn frames_of_the_stateless_era_need_no_session() {
    let stage = STAGE.get(Stage::set).await;
    let client = open(&stage).await;
    let found = client
        .request("server/discover", stateless(json!({})))
        .await;
    let versions = &found["result"]["supportedVersions"];
    assert!(
        versions.as_array().is_some_and(|all| !all.is_empty()),
        "{found}"
    );
    let call = json!({ "name": "demo__progress", "arguments": { "steps": 5 }, "_meta": { "progressToken": "p" } });
    let answer = client.request("tools/call", stateless(call)).await;
    assert_eq!(text_of(&answer), "Took 5 steps.");
    assert_eq!(answer["result"]["resultType"], "complete");
    assert_eq!(client.heard.of("notifications/progress").len(), 5);
    let early = client.request("tools/list", json!({})).await;
    assert_eq!(
        early["error"]["code"], -32600,
        "a session wants `initialize`: {early}"
    );
    let unknown = client.request("ping", stateless(json!({}))).await;
    assert_eq!(unknown["error"]["code"], -32601, "{unknown}");
}

#[tokio::test]
async fn both_eras_may_share_a_socket() {
    let stage = STAGE.get(Stage::set).await;
    let client = connect(&stage).await;
    let add = json!({ "name": "demo__add", "arguments": { "a": 2, "b": 40 } });
    let (old, new) = (
        client.ask("tools/call", add.clone()).await,
        client.ask("tools/call", stateless(add)).await,
    );
    let (old, new) = (
        client.heard.answer(&old).await,
        client.heard.answer(&new).await,
    );
    assert_eq!((text_of(&old), text_of(&new)), ("42", "42"));
    assert_eq!(
        (&old["result"]["resultType"], &new["result"]["resultType"]),
        (&Value::Null, &json!("complete"))
    );
}

#[tokio::test]
async fn a_cancelled_frame_gets_no_answer_and_reaches_the_upstream() {
    let stage = STAGE.get(Stage::set).await;
    let upstream = Upstream::example("cancelled").await;
    let (tenant, alice) = stage.guest_tenant("ws-cancel").await;
    tenant.upstream("own", upstream.spec()).await;
    tenant.server("ws-cancel-own", &["own"]).await;
    let url = stage.gateway.url();
    let client = WsClient::open(upgrade(url, "ws-cancel-own", &alice)).await;
    let stats = || async {
        let asked = stateless(json!({ "name": "own__stats" }));
        let stats = client.request("tools/call", asked).await;
        stats["result"]["structuredContent"].clone()
    };
    let slow = stateless(json!({ "name": "own__slow", "arguments": { "ms": 60_000 } }));
    let id = client.ask("tools/call", slow).await;
    wait::until("the call at the upstream", || async {
        (stats().await["started"].as_u64() >= Some(2)).then_some(())
    })
    .await;
    client
        .notify("notifications/cancelled", json!({ "requestId": id }))
        .await;
    wait::until("the cancellation at the upstream", || async {
        (stats().await["cancelled"].as_u64() == Some(1)).then_some(())
    })
    .await;
    let messages = client.heard.messages();
    assert!(
        messages.iter().all(|message| message["id"] != id),
        "{messages:?}"
    );
}

#[tokio::test]
async fn a_subscription_goes_on_until_it_is_cancelled() {
    let stage = STAGE.get(Stage::set).await;
    let client = open(&stage).await;
    let wanted = stateless(json!({ "notifications": { "toolsListChanged": true } }));
    let id = client.ask("subscriptions/listen", wanted).await;
    client
        .heard
        .first("notifications/subscriptions/acknowledged")
        .await;
    let quick = json!({ "name": "demo__add", "arguments": { "a": 2, "b": 40 } });
    let quick = client.request("tools/call", stateless(quick)).await;
    assert_eq!(text_of(&quick), "42");
    client
        .notify("notifications/cancelled", json!({ "requestId": id }))
        .await;
    client
        .request("server/discover", stateless(json!({})))
        .await;
    let messages = client.heard.messages();
    assert!(
        messages.iter().all(|message| message["id"] != id),
        "{messages:?}"
    );
}

#[tokio::test]
async fn a_frame_needs_no_headers() {
    let stage = STAGE.get(Stage::set).await;
    let mut asked = upgrade(stage.gateway.url(), SERVER, &stage.alice);
    for (name, value) in [("mcp-method", "ping"), ("mcp-param-region", "mars")] {
        asked
            .headers_mut()
            .insert(name, value.parse().expect("a header"));
    }
    let client = WsClient::open(asked).await;
    let call =
        json!({ "name": "demo__test_header_parameter", "arguments": { "region": "us-west1" } });
    let answer = client.request("tools/call", stateless(call)).await;
    assert!(text_of(&answer).contains("us-west1"), "{answer}");
}

#[tokio::test]
async fn upstreams_ask_and_tell_over_the_socket() {
    let stage = STAGE.get(Stage::set).await;
    let client = connect(&stage).await;
    let asked = client
        .ask(
            "tools/call",
            json!({ "name": "demo__test_sampling", "arguments": { "prompt": "Say hi" } }),
        )
        .await;
    let question = client.heard.first("sampling/createMessage").await;
    let answer = json!({ "jsonrpc": "2.0", "id": question["id"], "result": {
        "role": "assistant", "model": "m", "content": { "type": "text", "text": "hi there" } } });
    client.text(answer.to_string()).await;
    let answered = client.heard.answer(&asked).await;
    assert!(text_of(&answered).contains("hi there"), "{answered}");
    let resumed = client.call("demo__test_reconnection", json!({})).await;
    assert!(resumed["result"]["content"].is_array(), "{resumed}");
}

#[tokio::test]
async fn policies_are_asked_once_for_each_message() {
    let stage = STAGE.get(Stage::set).await;
    let (tenant, alice) = stage.guest_tenant("ws-once").await;
    refuse_deletion(&stage, &tenant).await;
    let admin = stage.admin();
    let url = stage.gateway.url();
    let client = WsClient::connect(upgrade(url, "ws-once-tools", &alice), REVISION).await;
    client.call("demo__echo", json!({ "message": "x" })).await;
    let refused = client
        .call("demo__delete_customer", json!({ "id": "C-1" }))
        .await;
    let message = refused["error"]["message"].as_str().unwrap_or_default();
    assert_eq!(refused["error"]["code"], -32003, "{refused}");
    assert!(message.contains("delete_customer"), "{refused}");
    client.request("tools/list", stateless(json!({}))).await;
    // The upgrade, `initialize`, `initialized`, two calls and a list.
    for hook in ["authenticate", "admit"] {
        let counted = hooks(&admin, "ws-once", hook).await;
        assert!((counted - 6.0).abs() < 0.5, "{hook}: {counted}");
    }
    let metrics = admin.metrics().await;
    for (method, outcome, want) in [
        ("transport", "ok", 1.0),
        ("initialize", "ok", 1.0),
        ("notifications/initialized", "ok", 1.0),
        ("tools/call", "ok", 1.0),
        ("tools/call", "forbidden", 1.0),
        ("tools/list", "ok", 1.0),
    ] {
        let labels = [
            ("tenant", "ws-once"),
            ("method", method),
            ("outcome", outcome),
        ];
        let counted = metrics.sum("portcullis_requests_total", &labels);
        assert!((counted - want).abs() < 0.5, "{method}: {counted}");
    }
}

#[tokio::test]
async fn a_socket_stands_under_the_policies_of_the_moment() {
    let stage = STAGE.get(Stage::set).await;
    let (tenant, alice) = stage.guest_tenant("ws-swap").await;
    let url = stage.gateway.url();
    let client = WsClient::connect(upgrade(url, "ws-swap-tools", &alice), REVISION).await;
    let delete = || client.call("demo__delete_customer", json!({ "id": "C-1" }));
    assert!(delete().await["result"].is_object());
    refuse_deletion(&stage, &tenant).await;
    assert_eq!(delete().await["error"]["code"], -32003);
    stage.chain(&tenant, &[]).await;
    assert!(delete().await["result"].is_object());
    let keys = stage.admin().get(&tenant.path("/keys")).await.ok();
    let id = keys["items"][0]["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{keys}"));
    stage
        .admin()
        .delete(&tenant.path(&format!("/keys/{id}")))
        .await
        .ok();
    assert_eq!(delete().await["error"]["code"], -32001, "the key is gone");
    stage
        .admin()
        .delete(&tenant.path("/servers/ws-swap-tools"))
        .await
        .ok();
    assert_eq!(
        client.heard.end().await,
        "1001 this server is no longer here"
    );
}

#[tokio::test]
async fn upgrades_that_are_none_are_refused() {
    let stage = STAGE.get(Stage::set).await;
    let (url, alice) = (stage.gateway.url(), stage.alice.as_str());
    let with = |name: &'static str, value: &str| {
        let mut request = upgrade(url, SERVER, alice);
        request
            .headers_mut()
            .insert(name, value.parse().expect("a header"));
        request
    };
    let stranger = {
        let mut request = upgrade(url, SERVER, alice);
        request.headers_mut().remove("authorization");
        request
    };
    for (title, request, want) in [
        ("no key", stranger, 401),
        (
            "a foreign page",
            with("origin", "https://evil.example"),
            403,
        ),
        ("a rebound host", with("host", "evil.example"), 403),
        ("no server", upgrade(url, "nowhere", alice), 404),
        ("another version", with("sec-websocket-version", "8"), 426),
        (
            "no key of the handshake",
            with("sec-websocket-key", "short"),
            400,
        ),
    ] {
        let (status, said) = refused(request).await;
        assert_eq!(status, want, "{title}: {said}");
    }
    let plain = portcullis_tests::mcp::Wire::new(&format!("{url}/servers/{SERVER}/ws"), alice);
    let plain = plain.request(reqwest::Method::GET);
    let plain = portcullis_tests::show::Answer::of(plain).await;
    assert_eq!(
        (plain.status, plain.header("upgrade")),
        (426, Some("websocket")),
        "{}",
        plain.shown()
    );
}

#[tokio::test]
async fn frames_that_are_no_messages_are_answered_or_end_the_socket() {
    let stage = Stage::on(Gateway::configured("limits: { body_bytes_max: 65536 }").await).await;
    let client = open(&stage).await;
    for (frame, code) in [
        ("nonsense", -32700),
        ("{}", -32600),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600),
    ] {
        let heard = client.heard.messages().len();
        client.text(frame).await;
        let answer = wait::until("an error", || async {
            client.heard.messages().get(heard).cloned()
        })
        .await;
        assert_eq!(
            (&answer["id"], &answer["error"]["code"]),
            (&Value::Null, &json!(code)),
            "{frame}: {answer}"
        );
    }
    let ping = client.request("ping", json!({})).await;
    assert_eq!(ping["result"], json!({}), "the socket lives on");
    let large = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"x":"{}"}}}}"#,
        "x".repeat(70 << 10)
    );
    for (frame, want) in [
        (
            Message::text(large),
            "1009 the message is larger than it may be",
        ),
        (
            Message::binary(b"{}".to_vec()),
            "1003 send messages as text frames",
        ),
    ] {
        let client = open(&stage).await;
        assert!(client.frame(frame).await);
        assert_eq!(client.heard.end().await, want);
    }
    let metrics = stage.admin().metrics().await;
    for code in ["1003", "1009"] {
        let counted = metrics.sum("portcullis_websocket_closes_total", &[("code", code)]);
        assert!((counted - 1.0).abs() < 0.5, "{code}: {counted}");
    }
    let alive = Peer::session(&stage.url(), &stage.alice).await;
    assert!(!alive.tools().await.is_empty());
}

#[tokio::test]
async fn a_flood_ends_the_socket_and_nobody_elses() {
    let gateway = Gateway::configured("limits: { connection_messages_max: 4 }").await;
    let (stage, _fake, gate) = gated(gateway).await;
    let (flood, other) = (connect(&stage).await, connect(&stage).await);
    for _ in 0..5 {
        flood
            .ask("tools/call", json!({ "name": "fake__greet" }))
            .await;
    }
    assert_eq!(
        flood.heard.end().await,
        "1013 too many messages are under way"
    );
    let greeted = other
        .ask("tools/call", json!({ "name": "fake__greet" }))
        .await;
    gate.open();
    assert_eq!(text_of(&other.heard.answer(&greeted).await), "hello");
    let closes = "portcullis_websocket_closes_total";
    let metrics = stage.admin().metrics().await;
    assert!((metrics.sum(closes, &[("code", "1013")]) - 1.0).abs() < 0.5);
    wait::until("the end of the session", || async {
        let live = stage
            .admin()
            .metrics()
            .await
            .sum("portcullis_sessions", &[]);
        (live < 1.5).then_some(())
    })
    .await;
}

#[tokio::test]
async fn stopping_lets_calls_end_and_closes_sockets() {
    let (mut stage, fake, gate) = gated(Gateway::start().await).await;
    let (idle, busy) = (connect(&stage).await, connect(&stage).await);
    let asked = busy
        .ask("tools/call", json!({ "name": "fake__greet" }))
        .await;
    fake.is_called().await;
    stage.gateway.process().signal("TERM");
    assert_eq!(idle.heard.end().await, "1001 connect again");
    assert!(!busy.heard.has_ended());
    gate.open();
    assert_eq!(text_of(&busy.heard.answer(&asked).await), "hello");
    assert_eq!(busy.heard.end().await, "1001 connect again");
    let status = stage.gateway.process().end().await;
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn a_client_that_answers_no_pings_is_given_up() {
    let stage = Stage::on(Gateway::configured("limits: { websocket_ping_s: 1 }").await).await;
    let quiet = connect(&stage).await;
    let gone = upgrade(stage.gateway.url(), SERVER, &stage.alice);
    // It reads nothing, so it sees no pings.
    let _gone = dial(gone).await.expect("a socket");
    wait::until("the end of the silent socket", || async {
        let metrics = stage.admin().metrics().await;
        let closed = metrics.sum("portcullis_websocket_closes_total", &[("code", "1008")]);
        (closed > 0.5).then_some(())
    })
    .await;
    let pong = quiet.request("ping", json!({})).await;
    assert_eq!(pong["result"], json!({}), "who answers pings may be quiet");
    assert!(quiet.heard.pings() >= 2);
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_hung_up_on() {
    let bounds = "limits: { connection_messages_max: 4, stream_bytes_max: 4096 }";
    let stage = Stage::on(Gateway::configured(bounds).await).await;
    let (mut deaf, _) = dial(upgrade(stage.gateway.url(), SERVER, &stage.alice))
        .await
        .expect("a socket");
    // As much as the system takes for a reader that does not read, and then some.
    for id in 0..64 {
        let call = json!({ "name": "demo__big", "arguments": { "bytes": 1_000_000 } });
        let call = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": stateless(call) });
        if deaf.send(Message::text(call.to_string())).await.is_err() {
            break;
        }
    }
    wait::until("the end of the socket and of its session", || async {
        let metrics = stage.admin().metrics().await;
        let closed = metrics.sum("portcullis_websocket_closes_total", &[("code", "1013")]);
        let live = metrics.sum("portcullis_sessions", &[]);
        (closed > 0.5 && live < 0.5).then_some(())
    })
    .await;
}
