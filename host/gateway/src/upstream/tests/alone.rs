//! Conversations with a process of their own: it asks their client, and nobody else hears of it.

use super::ears::{Ears, Unfolding, tell};
use super::process::{PEER, exists, quick};
use super::*;

const CLIENT: &str = r#"{"sampling":{},"elicitation":{},"roots":{"listChanged":true}}"#;

fn python(bed: &Bed) -> Arc<Upstream> {
    bed.get(json!({"command": ["python3", "-c", PEER], "process": "session", "timeout_ms": 20_000}))
}

fn example(bed: &Bed) -> Arc<Upstream> {
    bed.get(json!({"command": [super::example::program(), "--stdio"], "process": "session", "timeout_ms": 20_000}))
}

async fn call(
    upstream: &Arc<Upstream>,
    conversation: &Conversation,
    arguments: Value,
) -> Result<UpstreamReply, UpstreamError> {
    let params = json!({"name": "info", "arguments": arguments}).to_string();
    ask(upstream, conversation, tool(Era::Session, "1", &params)).await
}

/// What the process of the Python peer tells of itself.
async fn info(upstream: &Arc<Upstream>, conversation: &Conversation) -> Value {
    let reply = call(upstream, conversation, json!({})).await.unwrap();
    messages(reply).await.pop().unwrap()["result"].clone()
}

async fn pid(upstream: &Arc<Upstream>, conversation: &Conversation) -> i64 {
    info(upstream, conversation).await["pid"].as_i64().unwrap()
}

#[tokio::test]
async fn a_process_asks_its_client_in_the_course_of_a_call() {
    let bed = Bed::with(quick());
    let upstream = example(&bed);
    let conversation = Conversation::new(CLIENT);
    let answer =
        json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "Teal."}});
    let form =
        json!({"action": "accept", "content": {"username": "ada", "email": "a@example.com"}});
    for (name, arguments, method, result, want) in [
        (
            "test_sampling",
            json!({"prompt": "?"}),
            "sampling/createMessage",
            answer,
            "LLM response: Teal.",
        ),
        (
            "test_elicitation",
            json!({"message": "?"}),
            "elicitation/create",
            form,
            "action=accept",
        ),
    ] {
        let params = json!({"name": name, "arguments": arguments}).to_string();
        let reply = ask(
            &upstream,
            &conversation,
            tool(Era::Session, "\"q\"", &params),
        );
        let mut reply = Unfolding::new(reply.await.unwrap());
        reply.answer(method, result).await;
        let last = reply.next().await.unwrap();
        assert_eq!(last["id"], "q");
        let text = last["result"]["content"][0]["text"].as_str().unwrap();
        assert!(text.contains(want), "{text}");
        assert_eq!(reply.next().await, None);
    }
    bed.upstreams.shutdown().await;
}

#[tokio::test]
async fn what_a_process_says_outside_of_calls_goes_to_its_own_conversation() {
    let bed = Bed::with(quick());
    let upstream = python(&bed);
    let (ears, conversation) = Ears::of(CLIENT);
    let (others, other) = Ears::of("{}");
    let roots = json!({"id": "r", "method": "roots/list"});
    let log = json!({"method": "notifications/message", "params": {"level": "debug", "data": "d"}});
    let reply = call(&upstream, &conversation, json!({"after": [log, roots]})).await;
    assert_eq!(reply.unwrap().kind, ReplyKind::Json);
    let (asker, question) = ears.hear("roots/list").await;
    assert_eq!(ears.heard()[0]["params"]["data"], "d");
    tell(&asker, &question, json!({"roots": []})).await;
    let told = info(&upstream, &conversation).await;
    assert_eq!(told["answers"], json!({"r": {"result": {"roots": []}}}));
    assert_eq!(
        told["wishes"][0],
        serde_json::from_str::<Value>(CLIENT).unwrap()
    );

    let changed = Ask {
        method: "notifications/roots/list_changed",
        params: "{}",
        ..tool(Era::Session, "", "")
    };
    let headers = HeaderMap::new();
    upstream
        .notify(&conversation, outgoing_of(changed, &headers))
        .await
        .unwrap();
    let told = info(&upstream, &conversation).await;
    assert_eq!(told["wishes"][1], json!(["list_changed", "roots"]));

    let theirs = info(&upstream, &other).await;
    assert_eq!(theirs["wishes"], json!([{}]));
    assert_ne!(theirs["pid"], told["pid"]);
    assert_eq!(others.heard(), Vec::<Value>::new());
    bed.upstreams.shutdown().await;
}

#[tokio::test]
async fn a_question_that_nobody_can_hear_is_refused() {
    let bed = Bed::with(quick());
    let upstream = python(&bed);
    let roots = json!({"id": "r", "method": "roots/list"});
    let conversation = Conversation::new(CLIENT);
    drop(call(&upstream, &conversation, json!({"after": [roots]})).await);
    refused(&upstream, &conversation).await;

    bed.upstreams.shutdown().await;
}

#[tokio::test]
async fn a_caller_without_sessions_is_asked_in_the_course_of_its_only_call() {
    let bed = Bed::with(quick());
    let upstream = python(&bed);
    let caller = Conversation::stateless(CLIENT);
    let roots = json!({"id": "r", "method": "roots/list"});
    let asks = stateless_params("info", json!({"before": [roots]}), None);
    let asks = tool(Era::Stateless, "1", &asks);
    let mut reply = Unfolding::new(ask(&upstream, &caller, asks).await.unwrap());
    reply.answer("roots/list", json!({"roots": []})).await;
    let told = reply.next().await.unwrap()["result"].take();
    assert_eq!(
        told["wishes"][0],
        serde_json::from_str::<Value>(CLIENT).unwrap()
    );
    assert_eq!((reply.next().await, upstream.in_flight()), (None, 0));
    let told = info(&upstream, &caller).await;
    assert_eq!(told["answers"], json!({"r": {"result": {"roots": []}}}));

    // With two calls under way nobody knows which of them asks, and they may be of two people.
    let holds = stateless_params("info", json!({"hold": true}), None);
    let holds = ask(&upstream, &caller, tool(Era::Stateless, "2", &holds));
    let (held, asked) = tokio::join!(holds, async {
        until("a call is held", || upstream.in_flight() == 1).await;
        ask(&upstream, &caller, asks).await
    });
    for reply in [held, asked] {
        assert_eq!(messages(reply.unwrap()).await.len(), 1);
    }
    refused(&upstream, &caller).await;
    bed.upstreams.shutdown().await;
}

/// Waits until a question was refused, without a call that it could belong to.
async fn refused(upstream: &Arc<Upstream>, conversation: &Conversation) {
    let list = Ask {
        method: "tools/list",
        params: "{}",
        ..tool(Era::Session, "1", "")
    };
    for _ in 0..500 {
        let reply = ask(upstream, conversation, list).await.unwrap();
        let told = &messages(reply).await[0]["result"]["tools"][0]["_meta"];
        if told["answers"] == json!({"r": {"error": -32601}}) {
            return;
        }
    }
    panic!("the question was never refused");
}

#[tokio::test]
async fn a_process_ends_with_its_conversation_and_the_gateways_own_is_another() {
    let bed = Bed::with(quick());
    let upstream = python(&bed);
    let tools = upstream.list(portcullis_protocol::listing::ListKind::Tools);
    assert_eq!(tools.await.unwrap().entries.len(), 1);
    let processes = || bed.metric("portcullis_upstream_processes");
    assert_eq!(processes(), 1.0);
    let closed = Conversation::new("{}");
    let closed_pid = pid(&upstream, &closed).await;
    let dropped = Conversation::new("{}");
    let dropped_pid = pid(&upstream, &dropped).await;
    let kept = Conversation::new("{}");
    let kept_pid = pid(&upstream, &kept).await;
    assert_eq!(processes(), 4.0);
    closed.close().await;
    drop(dropped);
    until("both are gone", || {
        !exists(closed_pid) && !exists(dropped_pid)
    })
    .await;
    until("both are counted", || processes() == 2.0).await;
    assert_eq!(pid(&upstream, &kept).await, kept_pid);
    drop(upstream);
    until("all are gone", || processes() == 0.0).await;
    assert!(!exists(kept_pid));
}

#[tokio::test]
async fn a_crash_is_the_crash_of_one_and_its_wishes_outlive_it() {
    let bed = Bed::with(UpstreamLimits {
        failures_max: 1,
        ..quick()
    });
    let upstream = python(&bed);
    let (ears, conversation) = Ears::of(CLIENT);
    let other = Conversation::new("{}");
    let theirs = pid(&upstream, &other).await;
    let wish = |method, params| Ask {
        method,
        params,
        ..tool(Era::Session, "1", "")
    };
    for (method, params) in [
        ("logging/setLevel", r#"{"level":"warning"}"#),
        ("resources/subscribe", r#"{"uri":"test://a"}"#),
    ] {
        let reply = ask(&upstream, &conversation, wish(method, params))
            .await
            .unwrap();
        assert_eq!(messages(reply).await[0]["result"], json!({}), "{method}");
    }
    let mut before = info(&upstream, &conversation).await;
    assert_eq!(before["wishes"].take()[1], json!(["setLevel", "warning"]));
    let error = call(&upstream, &conversation, json!({"crash": true})).await;
    assert!(
        matches!(error, Err(UpstreamError::Exited { .. })),
        "{error:?}"
    );
    assert!(upstream.healthy(), "the others' processes are well");
    assert_eq!(pid(&upstream, &other).await, theirs);
    let wishes = json!([["setLevel", "warning"], ["subscribe", "test://a"]]);
    let renewed = async {
        loop {
            let after = info(&upstream, &conversation).await;
            assert_ne!(after["pid"], before["pid"]);
            if after["wishes"].as_array().unwrap()[1..] == *wishes.as_array().unwrap() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), renewed)
        .await
        .unwrap();
    assert_eq!(bed.metric("portcullis_upstream_restarts_total"), 1.0);
    assert_eq!(ears.heard(), Vec::<Value>::new());
    bed.upstreams.shutdown().await;
}

#[tokio::test]
async fn no_more_sessions_have_a_process_than_may() {
    let bed = Bed::with(UpstreamLimits {
        session_processes_max: 2,
        ..quick()
    });
    let upstream = python(&bed);
    let [first, second, third] = [(); 3].map(|()| Conversation::new("{}"));
    let pids = [pid(&upstream, &first).await, pid(&upstream, &second).await];
    let error = call(&upstream, &third, json!({})).await.unwrap_err();
    assert!(
        matches!(
            error,
            UpstreamError::ProcessesFull {
                processes_max: 2,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(pid(&upstream, &second).await, pids[1]);
    first.close().await;
    until("its process is gone", || !exists(pids[0])).await;
    until("its claim is free", || {
        bed.metric("portcullis_upstream_processes") == 1.0
    })
    .await;
    call(&upstream, &third, json!({})).await.unwrap();
    bed.upstreams.shutdown().await;
}

#[tokio::test]
async fn an_idle_process_of_a_caller_without_sessions_makes_room() {
    let bed = Bed::with(UpstreamLimits {
        session_processes_max: 1,
        ..quick()
    });
    let upstream = python(&bed);
    let [alice, bob] = [(); 2].map(|()| Conversation::stateless("{}"));
    let first = pid(&upstream, &alice).await;
    assert_eq!(pid(&upstream, &alice).await, first, "it is used again");
    let second = pid(&upstream, &bob).await;
    assert_ne!(first, second);
    assert!(!exists(first));
    assert_ne!(pid(&upstream, &alice).await, second);
    let session = Conversation::new("{}");
    let third = pid(&upstream, &session).await;
    let error = call(&upstream, &bob, json!({})).await.unwrap_err();
    assert!(
        matches!(error, UpstreamError::ProcessesFull { .. }),
        "{error:?}"
    );
    assert!(exists(third), "a session's process is never taken away");
    bed.upstreams.shutdown().await;
}

#[tokio::test]
async fn who_watches_a_resource_shares_the_process_of_its_caller_and_keeps_it() {
    let bed = Bed::with(UpstreamLimits {
        session_processes_max: 1,
        ..quick()
    });
    let upstream = python(&bed);
    let [alice, bob] = [(); 2].map(|()| Conversation::stateless("{}"));
    let ears = Ears::open();
    let uris = vec!["test://a".to_owned()];
    let headers = HeaderMap::new();
    let watch = upstream.watch(
        (&alice, &headers),
        uris,
        Arc::clone(&ears) as Arc<dyn Inbox>,
    );
    let watch = watch.await.unwrap();
    let updated =
        json!({"method": "notifications/resources/updated", "params": {"uri": "test://a"}});
    let reply = call(&upstream, &alice, json!({"before": [updated]}))
        .await
        .unwrap();
    let told = messages(reply).await.pop().unwrap();
    assert_eq!(
        told["result"]["wishes"][1],
        json!(["subscribe", "test://a"])
    );
    assert_eq!(
        ears.hear("notifications/resources/updated").await.1["params"],
        updated["params"]
    );

    let error = call(&upstream, &bob, json!({})).await.unwrap_err();
    assert!(
        matches!(error, UpstreamError::ProcessesFull { .. }),
        "{error:?}"
    );
    alice.close().await;
    drop(alice);
    assert_eq!(
        bed.metric("portcullis_upstream_processes"),
        1.0,
        "it is watched"
    );
    drop(watch);
    until("it is gone", || {
        bed.metric("portcullis_upstream_processes") == 0.0
    })
    .await;
    call(&upstream, &bob, json!({})).await.unwrap();
    bed.upstreams.shutdown().await;
}

#[tokio::test]
async fn what_is_listed_is_what_a_client_that_can_do_everything_gets() {
    let bed = Bed::with(quick());
    let upstream = python(&bed);
    let tools = upstream.list(portcullis_protocol::listing::ListKind::Tools);
    let listed = tools.await.unwrap().entries.remove(0);
    let told: Value = serde_json::from_str(listed.raw.get()).unwrap();
    let everything: Value = serde_json::from_str(EVERYTHING).unwrap();
    assert_eq!(told["_meta"]["wishes"], json!([everything]));
    let changes = upstream.changes();
    let changed = json!({"method": "notifications/tools/list_changed"});
    let conversation = Conversation::new(CLIENT);
    let reply = call(&upstream, &conversation, json!({"before": [changed]})).await;
    assert_eq!(
        reply.unwrap().kind,
        ReplyKind::Json,
        "the catalogue tells of changes"
    );
    assert_eq!(*changes.borrow(), 0, "the listed process has not changed");
    bed.upstreams.shutdown().await;
}

#[tokio::test]
async fn a_process_never_waits_for_a_client_that_does_not_read() {
    let bed = Bed::with(UpstreamLimits {
        mailbox_len_max: 4,
        call_events_max: 4,
        process_queue_len_max: 4,
        ..quick()
    });
    let upstream = python(&bed);
    let log = json!({"method": "notifications/message", "params": {"level": "info", "data": "x".repeat(1_000)}});
    let roots = json!({"id": "r", "method": "roots/list"});
    let flood = json!([log, roots]);

    // In a call: the head of its reply is read, and nothing else.
    let conversation = Conversation::new(CLIENT);
    let mut during = Unfolding::new(
        call(
            &upstream,
            &conversation,
            json!({"before": flood, "times": 500}),
        )
        .await
        .unwrap(),
    );
    let dropped = || bed.metric("portcullis_upstream_dropped_total");
    until("messages are dropped", || dropped() >= 900.0).await;
    let mut seen = 0;
    while let Some(message) = during.next().await {
        seen += 1;
        if message.get("result").is_some() {
            break;
        }
    }
    assert!((2..=12).contains(&seen), "{seen}");
    assert_eq!(
        info(&upstream, &conversation).await["answers"]["r"],
        json!({"error": -32603})
    );

    // Outside of calls: its inbox takes one message, and never another.
    let (before, ears) = (dropped(), Ears::that_take(1));
    conversation.listen(Arc::clone(&ears) as Arc<dyn Inbox>);
    call(
        &upstream,
        &conversation,
        json!({"after": flood, "times": 500}),
    )
    .await
    .unwrap();
    until("messages are dropped", || dropped() - before >= 900.0).await;
    pid(&upstream, &conversation).await;
    assert_eq!(ears.heard().len(), 1);
    conversation.close().await;
    bed.upstreams.shutdown().await;
}

#[tokio::test]
async fn a_process_that_talks_and_does_not_read_is_read_all_the_same() {
    let bed = Bed::with(UpstreamLimits {
        process_queue_len_max: 4,
        ..quick()
    });
    let upstream = python(&bed);
    let conversation = Conversation::new(CLIENT);
    let ping = json!({"id": "p".repeat(1_000), "method": "ping"});
    let reply = call(
        &upstream,
        &conversation,
        json!({"before": [ping], "times": 5_000}),
    )
    .await;
    assert!(messages(reply.unwrap()).await[0].get("result").is_some());
    pid(&upstream, &conversation).await;
    bed.upstreams.shutdown().await;
}
