//! Headers of ten megabytes, in both directions, and ids of sessions that are nobody's or somebody else's.

use portcullis_tests::admin::Admin;
use portcullis_tests::fakes::{self, Answer, Fake};
use portcullis_tests::gateway::Gateway;
use portcullis_tests::mcp::{Era, Peer, SESSION_REVISION, Wire};
use portcullis_tests::show::Answer as Shown;
use portcullis_tests::sse::SseClient;
use portcullis_tests::stage::{SERVER, Stage};
use portcullis_tests::wait;
use portcullis_tests::websocket::{WsClient, upgrade};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{STAGE, set};

const HEADER_BYTES: usize = 10 << 20;

#[tokio::test]
async fn a_header_beyond_the_bound_ends_its_connection_and_no_other() {
    let stage = STAGE.get(set).await;
    let other = stage.alice(Era::Session).await;
    for path in ["mcp", "sse", "messages", "ws"] {
        let stream = TcpStream::connect(stage.gateway.address()).await;
        let (mut read, mut write) = stream.expect("a connection").into_split();
        let head = format!("GET /servers/{SERVER}/{path} HTTP/1.1\r\nhost: localhost\r\nx-long: ");
        let sending = async move {
            write.write_all(head.as_bytes()).await?;
            write.write_all(&vec![b'x'; HEADER_BYTES]).await?;
            write.write_all(b"\r\n\r\n").await
        };
        let mut answer = Vec::new();
        // The gateway does not read on, so the connection may end in a reset.
        let both = async { tokio::join!(sending, read.read_to_end(&mut answer)) };
        let (sent, ended) = wait::at_most("the end of the connection", both).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(
            answer.starts_with("HTTP/1.1 431 "),
            "{path}: {ended:?} {answer}"
        );
        assert!(sent.is_err(), "{path}: all of it was read");
        let pong = other.request("ping", json!({})).await;
        assert_eq!(pong.result(), json!({}), "{path}");
    }
}

#[tokio::test]
async fn a_header_beyond_the_bound_is_no_answer_of_an_upstream() {
    let stage = STAGE.get(set).await;
    let (tenant, alice) = stage.guest_tenant("long-headers").await;
    let fake = fakes::server(&["greet"], |_| {
        let long = "x".repeat(HEADER_BYTES);
        Answer::Raw(format!(
            "HTTP/1.1 200 -\r\nx-long: {long}\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
        ))
    });
    let fake = Fake::start(fake).await;
    tenant.upstream("fake", fake.spec()).await;
    tenant.server("long-headers-fake", &["fake"]).await;
    for era in [Era::Session, Era::Stateless] {
        let peer = Peer::connect(era, &stage.gateway.mcp("long-headers-fake"), &alice).await;
        let reply = peer.call("fake__greet", json!({})).await;
        assert_eq!(reply.refusal(), (502, -32603), "{era:?}: {}", reply.shown());
        let tools = peer.tools().await;
        assert_eq!(tools, ["fake__greet"], "{era:?}: the upstream is asked on");
    }
}

/// Refusals of session ids so far: unknown ones, and foreign ones.
async fn refusals(admin: &Admin) -> [f64; 2] {
    let metrics = admin.metrics().await;
    ["unknown", "foreign"]
        .map(|reason| metrics.sum("portcullis_session_refusals_total", &[("reason", reason)]))
}

/// Whose id is sent, and how it has to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Id {
    Unknown,
    Foreign,
}

#[tokio::test]
async fn an_id_that_is_not_the_callers_is_refused_and_counted_on_every_transport() {
    let stage = Stage::on(Gateway::start().await).await;
    let (gateway, admin) = (stage.gateway.url(), stage.admin());
    let (_, stranger) = stage.guest_tenant("strangers").await;
    let alice = stage.alice(Era::Session).await;
    let channel = SseClient::connect(gateway, SERVER, &stage.alice, "2024-11-05").await;
    let (_, channel_id) = channel.endpoint.split_once('=').expect("an id");
    let forged = "A".repeat(alice.session_id().len());
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }).to_string();
    let mcp = |key: &str, method: Method, id: &str| {
        let wire = Wire::new(&stage.url(), key);
        let request = match method {
            Method::POST => wire.post(ping.clone()),
            other => wire.request(other).header("accept", "text/event-stream"),
        };
        request
            .header("mcp-session-id", id)
            .header("mcp-protocol-version", SESSION_REVISION)
    };
    let messages = |key: &str, id: &str| {
        let url = format!("{gateway}/servers/{SERVER}/messages?sessionId={id}");
        let wire = Wire::new(&url, key);
        wire.request(Method::POST)
            .header("content-type", "application/json")
            .body(ping.clone())
    };
    let elsewhere = |id: &str| {
        let wire = Wire::new(&stage.gateway.mcp("strangers-tools"), &stranger);
        wire.post(ping.clone()).header("mcp-session-id", id)
    };
    let own = alice.session_id();
    let cases = [
        (
            "POST, forged",
            mcp(&stage.alice, Method::POST, &forged),
            Id::Unknown,
        ),
        (
            "GET, forged",
            mcp(&stage.alice, Method::GET, &forged),
            Id::Unknown,
        ),
        (
            "DELETE, forged",
            mcp(&stage.alice, Method::DELETE, &forged),
            Id::Unknown,
        ),
        (
            "POST, another's",
            mcp(&stage.bob, Method::POST, own),
            Id::Foreign,
        ),
        (
            "GET, another's",
            mcp(&stage.bob, Method::GET, own),
            Id::Foreign,
        ),
        (
            "DELETE, another's",
            mcp(&stage.bob, Method::DELETE, own),
            Id::Foreign,
        ),
        ("another tenant's", elsewhere(own), Id::Foreign),
        (
            "a stream's",
            mcp(&stage.alice, Method::POST, channel_id),
            Id::Foreign,
        ),
        (
            "messages, forged",
            messages(&stage.alice, &forged),
            Id::Unknown,
        ),
        (
            "messages, another's",
            messages(&stage.bob, channel_id),
            Id::Foreign,
        ),
        (
            "messages, of no stream",
            messages(&stage.alice, own),
            Id::Foreign,
        ),
    ];
    let mut want = refusals(&admin).await;
    for (title, request, id) in cases {
        let refused = Shown::of(request).await;
        assert_eq!(refused.status, 404, "{title}: {}", refused.shown());
        want[usize::from(id == Id::Foreign)] += 1.0;
        assert_eq!(refusals(&admin).await, want, "{title}");
    }
    // A socket is a session, whatever its upgrade says of another.
    let mut asked = upgrade(gateway, SERVER, &stage.bob);
    let id = own.parse().expect("a header");
    asked.headers_mut().insert("mcp-session-id", id);
    let socket = WsClient::open(asked).await;
    let early = socket.request("tools/list", json!({})).await;
    assert_eq!(
        early["error"]["code"], -32600,
        "it is no session of anybody's: {early}"
    );
    let pong = alice.request("ping", json!({})).await;
    assert_eq!(pong.result(), json!({}), "nothing was ended");
}
