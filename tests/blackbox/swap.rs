//! Hot swaps: a tenant's chain is replaced while traffic flows, and nobody notices but by what the new one says.

use portcullis_tests::admin::binding;
use portcullis_tests::fakes::{self, Answer, Fake, Gate};
use portcullis_tests::guests;
use portcullis_tests::load::Load;
use portcullis_tests::mcp::{Era, Peer};
use portcullis_tests::shared::Shared;
use portcullis_tests::stage::Stage;
use serde_json::{Value, json};

static STAGE: Shared<Stage> = Shared::new();

const CLIENTS: usize = 8;
const SWAPS: usize = 20;
/// Answers between two swaps: each client has met every generation, more or less.
const ANSWERS: u64 = 24;

/// A limit that traffic does not reach.
fn wide(rate: u32) -> Value {
    json!({ "limits": [{ "name": "calls", "key": ["subject"], "rate": rate, "period_ms": 1_000 }] })
}

#[tokio::test]
async fn no_call_fails_or_is_lost_while_chains_are_swapped() {
    let stage = STAGE.get(Stage::set).await;
    let admin = stage.admin();
    let (tenant, alice) = stage.guest_tenant("swapped").await;
    let (rate_limit, access, redact) = (
        admin.push("rate-limit").await,
        admin.push("access-control").await,
        admin.push("redact").await,
    );
    let harmless = admin
        .admit(guests::admitter("in-between", guests::HARMLESS))
        .await;
    let chains = [
        vec![binding(&rate_limit, &["quota"], wide(1_000_000))],
        vec![
            binding(&access, &[], json!({ "default": "allow" })),
            binding(&redact, &[], json!({})),
        ],
        vec![
            binding(&harmless, &[], json!({})),
            binding(&rate_limit, &["quota"], wide(2_000_000)),
        ],
        vec![],
    ];
    let load = Load::start(
        CLIENTS,
        &stage.gateway.mcp("swapped-tools"),
        &alice,
        "demo__echo",
    )
    .await;
    for swap in 0..SWAPS {
        load.answers(ANSWERS).await;
        stage.chain(&tenant, &chains[swap % chains.len()]).await;
        // A chain that cannot be served changes nothing.
        let refused = tenant
            .try_chain(&[binding(&rate_limit, &["quota"], json!({ "limits": [] }))])
            .await;
        assert_eq!(refused.status, 422, "{}", refused.shown());
    }
    load.answers(ANSWERS).await;
    let tally = load.end().await;
    assert_eq!(
        (tally.answered, tally.failures.as_slice()),
        (tally.sent, [].as_slice())
    );
    assert!(tally.sent >= ANSWERS * SWAPS as u64);
}

#[tokio::test]
async fn upstreams_and_servers_are_changed_under_traffic_too() {
    let stage = STAGE.get(Stage::set).await;
    let (tenant, alice) = stage.guest_tenant("rebuilt").await;
    let load = Load::start(
        CLIENTS,
        &stage.gateway.mcp("rebuilt-tools"),
        &alice,
        "demo__echo",
    )
    .await;
    for change in 0..6 {
        load.answers(ANSWERS).await;
        tenant
            .upstream(
                "spare",
                json!({ "url": stage.upstream.url(), "labels": { "change": change.to_string() } }),
            )
            .await;
        tenant
            .server(
                "rebuilt-tools",
                if change % 2 == 0 {
                    &["demo", "spare"]
                } else {
                    &["demo"]
                },
            )
            .await;
        tenant.key(&format!("caller-{change}")).await;
    }
    load.answers(ANSWERS).await;
    let tally = load.end().await;
    assert_eq!(
        (tally.answered, tally.failures.as_slice()),
        (tally.sent, [].as_slice())
    );
}

#[tokio::test]
async fn rate_limit_counters_carry_over() {
    let stage = STAGE.get(Stage::set).await;
    let admin = stage.admin();
    let (tenant, alice) = stage.guest_tenant("counted").await;
    let (rate_limit, access) = (
        admin.push("rate-limit").await,
        admin.push("access-control").await,
    );
    let limit = binding(
        &rate_limit,
        &["quota"],
        json!({ "limits": [{ "name": "calls", "key": ["subject"], "rate": 3, "period_ms": 3_600_000 }] }),
    );
    let open = binding(&access, &[], json!({ "default": "allow" }));
    let peer = Peer::connect(Era::Session, &stage.gateway.mcp("counted-tools"), &alice).await;
    let mut seen = Vec::new();
    for chain in [
        vec![limit.clone()],
        vec![open.clone(), limit.clone()],
        vec![limit.clone(), open.clone()],
        vec![open],
        vec![limit],
    ] {
        stage.chain(&tenant, &chain).await;
        seen.push(
            peer.call("demo__echo", json!({ "message": "x" }))
                .await
                .status,
        );
    }
    assert_eq!(
        seen,
        [200, 200, 200, 200, 429],
        "the fourth chain counts nothing; the fifth counts on"
    );
}

#[tokio::test]
async fn a_call_in_flight_ends_on_the_chain_it_began_with() {
    let stage = STAGE.get(Stage::set).await;
    let admin = stage.admin();
    let (tenant, alice) = stage.guest_tenant("in-flight").await;
    let redact = admin.push("redact").await;
    let mask = binding(
        &redact,
        &[],
        json!({ "custom": [{ "name": "word", "literal": "hello" }] }),
    );
    stage.chain(&tenant, &[mask]).await;
    let gate = Gate::closed();
    let held = gate.clone();
    let fake = Fake::start(fakes::server(&["greet"], move |asked| {
        Answer::After(held.clone(), Box::new(fakes::says(asked, "hello")))
    }))
    .await;
    tenant.upstream("fake", fake.spec()).await;
    tenant.server("in-flight-fake", &["fake"]).await;
    let peer = Peer::stateless(&stage.gateway.mcp("in-flight-fake"), &alice);
    let call = peer.begin_call("fake__greet", json!({}));
    fake.is_called().await;
    stage.chain(&tenant, &[]).await;
    gate.open();
    assert_eq!(call.reply().await.text_content(), "[redacted:word]");
    assert_eq!(
        peer.call("fake__greet", json!({})).await.text_content(),
        "hello",
        "later calls meet the new chain"
    );
}

#[tokio::test]
async fn of_two_changes_to_one_revision_one_is_told_to_look_again() {
    let stage = STAGE.get(Stage::set).await;
    let admin = stage.admin();
    let (tenant, _) = stage.guest_tenant("raced").await;
    let seen = admin.get(&tenant.path("/policies")).await;
    let tag = seen.header("etag").expect("a revision").to_owned();
    let chain = json!({ "bindings": [stage.by_key()] });
    let put = || {
        let request = admin
            .request(reqwest::Method::PUT, &tenant.path("/policies"))
            .header("if-match", &tag)
            .json(&chain);
        portcullis_tests::show::Answer::of(request)
    };
    let (one, other) = tokio::join!(put(), put());
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412], "{} {}", one.shown(), other.shown());
}
