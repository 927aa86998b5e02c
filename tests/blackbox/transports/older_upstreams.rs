//! HTTP+SSE towards upstreams: real servers that know nothing newer, found out or said to be so.

use portcullis_tests::gateway::Gateway;
use portcullis_tests::mcp::{Era, Peer};
use portcullis_tests::stage::Stage;
use portcullis_tests::upstreams::{Upstream, everything_command, example_command, free_port};
use portcullis_tests::wait;
use portcullis_tests::websocket::{WsClient, upgrade};
use serde_json::{Value, json};

use super::{STAGE, text_of};
use crate::upstreams::{judge_everything, with_upstream};

/// What a client that can be asked offers.
fn able() -> Value {
    json!({ "elicitation": { "form": {} } })
}

fn named(name: &str) -> Value {
    json!({ "action": "accept", "content": { "name": name } })
}

#[tokio::test]
async fn the_reference_server_over_http_and_sse() {
    let stage = STAGE.get(Stage::set).await;
    let upstream = Upstream::everything_sse().await;
    let mut said = upstream.spec();
    said["transport"] = json!("sse");
    for (tenant, spec) in [("sse-found", upstream.spec()), ("sse-said", said)] {
        let (url, key) = with_upstream(&stage, tenant, "everything", spec).await;
        judge_everything(&url, &key).await;
    }
}

#[tokio::test]
async fn the_python_server_over_http_and_sse() {
    let stage = STAGE.get(Stage::set).await;
    let upstream = Upstream::python_sse().await;
    let (url, key) = with_upstream(&stage, "sse-python", "py", upstream.spec()).await;
    for era in [Era::Session, Era::Stateless] {
        let peer = Peer::connect(era, &url, &key).await;
        let echo = peer.call("py__echo", json!({ "message": "grüße" })).await;
        assert_eq!(echo.text_content(), "grüße", "{era:?}");
        let long = json!({ "name": "py__progress", "arguments": { "steps": 3 }, "_meta": { "progressToken": 7 } });
        let long = peer.request("tools/call", long).await;
        assert_eq!(long.text_content(), "Took 3 steps.", "{era:?}");
        let told = long.notified("notifications/progress");
        let steps: Vec<_> = told.iter().map(|told| told["progress"].as_f64()).collect();
        assert_eq!(steps, [Some(1.0), Some(2.0), Some(3.0)], "{era:?}");
        assert!(told.iter().all(|told| told["progressToken"] == 7));
    }
    let peer = Peer::session_with(&url, &key, able()).await;
    let mut reply = peer.open_call("py__greet", json!({})).await;
    let question = reply.method("elicitation/create").await;
    assert_eq!(question["params"]["message"], "What is your name?");
    peer.answer(&question, named("Ada")).await;
    assert_eq!(text_of(&reply.response().await), "Hello, Ada");
    let mut reply = peer.open_call("py__complain", json!({})).await;
    let logged = reply.method("notifications/message").await;
    assert_eq!(logged["params"]["data"], "it is late");
    assert_eq!(text_of(&reply.response().await), "logged");
}

/// The reference server asks for roots by itself, and tells that it lists more, soon after it was spoken to. Where messages
/// do not say what they belong to, that comes in the course of whatever call there is.
#[tokio::test]
async fn a_call_is_not_charged_with_what_its_upstream_asks_for_itself() {
    let stage = STAGE.get(Stage::set).await;
    let upstream = Upstream::everything_sse().await;
    let mut command = everything_command();
    command["process"] = json!("session");
    for (tenant, spec) in [("asks-sse", upstream.spec()), ("asks-stdio", command)] {
        let (url, key) = with_upstream(&stage, tenant, "everything", spec).await;
        let peer = Peer::stateless(&url, &key);
        let takes = json!({ "duration": 1.5, "steps": 3 });
        let reply = peer
            .call("everything__trigger-long-running-operation", takes)
            .await;
        let text = reply.text_content();
        assert!(text.contains("completed"), "{tenant}: {}", reply.shown());
        let told = reply.notified("notifications/tools/list_changed");
        assert!(told.is_empty(), "{tenant}: {}", reply.shown());
    }
}

/// The server is told, and tells it on.
#[tokio::test]
async fn a_stateless_caller_who_cannot_be_asked_learns_why() {
    let stage = STAGE.get(Stage::set).await;
    let upstream = Upstream::python_sse().await;
    let (url, key) = with_upstream(&stage, "sse-unable", "py", upstream.spec()).await;
    let peer = Peer::stateless(&url, &key);
    let reply = peer.call("py__greet", json!({})).await;
    let (code, message) = reply.error();
    assert_eq!(code, -32021, "{}", reply.shown());
    assert!(message.contains("`elicitation`"), "{message}");
    assert!(
        reply
            .text
            .contains(r#""requiredCapabilities":{"elicitation":{}}"#),
        "{}",
        reply.shown()
    );
}

#[tokio::test]
async fn sessions_of_an_older_upstream_are_kept_apart() {
    let stage = STAGE.get(Stage::set).await;
    let upstream = Upstream::python_sse().await;
    let (url, key) = with_upstream(&stage, "sse-apart", "py", upstream.spec()).await;
    let mut asking = Vec::new();
    for _ in 0..3 {
        let peer = Peer::session_with(&url, &key, able()).await;
        let reply = peer.open_call("py__greet", json!({})).await;
        asking.push((peer, reply));
    }
    // The last is answered first.
    for (number, (peer, reply)) in asking.iter_mut().enumerate().rev() {
        let question = reply.method("elicitation/create").await;
        let name = format!("number {number}");
        peer.answer(&question, named(&name)).await;
        assert_eq!(text_of(&reply.response().await), format!("Hello, {name}"));
    }
}

#[tokio::test]
async fn a_websocket_in_front_of_an_older_upstream() {
    let stage = STAGE.get(Stage::set).await;
    let upstream = Upstream::python_sse().await;
    let (_, key) = with_upstream(&stage, "sse-ws", "py", upstream.spec()).await;
    let asked = upgrade(stage.gateway.url(), "sse-ws-py", &key);
    let client = WsClient::connect(asked, "2025-06-18").await;
    let greet = json!({ "name": "py__greet", "arguments": {} });
    let greet = client.ask("tools/call", greet).await;
    let question = client.heard.first("elicitation/create").await;
    let accepted = json!({ "jsonrpc": "2.0", "id": question["id"], "result": named("Ada") });
    client.text(accepted.to_string()).await;
    assert_eq!(text_of(&client.heard.answer(&greet).await), "Hello, Ada");
}

#[tokio::test]
async fn an_older_upstream_may_come_back() {
    let stage = STAGE.get(Stage::set).await;
    let port = free_port();
    let upstream = Upstream::python_sse_at(port).await;
    let (url, key) = with_upstream(&stage, "sse-back", "py", upstream.spec()).await;
    let peer = Peer::session(&url, &key).await;
    let echo = || peer.call("py__echo", json!({ "message": "x" }));
    assert_eq!(echo().await.text_content(), "x");
    drop(upstream);
    let refused = echo().await;
    assert!(refused.status >= 500, "{}", refused.shown());
    let _back = Upstream::python_sse_at(port).await;
    wait::until("the upstream to be served again", || async {
        let reply = echo().await;
        (reply.status == 200 && reply.text.contains("\"x\"")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn stopping_waits_for_no_stream_of_an_upstream() {
    // Longer than the test waits: what did not end by itself would be noticed.
    let gateway = Gateway::configured("drain_timeout_s: 3600").await;
    let mut stage = Stage::on(gateway).await;
    let upstream = Upstream::python_sse().await;
    let (url, key) = with_upstream(&stage, "sse-stop", "py", upstream.spec()).await;
    let peer = Peer::session(&url, &key).await;
    let echo = peer.call("py__echo", json!({ "message": "x" })).await;
    assert_eq!(echo.text_content(), "x");
    let pushed = peer.listen().await;
    stage.gateway.process().signal("TERM");
    drop(pushed);
    let status = stage.gateway.process().end().await;
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn a_transport_is_for_an_upstream_by_url() {
    let stage = STAGE.get(Stage::set).await;
    let (tenant, _) = stage.guest_tenant("sse-invalid").await;
    let admin = stage.admin();
    let path = tenant.path("/upstreams/odd");
    let mut command = example_command("odd", &[]);
    command["transport"] = json!("sse");
    let unknown = json!({ "url": "http://127.0.0.1:1/sse", "transport": "carrier-pigeon" });
    for document in [command, unknown] {
        let refused = admin.put(&path, &document).await;
        assert_eq!(refused.status, 422, "{}", refused.shown());
        assert_eq!(refused.json()["pointer"], "/transport");
    }
    let said = json!({ "url": "http://127.0.0.1:1/sse", "transport": "sse" });
    admin.put(&path, &said).await.ok();
    assert_eq!(admin.get(&path).await.ok()["transport"], "sse");
}
