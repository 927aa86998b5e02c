//! The end, of a gateway and of the commands that it started: orderly, and leaving nothing behind.

use portcullis_tests::admin::http;
use portcullis_tests::fakes::{self, Answer, Fake, Gate};
use portcullis_tests::mcp::{Era, Peer};
use portcullis_tests::stage::{SERVER, Stage};
use portcullis_tests::upstreams::example_command;
use portcullis_tests::{process, wait};
use serde_json::json;

use super::STAGE;

#[tokio::test]
async fn stopping_lets_calls_in_flight_end() {
    let mut stage = Stage::set().await;
    let gate = Gate::closed();
    let held = gate.clone();
    let fake = Fake::start(fakes::server(&["greet"], move |asked| {
        Answer::After(held.clone(), Box::new(fakes::says(asked, "hello")))
    }))
    .await;
    let tenant = stage.tenant();
    tenant.upstream("fake", fake.spec()).await;
    tenant.upstream("cmd", example_command("cmd", &[])).await;
    tenant.server(SERVER, &["fake", "cmd"]).await;
    let peer = stage.alice(Era::Session).await;
    let who = peer.call("cmd__whoami", json!({})).await.result();
    let child = u32::try_from(
        who["structuredContent"]["pid"]
            .as_u64()
            .expect("a process id"),
    )
    .expect("a process id");
    assert!(process::runs(child));
    let call = peer.begin_call("fake__greet", json!({}));
    fake.is_called().await;

    stage.gateway.process().signal("TERM");
    let url = stage.gateway.url().to_owned();
    wait::until("new connections to be refused", || async {
        // A client of its own, so that the connection is a new one.
        http()
            .get(format!("{url}/health/ready"))
            .send()
            .await
            .err()
            .map(|_| ())
    })
    .await;
    assert!(
        stage.gateway.process().ended().is_none(),
        "it waits for the call"
    );
    gate.open();
    assert_eq!(call.reply().await.text_content(), "hello");
    let status = stage.gateway.process().end().await;
    assert!(status.success(), "{status}");
    wait::so("the end of the command", || !process::runs(child)).await;
    assert!(
        !stage.gateway.data_dir().join("ready.json").exists(),
        "nothing is ready any more"
    );
}

#[tokio::test]
async fn commands_end_with_their_upstream() {
    let stage = STAGE.get(Stage::set).await;
    let (tenant, alice) = stage.guest_tenant("leaks").await;
    let peer = Peer::stateless(&stage.gateway.mcp("leaks-cmd"), &alice);
    let mut children = Vec::new();
    for round in 0..3 {
        let mut spec = example_command("cmd", &[]);
        spec["labels"] = json!({ "round": round.to_string() });
        tenant.upstream("cmd", spec).await;
        tenant.server("leaks-cmd", &["cmd"]).await;
        let who = peer.call("cmd__whoami", json!({})).await.result();
        children.push(
            u32::try_from(
                who["structuredContent"]["pid"]
                    .as_u64()
                    .expect("a process id"),
            )
            .expect("a process id"),
        );
    }
    stage
        .admin()
        .delete(&tenant.path("/servers/leaks-cmd"))
        .await
        .ok();
    stage
        .admin()
        .delete(&tenant.path("/upstreams/cmd"))
        .await
        .ok();
    for child in children {
        wait::so("the end of a command that nobody uses", || {
            !process::runs(child)
        })
        .await;
    }
    assert_eq!(
        stage
            .alice(Era::Stateless)
            .await
            .call("demo__add", json!({ "a": 1, "b": 2 }))
            .await
            .text_content(),
        "3"
    );
}
