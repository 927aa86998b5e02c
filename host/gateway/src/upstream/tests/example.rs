//! The example server, the real one, over HTTP and over pipes.

use std::path::PathBuf;
use std::process::Stdio;

use futures_util::future::join_all;
use portcullis_protocol::listing::ListKind;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::*;

/// Stands beside this test's own program: `make test` builds the whole workspace first.
pub fn program() -> String {
    let own = std::env::current_exe().unwrap();
    let path: PathBuf = own.ancestors().nth(2).unwrap().join("example-upstream");
    assert!(
        path.exists(),
        "{} is missing: cargo build -p portcullis-example-upstream",
        path.display()
    );
    path.to_str().unwrap().to_owned()
}

/// The server over HTTP, and its URL. It ends with the value.
async fn serve(args: &[&str]) -> (Child, String) {
    let mut child = Command::new(program())
        .args(args)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut url)
        .await
        .unwrap();
    (child, url.trim().to_owned())
}

#[tokio::test]
async fn both_eras_over_http() {
    for args in [&[][..], &["--json"], &["--page-len", "3"]] {
        let (_child, url) = serve(args).await;
        let bed = Bed::new();
        let (upstream, conversation) = (bed.url(&url), Conversation::default());
        let params = stateless_params("echo", json!({"message": "hi"}), None);
        for (era, params) in [
            (
                Era::Session,
                r#"{"name":"echo","arguments":{"message":"hi"}}"#,
            ),
            (Era::Stateless, params.as_str()),
        ] {
            let reply = ask(&upstream, &conversation, tool(era, "\"i-1\"", params))
                .await
                .unwrap();
            assert_eq!(reply.era, era);
            let messages = messages(reply).await;
            let last = messages.last().unwrap();
            assert_eq!(
                (&last["id"], &last["result"]["content"][0]["text"]),
                (&json!("i-1"), &json!("hi")),
                "{args:?}"
            );
        }
        let tools = upstream.list(ListKind::Tools).await.unwrap().entries;
        assert!(tools.iter().any(|tool| tool.name == "customer_lookup"));
        conversation.close().await;
        assert_eq!(upstream.in_flight(), 0);
    }
}

fn command(bed: &Bed) -> Arc<Upstream> {
    bed.get(json!({"command": [program(), "--stdio", "--allow-crash"], "timeout_ms": 20_000}))
}

async fn pid(upstream: &Arc<Upstream>, conversation: &Conversation) -> i64 {
    let reply = ask(
        upstream,
        conversation,
        tool(Era::Session, "7", r#"{"name":"whoami","arguments":{}}"#),
    )
    .await
    .unwrap();
    messages(reply).await[0]["result"]["structuredContent"]["pid"]
        .as_i64()
        .unwrap()
}

#[tokio::test]
async fn callers_of_one_process_never_mix() {
    let bed = Bed::new();
    let upstream = command(&bed);
    let calls = (1..=6_u64).map(|steps| {
        let upstream = &upstream;
        async move {
            let conversation = Conversation::default();
            let arguments = json!({"steps": steps, "step_ms": 5});
            let session = json!({"name": "progress", "arguments": arguments, "_meta": {"progressToken": "same"}}).to_string();
            let stateless = stateless_params("progress", arguments, Some(json!("same")));
            let (era, params) = if steps % 2 == 0 { (Era::Session, session) } else { (Era::Stateless, stateless) };
            let reply = ask(upstream, &conversation, tool(era, "\"same\"", &params)).await.unwrap();
            assert_eq!((reply.kind, reply.era), (ReplyKind::Events, Era::Session));
            let messages = messages(reply).await;
            let (last, progress) = messages.split_last().unwrap();
            assert_eq!(last["id"], "same");
            assert_eq!(last["result"]["content"][0]["text"], format!("Took {steps} steps."));
            assert_eq!(progress.len() as u64, steps);
            for message in progress {
                assert_eq!(message["params"]["progressToken"], "same");
                assert_eq!(message["params"]["total"].as_f64(), Some(steps as f64));
            }
        }
    });
    join_all(calls).await;
    assert_eq!(
        (
            upstream.in_flight(),
            bed.metric("portcullis_upstream_nonsense_total")
        ),
        (0, 0.0)
    );
    bed.upstreams.shutdown().await;
}

#[tokio::test]
async fn a_crash_ends_the_calls_that_wait_and_the_next_call_finds_another_process() {
    let bed = Bed::new();
    let (upstream, conversation) = (command(&bed), Conversation::default());
    let before = pid(&upstream, &conversation).await;
    let crash = tool(Era::Session, "1", r#"{"name":"crash","arguments":{}}"#);
    let slow = tool(
        Era::Session,
        "2",
        r#"{"name":"slow","arguments":{"ms":60000}}"#,
    );
    let (waits, crashes) = tokio::join!(ask(&upstream, &conversation, slow), async {
        until("the slow call is in the air", || upstream.in_flight() == 1).await;
        ask(&upstream, &conversation, crash).await
    });
    for error in [waits.unwrap_err(), crashes.unwrap_err()] {
        assert!(
            matches!(&error, UpstreamError::Exited { ending, .. } if ending.contains("70")),
            "{error:?}"
        );
    }
    let after = pid(&upstream, &conversation).await;
    assert_ne!(before, after);
    assert_eq!(bed.metric("portcullis_upstream_restarts_total"), 1.0);
    bed.upstreams.shutdown().await;
    assert!(!super::process::exists(after));
    let error = ask(&upstream, &conversation, crash).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Stopped { .. }), "{error:?}");
}

#[tokio::test]
async fn a_caller_that_cancels_or_leaves_is_passed_on() {
    let bed = Bed::new();
    let (upstream, conversation) = (command(&bed), Conversation::default());
    pid(&upstream, &conversation).await;
    let headers = HeaderMap::new();
    let cancelled = Ask {
        era: Era::Session,
        id: "",
        method: "notifications/cancelled",
        params: r#"{"requestId":"x"}"#,
    };
    let slow = tool(
        Era::Session,
        "\"x\"",
        r#"{"name":"slow","arguments":{"ms":60000}}"#,
    );
    let waits = ask(&upstream, &conversation, slow);
    tokio::select! {
        _ = waits => {}
        () = async {
            until("the call waits for the process", || upstream.in_flight() == 1).await;
            upstream.notify(&Conversation::default(), outgoing_of(cancelled, &headers)).await.unwrap();
            upstream.notify(&conversation, outgoing_of(cancelled, &headers)).await.unwrap();
            count(&upstream, "cancelled", 1).await;
        } => {}
    }
    let params = stateless_params("slow", json!({"ms": 60_000}), None);
    let stateless = tool(Era::Stateless, "1", &params);
    let leaves = tokio::time::timeout(
        Duration::from_millis(200),
        ask(&upstream, &conversation, stateless),
    )
    .await;
    assert!(leaves.is_err());
    count(&upstream, "cancelled", 2).await;
    bed.upstreams.shutdown().await;
}

/// Waits until the server's own counter has that value.
async fn count(upstream: &Arc<Upstream>, name: &str, want: i64) {
    for _ in 0..500 {
        let reply = ask(
            upstream,
            &Conversation::default(),
            tool(Era::Session, "1", r#"{"name":"stats","arguments":{}}"#),
        )
        .await
        .unwrap();
        if messages(reply).await[0]["result"]["structuredContent"][name] == want {
            return;
        }
    }
    panic!("`{name}` never became {want}");
}
