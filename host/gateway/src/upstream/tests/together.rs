//! Callers who share a process: each hears what it asked for, and the process is asked once for all of them.

use super::ears::Ears;
use super::process::{PEER, quick};
use super::*;

fn python(bed: &Bed) -> Arc<Upstream> {
    bed.get(json!({"command": ["python3", "-c", PEER], "timeout_ms": 20_000}))
}

/// The answer to a request of a session.
async fn answer(
    upstream: &Arc<Upstream>,
    conversation: &Conversation,
    (method, params): (&str, Value),
) -> Value {
    let params = params.to_string();
    let asked = Ask {
        method,
        params: &params,
        ..tool(Era::Session, "\"w\"", "")
    };
    let reply = ask(upstream, conversation, asked).await.unwrap();
    let answer = messages(reply).await.pop().unwrap();
    assert_eq!(answer["id"], "w");
    answer
}

async fn wish(upstream: &Arc<Upstream>, conversation: &Conversation, method: &str, what: &str) {
    let member = if method == "logging/setLevel" {
        "level"
    } else {
        "uri"
    };
    let answer = answer(upstream, conversation, (method, json!({member: what}))).await;
    assert_eq!(answer["result"], json!({}), "{method} {what}");
}

/// Lets the process say something, and returns what it was asked to tell so far.
async fn say(upstream: &Arc<Upstream>, said: Value) -> Vec<Value> {
    let call = json!({"name": "info", "arguments": {"before": said}});
    let own = Conversation::default();
    let answer = answer(upstream, &own, ("tools/call", call)).await;
    let wishes = answer["result"]["wishes"].as_array().unwrap();
    wishes[1..].to_vec()
}

fn log(level: &str) -> Value {
    json!({"method": "notifications/message", "params": {"level": level, "data": level}})
}

fn updated(uri: &str) -> Value {
    json!({"method": "notifications/resources/updated", "params": {"uri": uri}})
}

/// The levels and URIs that were heard, once there are as many.
async fn heard(ears: &Ears, len: usize) -> Vec<String> {
    until("messages", || ears.heard().len() >= len).await;
    let told = ears.heard();
    let told = told.iter().map(|message| {
        let params = &message["params"];
        let what = params.get("level").or(params.get("uri")).unwrap();
        what.as_str().unwrap().to_owned()
    });
    told.collect()
}

#[tokio::test]
async fn each_hears_log_messages_of_the_level_that_it_asked_for() {
    let bed = Bed::with(quick());
    let upstream = python(&bed);
    let (all, verbose) = Ears::of("{}");
    let (some, quiet) = Ears::of("{}");
    let (none, silent) = Ears::of("{}");
    wish(&upstream, &quiet, "logging/setLevel", "error").await;
    assert_eq!(
        bed.metric("portcullis_upstream_processes"),
        0.0,
        "a level starts nothing"
    );
    assert_eq!(
        say(&upstream, json!([])).await,
        [json!(["setLevel", "error"])]
    );
    wish(&upstream, &verbose, "logging/setLevel", "debug").await;
    wish(&upstream, &quiet, "logging/setLevel", "critical").await;
    let levels = ["debug", "info", "error", "critical", "emergency"];
    let unknown = json!({"method": "notifications/message", "params": {"level": "loud"}});
    let mut said: Vec<Value> = levels.into_iter().map(log).collect();
    said.insert(0, unknown);
    let wishes = say(&upstream, json!(said)).await;
    assert_eq!(
        wishes,
        [json!(["setLevel", "error"]), json!(["setLevel", "debug"])]
    );
    assert_eq!(heard(&all, 5).await, levels);
    assert_eq!(heard(&some, 2).await, ["critical", "emergency"]);
    assert_eq!(none.heard(), Vec::<Value>::new());

    verbose.close().await;
    drop(verbose);
    let wishes = say(&upstream, json!([log("alert")])).await;
    assert_eq!(wishes.last(), Some(&json!(["setLevel", "critical"])));
    assert_eq!(heard(&some, 3).await, ["critical", "emergency", "alert"]);
    assert_eq!(all.heard().len(), 5);
    drop(silent);
    bed.upstreams.shutdown().await;
}

#[tokio::test]
async fn updates_go_to_subscribers_and_the_process_is_asked_once() {
    let bed = Bed::with(quick());
    let upstream = python(&bed);
    let (first, one) = Ears::of("{}");
    let (second, two) = Ears::of("{}");
    for conversation in [&one, &two] {
        wish(&upstream, conversation, "resources/subscribe", "test://a").await;
    }
    wish(&upstream, &two, "resources/subscribe", "test://b").await;
    wish(&upstream, &one, "resources/unsubscribe", "test://b").await;
    let wishes = say(
        &upstream,
        json!([
            updated("test://c"),
            updated("test://b"),
            updated("test://a")
        ]),
    )
    .await;
    let asked = [
        json!(["subscribe", "test://a"]),
        json!(["subscribe", "test://b"]),
    ];
    assert_eq!(wishes, asked);
    assert_eq!(heard(&first, 1).await, ["test://a"]);
    assert_eq!(heard(&second, 2).await, ["test://b", "test://a"]);

    wish(&upstream, &one, "resources/unsubscribe", "test://a").await;
    two.close().await;
    drop(two);
    let mut wishes = say(&upstream, json!([updated("test://a"), updated("test://b")])).await;
    let mut gone = wishes.split_off(2);
    gone.sort_by_key(ToString::to_string);
    assert_eq!(
        gone,
        [
            json!(["unsubscribe", "test://a"]),
            json!(["unsubscribe", "test://b"])
        ]
    );
    assert_eq!((first.heard().len(), second.heard().len()), (1, 2));
    assert_eq!(bed.metric("portcullis_upstream_nonsense_total"), 0.0);
    bed.upstreams.shutdown().await;
}

#[tokio::test]
async fn a_subscription_that_the_process_refuses_is_none() {
    let bed = Bed::with(UpstreamLimits {
        conversation_subscriptions_max: 1,
        subscription_uri_bytes_max: 32,
        ..quick()
    });
    let upstream = python(&bed);
    let (ears, conversation) = Ears::of("{}");
    let forbidden = ("resources/subscribe", json!({"uri": "test://forbidden"}));
    for _ in 0..2 {
        let refused = answer(&upstream, &conversation, forbidden.clone()).await;
        assert_eq!(refused["error"]["code"], -32002);
    }
    wish(&upstream, &conversation, "resources/subscribe", "test://a").await;
    say(
        &upstream,
        json!([updated("test://forbidden"), updated("test://a")]),
    )
    .await;
    assert_eq!(heard(&ears, 1).await, ["test://a"]);
    for (uri, want) in [
        ("test://b", "subscriptions_full"),
        ("test://long/long/long/long/long", "params"),
    ] {
        let params = json!({"uri": uri}).to_string();
        let asked = Ask {
            method: "resources/subscribe",
            params: &params,
            ..tool(Era::Session, "1", "")
        };
        let error = ask(&upstream, &conversation, asked).await.unwrap_err();
        assert_eq!(error.label(), want, "{error:?}");
    }
    bed.upstreams.shutdown().await;
}

#[tokio::test]
async fn the_next_process_is_asked_for_what_the_last_one_was() {
    let bed = Bed::with(quick());
    let upstream = python(&bed);
    let (ears, conversation) = Ears::of("{}");
    wish(&upstream, &conversation, "resources/subscribe", "test://a").await;
    wish(&upstream, &conversation, "logging/setLevel", "notice").await;
    let crash = Ask {
        params: r#"{"name":"info","arguments":{"crash":true}}"#,
        ..tool(Era::Session, "1", "")
    };
    ask(&upstream, &conversation, crash).await.unwrap_err();
    let renewed = async { while say(&upstream, json!([])).await.len() < 2 {} };
    tokio::time::timeout(Duration::from_secs(30), renewed)
        .await
        .unwrap();
    let wishes = say(&upstream, json!([updated("test://a"), log("alert")])).await;
    assert_eq!(
        wishes,
        [
            json!(["setLevel", "notice"]),
            json!(["subscribe", "test://a"])
        ]
    );
    assert_eq!(heard(&ears, 2).await, ["test://a", "alert"]);
    // It is held now, so nobody has to ask again.
    let (_others, other) = Ears::of("{}");
    wish(&upstream, &other, "resources/subscribe", "test://a").await;
    assert_eq!(say(&upstream, json!([])).await.len(), 2);
    bed.upstreams.shutdown().await;
}

#[tokio::test]
async fn a_process_without_sessions_is_asked_to_say_that_lists_change() {
    let bed = Bed::with(quick());
    let upstream =
        bed.get(json!({"command": ["python3", "-c", PEER], "env": {"MODE": "stateless"}}));
    let mut changes = upstream.changes();
    let changed = json!({"method": "notifications/tools/list_changed"});
    let call = json!({"name": "info", "arguments": {"before": [changed]}});
    let told = answer(&upstream, &Conversation::default(), ("tools/call", call)).await;
    let lists =
        json!({"toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true});
    assert_eq!(told["result"]["wishes"], json!([["listen", lists]]));
    assert_eq!(*changes.borrow_and_update(), 1);
    bed.upstreams.shutdown().await;
}

#[tokio::test]
async fn a_process_without_sessions_is_asked_for_everything_at_once() {
    let bed = Bed::with(quick());
    let spec = json!({"command": ["python3", "-c", PEER], "env": {"MODE": "stateless"}});
    let upstream = bed.get(spec);
    let ((first, one), (second, two)) = (Ears::of("{}"), Ears::of("{}"));
    for (conversation, uri) in [(&one, "test://a"), (&two, "test://a"), (&two, "test://b")] {
        wish(&upstream, conversation, "resources/subscribe", uri).await;
    }
    let mut updates = [updated("test://a"), updated("test://b")];
    for update in &mut updates {
        update["params"]["_meta"] = json!({"io.modelcontextprotocol/subscriptionId": 4});
    }
    let acknowledged = json!({"method": "notifications/subscriptions/acknowledged", "params": {}});
    let asked = say(&upstream, json!([acknowledged, updates[0], updates[1]])).await;
    let listens = |uris: &[&str]| {
        let mut filter = json!({"toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true});
        if !uris.is_empty() {
            filter["resourceSubscriptions"] = json!(uris);
        }
        json!(["listen", filter])
    };
    let cancelled = json!(["cancelled"]);
    assert_eq!(asked[0], listens(&["test://a"]));
    assert_eq!(asked[1], cancelled);
    let mut uris: Vec<String> =
        serde_json::from_value(asked[2][1]["resourceSubscriptions"].clone()).unwrap();
    uris.sort();
    assert_eq!(uris, ["test://a", "test://b"]);
    assert_eq!((asked.len(), &asked[3]), (4, &cancelled));
    assert_eq!(heard(&first, 1).await, ["test://a"]);
    assert_eq!(heard(&second, 2).await, ["test://a", "test://b"]);
    let told = first.heard();
    assert_eq!(
        told[0]["params"],
        json!({"uri": "test://a"}),
        "as sessions know it"
    );

    wish(&upstream, &one, "resources/unsubscribe", "test://a").await;
    two.close().await;
    drop(two);
    let asked = say(&upstream, json!([updates[0]])).await;
    assert_eq!(asked[4..], [listens(&[]), cancelled]);
    assert_eq!((first.heard().len(), second.heard().len()), (1, 2));
    bed.upstreams.shutdown().await;
}

#[tokio::test]
async fn the_next_process_without_sessions_listens_to_the_same() {
    let bed = Bed::with(quick());
    let spec = json!({"command": ["python3", "-c", PEER], "env": {"MODE": "stateless"}, "process": "session"});
    let upstream = bed.get(spec);
    let (ears, conversation) = Ears::of("{}");
    wish(&upstream, &conversation, "resources/subscribe", "test://a").await;
    let call = |arguments: Value| {
        let (upstream, conversation) = (&upstream, &conversation);
        async move {
            let params = json!({"name": "info", "arguments": arguments}).to_string();
            let reply = ask(upstream, conversation, tool(Era::Session, "1", &params)).await?;
            let mut answer = messages(reply).await.pop().unwrap();
            Ok::<_, UpstreamError>(answer["result"]["wishes"].take())
        }
    };
    call(json!({"crash": true})).await.unwrap_err();
    let listened = json!([["listen", {"resourceSubscriptions": ["test://a"]}]]);
    assert_eq!(call(json!({})).await.unwrap(), listened);
    call(json!({"after": [updated("test://a")]})).await.unwrap();
    assert_eq!(heard(&ears, 1).await, ["test://a"]);
    bed.upstreams.shutdown().await;
}

#[tokio::test]
async fn a_changed_list_is_noted_and_told_to_nobody() {
    let bed = Bed::with(quick());
    let upstream = python(&bed);
    let (ears, conversation) = Ears::of("{}");
    wish(&upstream, &conversation, "logging/setLevel", "debug").await;
    let mut changes = upstream.changes();
    assert_eq!(*changes.borrow_and_update(), 0);
    let changed = |kind: &str| json!({"method": format!("notifications/{kind}/list_changed")});
    let said = json!([
        changed("tools"),
        changed("prompts"),
        changed("resources"),
        log("info")
    ]);
    say(&upstream, said).await;
    assert_eq!(*changes.borrow_and_update(), 3);
    assert_eq!(heard(&ears, 1).await, ["info"]);
    bed.upstreams.shutdown().await;
}
