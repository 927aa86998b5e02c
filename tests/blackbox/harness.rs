//! The harness itself, without a gateway: what a test leans on must hold.

use portcullis_tests::fakes::{self, Fake};
use portcullis_tests::forwarder::Forwarder;
use portcullis_tests::mcp::{Era, Peer, initialize};
use portcullis_tests::upstreams::Upstream;
use portcullis_tests::{guests, wait};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

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
async fn a_demo_server_of_one_era_refuses_the_other() {
    let tools = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {} });
    for (era, flag) in [(Era::Session, "session"), (Era::Stateless, "stateless")] {
        let upstream = Upstream::example_with(flag, &["--era", flag]).await;
        let own = Peer::connect(era, upstream.url(), "no-one").await;
        assert!(own.tools().await.contains(&"echo".to_owned()), "{flag}");

        let refused = match era {
            Era::Session => {
                let other = Peer::stateless(upstream.url(), "no-one");
                other.request("tools/list", json!({})).await
            }
            Era::Stateless => own.wire.send(initialize().to_string(), &[]).await,
        };
        assert_eq!(refused.error().0, -32022, "{flag}: {}", refused.shown());
        let neither = own.wire.send(tools.to_string(), &[]).await;
        assert!(
            !neither.shown().contains("echo"),
            "{flag}: {}",
            neither.shown()
        );
    }
}

#[tokio::test]
async fn a_stream_is_read_while_it_goes_on_and_what_is_asked_in_it_is_answered() {
    let upstream = Upstream::example("asking").await;
    let peer = Peer::session_with(upstream.url(), "no-one", json!({ "sampling": {} })).await;
    let mut reply = peer
        .open_call("test_sampling", json!({ "prompt": "Which colour?" }))
        .await;
    let question = reply.method("sampling/createMessage").await;
    let said = json!({ "role": "assistant", "model": "m", "content": { "type": "text", "text": "Teal." } });
    peer.answer(&question, said).await;
    let response = reply.response().await;
    assert_eq!(
        response["result"]["content"][0]["text"],
        "LLM response: Teal."
    );
    assert_eq!(reply.message().await, None);
    assert_eq!(reply.seen(), [question, response]);

    let uri = json!({ "uri": "test://watched-resource" });
    let mut pushed = peer.listen().await;
    let subscribed = peer.request("resources/subscribe", uri.clone()).await;
    assert_eq!(subscribed.result(), json!({}));
    peer.call("touch_resource", uri.clone()).await;
    let updated = pushed.method("notifications/resources/updated").await;
    assert_eq!(updated["params"], uri);
    assert!(pushed.last_event_id().is_some());
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

/// What arrives next on a connection, up to this ending.
async fn read_to(stream: &mut TcpStream, ending: &str) -> String {
    let mut read = String::new();
    wait::at_most("a connection", async {
        while !read.ends_with(ending) {
            read.push(char::from(stream.read_u8().await.expect("more of it")));
        }
    })
    .await;
    read
}

#[tokio::test]
async fn a_forwarder_adds_a_token_and_changes_nothing_else() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let forwarder = Forwarder::start(listener.local_addr().unwrap(), "secret").await;
    let address = forwarder.url().replace("http://", "");
    let mut client = TcpStream::connect(&address).await.expect("the forwarder");
    let requests = [
        (
            "POST /mcp HTTP/1.1",
            "Host: evil.example\r\nOrigin: null\r\nContent-Length: 3\r\n\r\n",
            "a\r\n",
        ),
        (
            "GET /mcp HTTP/1.1",
            "host: x\r\nX-Twice: 1\r\nX-Twice: 2\r\n\r\n",
            "",
        ),
    ];
    // Both at once: where one ends is told by its length.
    for (line, rest, body) in requests {
        client
            .write_all(format!("{line}\r\n{rest}{body}").as_bytes())
            .await
            .unwrap();
    }
    let (mut server, _) = wait::at_most("a connection", listener.accept())
        .await
        .unwrap();
    for (line, rest, body) in requests {
        let want = format!("{line}\r\nauthorization: Bearer secret\r\n{rest}{body}");
        assert_eq!(read_to(&mut server, &format!("{rest}{body}")).await, want);
    }
    // Each part of a reply arrives before the next is sent.
    for part in ["HTTP/1.1 200 OK\r\n\r\n", "data: 1\n\n", "data: 2\n\n"] {
        server.write_all(part.as_bytes()).await.unwrap();
        assert_eq!(read_to(&mut client, part).await, part);
    }
    drop(client);
    let end = wait::at_most("the end", server.read_u8()).await;
    assert!(end.is_err(), "a client that leaves is missed: {end:?}");
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
        &guests::wants_sockets()[..8],
        &guests::of_another_world()[..8]
    );
}
