//! Plugins of bad will: whatever one tenant's plugin does, its callers get a typed refusal, and other tenants nothing.

use portcullis_tests::admin::binding;
use portcullis_tests::guests;
use portcullis_tests::load::Load;
use portcullis_tests::mcp::{Era, Peer};
use portcullis_tests::shared::Shared;
use portcullis_tests::stage::Stage;
use serde_json::{Value, json};

static STAGE: Shared<Stage> = Shared::new();

/// What a guest does, and what its failure is called.
const DEEDS: [(&str, &str, &str); 7] = [
    ("endless-loop", guests::LOOP, "deadline"),
    ("memory-bomb", guests::BOMB, "memory"),
    ("trap", guests::TRAP, "trap"),
    ("recursion", guests::RECURSION, "trap"),
    ("out-of-bounds", guests::OUT_OF_BOUNDS, "trap"),
    ("flood", guests::FLOOD, "output"),
    ("bad-pointer", guests::BAD_POINTER, "trap"),
];

/// The failure that a refusal names.
fn failure(reply: &portcullis_tests::mcp::Reply) -> String {
    assert_eq!(reply.refusal(), (503, -32050), "{}", reply.shown());
    reply.json()["error"]["data"]["failure"]
        .as_str()
        .expect("the failure")
        .to_owned()
}

#[tokio::test]
async fn every_misdeed_is_refused_by_its_name_while_others_are_served() {
    let stage = STAGE.get(Stage::set).await;
    let admin = stage.admin();
    let (tenant, key) = stage.guest_tenant("misdeeds").await;
    let load = Load::start(4, &stage.url(), &stage.alice, "demo__echo").await;
    let mut seen = Vec::new();
    for (name, deed, label) in DEEDS {
        let guest = admin.admit(guests::admitter(name, deed)).await;
        let bound = match label {
            // With the deadline that a binding has when it names none.
            "deadline" => json!({ "plugin": guest }),
            _ => binding(&guest, &[], json!({})),
        };
        stage.chain(&tenant, &[bound]).await;
        let peer = Peer::stateless(&stage.gateway.mcp("misdeeds-tools"), &key);
        seen.push((
            name,
            failure(&peer.call("demo__echo", json!({ "message": "x" })).await),
        ));
        load.answers(20).await;
    }
    let want: Vec<_> = DEEDS
        .iter()
        .map(|(name, _, label)| (*name, (*label).to_owned()))
        .collect();
    assert_eq!(seen, want);
    let tally = load.end().await;
    assert_eq!(
        (tally.answered, tally.failures.as_slice()),
        (tally.sent, [].as_slice()),
        "the other tenant noticed"
    );
    let metrics = admin.metrics().await;
    for (name, _, label) in DEEDS {
        let labels = [
            ("tenant", "misdeeds"),
            ("plugin", name),
            ("hook", "admit"),
            ("outcome", label),
        ];
        assert!(
            metrics.sum("portcullis_hook_outcomes_total", &labels) >= 1.0,
            "{name} is not counted as {label}"
        );
    }
}

#[tokio::test]
async fn a_plugin_that_keeps_failing_is_quarantined_and_its_successor_is_not() {
    let stage = STAGE.get(Stage::set).await;
    let admin = stage.admin();
    let (tenant, key) = stage.guest_tenant("quarantine").await;
    let guest = admin
        .admit(guests::admitter("keeps-failing", guests::TRAP))
        .await;
    stage
        .chain(&tenant, &[binding(&guest, &[], json!({}))])
        .await;
    let peer = Peer::stateless(&stage.gateway.mcp("quarantine-tools"), &key);
    let refused = portcullis_tests::wait::until("the quarantine", || async {
        let refused = peer.call("demo__echo", json!({ "message": "x" })).await;
        (failure(&refused) == "quarantined").then_some(refused)
    })
    .await;
    assert!(
        refused.header("retry-after").is_some(),
        "{}",
        refused.shown()
    );
    let harmless = admin
        .admit(guests::admitter("harmless", guests::HARMLESS))
        .await;
    stage
        .chain(&tenant, &[binding(&harmless, &[], json!({}))])
        .await;
    assert_eq!(
        peer.call("demo__echo", json!({ "message": "x" }))
            .await
            .text_content(),
        "x"
    );
}

#[tokio::test]
async fn a_binding_may_say_that_a_failure_lets_messages_through() {
    let stage = STAGE.get(Stage::set).await;
    let (tenant, key) = stage.guest_tenant("fail-open").await;
    let guest = stage
        .admin()
        .admit(guests::admitter("fails-open", guests::TRAP))
        .await;
    let open = json!({ "plugin": guest, "on_failure": "open" });
    stage.chain(&tenant, &[open]).await;
    let peer = Peer::connect(Era::Session, &stage.gateway.mcp("fail-open-tools"), &key).await;
    assert_eq!(
        peer.call("demo__echo", json!({ "message": "x" }))
            .await
            .text_content(),
        "x"
    );
}

#[tokio::test]
async fn both_classes_of_instances_start_clean_after_a_failure() {
    let stage = STAGE.get(Stage::set).await;
    let (tenant, key) = stage.guest_tenant("classes").await;
    // It fails at every second call of one instance; an instance that has failed must not be used again.
    let every_second = "
        (i32.store (i32.const 512) (i32.add (i32.load (i32.const 512)) (i32.const 1)))
        (if (i32.ge_u (i32.load (i32.const 512)) (i32.const 2)) (then (unreachable)))";
    let guest = stage
        .admin()
        .admit(guests::admitter("every-second", every_second))
        .await;
    let peer = Peer::stateless(&stage.gateway.mcp("classes-tools"), &key);
    let cases = [
        ("fresh", vec![true; 4]),
        ("warm", vec![true, false, true, false]),
    ];
    for (class, want) in cases {
        stage
            .chain(&tenant, &[json!({ "plugin": guest, "instances": class })])
            .await;
        let mut seen = Vec::new();
        for _ in 0..4 {
            seen.push(peer.request("server/discover", json!({})).await.status == 200);
        }
        assert_eq!(seen, want, "{class}");
    }
}

#[tokio::test]
async fn a_guest_that_does_not_start_never_becomes_a_policy() {
    let stage = STAGE.get(Stage::set).await;
    let admin = stage.admin();
    let (tenant, key) = stage.guest_tenant("admission").await;
    let before = admin.get(&tenant.path("/policies")).await;
    for (name, deed) in [
        ("loops-at-start", guests::LOOP),
        ("traps-at-start", guests::TRAP),
        ("swells-at-start", guests::BOMB),
    ] {
        let guest = admin.admit(guests::configured(name, deed)).await;
        let refused = tenant
            .try_chain(&[stage.by_key(), binding(&guest, &[], json!({}))])
            .await;
        assert_eq!(
            (refused.status, &refused.json()["pointer"]),
            (422, &json!("/bindings/1/plugin")),
            "{name}: {}",
            refused.shown()
        );
    }
    let after = admin.get(&tenant.path("/policies")).await;
    assert_eq!(
        (before.json(), before.header("etag")),
        (after.json(), after.header("etag"))
    );
    let peer = Peer::stateless(&stage.gateway.mcp("admission-tools"), &key);
    assert_eq!(
        peer.call("demo__add", json!({ "a": 1, "b": 2 }))
            .await
            .text_content(),
        "3",
        "the old chain serves on"
    );
}

#[tokio::test]
async fn limits_of_a_binding_are_its_own() {
    let stage = STAGE.get(Stage::set).await;
    let (tenant, key) = stage.guest_tenant("limits").await;
    // Takes 4 MiB, which is well within the default.
    let takes = "(if (i32.lt_s (memory.grow (i32.const 64)) (i32.const 0)) (then (unreachable)))";
    let guest = stage
        .admin()
        .admit(guests::admitter("takes-memory", takes))
        .await;
    let peer = Peer::stateless(&stage.gateway.mcp("limits-tools"), &key);
    for (limits, want) in [
        (json!({}), 200),
        (json!({ "memory_bytes_max": 1 << 20 }), 503),
    ] {
        let bound: Value = json!({ "plugin": guest, "limits": limits, "instances": "fresh" });
        stage.chain(&tenant, &[bound]).await;
        assert_eq!(
            peer.request("server/discover", json!({})).await.status,
            want,
            "{limits}"
        );
    }
}
