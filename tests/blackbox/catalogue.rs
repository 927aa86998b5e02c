//! What a server offers while its upstreams are slow, dead, or come and go.

use portcullis_tests::fakes::{self, Answer, Asked, Fake, Gate};
use portcullis_tests::gateway::Gateway;
use portcullis_tests::mcp::{Era, Peer};
use portcullis_tests::shared::Shared;
use portcullis_tests::stage::Stage;
use portcullis_tests::upstreams::{Upstream, free_port};
use portcullis_tests::wait;
use serde_json::json;

/// A gateway that asks often, waits shortly and forgets soon.
static STAGE: Shared<Stage> = Shared::new();

const ERAS: [Era; 2] = [Era::Session, Era::Stateless];

async fn stage() -> Stage {
    let settings = "catalogue:\n  refresh_s: 1\n  wait_ms: 50\n  grace_s: 1\n";
    Stage::on(Gateway::configured(settings).await).await
}

/// An upstream with one tool, which says nothing of it before the gate opens.
async fn slow(gate: &Gate) -> Fake {
    let gate = gate.clone();
    let rule = fakes::server(&["greet"], |asked| fakes::says(asked, "hello"));
    let is_list = |asked: &Asked| asked.message["method"] == "tools/list";
    Fake::start(move |asked| match is_list(asked) {
        true => Answer::After(gate.clone(), Box::new(rule(asked))),
        false => rule(asked),
    })
    .await
}

fn mount_names(tools: &[String]) -> Vec<&str> {
    let mut names: Vec<_> = tools
        .iter()
        .filter_map(|tool| tool.split("__").next())
        .collect();
    names.dedup();
    names
}

#[tokio::test]
async fn a_slow_upstream_holds_nobody_up_and_is_listed_when_it_comes() {
    let stage = STAGE.get(stage).await;
    for (era, name) in ERAS.into_iter().zip(["slow-session", "slow-stateless"]) {
        let gate = Gate::closed();
        let slow = slow(&gate).await;
        let (tenant, key) = stage.guest_tenant(name).await;
        tenant.upstream("slow", slow.spec()).await;
        let server = format!("{name}-both");
        tenant.server(&server, &["slow", "demo"]).await;
        let peer = Peer::connect(era, &stage.gateway.mcp(&server), &key).await;
        // Asked for what is not there yet, and for what is.
        let early = peer.begin_call("slow__greet", json!({}));
        let sum = peer.call("demo__add", json!({ "a": 1, "b": 2 })).await;
        assert_eq!(sum.text_content(), "3", "{era:?}");
        let tools = peer.tools().await;
        assert_eq!(mount_names(&tools), ["demo"], "{era:?}");
        assert_eq!(peer.tools().await, tools, "{era:?}");
        gate.open();
        assert_eq!(early.reply().await.text_content(), "hello", "{era:?}");
        let tools = peer.tools().await;
        assert_eq!(mount_names(&tools), ["demo", "slow"], "{era:?}");
    }
}

#[tokio::test]
async fn nothing_is_known_before_the_first_upstream_answers() {
    let stage = STAGE.get(stage).await;
    let gate = Gate::closed();
    let slow = slow(&gate).await;
    let (tenant, key) = stage.guest_tenant("patient").await;
    let dead = json!({ "url": format!("http://127.0.0.1:{}/mcp", free_port()) });
    tenant.upstream("slow", slow.spec()).await;
    tenant.upstream("dead", dead).await;
    tenant.server("patient-both", &["dead", "slow"]).await;
    let peer = Peer::stateless(&stage.gateway.mcp("patient-both"), &key);
    let opening = async {
        wait::so("the question", || {
            let asked = slow.asked();
            asked
                .iter()
                .any(|asked| asked.message["method"] == "tools/list")
        })
        .await;
        gate.open();
    };
    let (tools, ()) = tokio::join!(peer.tools(), opening);
    assert_eq!(tools, ["slow__greet"]);
    let (code, message) = peer.call("dead__greet", json!({})).await.error();
    assert_eq!(code, -32602, "{message}");
}

#[tokio::test]
async fn an_upstream_that_is_gone_takes_only_its_own_tools_along_and_brings_them_back() {
    let stage = STAGE.get(stage).await;
    let mut upstream = Upstream::example("comes-and-goes").await;
    let address = upstream
        .url()
        .trim_start_matches("http://")
        .trim_end_matches("/mcp")
        .to_owned();
    let (tenant, key) = stage.guest_tenant("gone").await;
    tenant.upstream("guest", upstream.spec()).await;
    tenant.server("gone-both", &["guest", "demo"]).await;
    let peer = Peer::stateless(&stage.gateway.mcp("gone-both"), &key);
    let before = peer.tools().await;
    assert_eq!(mount_names(&before), ["demo", "guest"]);
    upstream.process().signal("TERM");
    upstream.process().end().await;
    wait::until("its tools to go", || async {
        let tools = peer.tools().await;
        let demo = tools.iter().filter(|tool| tool.starts_with("demo__"));
        let all = before.iter().filter(|tool| tool.starts_with("demo__"));
        assert_eq!(demo.collect::<Vec<_>>(), all.collect::<Vec<_>>());
        (mount_names(&tools) == ["demo"]).then_some(())
    })
    .await;
    assert_eq!(peer.call("guest__echo", json!({})).await.error().0, -32602);
    let _again = Upstream::example_with("comes-and-goes", &["--listen", &address]).await;
    wait::until("its tools to come back", || async {
        (peer.tools().await == before).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_upstream_that_is_gone_for_a_while_keeps_its_tools() {
    let settings = "catalogue:\n  refresh_s: 1\n  grace_s: 3600\n";
    let stage = Stage::on(Gateway::configured(settings).await).await;
    let mut upstream = Upstream::example("away").await;
    let (tenant, key) = stage.guest_tenant("away").await;
    tenant.upstream("away", upstream.spec()).await;
    tenant.server("away-both", &["away", "demo"]).await;
    let peer = Peer::stateless(&stage.gateway.mcp("away-both"), &key);
    let before = peer.tools().await;
    upstream.process().signal("TERM");
    upstream.process().end().await;
    wait::until("the gateway to notice", || async {
        assert_eq!(peer.tools().await, before);
        let noticed = |line: &serde_json::Value| {
            line["message"] == "an upstream did not list what it offers" && line["mount"] == "away"
        };
        stage.gateway.log().iter().any(noticed).then_some(())
    })
    .await;
    assert_eq!(peer.tools().await, before);
}

#[tokio::test]
async fn upstreams_that_stay_are_not_asked_again_when_another_is_added() {
    let stage = Stage::set().await;
    let fake = Fake::start(fakes::server(&["greet"], |asked| {
        fakes::says(asked, "hello")
    }))
    .await;
    let (tenant, key) = stage.guest_tenant("staying").await;
    tenant.upstream("fake", fake.spec()).await;
    tenant.server("staying-tools", &["fake"]).await;
    let peer = Peer::stateless(&stage.gateway.mcp("staying-tools"), &key);
    assert_eq!(peer.tools().await, ["fake__greet"]);
    for mounts in [&["demo", "fake"][..], &["fake", "demo"], &["fake"]] {
        tenant.server("staying-tools", mounts).await;
        let tools = peer.tools().await;
        assert_eq!(mount_names(&tools).len(), mounts.len(), "{mounts:?}");
        assert!(tools.contains(&"fake__greet".to_owned()), "{mounts:?}");
        let said = peer.call("fake__greet", json!({})).await;
        assert_eq!(said.text_content(), "hello", "{mounts:?}");
    }
    let asked = fake.asked();
    let lists = asked
        .iter()
        .filter(|asked| asked.message["method"] == "tools/list");
    assert_eq!(lists.count(), 1);
}
