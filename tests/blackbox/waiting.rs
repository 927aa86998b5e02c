//! Plugins that wait: for a policy decision point, and for files, in every hook.

mod everywhere;

use portcullis_tests::admin::Tenant;
use portcullis_tests::fakes::Gate;
use portcullis_tests::mcp::{Era, Peer};
use portcullis_tests::pdp::DecisionPoint;
use portcullis_tests::shared::Shared;
use portcullis_tests::show::{listing, redact};
use portcullis_tests::stage::Stage;
use portcullis_tests::wait;
use serde_json::{Value, json};

static STAGE: Shared<Stage> = Shared::new();

/// A binding of `policy-decision` that may reach this decision point, and nothing else.
async fn asking(stage: &Stage, point: &DecisionPoint, config: Value) -> Value {
    let plugin = stage.admin().push("policy-decision").await;
    let mut whole = json!({ "url": point.url(), "timeout_ms": 10_000 });
    whole
        .as_object_mut()
        .unwrap()
        .extend(config.as_object().unwrap().clone());
    let http = json!({ "hosts": [point.address()], "methods": ["POST"], "networks": ["loopback"], "timeout_ms": 10_000 });
    json!({ "plugin": plugin, "grants": [{ "http": http }], "config": whole, "limits": { "deadline_ms": 20_000 } })
}

async fn tenant(stage: &Stage, name: &str, rest: &[Value]) -> (Tenant, String, String) {
    let (tenant, key) = stage.guest_tenant(name).await;
    stage.chain(&tenant, rest).await;
    let url = stage.gateway.mcp(&format!("{name}-tools"));
    (tenant, url, key)
}

#[tokio::test]
async fn a_decision_point_decides_and_its_decisions_are_remembered() {
    let shared = STAGE.get(Stage::set).await;
    let stage = &*shared;
    let point = DecisionPoint::start(|input| match input["target"].as_str()? {
        "demo__echo" => Some(json!(input["arguments"]["message"] != "forbidden")),
        "demo__stats" => None,
        _ => Some(json!({ "allow": false, "reason": format!("Not for {}.", input["identity"]["subject"].as_str()?) })),
    })
    .await;
    let binding = asking(stage, &point, json!({ "cache_ms": 3_600_000 })).await;
    let (_, url, key) = tenant(stage, "decided", &[binding]).await;
    for era in [Era::Session, Era::Stateless] {
        let peer = Peer::connect(era, &url, &key).await;
        let echo =
            async |message: &str| peer.call("demo__echo", json!({ "message": message })).await;
        assert_eq!(echo("x").await.text_content(), "x");
        assert_eq!(
            echo("forbidden").await.error(),
            (-32003, "This is not allowed.".to_owned())
        );
        let lookup = peer
            .call("demo__customer_lookup", json!({ "id": "C-1" }))
            .await;
        assert_eq!(lookup.error(), (-32003, "Not for alice.".to_owned()));
        let undefined = peer.call("demo__stats", json!({})).await;
        assert_eq!(undefined.refusal(), (403, -32003));
        assert!(!peer.tools().await.is_empty(), "only calls are asked about");
    }
    let asked = point.asked();
    assert_eq!(asked.len(), 4, "the second round was remembered: {asked:?}");
    assert_eq!(
        asked[0],
        json!({
            "from_upstream": false, "tenant": "decided", "server": "decided-tools", "method": "tools/call",
            "target": "demo__echo", "arguments": { "message": "x" },
            "identity": { "subject": "alice", "team": "search", "roles": ["admin"], "scopes": [] },
        })
    );
    let metrics = stage.admin().metrics().await;
    let labels = [("tenant", "decided"), ("binding", "policy-decision")];
    let sent = metrics.sum("portcullis_guest_http_requests_total", &labels);
    assert!((sent - 4.0).abs() < f64::EPSILON, "{sent}");
    let labels = [("tenant", "decided"), ("plugin", "policy-decision")];
    assert!(metrics.sum("portcullis_hook_outcomes_total", &labels) >= 8.0);
}

#[tokio::test]
async fn without_a_decision_nothing_passes_unless_the_configuration_says_so() {
    let shared = STAGE.get(Stage::set).await;
    let stage = &*shared;
    let gone = {
        let point = DecisionPoint::start(|_| Some(json!(true))).await;
        asking(stage, &point, json!({})).await
    };
    let mut unreachable = gone.clone();
    unreachable["grants"][0]["http"]["networks"] = json!([]);
    let mut lenient = gone.clone();
    lenient["config"]["on_error"] = json!("allow");
    for (name, binding, want, outcome) in [
        ("undecided", gone, 503, "unreachable"),
        ("not-granted", unreachable, 503, "denied"),
        ("lenient", lenient, 200, "unreachable"),
    ] {
        let (_, url, key) = tenant(stage, name, &[binding]).await;
        let reply = Peer::stateless(&url, &key)
            .call("demo__echo", json!({ "message": "x" }))
            .await;
        assert_eq!(reply.status, want, "{name}: {}", reply.shown());
        let labels = [("tenant", name), ("outcome", outcome)];
        let counted = stage.admin().metrics().await;
        assert!(
            counted.sum("portcullis_guest_http_requests_total", &labels) >= 1.0,
            "{name}"
        );
    }
}

#[tokio::test]
async fn who_waits_holds_up_nobody_else() {
    let shared = STAGE.get(Stage::set).await;
    let stage = &*shared;
    let gate = Gate::closed();
    let point = DecisionPoint::behind(&gate).await;
    let binding = asking(stage, &point, json!({ "cache_ms": 0 })).await;
    let (_, url, key) = tenant(stage, "waits", &[binding]).await;
    let peer = Peer::stateless(&url, &key);
    // More than the gateway has threads.
    let waiting: Vec<_> = (0..8)
        .map(|_| peer.begin_call("demo__echo", json!({ "message": "late" })))
        .collect();
    wait::until("the questions", || async {
        (point.asked().len() == 8).then_some(())
    })
    .await;
    let other = stage.alice(Era::Stateless).await;
    for _ in 0..8 {
        let reply = other.call("demo__echo", json!({ "message": "x" })).await;
        assert_eq!(reply.text_content(), "x", "another tenant's calls go on");
    }
    let unasked = peer.tools().await;
    assert!(
        !unasked.is_empty(),
        "so do the tenant's own that need no decision"
    );
    gate.open();
    for begun in waiting {
        assert_eq!(begun.reply().await.text_content(), "late");
    }
}

#[tokio::test]
async fn the_deadline_is_the_bindings_and_a_late_decision_is_none() {
    let shared = STAGE.get(Stage::set).await;
    let stage = &*shared;
    let gate = Gate::closed();
    let point = DecisionPoint::behind(&gate).await;
    let mut late = asking(stage, &point, json!({})).await;
    late["limits"]["deadline_ms"] = json!(100);
    let mut gives_up = asking(stage, &point, json!({ "timeout_ms": 100 })).await;
    gives_up["name"] = json!("gives-up");
    for (name, binding, want) in [("late", late, "deadline"), ("gives-up", gives_up, "denied")] {
        let (_, url, key) = tenant(stage, name, &[binding]).await;
        let reply = Peer::stateless(&url, &key)
            .call("demo__echo", json!({ "message": "x" }))
            .await;
        assert_eq!(reply.status, 503, "{name}: {}", reply.shown());
        let metrics = stage.admin().metrics().await;
        let labels = [("tenant", name), ("outcome", want)];
        assert!(
            metrics.sum("portcullis_hook_outcomes_total", &labels) >= 1.0,
            "{name}"
        );
    }
    gate.open();
}

#[tokio::test]
async fn the_upload_says_what_a_plugin_asks_for() {
    let shared = STAGE.get(Stage::set).await;
    let stage = &*shared;
    for (plugin, class, grants) in [
        ("policy-decision", "waiting", json!(["http"])),
        ("rate-limit", "fast", json!(["quota"])),
    ] {
        let name = stage.admin().push(plugin).await;
        let info = stage
            .admin()
            .get(&format!("/api/v1/plugins/{name}"))
            .await
            .ok();
        assert_eq!(
            (info["class"].as_str(), &info["grants"]),
            (Some(class), &grants)
        );
    }
}

#[tokio::test]
async fn grants_that_make_no_sense_are_refused() {
    let shared = STAGE.get(Stage::set).await;
    let stage = &*shared;
    let (tenant, _) = stage.guest_tenant("bad-grants").await;
    let plugin = stage.admin().push("policy-decision").await;
    let http = |http: Value| json!([{ "http": http }]);
    let deadline = |ms: u32| json!({ "deadline_ms": ms });
    let hosts = json!({ "hosts": ["pdp:8181"] });
    let mut shown = Vec::new();
    for (title, grants, limits) in [
        ("nothing", json!([]), json!({})),
        ("a name alone", json!(["http"]), json!({})),
        ("no host", http(json!({ "hosts": [] })), json!({})),
        (
            "no such host",
            http(json!({ "hosts": ["http://pdp"] })),
            json!({}),
        ),
        (
            "no such key",
            http(json!({ "hosts": ["pdp"], "ports": [1] })),
            json!({}),
        ),
        (
            "no such network",
            http(json!({ "hosts": ["pdp"], "networks": ["all"] })),
            json!({}),
        ),
        (
            "no method",
            http(json!({ "hosts": ["pdp"], "methods": ["A B"] })),
            json!({}),
        ),
        (
            "too long",
            http(json!({ "hosts": ["pdp"], "timeout_ms": 30_001 })),
            json!({}),
        ),
        (
            "twice",
            json!([{ "http": hosts }, { "http": hosts }]),
            json!({}),
        ),
        ("another form", json!([{ "sockets": {} }]), json!({})),
        (
            "a folder outside",
            json!([{ "http": hosts }, { "fs": { "folder": "../etc" } }]),
            json!({}),
        ),
        ("a deadline", http(hosts.clone()), deadline(30_001)),
    ] {
        let binding = json!({ "plugin": plugin, "grants": grants, "limits": limits, "config": { "url": "http://pdp:8181/" } });
        let answer = tenant.try_chain(&[stage.by_key(), binding]).await;
        shown.push((title, answer.shown()));
    }
    insta::assert_snapshot!(redact(&listing(&shown), &[]));
}
