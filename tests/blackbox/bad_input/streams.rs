//! Upstreams whose streamed replies answer something else, twice, or never: a call has one result all the same.

use portcullis_tests::fakes::{self, Answer, Asked, Fake};
use portcullis_tests::mcp::{Era, Peer};
use serde_json::{Value, json};

use super::{STAGE, set};

/// A reply in events. `ID` in them is the id of the request.
fn events(asked: &Asked, messages: &[&str]) -> Answer {
    let id = asked.message["id"].to_string();
    let event = |message: &&str| format!("data: {}\n\n", message.replace("ID", &id));
    Answer::Whole {
        status: 200,
        kind: "text/event-stream",
        body: messages.iter().map(event).collect(),
    }
}

const ONE: &str =
    r#"{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"one"}]}}"#;
const TWO: &str =
    r#"{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"two"}]}}"#;
const FOREIGN: &str = r#"{"jsonrpc":"2.0","id":"of-another","result":{"content":[{"type":"text","text":"foreign"}]}}"#;
const NOTE: &str = r#"{"jsonrpc":"2.0","method":"notifications/custom","params":{"n":1}}"#;

/// Name, events of the upstream, and what the caller gets as its one response.
const CASES: &[(&str, &[&str], Result<&str, i64>)] = &[
    ("in order", &[NOTE, ONE], Ok("one")),
    ("a foreign result first", &[FOREIGN, ONE], Ok("one")),
    ("two results", &[ONE, TWO], Ok("one")),
    ("more after the result", &[ONE, NOTE, FOREIGN], Ok("one")),
    ("foreign results alone", &[FOREIGN], Err(-32603)),
    ("notifications alone", &[NOTE, NOTE], Err(-32603)),
    ("no JSON", &[NOTE, "hello"], Err(-32603)),
    (
        "an event that was cut off",
        &[NOTE, "{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{"],
        Err(-32603),
    ),
];

/// A stream that ends in the middle of its last event, or without the whole of its body.
#[tokio::test]
async fn a_truncated_stream_is_no_answer() {
    let stage = STAGE.get(set).await;
    let (tenant, alice) = stage.guest_tenant("bad-truncated").await;
    for (at, (name, missing)) in [("an event", 0), ("a body", 1_000)].into_iter().enumerate() {
        let fake = Fake::start(fakes::server(&["greet"], move |asked| {
            let one = ONE.replace("ID", &asked.message["id"].to_string());
            // The empty line that would end the event is missing.
            let body = format!("data: {NOTE}\n\ndata: {one}\n");
            let length = body.len() + missing;
            Answer::Raw(format!(
                "HTTP/1.1 200 -\r\ncontent-type: text/event-stream\r\ncontent-length: {length}\r\n\r\n{body}"
            ))
        }))
        .await;
        let server = format!("bad-truncated-{at}");
        tenant.upstream("fake", fake.spec()).await;
        tenant.server(&server, &["fake"]).await;
        for era in [Era::Session, Era::Stateless] {
            let peer = Peer::connect(era, &stage.gateway.mcp(&server), &alice).await;
            let reply = peer.call("fake__greet", json!({})).await;
            assert_eq!(reply.error().0, -32603, "{name}, {era:?}: {}", reply.text);
            assert!(
                !reply.text.contains("\"one\""),
                "{name}, {era:?}: {}",
                reply.text
            );
        }
    }
}

#[tokio::test]
async fn a_call_has_one_response_whatever_is_streamed() {
    let stage = STAGE.get(set).await;
    let (tenant, alice) = stage.guest_tenant("bad-streams").await;
    for (at, (name, messages, want)) in CASES.iter().enumerate() {
        let fake = Fake::start(fakes::server(&["greet"], move |asked| {
            events(asked, messages)
        }))
        .await;
        let server = format!("bad-streams-{at}");
        tenant.upstream("fake", fake.spec()).await;
        tenant.server(&server, &["fake"]).await;
        for era in [Era::Session, Era::Stateless] {
            let peer = Peer::connect(era, &stage.gateway.mcp(&server), &alice).await;
            let reply = peer.call("fake__greet", json!({})).await;
            let responses: Vec<Value> = reply
                .messages()
                .into_iter()
                .filter(|message| message.get("method").is_none())
                .collect();
            assert_eq!(responses.len(), 1, "{name}, {era:?}: {}", reply.text);
            assert!(
                !reply.text.contains("foreign"),
                "{name}, {era:?}: {}",
                reply.text
            );
            let response = &responses[0];
            let got = match response.pointer("/result/content/0/text") {
                Some(text) => Ok(text.as_str().unwrap_or_default()),
                None => Err(response["error"]["code"].as_i64().unwrap_or_default()),
            };
            assert_eq!(got, *want, "{name}, {era:?}: {}", reply.text);
        }
        assert!(!fake.calls().is_empty());
    }
}
