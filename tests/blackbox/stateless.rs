//! Stateless clients (2026-07-28): no session, and headers that must agree with the body.

use portcullis_tests::fakes::{self, Fake};
use portcullis_tests::mcp::{Era, Peer, STATELESS_REVISION};
use portcullis_tests::shared::Shared;
use portcullis_tests::show::{listing, redact};
use portcullis_tests::stage::Stage;
use reqwest::Method;
use serde_json::{Value, json};

static STAGE: Shared<Stage> = Shared::new();

#[tokio::test]
async fn tools_are_listed_in_the_same_order_with_a_time_to_live() {
    let stage = STAGE.get(Stage::set).await;
    let alice = stage.alice(Era::Stateless).await;
    let listed = alice.request("tools/list", json!({})).await.result();
    assert_eq!(listed["resultType"], "complete");
    assert!(
        listed["ttlMs"].is_u64() && listed["cacheScope"] == "private",
        "{listed}"
    );
    let again = alice.request("tools/list", json!({})).await.result();
    assert_eq!(listed["tools"], again["tools"]);
    assert_eq!(
        alice.tools().await,
        stage.alice(Era::Session).await.tools().await,
        "both eras see the same tools"
    );
}

#[tokio::test]
async fn calls_carry_no_session() {
    let stage = STAGE.get(Stage::set).await;
    let alice = stage.alice(Era::Stateless).await;
    let reply = alice.call("demo__add", json!({ "a": 1, "b": 2 })).await;
    assert_eq!(reply.text_content(), "3");
    assert_eq!(reply.result()["resultType"], "complete");
    assert_eq!(reply.header("mcp-session-id"), None);
}

/// A well-formed call, in parts that a case can change.
fn call_of(stage: &Stage) -> (reqwest::RequestBuilder, Value) {
    let alice = Peer::stateless(&stage.url(), &stage.alice);
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": STATELESS_REVISION,
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = json!({ "name": "demo__add", "arguments": { "a": 1, "b": 2 }, "_meta": meta });
    (
        alice.wire.post(""),
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }),
    )
}

/// Headers that a case sets to something else, or leaves out.
type Changes = &'static [(&'static str, Option<&'static str>)];

#[tokio::test]
async fn headers_that_disagree_with_the_body_are_refused() {
    let stage = STAGE.get(Stage::set).await;
    let good = [
        ("mcp-protocol-version", STATELESS_REVISION),
        ("mcp-method", "tools/call"),
        ("mcp-name", "demo__add"),
    ];
    let cases: [(&str, Changes); 8] = [
        ("as it should be", &[]),
        (
            "name in base64",
            &[("mcp-name", Some("=?base64?ZGVtb19fYWRk?="))],
        ),
        ("another name", &[("mcp-name", Some("demo__echo"))]),
        ("no name", &[("mcp-name", None)]),
        ("another method", &[("mcp-method", Some("tools/list"))]),
        ("no method", &[("mcp-method", None)]),
        (
            "an older version",
            &[("mcp-protocol-version", Some("2025-11-25"))],
        ),
        (
            "an unknown version",
            &[("mcp-protocol-version", Some("2099-01-01"))],
        ),
    ];
    let mut shown = Vec::new();
    for (title, changes) in cases {
        let (mut request, body) = call_of(&stage);
        for (name, value) in good {
            let change = changes
                .iter()
                .find(|(changed, _)| *changed == name)
                .map(|(_, value)| *value);
            if let Some(value) = change.unwrap_or(Some(value)) {
                request = request.header(name, value);
            }
        }
        let answer = portcullis_tests::show::Answer::of(request.body(body.to_string())).await;
        shown.push((title, answer.shown()));
    }
    insta::assert_snapshot!(redact(&listing(&shown), &[]), @r#"
    as it should be
        200
        data: {"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","content":[{"type":"text","text":"3"}],"isError":false}}
    name in base64
        200
        data: {"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","content":[{"type":"text","text":"3"}],"isError":false}}
    another name
        400
        {"jsonrpc":"2.0","id":1,"error":{"code":-32020,"message":"Header mismatch: the Mcp-Name header says \"demo__echo\" but the body says \"demo__add\". Send the same in both."}}
    no name
        400
        {"jsonrpc":"2.0","id":1,"error":{"code":-32020,"message":"Header mismatch: the Mcp-Name header is missing. Send it with every request."}}
    another method
        400
        {"jsonrpc":"2.0","id":1,"error":{"code":-32020,"message":"Header mismatch: the Mcp-Method header says \"tools/list\" but the body says \"tools/call\". Send the same in both."}}
    no method
        400
        {"jsonrpc":"2.0","id":1,"error":{"code":-32020,"message":"Header mismatch: the Mcp-Method header is missing. Send it with every request."}}
    an older version
        400
        {"jsonrpc":"2.0","id":1,"error":{"code":-32020,"message":"Header mismatch: the MCP-Protocol-Version header says \"2025-11-25\" but the body says \"2026-07-28\". Send the same in both."}}
    an unknown version
        400
        {"jsonrpc":"2.0","id":1,"error":{"code":-32020,"message":"Header mismatch: the MCP-Protocol-Version header says \"2099-01-01\" but the body says \"2026-07-28\". Send the same in both."}}
    "#);
}

#[tokio::test]
async fn what_the_revision_has_not_is_refused() {
    let stage = STAGE.get(Stage::set).await;
    let alice = stage.alice(Era::Stateless).await;
    let mut shown = Vec::new();
    for method in [
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "no/such",
    ] {
        shown.push((method, alice.request(method, json!({})).await.shown()));
    }
    for method in [Method::GET, Method::DELETE] {
        let request = alice
            .wire
            .request(method.clone())
            .header("mcp-protocol-version", STATELESS_REVISION);
        let answer = portcullis_tests::show::Answer::of(request).await;
        shown.push((
            if method == Method::GET {
                "GET"
            } else {
                "DELETE"
            },
            answer.shown(),
        ));
    }
    insta::assert_snapshot!(listing(&shown), @r#"
    initialize
        404
        {"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found: \"initialize\" does not exist in protocol version 2026-07-28."}}
    ping
        404
        {"jsonrpc":"2.0","id":2,"error":{"code":-32601,"message":"Method not found: \"ping\" does not exist in protocol version 2026-07-28."}}
    logging/setLevel
        404
        {"jsonrpc":"2.0","id":3,"error":{"code":-32601,"message":"Method not found: \"logging/setLevel\" does not exist in protocol version 2026-07-28."}}
    resources/subscribe
        404
        {"jsonrpc":"2.0","id":4,"error":{"code":-32601,"message":"Method not found: \"resources/subscribe\" does not exist in protocol version 2026-07-28."}}
    no/such
        404
        {"jsonrpc":"2.0","id":5,"error":{"code":-32601,"message":"Method not found: \"no/such\" does not exist in protocol version 2026-07-28."}}
    GET
        405
        allow: GET, POST, DELETE
    DELETE
        405
        allow: GET, POST, DELETE
    "#);
}

#[tokio::test]
async fn an_upstream_of_the_session_era_serves_stateless_clients() {
    let stage = STAGE.get(Stage::set).await;
    let fake = Fake::start(fakes::server(&["greet"], |asked| {
        fakes::says(asked, "hello")
    }))
    .await;
    let (tenant, alice) = stage.guest_tenant("older").await;
    tenant.upstream("old", fake.spec()).await;
    tenant.server("older-old", &["old"]).await;
    let alice = Peer::stateless(&stage.gateway.mcp("older-old"), &alice);
    assert_eq!(alice.tools().await, ["old__greet"]);
    let reply = alice.call("old__greet", json!({})).await;
    assert_eq!(reply.text_content(), "hello");
    assert_eq!(reply.result()["resultType"], "complete");
    let calls: Vec<_> = fake
        .asked()
        .into_iter()
        .filter(|asked| asked.message["method"] == "tools/call")
        .collect();
    assert_eq!(calls.len(), 1);
    assert_eq!(
        calls[0].message["params"]["name"], "greet",
        "the upstream hears its own name"
    );
    assert_eq!(
        calls[0].header("mcp-name"),
        None,
        "headers of the newer era stay here"
    );
}
