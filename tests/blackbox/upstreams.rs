//! What stands behind the gateway: real servers over HTTP and stdio, one or several, well and ill.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis_tests::fakes::{self, Fake};
use portcullis_tests::mcp::{Era, Peer};
use portcullis_tests::process;
use portcullis_tests::shared::Shared;
use portcullis_tests::stage::Stage;
use portcullis_tests::upstreams::{Upstream, everything_command, example_command, free_port};
use portcullis_tests::wait;
use serde_json::{Value, json};

static STAGE: Shared<Stage> = Shared::new();

const ERAS: [Era; 2] = [Era::Session, Era::Stateless];

/// A tenant of its own with one upstream, mounted under its name, and the address and key to reach it.
pub(crate) async fn with_upstream(
    stage: &Stage,
    tenant: &str,
    upstream: &str,
    spec: Value,
) -> (String, String) {
    let (made, alice) = stage.guest_tenant(tenant).await;
    made.upstream(upstream, spec).await;
    let server = format!("{tenant}-{upstream}");
    made.server(&server, &[upstream]).await;
    (stage.gateway.mcp(&server), alice)
}

/// What the reference server must do through the gateway, however it is reached.
pub(crate) async fn judge_everything(url: &str, key: &str) {
    for era in ERAS {
        let peer = Peer::connect(era, url, key).await;
        let tools = peer.tools().await;
        for tool in [
            "everything__echo",
            "everything__get-sum",
            "everything__get-structured-content",
        ] {
            assert!(
                tools.contains(&tool.to_owned()),
                "{era:?} {tool}: {tools:?}"
            );
        }
        assert_eq!(
            peer.call("everything__echo", json!({ "message": "hi" }))
                .await
                .text_content(),
            "Echo: hi",
            "{era:?}"
        );
        let sum = peer
            .call("everything__get-sum", json!({ "a": 2, "b": 40 }))
            .await
            .text_content();
        assert!(sum.contains("42"), "{era:?}: {sum}");
        let image = peer
            .call("everything__get-tiny-image", json!({}))
            .await
            .result();
        assert!(
            image["content"]
                .as_array()
                .is_some_and(|parts| parts.iter().any(|part| part["type"] == "image")),
            "{era:?}: {image}"
        );
        let long = json!({ "name": "everything__trigger-long-running-operation", "arguments": { "duration": 0.2, "steps": 2 },
            "_meta": { "progressToken": "p1" } });
        let long = peer.request("tools/call", long).await;
        assert!(
            long.text_content().contains("completed"),
            "{era:?}: {}",
            long.shown()
        );
        let told = long.notified("notifications/progress");
        assert_eq!(told.len(), 2, "{era:?}: {told:?}");
        assert!(
            told.iter()
                .all(|progress| progress["progressToken"] == "p1"),
            "{era:?}: {told:?}"
        );
    }
}

#[tokio::test]
async fn the_reference_server_over_http() {
    let stage = STAGE.get(Stage::set).await;
    let upstream = Upstream::everything().await;
    let (url, key) = with_upstream(&stage, "everything-http", "everything", upstream.spec()).await;
    judge_everything(&url, &key).await;
}

#[tokio::test]
async fn the_reference_server_over_stdio() {
    let stage = STAGE.get(Stage::set).await;
    let (url, key) = with_upstream(
        &stage,
        "everything-stdio",
        "everything",
        everything_command(),
    )
    .await;
    judge_everything(&url, &key).await;
}

#[tokio::test]
async fn a_command_sees_the_environment_that_it_was_given() {
    let stage = STAGE.get(Stage::set).await;
    let mut spec = everything_command();
    spec["env"] = json!({ "GREETING": "hello" });
    let (url, key) = with_upstream(&stage, "environment", "cmd", spec).await;
    let said = Peer::stateless(&url, &key)
        .call("cmd__get-env", json!({}))
        .await
        .text_content();
    let environment: BTreeMap<String, String> = serde_json::from_str(&said).expect("variables");
    let mut names: Vec<&str> = environment.keys().map(String::as_str).collect();
    names.retain(|name| !["PATH", "HOME"].contains(name));
    assert_eq!(names, ["GREETING"]);
    let shown = stage
        .admin()
        .get("/api/v1/tenants/environment/upstreams/cmd")
        .await;
    assert_eq!(shown.ok()["env"], json!({ "GREETING": "***" }));
}

#[tokio::test]
async fn the_demo_server_over_http_in_every_form_of_reply() {
    let stage = STAGE.get(Stage::set).await;
    let json_only = Upstream::example_with("json", &["--json"]).await;
    let paged = Upstream::example_with("paged", &["--page-len", "3"]).await;
    for (name, upstream) in [("plain-json", &json_only), ("pages", &paged)] {
        let (url, key) = with_upstream(&stage, name, "u", upstream.spec()).await;
        for era in ERAS {
            let peer = Peer::connect(era, &url, &key).await;
            assert!(peer.tools().await.len() > 20, "{name} {era:?}");
            assert_eq!(
                peer.call("u__echo", json!({ "message": "hi" }))
                    .await
                    .text_content(),
                "hi",
                "{name} {era:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_command_is_started_once_and_again_after_a_crash() {
    let stage = STAGE.get(Stage::set).await;
    let (url, key) = with_upstream(
        &stage,
        "crashing",
        "cmd",
        example_command("cmd", &["--allow-crash"]),
    )
    .await;
    let peer = Peer::stateless(&url, &key);
    let pid = || async {
        let reply = peer.call("cmd__whoami", json!({})).await;
        let told = reply.status == 200
            && reply
                .messages()
                .last()
                .is_some_and(|message| message.get("result").is_some());
        told.then(|| {
            reply.result()["structuredContent"]["pid"]
                .as_u64()
                .expect("a process id")
        })
    };
    let first = wait::until("the command", pid).await;
    assert_eq!(pid().await, Some(first), "one process serves both calls");
    let (_, message) = peer.call("cmd__crash", json!({})).await.error();
    assert!(message.contains("\"cmd\""), "{message}");
    let second = wait::until("the command again", pid).await;
    assert_ne!(first, second);
    assert!(!process::runs(u32::try_from(first).expect("a process id")));
}

#[tokio::test]
async fn one_session_upstream_serves_all_calls_of_a_session() {
    let stage = STAGE.get(Stage::set).await;
    let fake = Fake::start(fakes::server(&["greet"], |asked| {
        fakes::says(asked, "hello")
    }))
    .await;
    let (url, key) = with_upstream(&stage, "lazily", "fake", fake.spec()).await;
    let peer = Peer::connect(Era::Session, &url, &key).await;
    assert_eq!(
        fake.asked().len(),
        0,
        "nothing is opened before it is needed"
    );
    for _ in 0..5 {
        assert_eq!(
            peer.call("fake__greet", json!({})).await.text_content(),
            "hello"
        );
    }
    let mut asked: BTreeMap<String, usize> = BTreeMap::new();
    for request in fake.asked() {
        *asked
            .entry(
                request.message["method"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
            )
            .or_default() += 1;
    }
    assert_eq!(asked["tools/call"], 5);
    assert!(
        asked["initialize"] <= 2,
        "one to find the tools, one for the session: {asked:?}"
    );
    assert_eq!(asked["tools/list"], 1, "{asked:?}");
}

#[tokio::test]
async fn the_callers_token_stays_here_and_the_operators_headers_go_out() {
    let stage = STAGE.get(Stage::set).await;
    let fake = Fake::start(fakes::server(&["greet"], |asked| {
        fakes::says(asked, "hello")
    }))
    .await;
    let spec = json!({ "url": fake.url(), "headers": { "authorization": "Bearer of-the-operator", "x-team": "search" } });
    let (url, key) = with_upstream(&stage, "credentials", "fake", spec).await;
    for era in ERAS {
        let peer = Peer::connect(era, &url, &key).await;
        let request = peer
            .build(
                "tools/call",
                json!({ "name": "fake__greet", "arguments": {} }),
            )
            .header("cookie", "session=of-the-caller");
        assert_eq!(request.send().await.expect("an answer").status(), 200);
    }
    for asked in fake.asked() {
        assert_eq!(
            asked.header("authorization"),
            Some("Bearer of-the-operator"),
            "{asked:?}"
        );
        assert_eq!(asked.header("x-team"), Some("search"), "{asked:?}");
        assert!(
            !format!("{asked:?}").contains(&key) && !format!("{asked:?}").contains("of-the-caller"),
            "{asked:?}"
        );
    }
    let shown = stage
        .admin()
        .get("/api/v1/tenants/credentials/upstreams/fake")
        .await
        .ok();
    assert_eq!(
        shown["headers"],
        json!({ "authorization": "***", "x-team": "***" })
    );
}

#[tokio::test]
async fn messages_pass_as_they_were_written() {
    let stage = STAGE.get(Stage::set).await;
    let peer = stage.alice(Era::Session).await;
    let odd = r#"1.10 and 12345678901234567890 and "quotes" and ü and 🦀 and \u0000"#;
    assert_eq!(
        peer.call("demo__echo", json!({ "message": odd }))
            .await
            .text_content(),
        odd
    );
    let fake = Fake::start(|asked| match asked.message["method"].as_str() {
        Some("tools/call") => {
            let body = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"content":[], "structuredContent":{{"z":1.10,"a":12345678901234567890123,"z2":1e400}},"_meta":{{"x/y":[null]}}}}}}"#, asked.message["id"]);
            fakes::Answer::Whole { status: 200, kind: "application/json", body }
        }
        _ => fakes::server(&["odd"], |asked| fakes::says(asked, ""))(asked),
    })
    .await;
    let (url, key) = with_upstream(&stage, "verbatim", "fake", fake.spec()).await;
    for era in ERAS {
        let peer = Peer::connect(era, &url, &key).await;
        let text = peer.call("fake__odd", json!({})).await.text.clone();
        assert!(text.contains(r#""structuredContent":{"z":1.10,"a":12345678901234567890123,"z2":1e400},"_meta":{"x/y":[null]}"#), "{era:?}: {text}");
    }
}

#[tokio::test]
async fn large_results_come_whole() {
    let stage = STAGE.get(Stage::set).await;
    let peer = stage.alice(Era::Session).await;
    let bytes = 3_000_000;
    assert_eq!(
        peer.call("demo__big", json!({ "bytes": bytes }))
            .await
            .text_content()
            .len(),
        bytes
    );
}

#[tokio::test]
async fn several_upstreams_are_one_server() {
    let stage = STAGE.get(Stage::set).await;
    let (tenant, key) = stage.guest_tenant("federated").await;
    let crm = Upstream::example("crm").await;
    tenant.upstream("crm", crm.spec()).await;
    tenant
        .upstream("files", example_command("files", &[]))
        .await;
    tenant
        .upstream(
            "dead",
            json!({ "url": format!("http://127.0.0.1:{}/mcp", free_port()) }),
        )
        .await;
    tenant.server("federated-tools", &["crm", "files"]).await;
    let url = stage.gateway.mcp("federated-tools");
    let peer = Peer::connect(Era::Session, &url, &key).await;
    let before = peer.tools().await;
    for mount in ["crm", "files"] {
        assert!(before.contains(&format!("{mount}__echo")), "{before:?}");
        let who = peer
            .call(&format!("{mount}__whoami"), json!({}))
            .await
            .result();
        assert_eq!(who["structuredContent"]["name"], mount);
    }
    tenant
        .server("federated-tools", &["dead", "crm", "files"])
        .await;
    for era in ERAS {
        let peer = Peer::connect(era, &url, &key).await;
        assert_eq!(
            peer.tools().await,
            before,
            "{era:?}: a dead upstream takes nothing away, and no name changes"
        );
        assert_eq!(
            peer.call("crm__add", json!({ "a": 1, "b": 2 }))
                .await
                .text_content(),
            "3",
            "{era:?}"
        );
        assert_eq!(
            peer.call("dead__echo", json!({})).await.error().0,
            -32602,
            "{era:?}"
        );
    }
}

#[tokio::test]
async fn a_server_of_one_upstream_may_keep_its_names() {
    let stage = STAGE.get(Stage::set).await;
    let (tenant, key) = stage.guest_tenant("plain").await;
    tenant
        .server_spec(
            "plain-names",
            json!({ "upstreams": [{ "name": "demo" }], "naming": "plain" }),
        )
        .await;
    let peer = Peer::connect(Era::Stateless, &stage.gateway.mcp("plain-names"), &key).await;
    assert!(peer.tools().await.contains(&"echo".to_owned()));
    assert_eq!(
        peer.call("echo", json!({ "message": "hi" }))
            .await
            .text_content(),
        "hi"
    );
}

#[tokio::test]
async fn an_upstream_that_lost_its_session_gets_another() {
    let stage = STAGE.get(Stage::set).await;
    let mut upstream = Upstream::example("forgetful").await;
    let port = upstream
        .url()
        .rsplit(':')
        .next()
        .and_then(|rest| rest.split('/').next())
        .expect("a port")
        .to_owned();
    let (url, key) = with_upstream(&stage, "forgetful", "up", upstream.spec()).await;
    let peer = Peer::connect(Era::Session, &url, &key).await;
    assert_eq!(
        peer.call("up__echo", json!({ "message": "1" }))
            .await
            .text_content(),
        "1"
    );
    upstream.process().signal("TERM");
    upstream.process().end().await;
    let _again =
        Upstream::example_with("forgetful", &["--listen", &format!("127.0.0.1:{port}")]).await;
    // The first calls may meet the connection that broke; the session of the client itself never ends.
    wait::until("the upstream's new session", || async {
        let reply = peer.call("up__echo", json!({ "message": "2" })).await;
        assert_ne!(reply.status, 404, "{}", reply.shown());
        reply.text.contains("\"2\"").then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_only_listens_hears_of_an_upstream_that_was_started_again() {
    let stage = STAGE.get(Stage::set).await;
    let mut upstream = Upstream::example("again").await;
    let address = upstream.url().trim_start_matches("http://").to_owned();
    let address = address.split('/').next().expect("an address").to_owned();
    let (url, key) = with_upstream(&stage, "again", "up", upstream.spec()).await;
    let watched = json!({ "uri": "test://watched-resource" });
    let peer = Peer::connect(Era::Session, &url, &key).await;
    let mut pushed = peer.listen().await;
    let subscribed = peer.request("resources/subscribe", watched.clone()).await;
    assert_eq!(subscribed.result(), json!({}));

    upstream.process().signal("TERM");
    upstream.process().end().await;
    let again = Upstream::example_with("again", &["--listen", &address]).await;
    let direct = Peer::connect(Era::Session, again.url(), "nobody").await;
    let updated = wait::at_most("an update", async {
        loop {
            direct.call("touch_resource", watched.clone()).await;
            let told = pushed.method("notifications/resources/updated");
            if let Ok(updated) = tokio::time::timeout(Duration::from_millis(200), told).await {
                return updated;
            }
        }
    });
    assert_eq!(updated.await["params"], watched);
}
