//! Processes that misbehave, and what is left of them: nothing.

use portcullis_protocol::listing::ListKind;
use rustix::process::{Pid, test_kill_process};

use super::*;

/// A server in a few lines of Python; `$MODE` says how it misbehaves.
pub const PEER: &str = include_str!("peer.py");

pub fn exists(pid: i64) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).unwrap();
    test_kill_process(pid).is_ok()
}

fn python(bed: &Bed, mode: &str) -> Arc<Upstream> {
    bed.get(json!({"command": ["python3", "-c", PEER], "env": {"MODE": mode, "TOKEN": "t-1"}, "timeout_ms": 20_000}))
}

pub fn quick() -> UpstreamLimits {
    UpstreamLimits {
        process_stop_ms: 200,
        backoff_first_ms: 10,
        ..UpstreamLimits::default()
    }
}

async fn info(upstream: &Arc<Upstream>) -> Value {
    let reply = ask(
        upstream,
        &Conversation::default(),
        tool(Era::Session, "\"q\"", r#"{"name": "info"}"#),
    )
    .await
    .unwrap();
    let messages = messages(reply).await;
    assert_eq!(messages.last().unwrap()["id"], "q");
    messages.last().unwrap()["result"].clone()
}

#[tokio::test]
async fn nonsense_on_its_output_is_skipped_and_its_requests_are_answered() {
    let bed = Bed::with(quick());
    let upstream = python(&bed, "noisy");
    let info = info(&upstream).await;
    assert_eq!(
        info["answers"],
        json!({"ping": {"result": {}}, "roots": {"error": -32601}})
    );
    assert_eq!(bed.metric("portcullis_upstream_nonsense_total"), 4.0);
    // `python3` may be a script that sets variables of its own; those of this test's process are not among them.
    let env: Vec<_> = info["env"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(
        ["HOME", "MODE", "PATH", "TOKEN"]
            .iter()
            .all(|name| env.contains(name)),
        "{env:?}"
    );
    // Cargo sets a few for every test.
    assert!(!env.iter().any(|name| name.starts_with("CARGO")), "{env:?}");
    bed.upstreams.shutdown().await;
}

#[tokio::test]
async fn a_process_of_the_stateless_era_is_found_out() {
    let bed = Bed::with(quick());
    let upstream = python(&bed, "stateless");
    let info = info(&upstream).await;
    assert_eq!(
        info["meta"]["io.modelcontextprotocol/protocolVersion"],
        "2026-07-28"
    );
    let tools = upstream.list(ListKind::Tools).await.unwrap().entries;
    assert_eq!(tools[0].name, "info");
    bed.upstreams.shutdown().await;
}

#[tokio::test]
async fn line_breaks_between_tokens_do_not_break_the_line() {
    let bed = Bed::with(quick());
    let upstream = python(&bed, "");
    let params = "{\n \"name\":\r\n\"info\", \"arguments\": {\"a\": \"b\\nc\"}}";
    let reply = ask(
        &upstream,
        &Conversation::default(),
        tool(Era::Session, "1", params),
    )
    .await
    .unwrap();
    assert_eq!(messages(reply).await[0]["result"]["arguments"]["a"], "b\nc");
    bed.upstreams.shutdown().await;
}

#[tokio::test]
async fn nothing_is_left_of_a_process_that_will_not_go() {
    let bed = Bed::with(quick());
    let upstream = python(&bed, "stubborn");
    let info = info(&upstream).await;
    let (pid, child) = (
        info["pid"].as_i64().unwrap(),
        info["child"].as_i64().unwrap(),
    );
    assert!(exists(pid) && exists(child));
    bed.upstreams.shutdown().await;
    assert!(!exists(pid));
    until("its child is gone", || !exists(child) || is_zombie(child)).await;
}

/// Dead, but its parent has not looked: in a container there may be nobody who does.
fn is_zombie(pid: i64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

#[tokio::test]
async fn an_upstream_that_nobody_holds_stops_its_process() {
    let bed = Bed::with(quick());
    let upstream = python(&bed, "");
    let pid = info(&upstream).await["pid"].as_i64().unwrap();
    drop(upstream);
    until("the process is gone", || !exists(pid)).await;
}

#[tokio::test]
async fn a_command_that_cannot_start_is_an_error_and_is_not_started_all_the_time() {
    let bed = Bed::with(UpstreamLimits {
        backoff_first_ms: 5_000,
        ..UpstreamLimits::default()
    });
    let upstream = bed.get(json!({"command": ["/nonexistent/server"]}));
    let call = tool(Era::Session, "1", "{}");
    let error = ask(&upstream, &Conversation::default(), call)
        .await
        .unwrap_err();
    assert!(matches!(error, UpstreamError::Spawn { .. }), "{error:?}");
    assert!(!error.public_message().contains("nonexistent"));
    let error = ask(&upstream, &Conversation::default(), call)
        .await
        .unwrap_err();
    assert!(
        matches!(error, UpstreamError::Restarting { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_process_that_ends_at_once_is_an_error() {
    let bed = Bed::with(quick());
    let upstream = bed.get(json!({"command": ["sh", "-c", "exit 3"]}));
    let error = ask(
        &upstream,
        &Conversation::default(),
        tool(Era::Session, "1", "{}"),
    )
    .await
    .unwrap_err();
    assert!(
        matches!(&error, UpstreamError::Exited { ending, .. } if ending.contains('3')),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_silent_process_times_out_and_the_number_of_those_who_wait_is_bounded() {
    let bed = Bed::with(UpstreamLimits {
        process_pending_max: 2,
        ..quick()
    });
    let upstream = python(&bed, "silent");
    let (conversation, call) = (Conversation::default(), tool(Era::Session, "1", "{}"));
    let asks = (0..3).map(|_| ask(&upstream, &conversation, call));
    let busy = futures_util::future::select_all(asks.map(Box::pin))
        .await
        .0
        .unwrap_err();
    assert!(
        matches!(busy, UpstreamError::Busy { pending_max: 2, .. }),
        "{busy:?}"
    );
    bed.upstreams.shutdown().await;
}
