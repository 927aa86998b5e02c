//! Upstreams that are down, slow, or answer nonsense.

use portcullis_tests::fakes::{self, Answer, Asked, Fake};
use portcullis_tests::mcp::{Era, Peer};
use portcullis_tests::show::{listing, redact};
use portcullis_tests::upstreams::free_port;
use serde_json::{Value, json};

use super::{STAGE, set};

/// A server that lists a tool, and answers its calls like this.
async fn that(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Fake {
    Fake::start(fakes::server(&["greet"], answer)).await
}

fn whole(status: u16, kind: &'static str, body: &str) -> Answer {
    Answer::Whole {
        status,
        kind,
        body: body.to_owned(),
    }
}

/// A result, but of a request that nobody sent.
const OTHER_REPLY: &str = r#"{"jsonrpc":"2.0","id":"of-another","result":{"content":[]}}"#;

#[tokio::test]
async fn a_call_is_answered_whatever_the_upstream_does() {
    let stage = STAGE.get(set).await;
    let (tenant, alice) = stage.guest_tenant("bad-upstreams").await;
    let cases = [
        ("slow", that(|_| Answer::Never).await),
        ("hangs up", that(|_| Answer::HangUp).await),
        (
            "a web page",
            that(|_| whole(200, "text/html", "<h1>hello</h1>")).await,
        ),
        (
            "no JSON",
            that(|_| whole(200, "application/json", "hello")).await,
        ),
        (
            "JSON, but no reply",
            that(|_| whole(200, "application/json", "{\"hello\":1}")).await,
        ),
        (
            "a request instead",
            that(|_| {
                whole(
                    200,
                    "application/json",
                    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}",
                )
            })
            .await,
        ),
        (
            "a reply to something else",
            that(|_| whole(200, "application/json", OTHER_REPLY)).await,
        ),
        (
            "nothing",
            that(|_| whole(200, "application/json", "")).await,
        ),
        (
            "a failure",
            that(|_| whole(500, "text/plain", "secret stack trace")).await,
        ),
        ("no content", that(|_| whole(202, "text/plain", "")).await),
        (
            "a refusal",
            that(|_| whole(401, "text/plain", "who are you")).await,
        ),
    ];
    let mut texts = Vec::new();
    for era in [Era::Session, Era::Stateless] {
        let mut shown = Vec::new();
        for (number, (title, fake)) in cases.iter().enumerate() {
            // Each case has an upstream of its own, for one that fails is soon left alone.
            let upstream = format!("u{number}-{}", if era == Era::Session { "a" } else { "b" });
            let mut spec = fake.spec();
            if *title == "slow" {
                spec["timeout_ms"] = json!(300);
            }
            tenant.upstream(&upstream, spec).await;
            let server = format!("bad-{upstream}");
            tenant.server(&server, &[&upstream]).await;
            let peer = Peer::connect(era, &stage.gateway.mcp(&server), &alice).await;
            let reply = peer.call(&format!("{upstream}__greet"), json!({})).await;
            assert!(
                !reply.text.contains("stack trace") && !reply.text.contains("127.0.0.1"),
                "{title}: {}",
                reply.shown()
            );
            shown.push((
                *title,
                redact(
                    &reply.shown(),
                    &[
                        (&upstream, "UPSTREAM"),
                        ("\"id\":3", "\"id\":ID"),
                        ("\"id\":2", "\"id\":ID"),
                        ("\"id\":1", "\"id\":ID"),
                    ],
                ),
            ));
        }
        texts.push(listing(&shown));
    }
    assert_eq!(texts[0], texts[1], "both eras are told the same");
    insta::assert_snapshot!(texts[0], @r#"
    slow
        504
        {"jsonrpc":"2.0","id":ID,"error":{"code":-32603,"message":"The upstream \"UPSTREAM\" did not answer within 300 ms. It may have begun the call: repeat it only if that is safe."}}
    hangs up
        502
        {"jsonrpc":"2.0","id":ID,"error":{"code":-32603,"message":"The upstream \"UPSTREAM\" stopped before it had answered. It may have begun the call: repeat it only if that is safe."}}
    a web page
        502
        {"jsonrpc":"2.0","id":ID,"error":{"code":-32603,"message":"The upstream \"UPSTREAM\" gave an answer that is not MCP. Ask the operator of this gateway to look at it."}}
    no JSON
        502
        {"jsonrpc":"2.0","id":ID,"error":{"code":-32603,"message":"the upstream answered with something that is no JSON-RPC response; tell the gateway's operator"}}
    JSON, but no reply
        502
        {"jsonrpc":"2.0","id":ID,"error":{"code":-32603,"message":"the upstream answered with something that is no JSON-RPC response; tell the gateway's operator"}}
    a request instead
        502
        {"jsonrpc":"2.0","id":ID,"error":{"code":-32603,"message":"the upstream answered with something that is no JSON-RPC response; tell the gateway's operator"}}
    a reply to something else
        502
        {"jsonrpc":"2.0","id":ID,"error":{"code":-32603,"message":"the upstream answered with something that is no JSON-RPC response; tell the gateway's operator"}}
    nothing
        502
        {"jsonrpc":"2.0","id":ID,"error":{"code":-32603,"message":"the upstream answered with something that is no JSON-RPC response; tell the gateway's operator"}}
    a failure
        502
        {"jsonrpc":"2.0","id":ID,"error":{"code":-32603,"message":"The upstream \"UPSTREAM\" refused the call with HTTP status 500. Ask the operator of this gateway to look at it."}}
    no content
        502
        {"jsonrpc":"2.0","id":ID,"error":{"code":-32603,"message":"The upstream \"UPSTREAM\" gave an answer that is not MCP. Ask the operator of this gateway to look at it."}}
    a refusal
        502
        {"jsonrpc":"2.0","id":ID,"error":{"code":-32603,"message":"The upstream \"UPSTREAM\" refused the call with HTTP status 401. Ask the operator of this gateway to look at it."}}
    "#);
}

#[tokio::test]
async fn a_server_whose_only_upstream_is_not_there_says_so() {
    let stage = STAGE.get(set).await;
    let (tenant, alice) = stage.guest_tenant("gone-upstreams").await;
    let html = Fake::start(|_| whole(200, "text/html", "<h1>hello</h1>")).await;
    let cases: [(&str, Value); 4] = [
        (
            "down",
            json!({ "url": format!("http://127.0.0.1:{}/mcp", free_port()) }),
        ),
        ("no-mcp", html.spec()),
        ("no-program", json!({ "command": ["/no/such/program"] })),
        ("ends-at-once", json!({ "command": ["false"] })),
    ];
    let mut shown = Vec::new();
    for (name, spec) in cases {
        tenant.upstream(name, spec).await;
        let server = format!("gone-{name}");
        tenant.server(&server, &[name]).await;
        let peer = Peer::connect(Era::Session, &stage.gateway.mcp(&server), &alice).await;
        let (listed, called) = (
            peer.request("tools/list", json!({})).await,
            peer.call(&format!("{name}__x"), json!({})).await,
        );
        for reply in [&listed, &called] {
            assert!(
                reply.status >= 500
                    && !reply.text.contains("127.0.0.1")
                    && !reply.text.contains("/no/such"),
                "{}",
                reply.shown()
            );
        }
        shown.push((name, listed.shown()));
        assert_eq!(
            peer.request("ping", json!({})).await.result(),
            json!({}),
            "the session goes on"
        );
    }
    insta::assert_snapshot!(listing(&shown), @r#"
    down
        502
        {"jsonrpc":"2.0","id":2,"error":{"code":-32603,"message":"The upstream \"down\" cannot be reached. Try again later."}}
    no-mcp
        502
        {"jsonrpc":"2.0","id":2,"error":{"code":-32603,"message":"The upstream \"no-mcp\" gave an answer that is not MCP. Ask the operator of this gateway to look at it."}}
    no-program
        502
        {"jsonrpc":"2.0","id":2,"error":{"code":-32603,"message":"The upstream \"no-program\" is not set up correctly. Ask the operator of this gateway to check its definition."}}
    ends-at-once
        502
        {"jsonrpc":"2.0","id":2,"error":{"code":-32603,"message":"The upstream \"ends-at-once\" stopped before it had answered. It may have begun the call: repeat it only if that is safe."}}
    "#);
}
