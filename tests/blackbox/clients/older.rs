//! The official SDKs over the transports that came before Streamable HTTP, or beside it.

use std::path::PathBuf;

use portcullis_tests::places;
use portcullis_tests::stage::{SERVER, Stage};
use serde_json::{Value, json};

use super::{STAGE, judge, python_script, scenario, set, wanted};

/// What a scenario is told that speaks another transport.
fn over(stage: &Stage, transport: &str, path: &str) -> Value {
    let mut wanted = wanted(stage, "session");
    let url = format!("{}/servers/{SERVER}/{path}", stage.gateway.url());
    wanted["transport"] = json!(transport);
    wanted["url"] = match transport {
        "websocket" => json!(url.replacen("http", "ws", 1)),
        _ => json!(url),
    };
    wanted
}

fn python_1_script() -> PathBuf {
    places::root().join("tests/clients/python/scenario_v1.py")
}

#[tokio::test]
async fn python_2_over_http_and_sse() {
    let stage = STAGE.get(set).await;
    let wanted = over(&stage, "sse", "sse");
    let seen = scenario(places::python(), &python_script(), &wanted).await;
    judge("PyPI mcp 2", &seen, "2025-11-25");
}

#[tokio::test]
async fn python_1_over_http_and_sse() {
    let stage = STAGE.get(set).await;
    let wanted = over(&stage, "sse", "sse");
    let seen = scenario(places::python_1(), &python_1_script(), &wanted).await;
    judge("PyPI mcp 1", &seen, "2025-11-25");
}

#[tokio::test]
async fn javascript_sdk_1_over_http_and_sse() {
    let stage = STAGE.get(set).await;
    let wanted = over(&stage, "sse", "sse");
    let mut seen = scenario("node", &places::node("scenario-v1.js"), &wanted).await;
    whole_progress(&mut seen);
    judge("npm sdk", &seen, "2025-11-25");
}

#[tokio::test]
async fn python_1_over_a_websocket() {
    let stage = STAGE.get(set).await;
    let wanted = over(&stage, "websocket", "ws");
    let seen = scenario(places::python_1(), &python_1_script(), &wanted).await;
    judge("PyPI mcp 1", &seen, "2025-11-25");
}

#[tokio::test]
async fn javascript_sdk_1_over_a_websocket() {
    let stage = STAGE.get(set).await;
    let wanted = over(&stage, "websocket", "ws");
    let mut seen = scenario("node", &places::node("scenario-v1.js"), &wanted).await;
    whole_progress(&mut seen);
    judge("npm sdk", &seen, "2025-11-25");
}

/// Completes the progress that this SDK has seen. It forgets the handler when a response arrives, before it has called it
/// for what arrived in the same packet; that the gateway sends all of it is judged elsewhere.
fn whole_progress(seen: &mut Value) {
    let steps = [json!(1), json!(2), json!(3)];
    let told = seen["steps"].as_array().cloned().unwrap_or_default();
    assert!(steps.starts_with(&told), "{told:?}");
    seen["steps"] = json!(steps);
}
