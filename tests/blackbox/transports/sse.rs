//! HTTP+SSE for clients: one stream for everything, and messages that are posted beside it.

use portcullis_tests::admin::http;
use portcullis_tests::fakes::{self, Answer, Fake, Gate};
use portcullis_tests::gateway::Gateway;
use portcullis_tests::mcp::{self, Era, Wire};
use portcullis_tests::show::{Answer as Shown, listing};
use portcullis_tests::sse::{SseClient, introduction};
use portcullis_tests::stage::{SERVER, Stage};
use portcullis_tests::wait;
use reqwest::Method;
use serde_json::{Value, json};

use super::{STAGE, hooks, refuse_deletion, text_of};

const REVISION: &str = "2024-11-05";

async fn connect(stage: &Stage) -> SseClient {
    SseClient::connect(stage.gateway.url(), SERVER, &stage.alice, REVISION).await
}

#[tokio::test]
async fn a_stream_is_a_session() {
    let stage = STAGE.get(Stage::set).await;
    let client = connect(&stage).await;
    let (path, id) = client
        .endpoint
        .split_once("?sessionId=")
        .expect("a session id");
    assert_eq!(path, format!("/servers/{SERVER}/messages"));
    assert!(id.len() >= 32, "{id}");
    let tools = client.request("tools/list", json!({})).await;
    let tools = tools["result"]["tools"].as_array().expect("tools");
    assert!(tools.iter().any(|tool| tool["name"] == "demo__echo"));
    let echo = client
        .call("demo__echo", json!({ "message": "grüße,\n1.10" }))
        .await;
    assert_eq!(text_of(&echo), "grüße,\n1.10");
    let unknown = client.call("no-such-tool", json!({})).await;
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    let ping = client.request("ping", json!({})).await;
    assert_eq!(ping["result"], json!({}));
}

#[tokio::test]
async fn the_client_gets_the_revision_that_it_asks_for() {
    let stage = STAGE.get(Stage::set).await;
    for revision in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        SseClient::connect(stage.gateway.url(), SERVER, &stage.alice, revision).await;
    }
    let client = SseClient::open(stage.gateway.url(), SERVER, &stage.alice).await;
    let early = client.request("ping", json!({})).await;
    assert_eq!(early["result"], json!({}), "a ping may come first");
    let body = json!({ "jsonrpc": "2.0", "id": 9, "method": "tools/list" });
    let refused = client.post(body.to_string()).await;
    assert_eq!(refused.refusal(), (400, -32600), "{}", refused.shown());
    client.request("initialize", introduction(REVISION)).await;
    let again = client.request("initialize", introduction(REVISION)).await;
    assert_eq!(again["error"]["code"], -32600, "{again}");
}

#[tokio::test]
async fn streamed_replies_come_event_by_event_and_side_by_side() {
    let stage = STAGE.get(Stage::set).await;
    let client = connect(&stage).await;
    let call = |token: &str, steps: u64| json!({ "name": "demo__progress", "arguments": { "steps": steps, "step_ms": 5 }, "_meta": { "progressToken": token } });
    let (first, second) = (
        client.ask("tools/call", call("a", 20)).await,
        client.ask("tools/call", call("b", 30)).await,
    );
    assert_eq!(
        text_of(&client.heard.answer(&first).await),
        "Took 20 steps."
    );
    assert_eq!(
        text_of(&client.heard.answer(&second).await),
        "Took 30 steps."
    );
    let steps_of = |token: &str| -> Vec<f64> {
        let told = client.heard.of("notifications/progress");
        let own = told
            .iter()
            .filter(|told| told["params"]["progressToken"] == token);
        own.filter_map(|told| told["params"]["progress"].as_f64())
            .collect()
    };
    let upto = |last: u32| (1..=last).map(f64::from).collect::<Vec<_>>();
    assert_eq!((steps_of("a"), steps_of("b")), (upto(20), upto(30)));
    let first_done = |messages: &[Value]| messages.iter().position(|m| m["id"] == first);
    let messages = client.heard.messages();
    let second_began = messages
        .iter()
        .position(|message| message["params"]["progressToken"] == "b");
    assert!(
        second_began < first_done(&messages),
        "the second call waited for the first: {messages:?}"
    );
}

#[tokio::test]
async fn a_slow_call_holds_up_no_other_and_no_post() {
    let stage = STAGE.get(Stage::set).await;
    let (tenant, alice) = stage.guest_tenant("sse-slow").await;
    let gate = Gate::closed();
    let held = gate.clone();
    let fake = Fake::start(fakes::server(&["greet"], move |asked| {
        Answer::After(held.clone(), Box::new(fakes::says(asked, "hello")))
    }))
    .await;
    tenant.upstream("fake", fake.spec()).await;
    tenant.server("sse-slow-both", &["fake", "demo"]).await;
    let url = stage.gateway.url();
    let client = SseClient::connect(url, "sse-slow-both", &alice, REVISION).await;
    let slow = client
        .ask("tools/call", json!({ "name": "fake__greet" }))
        .await;
    fake.is_called().await;
    let quick = client.call("demo__add", json!({ "a": 2, "b": 40 })).await;
    assert_eq!(text_of(&quick), "42");
    gate.open();
    assert_eq!(text_of(&client.heard.answer(&slow).await), "hello");
}

#[tokio::test]
async fn upstreams_ask_and_tell_over_the_stream() {
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
    let taken = client.post(answer.to_string()).await;
    assert_eq!(taken.status, 202, "{}", taken.shown());
    let answered = client.heard.answer(&asked).await;
    assert!(text_of(&answered).contains("hi there"), "{answered}");
    let logged = client.call("demo__test_tool_with_logging", json!({})).await;
    assert!(logged["result"].is_object(), "{logged}");
    assert!(!client.heard.of("notifications/message").is_empty());
}

#[tokio::test]
async fn an_upstream_may_hang_up_and_the_client_does_not_notice() {
    let stage = STAGE.get(Stage::set).await;
    let url = stage.gateway.url();
    let client = SseClient::connect(url, SERVER, &stage.alice, "2025-11-25").await;
    let answer = client.call("demo__test_reconnection", json!({})).await;
    assert!(answer["result"]["content"].is_array(), "{answer}");
}

#[tokio::test]
async fn policies_are_asked_once_for_each_message() {
    let stage = STAGE.get(Stage::set).await;
    let (tenant, alice) = stage.guest_tenant("sse-once").await;
    refuse_deletion(&stage, &tenant).await;
    let admin = stage.admin();
    let url = stage.gateway.url();
    let client = SseClient::connect(url, "sse-once-tools", &alice, REVISION).await;
    client.call("demo__echo", json!({ "message": "x" })).await;
    let refused = client
        .call("demo__delete_customer", json!({ "id": "C-1" }))
        .await;
    let message = refused["error"]["message"].as_str().unwrap_or_default();
    assert_eq!(refused["error"]["code"], -32003, "{refused}");
    assert!(message.contains("delete_customer"), "{refused}");
    client.request("ping", json!({})).await;
    // The stream, `initialize`, `initialized`, two calls and a ping.
    for hook in ["authenticate", "admit"] {
        let counted = hooks(&admin, "sse-once", hook).await;
        assert!((counted - 6.0).abs() < 0.5, "{hook}: {counted}");
    }
    let metrics = admin.metrics().await;
    for (method, outcome, want) in [
        ("initialize", "ok", 1.0),
        ("notifications/initialized", "ok", 1.0),
        ("tools/call", "ok", 1.0),
        ("tools/call", "forbidden", 1.0),
        ("ping", "ok", 1.0),
        ("transport", "ok", 1.0),
    ] {
        let labels = [
            ("tenant", "sse-once"),
            ("method", method),
            ("outcome", outcome),
        ];
        let counted = metrics.sum("portcullis_requests_total", &labels);
        assert!((counted - want).abs() < 0.5, "{method}: {counted}");
    }
}

#[tokio::test]
async fn a_session_is_its_principals_and_ends_with_its_stream() {
    let stage = STAGE.get(Stage::set).await;
    let client = connect(&stage).await;
    let ping = json!({ "jsonrpc": "2.0", "id": "p", "method": "ping" }).to_string();
    let post = |url: String, bearer: &str| {
        let request = Wire::new(&url, bearer)
            .request(Method::POST)
            .header("content-type", "application/json")
            .body(ping.clone());
        async move { mcp::Reply(Shown::of(request).await) }
    };
    let at = |endpoint: &str| format!("{}{endpoint}", stage.gateway.url());
    let own = at(&client.endpoint);
    assert_eq!(post(own.clone(), &stage.alice).await.status, 202);
    client.heard.answer(&json!("p")).await;
    let heard = client.heard.messages().len();
    // The session of another transport is not to be had here, nor this one there.
    let peer = stage.alice(Era::Session).await;
    let streamable = format!("/servers/{SERVER}/messages?sessionId={}", peer.session_id());
    let (_, id) = client
        .endpoint
        .split_once("?sessionId=")
        .expect("a session id");
    let listen = Wire::new(&stage.url(), &stage.alice)
        .request(Method::GET)
        .header("accept", "text/event-stream")
        .header("mcp-session-id", id);
    assert_eq!(Shown::of(listen).await.status, 404);
    for (who, url, bearer) in [
        ("another principal", own.clone(), &stage.bob),
        (
            "a guess",
            at(&format!("/servers/{SERVER}/messages?sessionId=guess")),
            &stage.alice,
        ),
        ("another transport", at(&streamable), &stage.alice),
    ] {
        let refused = post(url, bearer).await;
        assert_eq!(
            refused.refusal(),
            (404, -32600),
            "{who}: {}",
            refused.shown()
        );
    }
    assert_eq!(client.heard.messages().len(), heard, "nobody wrote into it");
    client.close().await;
    wait::until("the end of the session", || async {
        let refused = post(own.clone(), &stage.alice).await;
        (refused.status == 404).then_some(())
    })
    .await;
}

#[tokio::test]
async fn several_messages_at_once_are_taken_together_or_not_at_all() {
    let stage = STAGE.get(Stage::set).await;
    let client = connect(&stage).await;
    let ping = |id: &str| json!({ "jsonrpc": "2.0", "id": id, "method": "ping" });
    let told = json!({ "jsonrpc": "2.0", "method": "notifications/roots/list_changed" });
    let echo = json!({ "jsonrpc": "2.0", "id": "e", "method": "tools/call",
        "params": { "name": "demo__echo", "arguments": { "message": "x" } } });
    let batch = json!([ping("a"), told, echo]);
    let taken = client.post(batch.to_string()).await;
    assert_eq!((taken.status, taken.text.as_str()), (202, ""));
    assert_eq!(client.heard.answer(&json!("a")).await["result"], json!({}));
    assert_eq!(text_of(&client.heard.answer(&json!("e")).await), "x");
    let broken = json!([ping("b"), { "jsonrpc": "2.0", "id": "c" }]);
    let refused = client.post(broken.to_string()).await;
    assert_eq!(refused.refusal(), (400, -32600), "{}", refused.shown());
    let newer = SseClient::connect(stage.gateway.url(), SERVER, &stage.alice, "2025-06-18").await;
    let refused = newer.post(json!([ping("d")]).to_string()).await;
    assert_eq!(refused.status, 400, "{}", refused.shown());
    newer.request("ping", json!({})).await;
    client.request("ping", json!({})).await;
    for (heard, id) in [(&client.heard, "b"), (&newer.heard, "d")] {
        let messages = heard.messages();
        assert!(
            messages.iter().all(|message| message["id"] != *id),
            "{messages:?}"
        );
    }
}

#[tokio::test]
async fn what_is_no_message_of_a_session_is_refused() {
    let stage = Stage::on(Gateway::configured("limits: { body_bytes_max: 65536 }").await).await;
    let client = connect(&stage).await;
    let (url, alice) = (stage.gateway.url(), &stage.alice);
    let streams = Wire::new(&format!("{url}/servers/{SERVER}/sse"), alice);
    let nobody = Wire::unknown(&format!("{url}/servers/{SERVER}/sse"));
    let stranger = Wire::unknown(&format!("{url}{}", client.endpoint));
    let no_session = Wire::new(&format!("{url}/servers/{SERVER}/messages"), alice);
    let nowhere = Wire::new(&format!("{url}/servers/nowhere/sse"), alice);
    let post = |wire: &Wire, body: String| {
        wire.request(Method::POST)
            .header("content-type", "application/json")
            .body(body)
    };
    let get = |wire: &Wire| {
        wire.request(Method::GET)
            .header("accept", "text/event-stream")
    };
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }).to_string();
    let stateless = json!({ "jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": { "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} } } });
    let stateless = post(&client.messages, stateless.to_string())
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "server/discover");
    let large = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"x":"{}"}}}}"#,
        "x".repeat(70 << 10)
    );
    let cases = [
        ("a stream without a key", get(&nobody)),
        ("a stream of no server", get(&nowhere)),
        (
            "a stream that takes JSON",
            streams
                .request(Method::GET)
                .header("accept", "application/json"),
        ),
        (
            "a stream of a foreign page",
            get(&streams).header("origin", "https://evil.example"),
        ),
        (
            "a stream of a rebound host",
            get(&streams).header("host", "evil.example"),
        ),
        ("a stream by POST", post(&streams, ping.clone())),
        ("a message without a key", post(&stranger, ping.clone())),
        (
            "a message without a session",
            post(&no_session, ping.clone()),
        ),
        ("a message by GET", get(&client.messages)),
        (
            "a message of a foreign page",
            post(&client.messages, ping.clone()).header("origin", "https://evil.example"),
        ),
        (
            "a message as text",
            client
                .messages
                .request(Method::POST)
                .header("content-type", "text/plain")
                .body(ping.clone()),
        ),
        ("no JSON", post(&client.messages, "nonsense".to_owned())),
        ("no message", post(&client.messages, "{}".to_owned())),
        ("a message too large", post(&client.messages, large)),
        ("a message without sessions", stateless),
    ];
    let mut seen = Vec::new();
    for (title, request) in cases {
        seen.push((title, Shown::of(request).await.shown()));
    }
    insta::assert_snapshot!(listing(&seen));
    assert_eq!(
        client.heard.messages().len(),
        1,
        "none of it reached the stream"
    );
}

#[tokio::test]
async fn too_much_under_way_is_refused_and_nothing_is_lost() {
    let gateway = Gateway::configured("limits: { connection_messages_max: 2 }").await;
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
    let client = connect(&stage).await;
    let mut asked = Vec::new();
    for _ in 0..2 {
        asked.push(
            client
                .ask("tools/call", json!({ "name": "fake__greet" }))
                .await,
        );
    }
    let ping = json!({ "jsonrpc": "2.0", "id": "p", "method": "ping" }).to_string();
    let refused = client.post(ping.clone()).await;
    assert_eq!(refused.refusal(), (429, -32029), "{}", refused.shown());
    assert_eq!(refused.header("retry-after"), Some("1"));
    gate.open();
    for id in asked {
        assert_eq!(text_of(&client.heard.answer(&id).await), "hello");
    }
    wait::until("room for another message", || async {
        (client.post(ping.clone()).await.status == 202).then_some(())
    })
    .await;
    client.heard.answer(&json!("p")).await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_holds_up_its_own_calls_alone() {
    let bounds =
        "limits: { stream_events_max: 4, stream_bytes_max: 4096, connection_messages_max: 4 }";
    let stage = Stage::on(Gateway::configured(bounds).await).await;
    let client = connect(&stage).await;
    let big = || {
        client.ask(
            "tools/call",
            json!({ "name": "demo__big", "arguments": { "bytes": 3_000_000 } }),
        )
    };
    // As much as the system takes for a reader that does not read, and then some.
    client.pause();
    let ids = [big().await, big().await, big().await, big().await];
    let other = connect(&stage).await;
    let quick = other.call("demo__add", json!({ "a": 2, "b": 40 })).await;
    assert_eq!(text_of(&quick), "42");
    client.resume();
    for id in ids {
        assert_eq!(text_of(&client.heard.answer(&id).await).len(), 3_000_000);
    }
}

#[tokio::test]
async fn stopping_lets_calls_end_and_waits_for_no_stream() {
    let mut stage = Stage::set().await;
    let gate = Gate::closed();
    let held = gate.clone();
    let fake = Fake::start(fakes::server(&["greet"], move |asked| {
        Answer::After(held.clone(), Box::new(fakes::says(asked, "hello")))
    }))
    .await;
    let tenant = stage.tenant();
    tenant.upstream("fake", fake.spec()).await;
    tenant.server(SERVER, &["fake"]).await;
    let (idle, busy) = (connect(&stage).await, connect(&stage).await);
    let asked = busy
        .ask("tools/call", json!({ "name": "fake__greet" }))
        .await;
    fake.is_called().await;
    stage.gateway.process().signal("TERM");
    assert_eq!(idle.heard.end().await, "closed");
    let url = stage.gateway.url().to_owned();
    wait::until("new connections to be refused", || async {
        http()
            .get(format!("{url}/health"))
            .send()
            .await
            .err()
            .map(drop)
    })
    .await;
    assert!(!busy.heard.has_ended());
    gate.open();
    assert_eq!(text_of(&busy.heard.answer(&asked).await), "hello");
    assert_eq!(busy.heard.end().await, "closed");
    let status = stage.gateway.process().end().await;
    assert!(status.success(), "{status}");
}
