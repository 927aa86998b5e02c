//! What a client can get wrong.

use portcullis_tests::mcp::{Era, Peer, Reply, SESSION_REVISION, Wire, initialize};
use portcullis_tests::show::{Answer, listing};
use reqwest::Method;
use serde_json::json;

use super::{STAGE, set};

fn ping() -> String {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }).to_string()
}

#[tokio::test]
async fn bodies() {
    let stage = STAGE.get(set).await;
    let session = stage.alice(Era::Session).await;
    let headers = [
        ("mcp-session-id", session.session_id()),
        ("mcp-protocol-version", SESSION_REVISION),
    ];
    let padded = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping", "params": { "x": "x".repeat(70_000) } }).to_string();
    let cases: [(&str, Vec<u8>); 9] = [
        ("nothing", Vec::new()),
        (
            "malformed JSON",
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":".to_vec(),
        ),
        (
            "not UTF-8",
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"p\xff\"}".to_vec(),
        ),
        ("a batch", format!("[{}]", ping()).into_bytes()),
        ("no JSON-RPC", b"{\"hello\":\"world\"}".to_vec()),
        (
            "a member twice",
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"method\":\"tools/call\"}"
                .to_vec(),
        ),
        (
            "a tool without a name",
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{}}".to_vec(),
        ),
        (
            "an unknown method",
            b"{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"no/such\"}".to_vec(),
        ),
        ("over the limit", padded.into_bytes()),
    ];
    let mut shown = Vec::new();
    for (title, body) in cases {
        shown.push((title, session.wire.send(body, &headers).await.shown()));
    }
    shown.push((
        "an unknown tool",
        session.call("demo__no_such", json!({})).await.shown(),
    ));
    insta::assert_snapshot!(listing(&shown), @r#"
    nothing
        400
        {"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"The body is not valid JSON (line 1, column 0). Send one JSON-RPC 2.0 message."}}
    malformed JSON
        400
        {"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"The body is not valid JSON (line 1, column 33). Send one JSON-RPC 2.0 message."}}
    not UTF-8
        400
        {"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"The body is not valid UTF-8. Send JSON encoded as UTF-8."}}
    a batch
        400
        {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"JSON-RPC batches are not accepted here. Send each message in a request of its own."}}
    no JSON-RPC
        400
        {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"The member \"jsonrpc\" must be \"2.0\"."}}
    a member twice
        400
        {"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"The member \"method\" occurs more than once. Send it once."}}
    a tool without a name
        200
        {"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"\"params.name\" must be a string."}}
    an unknown method
        200
        {"jsonrpc":"2.0","id":"a","error":{"code":-32601,"message":"this server does not offer the method no/such"}}
    over the limit
        413
        {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"the body is larger than 65536 bytes; send less, or ask the operator to raise `limits.body_bytes_max`"}}
    an unknown tool
        200
        {"jsonrpc":"2.0","id":2,"error":{"code":-32602,"message":"unknown tool `demo__no_such`; list the tools to see their names"}}
    "#);
    assert_eq!(
        session.request("ping", json!({})).await.result(),
        json!({}),
        "the session has lost nothing"
    );
}

#[tokio::test]
async fn http() {
    let stage = STAGE.get(set).await;
    let (url, gateway) = (stage.url(), stage.gateway.url().to_owned());
    let wire = Wire::new(&url, &stage.alice);
    let at = |path: &str| Wire::new(&format!("{gateway}{path}"), &stage.alice);
    let bare = |method: Method| wire.request(method);
    let json_only = bare(Method::POST)
        .header("content-type", "application/json")
        .header("accept", "application/json");
    let cases = [
        ("an unknown server", at("/servers/nowhere/mcp").post(ping())),
        ("an unknown path", at("/nothing/here").post(ping())),
        (
            "no server for /mcp",
            at("/mcp").post(ping()).header("host", "nobody.localhost"),
        ),
        (
            "GET without a session",
            bare(Method::GET).header("accept", "text/event-stream"),
        ),
        ("PUT", bare(Method::PUT).body(ping())),
        (
            "another media type",
            bare(Method::POST)
                .header("content-type", "text/plain")
                .header("accept", "*/*")
                .body(ping()),
        ),
        ("JSON alone is accepted", json_only.body(ping())),
        (
            "a foreign origin",
            wire.post(ping()).header("origin", "https://evil.example"),
        ),
        (
            "a rebound host",
            wire.post(ping()).header("host", "evil.example"),
        ),
        (
            "an unknown protocol version",
            wire.post(ping())
                .header("mcp-protocol-version", "1999-01-01"),
        ),
    ];
    let mut shown = Vec::new();
    for (title, request) in cases {
        shown.push((title, Answer::of(request).await.shown()));
    }
    insta::assert_snapshot!(listing(&shown), @r#"
    an unknown server
        404
        {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"there is no server of this name; check the path `/servers/{server}/mcp`"}}
    an unknown path
        404
        {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"nothing is served at this path; MCP servers are at `/mcp` and `/servers/{server}/mcp`"}}
    no server for /mcp
        403
        {"jsonrpc":"2.0","id":null,"error":{"code":-32003,"message":"this host name is not served on a loopback listener; use 127.0.0.1, or give a server this host"}}
    GET without a session
        400
        {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"the `Mcp-Session-Id` header is missing; initialize a session first and send its id with every request"}}
    PUT
        405
        allow: GET, POST, DELETE
    another media type
        415
        {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"send the message as `Content-Type: application/json`"}}
    JSON alone is accepted
        406
        {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"send `Accept: application/json, text/event-stream`: a reply may be either"}}
    a foreign origin
        403
        {"jsonrpc":"2.0","id":null,"error":{"code":-32003,"message":"this origin may not call the gateway; its operator can add it to `allowed_origins`"}}
    a rebound host
        403
        {"jsonrpc":"2.0","id":null,"error":{"code":-32003,"message":"this host name is not served on a loopback listener; use 127.0.0.1, or give a server this host"}}
    an unknown protocol version
        400
        {"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":"Unsupported protocol version \"1999-01-01\". Use one of: 2026-07-28, 2025-11-25, 2025-06-18, 2025-03-26, 2024-11-05.","data":{"supported":["2026-07-28","2025-11-25","2025-06-18","2025-03-26","2024-11-05"],"requested":"1999-01-01"}}}
    "#);
}

#[tokio::test]
async fn sessions() {
    let stage = STAGE.get(set).await;
    let url = stage.url();
    let (session, ended) = (
        stage.alice(Era::Session).await,
        stage.alice(Era::Session).await,
    );
    assert!(ended.end().await.status < 300);
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }).to_string();
    let wire = Wire::new(&url, &stage.alice);
    let no_params = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize" }).to_string();
    let mut newer = initialize();
    newer["params"]["protocolVersion"] = json!("2031-01-01");
    let negotiated: Reply = wire.send(newer.to_string(), &[]).await;
    assert_eq!(
        negotiated.result()["protocolVersion"],
        SESSION_REVISION,
        "an unknown version is answered with the newest"
    );
    let cases = [
        ("no session", wire.send(list.clone(), &[]).await),
        (
            "an invented session",
            wire.send(list.clone(), &[("mcp-session-id", "guess")])
                .await,
        ),
        (
            "another caller's session",
            session
                .stolen_by(&stage.bob)
                .request("tools/list", json!({}))
                .await,
        ),
        (
            "an ended session",
            ended.request("tools/list", json!({})).await,
        ),
        (
            "initialize without parameters",
            wire.send(no_params, &[]).await,
        ),
    ];
    let shown: Vec<_> = cases
        .iter()
        .map(|(title, reply)| (*title, reply.shown()))
        .collect();
    insta::assert_snapshot!(listing(&shown), @r#"
    no session
        400
        {"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"the `Mcp-Session-Id` header is missing; initialize a session first and send its id with every request"}}
    an invented session
        404
        {"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"this session has ended or never was; initialize a new one"}}
    another caller's session
        404
        {"jsonrpc":"2.0","id":1000,"error":{"code":-32600,"message":"this session has ended or never was; initialize a new one"}}
    an ended session
        404
        {"jsonrpc":"2.0","id":2,"error":{"code":-32600,"message":"this session has ended or never was; initialize a new one"}}
    initialize without parameters
        400
        {"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"\"initialize\" needs \"params\" with \"protocolVersion\", \"capabilities\" and \"clientInfo\"."}}
    "#);
}

#[tokio::test]
async fn keys() {
    let stage = STAGE.get(set).await;
    let url = stage.url();
    let cases = [
        (
            "no credentials",
            Wire::unknown(&url)
                .send(initialize().to_string(), &[])
                .await,
        ),
        (
            "an unknown key",
            Wire::new(&url, "pk_guess")
                .send(initialize().to_string(), &[])
                .await,
        ),
        (
            "something else",
            Wire::new(&url, "hello")
                .send(initialize().to_string(), &[])
                .await,
        ),
        (
            "stateless, no credentials",
            Wire::unknown(&url).send(ping(), &[]).await,
        ),
        (
            "stateless, an unknown key",
            Peer::stateless(&url, "pk_guess")
                .request("tools/list", json!({}))
                .await,
        ),
    ];
    let shown: Vec<_> = cases
        .iter()
        .map(|(title, reply)| (*title, reply.shown()))
        .collect();
    insta::assert_snapshot!(listing(&shown), @r#"
    no credentials
        401
        www-authenticate: Bearer
        {"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"no credentials that this tenant accepts; send a token or an API key in `Authorization: Bearer …`"}}
    an unknown key
        401
        www-authenticate: Bearer error="invalid_token", error_description="The API key is unknown, revoked or expired."
        {"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"The API key is unknown, revoked or expired."}}
    something else
        401
        www-authenticate: Bearer
        {"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"no credentials that this tenant accepts; send a token or an API key in `Authorization: Bearer …`"}}
    stateless, no credentials
        401
        www-authenticate: Bearer
        {"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"no credentials that this tenant accepts; send a token or an API key in `Authorization: Bearer …`"}}
    stateless, an unknown key
        401
        www-authenticate: Bearer error="invalid_token", error_description="The API key is unknown, revoked or expired."
        {"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"The API key is unknown, revoked or expired."}}
    "#);
}
