//! Batches: several messages in one `POST`, which 2025-03-26 has and no later revision.

use std::collections::BTreeSet;

use portcullis_tests::admin::binding;
use portcullis_tests::fakes::{self, Fake};
use portcullis_tests::mcp::{Reply, SESSION_REVISION, STATELESS_REVISION, Wire};
use portcullis_tests::shared::Shared;
use portcullis_tests::show::listing;
use portcullis_tests::stage::Stage;
use serde_json::{Value, json};

static STAGE: Shared<Stage> = Shared::new();

/// The revision that has batches.
const REVISION: &str = "2025-03-26";

/// A client that sends what it is told to, in a session of one revision.
struct Old {
    wire: Wire,
    session: String,
}

impl Old {
    async fn connect(revision: &str, url: &str, key: &str) -> Self {
        let wire = Wire::new(url, key);
        let hello = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": revision, "capabilities": {}, "clientInfo": { "name": "old", "version": "1" } } });
        let opened = wire.send(hello.to_string(), &[]).await;
        assert_eq!(opened.result()["protocolVersion"], revision);
        let session = opened
            .header("mcp-session-id")
            .expect("a session")
            .to_owned();
        Self { wire, session }
    }

    async fn send(&self, batch: &Value) -> Reply {
        self.wire
            .send(batch.to_string(), &[("mcp-session-id", &self.session)])
            .await
    }
}

fn request(id: u64, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

fn call(id: u64, tool: &str, arguments: Value) -> Value {
    request(
        id,
        "tools/call",
        json!({ "name": tool, "arguments": arguments }),
    )
}

fn notification(method: &str) -> Value {
    json!({ "jsonrpc": "2.0", "method": method })
}

/// A tenant with an upstream that answers in JSON, and a client of it.
async fn before_json(stage: &Stage, name: &str) -> (Fake, Old) {
    let fake = Fake::start(fakes::server(&["greet"], |asked| {
        fakes::says(asked, "hello")
    }))
    .await;
    let (tenant, key) = stage.guest_tenant(name).await;
    tenant.upstream("up", fake.spec()).await;
    let server = format!("{name}-up");
    tenant.server(&server, &["up"]).await;
    let old = Old::connect(REVISION, &stage.gateway.mcp(&server), &key).await;
    (fake, old)
}

#[tokio::test]
async fn replies_come_back_together_in_the_order_of_the_requests() {
    let stage = STAGE.get(Stage::set).await;
    let (fake, old) = before_json(&stage, "together").await;
    let reply = old
        .send(&json!([
            request(1, "ping", json!({})),
            notification("notifications/initialized"),
            call(2, "up__greet", json!({})),
            call(3, "up__nobody", json!({})),
            request(4, "no/such", json!({})),
            { "jsonrpc": "2.0", "id": 5, "method": 7 },
            request(6, "tools/list", json!({})),
            7,
        ]))
        .await;
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, Some("application/json"))
    );
    let answers = reply.json();
    let answers: Vec<String> = answers
        .as_array()
        .expect("an array")
        .iter()
        .map(Value::to_string)
        .collect();
    insta::assert_snapshot!(answers.join("\n"), @r#"
    {"jsonrpc":"2.0","id":1,"result":{}}
    {"jsonrpc":"2.0","id":2,"result":{"content":[{"type":"text","text":"hello"}]}}
    {"jsonrpc":"2.0","id":3,"error":{"code":-32602,"message":"unknown tool `up__nobody`; list the tools to see their names"}}
    {"jsonrpc":"2.0","id":4,"error":{"code":-32601,"message":"this server does not offer the method no/such"}}
    {"jsonrpc":"2.0","id":5,"error":{"code":-32600,"message":"The member \"method\" must be a string."}}
    {"jsonrpc":"2.0","id":6,"result":{"tools":[{"name":"up__greet","inputSchema":{"type":"object"}}]}}
    {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"The body is not a JSON object. Send one JSON-RPC 2.0 message."}}
    "#);
    assert_eq!(fake.calls().len(), 1);
}

#[tokio::test]
async fn a_stream_among_the_replies_makes_one_stream_of_all() {
    let stage = STAGE.get(Stage::set).await;
    let old = Old::connect(REVISION, &stage.url(), &stage.alice).await;
    let mut progress = call(1, "demo__progress", json!({ "steps": 3, "step_ms": 1 }));
    progress["params"]["_meta"] = json!({ "progressToken": "p" });
    let reply = old
        .send(&json!([
            progress,
            call(2, "demo__add", json!({ "a": 1, "b": 2 })),
            request(3, "ping", json!({}))
        ]))
        .await;
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, Some("text/event-stream"))
    );
    let messages = reply.messages();
    let ids: BTreeSet<u64> = messages
        .iter()
        .filter_map(|message| message["id"].as_u64())
        .collect();
    assert_eq!(ids, BTreeSet::from([1, 2, 3]), "{messages:?}");
    assert_eq!(
        messages
            .iter()
            .filter(|message| message.get("id").is_some())
            .count(),
        3
    );
    assert_eq!(reply.notified("notifications/progress").len(), 3);
    assert!(
        !reply.text.contains("\nid:") && !reply.text.starts_with("id:"),
        "{}",
        reply.text
    );
}

#[tokio::test]
async fn where_nothing_is_asked_nothing_is_answered() {
    let stage = STAGE.get(Stage::set).await;
    let old = Old::connect(REVISION, &stage.url(), &stage.alice).await;
    let told = json!([
        notification("notifications/initialized"),
        notification("notifications/roots/list_changed")
    ]);
    let reply = old.send(&told).await;
    assert_eq!((reply.status, reply.text.as_str()), (202, ""));
    // A response to nothing that was asked is taken as well.
    let reply = old
        .send(&json!([{ "jsonrpc": "2.0", "id": 99, "result": {} }]))
        .await;
    assert_eq!((reply.status, reply.text.as_str()), (202, ""));
}

#[tokio::test]
async fn every_message_is_admitted_by_itself() {
    let stage = STAGE.get(Stage::set).await;
    let fake = Fake::start(fakes::server(&["greet"], |asked| {
        fakes::says(asked, "hello")
    }))
    .await;
    let (tenant, key) = stage.guest_tenant("counted").await;
    tenant.upstream("up", fake.spec()).await;
    tenant.server("counted-up", &["up"]).await;
    let admin = stage.admin();
    let limit = json!({ "limits": [{ "name": "calls", "key": ["subject"], "rate": 3, "period_ms": 3_600_000 }] });
    let mut limit = binding(&admin.push("rate-limit").await, &["quota"], limit);
    limit["select"] = json!({ "methods": ["tools/call"] });
    stage.chain(&tenant, &[limit]).await;
    let old = Old::connect(REVISION, &stage.gateway.mcp("counted-up"), &key).await;
    let calls: Vec<Value> = (1..=5).map(|id| call(id, "up__greet", json!({}))).collect();
    let reply = old.send(&json!(calls)).await;
    assert_eq!(reply.status, 200, "{}", reply.shown());
    let answers = reply.json();
    let codes: Vec<_> = answers
        .as_array()
        .expect("an array")
        .iter()
        .map(|answer| answer["error"]["code"].as_i64())
        .collect();
    assert_eq!(
        codes.iter().filter(|code| code.is_none()).count(),
        3,
        "{answers}"
    );
    assert_eq!(
        codes.iter().filter(|code| **code == Some(-32029)).count(),
        2,
        "{answers}"
    );
    assert_eq!(fake.calls().len(), 3, "each call has gone its walk once");
    // When all of them are refused alike, so is the batch.
    let reply = old.send(&json!(calls)).await;
    assert_eq!(reply.status, 429, "{}", reply.shown());
    assert!(reply.header("retry-after").is_some());
    assert_eq!(reply.json().as_array().map(Vec::len), Some(5));
}

#[tokio::test]
async fn what_is_no_batch_of_a_session_is_refused() {
    let stage = STAGE.get(Stage::set).await;
    let old = Old::connect(REVISION, &stage.url(), &stage.alice).await;
    let newer = Old::connect(SESSION_REVISION, &stage.url(), &stage.alice).await;
    let ping = || request(1, "ping", json!({}));
    let (mine, theirs) = (old.session.as_str(), newer.session.as_str());
    let id = |session| ("mcp-session-id", session);
    let version = |named| ("mcp-protocol-version", named);
    let hello = request(
        1,
        "initialize",
        json!({ "protocolVersion": REVISION, "capabilities": {}, "clientInfo": { "name": "c", "version": "1" } }),
    );
    let many = |len: u64| {
        json!(
            (0..len)
                .map(|id| request(id, "ping", json!({})))
                .collect::<Vec<_>>()
        )
    };
    let thief = Wire::new(&stage.url(), &stage.bob);
    let stranger = Wire::unknown(&stage.url());
    let mut shown = Vec::new();
    for (title, wire, batch, headers) in [
        ("empty", &old.wire, json!([]), vec![id(mine)]),
        ("too many", &old.wire, many(101), vec![id(mine)]),
        ("not JSON", &old.wire, json!("[1,"), vec![id(mine)]),
        (
            "a batch in a batch",
            &old.wire,
            json!([[ping()]]),
            vec![id(mine)],
        ),
        (
            "initialize",
            &old.wire,
            json!([hello, ping()]),
            vec![id(mine)],
        ),
        ("no session", &old.wire, json!([ping()]), vec![]),
        (
            "somebody else's session",
            &thief,
            json!([ping()]),
            vec![id(mine)],
        ),
        ("no credentials", &stranger, json!([ping()]), vec![id(mine)]),
        (
            "a newer session",
            &old.wire,
            json!([ping(), ping()]),
            vec![id(theirs)],
        ),
        (
            "a newer session, an older name",
            &old.wire,
            json!([ping()]),
            vec![id(theirs), version(REVISION)],
        ),
        (
            "a newer name",
            &old.wire,
            json!([ping()]),
            vec![id(mine), version("2025-06-18")],
        ),
        (
            "the newest session name",
            &old.wire,
            json!([ping()]),
            vec![id(mine), version(SESSION_REVISION)],
        ),
        (
            "the stateless era",
            &old.wire,
            json!([ping()]),
            vec![version(STATELESS_REVISION)],
        ),
        (
            "a stateless message",
            &old.wire,
            json!([request(1, "server/discover", json!({}))]),
            vec![id(mine)],
        ),
    ] {
        let body = match batch.as_str() {
            Some(text) => text.to_owned(),
            None => batch.to_string(),
        };
        shown.push((title, wire.send(body, &headers).await.shown()));
    }
    insta::assert_snapshot!(listing(&shown), @r#"
    empty
        400
        {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"The batch is empty. Send at least one message."}}
    too many
        400
        {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"The batch holds more than 100 messages. Send fewer at a time."}}
    not JSON
        400
        {"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"The body is not valid JSON (line 1, column 3). Send one JSON-RPC 2.0 message."}}
    a batch in a batch
        400
        [{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"JSON-RPC batches are not accepted here. Send each message in a request of its own."}}]
    initialize
        200
        [{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"`initialize` must not be part of a batch; send it in a request of its own"}},{"jsonrpc":"2.0","id":1,"result":{}}]
    no session
        400
        [{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"the `Mcp-Session-Id` header is missing; initialize a session first and send its id with every request"}}]
    somebody else's session
        404
        [{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"this session has ended or never was; initialize a new one"}}]
    no credentials
        401
        www-authenticate: Bearer
        [{"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"no credentials that this tenant accepts; send a token or an API key in `Authorization: Bearer …`"}}]
    a newer session
        400
        [{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"JSON-RPC batches are not accepted here. Send each message in a request of its own."}},{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"JSON-RPC batches are not accepted here. Send each message in a request of its own."}}]
    a newer session, an older name
        400
        [{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"JSON-RPC batches are not accepted here. Send each message in a request of its own."}}]
    a newer name
        400
        {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"JSON-RPC batches are not accepted here. Send each message in a request of its own."}}
    the newest session name
        400
        {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"JSON-RPC batches are not accepted here. Send each message in a request of its own."}}
    the stateless era
        400
        {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"JSON-RPC batches are not accepted here. Send each message in a request of its own."}}
    a stateless message
        400
        [{"jsonrpc":"2.0","id":1,"error":{"code":-32020,"message":"Header mismatch: the MCP-Protocol-Version header is missing. Send it with every request."}}]
    "#);
    let most = old.send(&many(100)).await;
    assert_eq!(most.json().as_array().map(Vec::len), Some(100));
}
