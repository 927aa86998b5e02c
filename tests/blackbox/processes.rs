//! Servers behind a command: one process for all callers, or one for each session, which may ask the session's client.

use std::sync::Arc;

use portcullis_tests::gateway::Gateway;
use portcullis_tests::mcp::{Era, Peer, Stream};
use portcullis_tests::process;
use portcullis_tests::shared::Shared;
use portcullis_tests::stage::Stage;
use portcullis_tests::upstreams::{everything_command, example_command};
use portcullis_tests::wait;
use serde_json::{Value, json};

static STAGE: Shared<Stage> = Shared::new();

const WATCHED: &str = "test://watched-resource";
const UPDATED: &str = "notifications/resources/updated";
const LOG: &str = "notifications/message";

/// A tenant of its own whose one upstream, `cmd`, is this command.
struct Scene {
    stage: Arc<Stage>,
    url: String,
    alice: String,
    bob: String,
}

impl Scene {
    async fn of(tenant: &str, spec: Value) -> Self {
        Self::on(STAGE.get(Stage::set).await, tenant, spec).await
    }

    async fn on(stage: Arc<Stage>, tenant: &str, spec: Value) -> Self {
        let (made, alice) = stage.guest_tenant(tenant).await;
        let bob = made.key("bob").await;
        made.upstream("cmd", spec).await;
        let server = format!("{tenant}-cmd");
        made.server(&server, &["cmd"]).await;
        Self {
            url: stage.gateway.mcp(&server),
            stage,
            alice,
            bob,
        }
    }

    /// A session whose client can do everything, and its stream of what belongs to no reply.
    async fn session(&self) -> (Peer, Stream) {
        let able = json!({ "sampling": {}, "elicitation": {}, "roots": { "listChanged": true } });
        let peer = Peer::session_with(&self.url, &self.alice, able).await;
        let pushed = peer.listen().await;
        (peer, pushed)
    }

    fn stateless(&self, key: &str) -> Peer {
        Peer::stateless(&self.url, key)
    }
}

fn with_sessions(mut spec: Value) -> Value {
    spec["process"] = json!("session");
    spec
}

/// The process that serves a caller.
async fn pid(peer: &Peer) -> u32 {
    let told = peer.call("cmd__whoami", json!({})).await.result();
    let pid = told["structuredContent"]["pid"].as_u64();
    u32::try_from(pid.expect("a process id")).expect("a process id")
}

async fn subscribe(peer: &Peer, uri: &str) {
    let reply = peer
        .request("resources/subscribe", json!({ "uri": uri }))
        .await;
    assert_eq!(reply.result(), json!({}), "{}", reply.shown());
}

/// Has the server say that the watched resource was updated.
async fn touch(peer: &Peer) {
    let reply = peer
        .call("cmd__touch_resource", json!({ "uri": WATCHED }))
        .await;
    assert!(
        reply.text_content().contains("Touched"),
        "{}",
        reply.shown()
    );
}

async fn set_level(peer: &Peer, level: &str) {
    let reply = peer
        .request("logging/setLevel", json!({ "level": level }))
        .await;
    assert_eq!(reply.result(), json!({}), "{}", reply.shown());
}

fn sampled(text: &str) -> Value {
    json!({ "role": "assistant", "model": "m", "content": { "type": "text", "text": text } })
}

#[tokio::test]
async fn a_session_answers_what_its_process_asks_in_the_course_of_a_call() {
    let scene = Scene::of("asking", with_sessions(example_command("cmd", &[]))).await;
    let (one, _) = scene.session().await;
    let (two, _) = scene.session().await;
    let ask = json!({ "prompt": "Which colour?" });
    let mut first = one.open_call("cmd__test_sampling", ask.clone()).await;
    let mut second = two.open_call("cmd__test_sampling", ask).await;
    // The second is answered first: nobody's answer goes to another.
    for (peer, reply, colour) in [(&two, &mut second, "Teal."), (&one, &mut first, "Ochre.")] {
        let question = reply.method("sampling/createMessage").await;
        assert_eq!(
            question["params"]["messages"][0]["content"]["text"],
            "Which colour?"
        );
        peer.answer(&question, sampled(colour)).await;
        let response = reply.response().await;
        assert_eq!(
            response["result"]["content"][0]["text"],
            format!("LLM response: {colour}")
        );
        assert_eq!(reply.message().await, None);
        assert_eq!(reply.seen().len(), 2);
    }

    let mut reply = one
        .open_call(
            "cmd__test_elicitation",
            json!({ "message": "Who are you?" }),
        )
        .await;
    let question = reply.method("elicitation/create").await;
    assert_eq!(question["params"]["message"], "Who are you?");
    one.answer(&question, json!({ "action": "decline" })).await;
    let text = reply.response().await["result"]["content"][0]["text"].to_string();
    assert!(text.contains("action=decline"), "{text}");

    let mut reply = one
        .open_call("cmd__test_sampling", json!({ "prompt": "?" }))
        .await;
    let question = reply.method("sampling/createMessage").await;
    one.refuse(&question, -1, "No model today.").await;
    let refused = reply.response().await.to_string();
    assert!(refused.contains("No model today."), "{refused}");
}

#[tokio::test]
async fn a_shared_process_asks_nobody() {
    let scene = Scene::of("asking-nobody", example_command("cmd", &[])).await;
    let (peer, _) = scene.session().await;
    let reply = peer
        .call("cmd__test_sampling", json!({ "prompt": "?" }))
        .await;
    assert!(reply.notified("sampling/createMessage").is_empty());
    assert!(
        reply.text.contains("sampling") && !reply.text.contains("LLM response"),
        "{}",
        reply.shown()
    );
}

#[tokio::test]
async fn sessions_with_processes_of_their_own_never_hear_of_each_other() {
    let scene = Scene::of("apart", with_sessions(example_command("cmd", &[]))).await;
    let (one, mut of_one) = scene.session().await;
    let (two, mut of_two) = scene.session().await;
    let pids = [pid(&one).await, pid(&two).await];
    assert_ne!(pids[0], pids[1]);
    for peer in [&one, &two] {
        subscribe(peer, WATCHED).await;
        set_level(peer, "debug").await;
    }
    // In the course of a call what a process says comes with the reply.
    let reply = one.call("cmd__test_tool_with_logging", json!({})).await;
    assert_eq!(reply.notified(LOG).len(), 3, "{}", reply.shown());
    let reply = one
        .call("cmd__touch_resource", json!({ "uri": WATCHED }))
        .await;
    assert_eq!(reply.notified(UPDATED), [json!({ "uri": WATCHED })]);
    let reply = two.call("cmd__test_simple_text", json!({})).await;
    assert_eq!(reply.messages().len(), 1, "{}", reply.shown());
    assert_eq!(pid(&one).await, pids[0]);

    one.end().await;
    wait::so("the end of its process", || !process::runs(pids[0])).await;
    assert_eq!(of_one.message().await, None);
    assert_eq!(pid(&two).await, pids[1]);
    two.end().await;
    assert_eq!(of_two.message().await, None);
    wait::so("the end of the other", || !process::runs(pids[1])).await;
}

#[tokio::test]
async fn callers_without_sessions_have_a_process_each() {
    let scene = Scene::of("principals", with_sessions(example_command("cmd", &[]))).await;
    let shown = scene
        .stage
        .admin()
        .get("/api/v1/tenants/principals/upstreams/cmd")
        .await;
    assert_eq!(shown.ok()["process"], "session");
    let (alice, bob) = (scene.stateless(&scene.alice), scene.stateless(&scene.bob));
    let pids = [pid(&alice).await, pid(&bob).await];
    assert_ne!(pids[0], pids[1]);
    let (session, _) = scene.session().await;
    assert!(!pids.contains(&pid(&session).await));
    assert_eq!([pid(&alice).await, pid(&bob).await], pids);
}

#[tokio::test]
async fn a_caller_without_sessions_answers_what_its_process_asks() {
    let spec = with_sessions(example_command("cmd", &[]));
    let scene = Scene::of("asking-again", spec).await;
    let (alice, bob) = (scene.stateless(&scene.alice), scene.stateless(&scene.bob));
    let able = json!({ "io.modelcontextprotocol/clientCapabilities": { "sampling": {} } });
    let call = json!({ "name": "cmd__test_sampling", "arguments": { "prompt": "Which colour?" }, "_meta": able });
    let mut asked = Vec::new();
    for (peer, colour) in [(&alice, "Teal."), (&bob, "Ochre.")] {
        let reply = peer.request("tools/call", call.clone()).await;
        let result = reply.result();
        assert_eq!(result["resultType"], "input_required", "{}", reply.shown());
        asked.push((peer, colour, result));
    }
    // The second is answered first.
    for (peer, colour, result) in asked.into_iter().rev() {
        let questions = result["inputRequests"].as_object().expect("questions");
        let (key, question) = questions.iter().next().expect("a question");
        assert_eq!(question["method"], "sampling/createMessage");
        let mut again = call.clone();
        again["inputResponses"] = json!({ key: sampled(colour) });
        again["requestState"] = result["requestState"].clone();
        let reply = peer.request("tools/call", again).await;
        assert_eq!(reply.text_content(), format!("LLM response: {colour}"));
    }
}

#[tokio::test]
async fn the_reference_server_asks_for_roots_and_lists_what_is_for_able_clients() {
    let scene = Scene::of("roots", with_sessions(everything_command())).await;
    let (peer, mut pushed) = scene.session().await;
    let tools = peer.tools().await;
    for tool in ["cmd__get-roots-list", "cmd__trigger-sampling-request"] {
        assert!(tools.contains(&tool.to_owned()), "{tool}: {tools:?}");
    }
    // It asks by itself, a while after it was started: where that is slow, the first call is still under way.
    let first = peer.call("cmd__echo", json!({ "message": "hi" })).await;
    let mut early = first.messages().into_iter();
    let question = match early.find(|message| message["method"] == "roots/list") {
        Some(question) => question,
        None => pushed.method("roots/list").await,
    };
    let roots = json!({ "roots": [{ "uri": "file:///work", "name": "work" }] });
    peer.answer(&question, roots).await;
    let listed = peer.call("cmd__get-roots-list", json!({})).await;
    assert!(
        listed.text_content().contains("file:///work"),
        "{}",
        listed.shown()
    );

    // A change that the client tells of is asked about again.
    let told = peer
        .notify("notifications/roots/list_changed", json!({}))
        .await;
    assert_eq!(told.status, 202);
    let question = pushed.method("roots/list").await;
    peer.answer(&question, json!({ "roots": [] })).await;

    let ask = json!({ "prompt": "Which colour?", "maxTokens": 5 });
    let mut reply = peer.open_call("cmd__trigger-sampling-request", ask).await;
    let question = reply.method("sampling/createMessage").await;
    peer.answer(&question, sampled("Teal.")).await;
    let text = reply.response().await.to_string();
    assert!(text.contains("Teal."), "{text}");
}

#[tokio::test]
async fn who_shares_a_process_hears_its_log_from_the_level_that_was_asked_for() {
    let scene = Scene::of("levels", example_command("cmd", &[])).await;
    let (verbose, mut all) = scene.session().await;
    let (quiet, mut some) = scene.session().await;
    let (silent, mut none) = scene.session().await;
    set_level(&verbose, "debug").await;
    set_level(&quiet, "error").await;
    let reply = silent.call("cmd__test_tool_with_logging", json!({})).await;
    assert_eq!(reply.messages().len(), 1, "{}", reply.shown());
    for want in ["started", "data", "completed"] {
        let told = all.method(LOG).await;
        let data = told["params"]["data"].as_str().unwrap_or_default();
        assert!(data.contains(want), "{told}");
    }
    // The others heard nothing so far: what they hear first is what they ask for now.
    for (peer, stream) in [(&quiet, &mut some), (&silent, &mut none)] {
        subscribe(peer, WATCHED).await;
        touch(peer).await;
        stream.method(UPDATED).await;
        assert_eq!(stream.seen().len(), 1, "{:?}", stream.seen());
        set_level(peer, "info").await;
        peer.call("cmd__test_tool_with_logging", json!({})).await;
        stream.method(LOG).await;
    }
}

#[tokio::test]
async fn updates_of_the_reference_server_go_to_those_who_subscribed_to_them() {
    let scene = Scene::of("updates", everything_command()).await;
    let uri = |number| format!("demo://resource/dynamic/text/{number}");
    let (one, mut of_one) = scene.session().await;
    let (two, mut of_two) = scene.session().await;
    let (three, mut of_three) = scene.session().await;
    subscribe(&one, &uri(1)).await;
    subscribe(&two, &uri(1)).await;
    subscribe(&two, &uri(2)).await;
    subscribe(&three, &uri(3)).await;
    let unsubscribed = three
        .request("resources/unsubscribe", json!({ "uri": uri(3) }))
        .await;
    assert_eq!(unsubscribed.result(), json!({}));

    // It sends an update of everything that is subscribed to at once, then again and again.
    let toggled = three
        .call("cmd__toggle-subscriber-updates", json!({}))
        .await;
    assert!(
        toggled.text_content().contains("Started"),
        "{}",
        toggled.shown()
    );
    let updated = |message: &Value| message["params"]["uri"].as_str().map(str::to_owned);
    assert_eq!(updated(&of_one.method(UPDATED).await), Some(uri(1)));
    let mut both = [
        updated(&of_two.method(UPDATED).await),
        updated(&of_two.method(UPDATED).await),
    ];
    both.sort();
    assert_eq!(both, [Some(uri(1)), Some(uri(2))]);
    two.end().await;
    // The next round still comes to the one who is left.
    assert_eq!(updated(&of_one.method(UPDATED).await), Some(uri(1)));
    three
        .call("cmd__toggle-subscriber-updates", json!({}))
        .await;
    three.end().await;
    assert_eq!(
        of_three.message().await,
        None,
        "it is subscribed to nothing"
    );
}

#[tokio::test]
async fn a_stateless_client_listens_to_a_command() {
    for (tenant, spec) in [
        ("listens-shared", example_command("cmd", &[])),
        ("listens-alone", with_sessions(example_command("cmd", &[]))),
    ] {
        let scene = Scene::of(tenant, spec).await;
        let alice = scene.stateless(&scene.alice);
        let wanted = json!({ "resourceSubscriptions": [WATCHED], "toolsListChanged": true });
        let listen = alice.build("subscriptions/listen", json!({ "notifications": wanted }));
        let mut stream = Stream::open(listen).await;
        let honoured = stream
            .method("notifications/subscriptions/acknowledged")
            .await;
        assert_eq!(honoured["params"]["notifications"], wanted, "{tenant}");
        touch(&alice).await;
        let updated = stream.method(UPDATED).await;
        assert_eq!(updated["params"]["uri"], WATCHED, "{tenant}");
    }
}

#[tokio::test]
async fn clients_of_either_kind_watch_resources_of_a_command_without_sessions() {
    let command = || example_command("cmd", &["--era", "stateless"]);
    let scene = Scene::of("watch-shared", command()).await;
    let (peer, mut pushed) = scene.session().await;
    subscribe(&peer, WATCHED).await;
    let alice = scene.stateless(&scene.alice);
    let wanted = json!({ "notifications": { "resourceSubscriptions": [WATCHED] } });
    let mut listening = Stream::open(alice.build("subscriptions/listen", wanted)).await;
    touch(&peer).await;
    let updated = pushed.method(UPDATED).await;
    assert_eq!(updated["params"], json!({ "uri": WATCHED }));
    let updated = listening.method(UPDATED).await;
    assert_eq!(updated["params"]["uri"], WATCHED);
    let unsubscribed = peer.request("resources/unsubscribe", json!({ "uri": WATCHED }));
    assert_eq!(unsubscribed.await.result(), json!({}));

    let scene = Scene::of("watch-alone", with_sessions(command())).await;
    let (peer, mut pushed) = scene.session().await;
    subscribe(&peer, WATCHED).await;
    let reply = peer.call("cmd__touch_resource", json!({ "uri": WATCHED }));
    // It comes in the reply of the call that is under way, unless that is over already.
    let updated = match reply.await.notified(UPDATED).pop() {
        Some(updated) => updated,
        None => pushed.method(UPDATED).await["params"].clone(),
    };
    assert_eq!(updated, json!({ "uri": WATCHED }));
}

#[tokio::test]
async fn clients_hear_that_a_command_has_changed_its_tools() {
    let scene = Scene::of("changing", example_command("cmd", &[])).await;
    let (peer, mut pushed) = scene.session().await;
    let before = peer.tools().await;
    assert!(!before.contains(&"cmd__test_dynamic_tool".to_owned()));
    peer.call("cmd__test_trigger_tool_change", json!({})).await;
    pushed.method("notifications/tools/list_changed").await;
    let after = peer.tools().await;
    assert!(
        after.contains(&"cmd__test_dynamic_tool".to_owned()),
        "{after:?}"
    );
    peer.call("cmd__test_trigger_tool_change", json!({})).await;
    pushed.method("notifications/tools/list_changed").await;
}

#[tokio::test]
async fn a_crash_is_the_crash_of_one_session_and_its_subscriptions_outlive_it() {
    let spec = with_sessions(example_command("cmd", &["--allow-crash"]));
    let scene = Scene::of("crash-apart", spec).await;
    let (one, _of_one) = scene.session().await;
    let (two, _of_two) = scene.session().await;
    let pids = [pid(&one).await, pid(&two).await];
    subscribe(&one, WATCHED).await;
    let (_, message) = one.call("cmd__crash", json!({})).await.error();
    assert!(message.contains("\"cmd\""), "{message}");
    assert_eq!(pid(&two).await, pids[1]);
    let again = pid(&one).await;
    assert!(!pids.contains(&again));
    wait::until("the subscription to be made again", || async {
        let reply = one
            .call("cmd__touch_resource", json!({ "uri": WATCHED }))
            .await;
        (!reply.notified(UPDATED).is_empty()).then_some(())
    })
    .await;
    let reply = two
        .call("cmd__touch_resource", json!({ "uri": WATCHED }))
        .await;
    assert_eq!(reply.messages().len(), 1, "{}", reply.shown());
}

#[tokio::test]
async fn no_more_sessions_have_a_process_than_the_operator_allows() {
    let gateway = Gateway::configured("limits:\n  session_processes_max: 1\n");
    let stage = Arc::new(Stage::on(gateway.await).await);
    let spec = with_sessions(example_command("cmd", &[]));
    let scene = Scene::on(stage, "bounded", spec).await;
    // A caller without sessions makes room for the next.
    let first = pid(&scene.stateless(&scene.bob)).await;
    let (one, _) = scene.session().await;
    let second = pid(&one).await;
    assert!(!process::runs(first));

    let (two, _) = scene.session().await;
    let refused = two.call("cmd__whoami", json!({})).await;
    assert_eq!(refused.status, 503, "{}", refused.shown());
    let (code, message) = refused.error();
    assert_eq!(
        (code, message.as_str()),
        (
            -32603,
            "The upstream \"cmd\" runs a process for each session, and 1 run already. End a session that is not needed, or try again later."
        )
    );
    let metrics = scene.stage.admin().metrics().await;
    let labels = [("tenant", "bounded"), ("outcome", "processes_full")];
    assert!(metrics.sum("portcullis_upstream_requests_total", &labels) >= 1.0);

    one.end().await;
    wait::until("room for another process", || async {
        let reply = two.call("cmd__whoami", json!({})).await;
        (reply.status == 200).then_some(())
    })
    .await;
    assert!(!process::runs(second));
    let era = Peer::connect(Era::Stateless, &scene.url, &scene.alice).await;
    assert_eq!(era.call("cmd__whoami", json!({})).await.status, 503);
}
