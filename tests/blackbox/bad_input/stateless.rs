//! What a client without sessions can get wrong: `_meta`, capabilities that it did not declare, and state that is not its.

use portcullis_tests::mcp::{Peer, Reply, STATELESS_REVISION};
use portcullis_tests::show::Answer;
use portcullis_tests::stage::Stage;
use portcullis_tests::upstreams::Upstream;
use serde_json::{Value, json};

use super::{STAGE, set};

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// A request of a tool with this `_meta`, under headers that name this version.
async fn call(stage: &Stage, version: &str, meta: Value) -> Reply {
    let wire = Peer::stateless(&stage.url(), &stage.alice).wire;
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": "demo__echo", "arguments": { "message": "x" }, "_meta": meta } });
    let request = wire
        .post(body.to_string())
        .header("mcp-protocol-version", version)
        .header("mcp-method", "tools/call")
        .header("mcp-name", "demo__echo");
    Reply(Answer::of(request).await)
}

#[tokio::test]
async fn what_meta_must_say() {
    let stage = STAGE.get(set).await;
    let cases = [
        ("nothing", STATELESS_REVISION, json!({}), (400, -32602)),
        (
            "no version",
            STATELESS_REVISION,
            json!({ CAPABILITIES: {} }),
            (400, -32602),
        ),
        (
            "no capabilities",
            STATELESS_REVISION,
            json!({ VERSION: STATELESS_REVISION }),
            (400, -32602),
        ),
        (
            "an unknown version",
            "2031-01-01",
            json!({ VERSION: "2031-01-01", CAPABILITIES: {} }),
            (400, -32022),
        ),
        (
            "a version of sessions",
            STATELESS_REVISION,
            json!({ VERSION: "2025-11-25", CAPABILITIES: {} }),
            (400, -32020),
        ),
    ];
    for (title, version, meta, want) in cases {
        let refused = call(&stage, version, meta).await;
        assert_eq!(refused.refusal(), want, "{title}: {}", refused.shown());
        if want.1 == -32022 {
            let supported = &refused.json()["error"]["data"]["supported"];
            assert_eq!(supported[0], STATELESS_REVISION, "{}", refused.shown());
        }
    }
}

#[tokio::test]
async fn a_capability_that_was_not_declared_is_named() {
    let stage = STAGE.get(set).await;
    let upstream = Upstream::example_with("asks", &["--era", "session"]).await;
    let (tenant, alice) = stage.guest_tenant("bad-undeclared").await;
    tenant.upstream("asks", upstream.spec()).await;
    tenant.server("bad-undeclared-asks", &["asks"]).await;
    let peer = Peer::stateless(&stage.gateway.mcp("bad-undeclared-asks"), &alice);
    let ask = json!({ "name": "asks__test_sampling", "arguments": { "prompt": "?" } });
    let cases = [
        ("tools/call", ask, "sampling"),
        ("tasks/get", json!({ "taskId": "t" }), "extensions"),
    ];
    for (method, params, capability) in cases {
        let request = peer.build(method, params.clone());
        let request = match params["taskId"].as_str() {
            Some(id) => request.header("mcp-name", id),
            None => request,
        };
        let refused = Reply(Answer::of(request).await);
        assert_eq!(
            refused.refusal(),
            (400, -32021),
            "{method}: {}",
            refused.shown()
        );
        let required = &refused.json()["error"]["data"]["requiredCapabilities"];
        assert!(
            required[capability].is_object(),
            "{method}: {}",
            refused.shown()
        );
    }
}

#[tokio::test]
async fn state_opens_for_its_caller_and_its_request_alone() {
    let stage = STAGE.get(set).await;
    let upstream = Upstream::example_with("state", &["--era", "session"]).await;
    let (tenant, alice) = stage.guest_tenant("bad-state").await;
    let bob = tenant.key("bob").await;
    tenant.upstream("state", upstream.spec()).await;
    tenant.server("bad-state-up", &["state"]).await;
    let url = stage.gateway.mcp("bad-state-up");
    let (alice, bob) = (Peer::stateless(&url, &alice), Peer::stateless(&url, &bob));
    let able = json!({ CAPABILITIES: { "sampling": {} } });
    let call =
        json!({ "name": "state__test_sampling", "arguments": { "prompt": "?" }, "_meta": able });
    let asked = alice.request("tools/call", call.clone()).await.result();
    let (key, _) = asked["inputRequests"]
        .as_object()
        .and_then(|questions| questions.iter().next())
        .expect("a question");
    let sampled =
        json!({ "role": "assistant", "model": "m", "content": { "type": "text", "text": "!" } });
    let mut again = call;
    again["inputResponses"] = json!({ key: sampled });
    again["requestState"] = asked["requestState"].clone();
    let mut another = again.clone();
    another["arguments"]["prompt"] = json!("??");
    let mut forged = again.clone();
    forged["requestState"] = json!("portcullis.AAAA");
    for (title, peer, params) in [
        ("another caller", &bob, &again),
        ("another request", &alice, &another),
        ("a forgery", &alice, &forged),
    ] {
        let refused = peer.request("tools/call", params.clone()).await;
        assert_eq!(refused.error().0, -32602, "{title}: {}", refused.shown());
    }
    let answered = alice.request("tools/call", again.clone()).await;
    assert_eq!(answered.text_content(), "LLM response: !");
    let refused = alice.request("tools/call", again).await;
    assert_eq!(refused.error().0, -32602, "twice: {}", refused.shown());
}
