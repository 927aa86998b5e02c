//! Plugins of bad will: whatever one tenant's plugin does, its callers get a typed refusal, and other tenants nothing.

use portcullis_tests::admin::binding;
use portcullis_tests::gateway::Gateway;
use portcullis_tests::guests;
use portcullis_tests::hostile::{self, End, Guest, Stand};
use portcullis_tests::load::Load;
use portcullis_tests::mcp::{Era, Peer};
use portcullis_tests::shared::Shared;
use portcullis_tests::stage::Stage;
use portcullis_tests::wait;
use serde_json::{Value, json};

static STAGE: Shared<Stage> = Shared::new();

/// The failure that a refusal names.
fn failure(reply: &portcullis_tests::mcp::Reply) -> String {
    assert_eq!(reply.refusal(), (503, -32050), "{}", reply.shown());
    reply.json()["error"]["data"]["failure"]
        .as_str()
        .expect("the failure")
        .to_owned()
}

/// Guests that another tenant's traffic is watched beside, before it is counted.
const AT_A_TIME: usize = 8;
/// What a gateway may have grown by when every guest came and went once more, and how often they do.
const GROWTH_MAX: f64 = 1.05;
const PASSES_MAX: usize = 4;

#[tokio::test]
async fn every_guest_of_the_corpus_ends_where_it_must_and_leaves_nothing_behind() {
    let gateway = Gateway::configured(hostile::SETTINGS).await;
    let mut stage = Stage::on(gateway).await;
    let corpus = hostile::corpus();
    for guests in corpus.chunks(AT_A_TIME) {
        meet(&stage, guests).await;
    }
    // What the allocator keeps of large blocks it keeps for good, for each thread that had some: a leak grows on and on.
    let mut grown = Vec::new();
    for _ in 0..PASSES_MAX {
        let before = stage.gateway.process().memory_bytes();
        for guest in corpus.iter().filter(|guest| !guest.is_bomb()) {
            let mut stand = Stand::set(&stage, guest).await;
            stand.meet().await;
            stand.clear().await;
        }
        let after = stage.gateway.process().memory_bytes();
        if (after as f64) < before as f64 * GROWTH_MAX {
            return;
        }
        grown.push((before, after));
    }
    panic!("the gateway grows with every pass: {grown:?}");
}

/// Lets some guests loose, one after the other, beside the traffic of another tenant.
async fn meet(stage: &Stage, guests: &[Guest]) {
    let load = Load::start(2, &stage.url(), &stage.alice, "demo__echo").await;
    let (mut seen, mut want) = (Vec::new(), Vec::new());
    for guest in guests {
        let mut stand = Stand::set(stage, guest).await;
        let outcome = stand.meet().await;
        if let End::Call(label) = guest.end {
            is_counted(stage, guest, label).await;
        }
        stand.clear().await;
        seen.push((guest.name, outcome.actual));
        want.push((guest.name, guest.end.to_string()));
        load.answers(2).await;
    }
    let tally = load.end().await;
    assert_eq!(seen, want);
    assert_eq!(
        (tally.answered, tally.failures.as_slice()),
        (tally.sent, [].as_slice()),
        "the other tenant noticed"
    );
}

/// The failure is in the metrics, under its own label.
async fn is_counted(stage: &Stage, guest: &Guest, label: &str) {
    let metrics = stage.admin().metrics().await;
    let labels = [
        ("tenant", guest.name),
        ("plugin", guest.name),
        ("outcome", label),
    ];
    assert!(
        metrics.sum("portcullis_hook_outcomes_total", &labels) >= 1.0,
        "{} is not counted as {label}",
        guest.name
    );
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
    let refused = wait::until("the quarantine", || async {
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
