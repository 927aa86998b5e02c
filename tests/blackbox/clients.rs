//! The official SDKs as clients: what they see through the gateway is what they would see without it, but for policy.

use std::ffi::OsStr;
use std::path::Path;

use portcullis_tests::admin::binding;
use portcullis_tests::shared::Shared;
use portcullis_tests::stage::{Stage, TENANT};
use portcullis_tests::{places, wait};
use serde_json::{Value, json};

mod older;
pub(crate) mod rmcp;

static STAGE: Shared<Stage> = Shared::new();

/// A stage where `delete_customer` is refused, so that every SDK meets a refusal.
async fn set() -> Stage {
    let stage = Stage::set().await;
    let admin = stage.admin();
    let plugin = admin.push("access-control").await;
    let rules = json!({ "default": "allow", "rules": [
        { "effect": "deny", "tools": ["demo__delete_customer"], "arguments": [{ "pointer": "/id", "present": true }] },
    ] });
    stage
        .chain(&admin.existing(TENANT), &[binding(&plugin, &[], rules)])
        .await;
    stage
}

/// What a scenario is told.
fn wanted(stage: &Stage, era: &str) -> Value {
    json!({
        "url": stage.url(), "token": stage.alice, "era": era, "echo": "demo__echo", "add": "demo__add",
        "progress": "demo__progress", "refused": "demo__delete_customer",
    })
}

/// Runs one scenario of an SDK and reads what it saw.
async fn scenario(program: impl AsRef<OsStr>, script: &Path, wanted: &Value) -> Value {
    let mut command = tokio::process::Command::new(program);
    if script.extension().is_some_and(|kind| kind == "js") {
        // Newer ones have a WebSocket without being asked.
        command.arg("--experimental-websocket");
    }
    command
        .arg(script)
        .arg(wanted.to_string())
        .kill_on_drop(true);
    let output = wait::at_most(&format!("{}", script.display()), command.output())
        .await
        .expect("the client runs");
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|_| {
        panic!(
            "{} saw: {text}\n{}",
            script.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    })
}

/// What every SDK must have seen.
fn judge(who: &str, seen: &Value, revision: &str) {
    assert_eq!(seen["version"], revision, "{who}: {seen}");
    let tools: Vec<&str> = seen["tools"]
        .as_array()
        .expect("tools")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    for tool in ["demo__echo", "demo__add", "demo__customer_lookup"] {
        assert!(
            tools.contains(&tool),
            "{who} does not see {tool}: {tools:?}"
        );
    }
    assert_eq!(seen["echo"], "grüße, 1.10", "{who}");
    assert_eq!(seen["add"], "42", "{who}");
    assert_eq!(seen["progress"], "Took 3 steps.", "{who}");
    let steps: Vec<f64> = seen["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .filter_map(Value::as_f64)
        .collect();
    assert_eq!(
        steps,
        [1.0, 2.0, 3.0],
        "{who}: progress comes in order and whole"
    );
    assert!(seen["refused"].is_object(), "{who} was not refused: {seen}");
    let refusal = seen["refused"]["message"].as_str().unwrap_or_default();
    assert!(
        refusal.contains("delete_customer"),
        "{who} is not told why: {refusal}"
    );
    assert_eq!(seen["unknown"]["code"], -32602, "{who}: {seen}");
}

#[tokio::test]
async fn python_in_a_session() {
    let stage = STAGE.get(set).await;
    let seen = scenario(
        places::python(),
        &python_script(),
        &wanted(&stage, "session"),
    )
    .await;
    judge("PyPI mcp", &seen, "2025-11-25");
}

#[tokio::test]
async fn python_without_a_session() {
    let stage = STAGE.get(set).await;
    let seen = scenario(
        places::python(),
        &python_script(),
        &wanted(&stage, "stateless"),
    )
    .await;
    judge("PyPI mcp", &seen, "2026-07-28");
}

#[tokio::test]
async fn javascript_sdk_1_in_a_session() {
    let stage = STAGE.get(set).await;
    let seen = scenario(
        "node",
        &places::node("scenario-v1.js"),
        &wanted(&stage, "session"),
    )
    .await;
    judge("npm sdk", &seen, "2025-11-25");
    assert_eq!(seen["session"], true);
}

#[tokio::test]
async fn javascript_client_2_in_a_session() {
    let stage = STAGE.get(set).await;
    let seen = scenario(
        "node",
        &places::node("scenario-v2.js"),
        &wanted(&stage, "session"),
    )
    .await;
    judge("npm client", &seen, "2025-11-25");
    assert_eq!(seen["session"], true);
}

#[tokio::test]
async fn javascript_client_2_without_a_session() {
    let stage = STAGE.get(set).await;
    let seen = scenario(
        "node",
        &places::node("scenario-v2.js"),
        &wanted(&stage, "stateless"),
    )
    .await;
    judge("npm client", &seen, "2026-07-28");
    assert_eq!(seen["session"], false);
}

#[tokio::test]
async fn rust_in_both_eras() {
    let stage = STAGE.get(set).await;
    for (era, revision) in [("session", "2025-11-25"), ("stateless", "2026-07-28")] {
        let seen = rmcp::walk(&wanted(&stage, era)).await;
        judge(&format!("rmcp, {era}"), &seen, revision);
    }
}

fn python_script() -> std::path::PathBuf {
    places::root().join("tests/clients/python/scenario.py")
}
