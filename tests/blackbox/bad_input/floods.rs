//! Upstreams that say too much, and upstreams that never come to an end: memory stays bounded, what is given up is
//! counted, and every call is answered.

use portcullis_tests::doors::{Client, Door};
use portcullis_tests::fakes::{self, Answer, Asked, Fake};
use portcullis_tests::gateway::Gateway;
use portcullis_tests::mcp::{Era, Peer};
use portcullis_tests::stage::Stage;
use portcullis_tests::wait;
use serde_json::{Value, json};

/// Events of a flood, and the bytes of each: together far more than the gateway may hold.
const EVENTS: usize = 12_000;
const EVENT_BYTES: usize = 8 << 10;
/// What the gateway may hold of a flood of 96 MiB, with everything else that it does meanwhile.
const HELD_BYTES_MAX: u64 = 40 << 20;

fn event(message: &Value) -> String {
    format!("data: {message}\n\n")
}

/// A notification that fills an event.
fn notification() -> String {
    let params = json!({ "level": "error", "data": "x".repeat(EVENT_BYTES) });
    event(&json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": params }))
}

fn said(asked: &Asked) -> String {
    let result = json!({ "content": [{ "type": "text", "text": "at last" }] });
    event(&json!({ "jsonrpc": "2.0", "id": asked.message["id"], "result": result }))
}

fn flood(last: String) -> Answer {
    Answer::Repeated {
        kind: "text/event-stream",
        chunk: notification(),
        times: EVENTS,
        pause_ms: 0,
        last,
    }
}

async fn before(stage: &Stage, name: &str, fake: &Fake) -> (String, String) {
    let (tenant, key) = stage.guest_tenant(name).await;
    tenant.upstream("fake", fake.spec()).await;
    let server = format!("{name}-fake");
    tenant.server(&server, &["fake"]).await;
    (server, key)
}

#[tokio::test]
async fn a_reply_full_of_notifications_is_passed_on_and_never_held() {
    let mut stage = Stage::set().await;
    let fake = fakes::server(&["talk"], |asked| flood(said(asked)));
    let fake = Fake::start(fake).await;
    let (server, key) = before(&stage, "flooded-replies", &fake).await;
    let url = stage.gateway.mcp(&server);
    for era in [Era::Session, Era::Stateless] {
        let peer = Peer::connect(era, &url, &key).await;
        let others = stage.alice(era).await;
        others.call("demo__add", json!({ "a": 1, "b": 2 })).await;
        let at_rest = stage.gateway.process().memory_bytes();
        let mut reply = peer.open_call("fake__talk", json!({})).await;
        // Nobody reads on until another call is answered: the upstream has to wait.
        let sum = others.call("demo__add", json!({ "a": 1, "b": 2 })).await;
        assert_eq!(sum.text_content(), "3", "{era:?}");
        let mut held = 0;
        let mut heard = 0;
        while let Some(event) = reply.event().await {
            heard += usize::from(event.data.contains("notifications/message"));
            if heard % 1_000 == 1 {
                held = held.max(stage.gateway.process().memory_bytes());
            }
            if event.data.contains("at last") {
                break;
            }
        }
        let held = held.saturating_sub(at_rest);
        assert!(held < HELD_BYTES_MAX, "{era:?}: {held} bytes are held");
        // Who has no session asks for logs by a level, and this one did not.
        let want = if era == Era::Session { EVENTS } else { 0 };
        assert_eq!(heard, want, "{era:?}");
    }
}

#[tokio::test]
async fn what_is_pushed_to_nobody_is_given_up_and_counted() {
    let mut stage = Stage::set().await;
    let talk = fakes::server(&["greet"], |asked| fakes::says(asked, "hello"));
    let fake = Fake::start(move |asked| match asked.method.as_str() {
        "GET" => flood(String::new()),
        _ => talk(asked),
    })
    .await;
    let (server, key) = before(&stage, "flooded-pushes", &fake).await;
    let peer = Peer::session(&stage.gateway.mcp(&server), &key).await;
    // From now on the upstream is listened to; then the client leaves its stream.
    drop(peer.listen().await);
    let at_rest = stage.gateway.process().memory_bytes();
    let greeted = peer.call("fake__greet", json!({})).await;
    assert_eq!(greeted.text_content(), "hello");
    let admin = stage.admin();
    wait::until("most of the flood to be given up", || async {
        let metrics = admin.metrics().await;
        let dropped = metrics.sum("portcullis_stream_events_dropped_total", &[]);
        (dropped >= EVENTS as f64 / 2.0).then_some(())
    })
    .await;
    let greeted = peer.call("fake__greet", json!({})).await;
    assert_eq!(greeted.text_content(), "hello", "in the middle of it");
    let held = stage.gateway.process().memory_bytes();
    let held = held.saturating_sub(at_rest);
    assert!(held < HELD_BYTES_MAX, "{held} bytes are held");
}

/// How a reply can go on for ever.
const ENDLESS: [(&str, &str, &str); 3] = [
    (
        "progress",
        "text/event-stream",
        "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":\"p\",\"progress\":1}}\n\n",
    ),
    ("comments", "text/event-stream", ": still here\n\n"),
    ("space", "application/json", " "),
];

#[tokio::test]
async fn a_reply_without_an_end_is_cut_off_on_every_transport() {
    let stage = Stage::on(Gateway::configured("limits: { stream_time_max_s: 1 }").await).await;
    for (name, kind, chunk) in ENDLESS {
        let fake = fakes::server(&["talk"], move |_| Answer::Repeated {
            kind,
            chunk: chunk.to_owned(),
            times: usize::MAX,
            pause_ms: 20,
            last: String::new(),
        });
        let fake = Fake::start(fake).await;
        let (server, key) = before(&stage, &format!("endless-{name}"), &fake).await;
        for door in Door::ALL {
            let client = Client::open(door, (stage.gateway.url(), &server), &key).await;
            let call = json!({ "name": "fake__talk", "_meta": { "progressToken": "p" } });
            let answer = client.request("tools/call", call).await;
            assert_eq!(
                answer["error"]["code"], -32603,
                "{name}, {door:?}: {answer}"
            );
            let message = answer["error"]["message"].as_str().unwrap_or_default();
            assert!(
                message.contains("longer than 1 s"),
                "{name}, {door:?}: {answer}"
            );
            if name == "progress" {
                assert!(
                    !client.heard.of("notifications/progress").is_empty(),
                    "{door:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_long_result_that_stops_is_cut_off_too() {
    let stage = Stage::on(Gateway::configured("limits: { stream_time_max_s: 1 }").await).await;
    let fake = fakes::server(&["talk"], |_| Answer::Stalled(half_of(100_000)));
    let fake = Fake::start(fake).await;
    let (server, key) = before(&stage, "stalled", &fake).await;
    let peer = Peer::session(&stage.gateway.mcp(&server), &key).await;
    let call = peer.build("tools/call", json!({ "name": "fake__talk" }));
    let response = call.send().await.expect("a head");
    assert_eq!(response.status(), 200);
    let body = wait::at_most("the end of the reply", response.bytes()).await;
    assert!(body.is_err(), "half of a body was taken for the whole");
}

/// The head and the first half of a JSON body of that many bytes.
fn half_of(bytes: usize) -> String {
    let head = format!(
        "HTTP/1.1 200 -\r\ncontent-type: application/json\r\ncontent-length: {bytes}\r\n\r\n"
    );
    format!("{head}{}", " ".repeat(bytes / 2))
}
