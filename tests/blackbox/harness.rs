//! The harness itself, without a gateway: what a test leans on must hold.

use portcullis_tests::fakes::{self, Fake};
use portcullis_tests::guests;
use portcullis_tests::mcp::{Era, Peer};
use portcullis_tests::upstreams::Upstream;
use serde_json::json;

#[tokio::test]
async fn clients_of_both_eras_reach_the_demo_server_directly() {
    let upstream = Upstream::example("direct").await;
    for era in [Era::Session, Era::Stateless] {
        let peer = Peer::connect(era, upstream.url(), "no-one").await;
        assert!(peer.tools().await.contains(&"echo".to_owned()), "{era:?}");
        assert_eq!(
            peer.call("add", json!({ "a": 2, "b": 40 }))
                .await
                .text_content(),
            "42",
            "{era:?}"
        );
    }
}

#[tokio::test]
async fn a_fake_answers_by_its_rule_and_keeps_what_it_was_asked() {
    let fake = Fake::start(fakes::server(&["greet"], |asked| {
        fakes::says(asked, "hello")
    }))
    .await;
    let wire = portcullis_tests::mcp::Wire::new(fake.url(), "key");
    let call =
        json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": { "name": "greet" } });
    assert_eq!(
        wire.send(call.to_string(), &[]).await.text_content(),
        "hello"
    );
    assert_eq!(fake.asked()[0].header("authorization"), Some("Bearer key"));
}

#[test]
fn hostile_guests_are_components() {
    for deed in [
        guests::HARMLESS,
        guests::LOOP,
        guests::BOMB,
        guests::TRAP,
        guests::RECURSION,
        guests::FLOOD,
    ] {
        let component = guests::admitter("hostile", deed);
        assert_eq!(&component[..8], b"\0asm\x0d\0\x01\0", "{deed}");
    }
    assert_eq!(&guests::core_module()[..8], b"\0asm\x01\0\0\0");
    assert_eq!(
        &guests::wants_files()[..8],
        &guests::of_another_world()[..8]
    );
}
