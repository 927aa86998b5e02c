//! Arguments that calls repeat in `Mcp-Param-*` headers (2026-07-28): held against the body, passed on, and written where
//! the client could not.

use portcullis_tests::admin::binding;
use portcullis_tests::fakes::{self, Asked, Fake};
use portcullis_tests::mcp::{Era, Peer, Wire};
use portcullis_tests::shared::Shared;
use portcullis_tests::show::{Answer, listing};
use portcullis_tests::stage::Stage;
use reqwest::Method;
use serde_json::{Value, json};

static STAGE: Shared<Stage> = Shared::new();

const ERAS: [Era; 2] = [Era::Session, Era::Stateless];

/// Tools that mark arguments, well and badly.
fn tools() -> Value {
    let schema = |properties: Value| json!({ "type": "object", "properties": properties });
    let marked = json!({
        "region": { "type": "string", "x-mcp-header": "Region" },
        "shard": { "type": "integer", "x-mcp-header": "Shard" },
        "query": { "type": "string" },
    });
    let twice = json!({
        "a": { "type": "string", "x-mcp-header": "Same" },
        "b": { "type": "string", "x-mcp-header": "same" },
    });
    json!([
        { "name": "query", "inputSchema": schema(marked) },
        { "name": "plain", "inputSchema": schema(json!({ "region": { "type": "string" } })) },
        { "name": "nameless", "inputSchema": schema(json!({ "a": { "type": "string", "x-mcp-header": "" } })) },
        { "name": "listed", "inputSchema": schema(json!({ "a": { "type": "array", "x-mcp-header": "A" } })) },
        { "name": "twice", "inputSchema": schema(twice) },
    ])
}

/// What both eras' tools answer: the headers of arguments that have arrived, by name.
fn arrived(asked: &Asked) -> String {
    let mut arrived: Vec<_> = asked
        .headers
        .iter()
        .filter(|(name, _)| name.starts_with("mcp-param-"))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    arrived.sort();
    arrived.join("\n")
}

/// An upstream of the stateless era with these tools.
async fn stateless() -> Fake {
    Fake::start(fakes::stateless(|asked| {
        match asked.message["method"].as_str()? {
            "tools/list" => Some(json!({
                "tools": tools(), "resultType": "complete", "ttlMs": 60_000, "cacheScope": "public",
            })),
            "tools/call" => Some(json!({
                "resultType": "complete", "content": [{ "type": "text", "text": arrived(asked) }],
            })),
            _ => None,
        }
    }))
    .await
}

/// A tenant of its own in front of an upstream; its address and a key.
async fn before(stage: &Stage, name: &str, fake: &Fake) -> (String, String) {
    let (tenant, key) = stage.guest_tenant(name).await;
    tenant.upstream("up", fake.spec()).await;
    let server = format!("{name}-up");
    tenant.server(&server, &["up"]).await;
    (stage.gateway.mcp(&server), key)
}

#[tokio::test]
async fn a_tool_that_marks_its_arguments_badly_is_left_out() {
    let stage = STAGE.get(Stage::set).await;
    let fake = stateless().await;
    let (url, key) = before(&stage, "marks", &fake).await;
    for era in ERAS {
        let peer = Peer::connect(era, &url, &key).await;
        assert_eq!(peer.tools().await, ["up__plain", "up__query"], "{era:?}");
        let (code, _) = peer.call("up__twice", json!({})).await.error();
        assert_eq!(code, -32602, "{era:?}");
    }
    let log = stage.gateway.log();
    for (tool, words) in [
        ("nameless", "`a`"),
        ("listed", "string, an integer or a boolean"),
        ("twice", "another property"),
    ] {
        let said = log
            .iter()
            .find(|line| line["name"] == tool && line["server"] == "marks-up");
        let said = said.unwrap_or_else(|| panic!("nothing is said of {tool}"));
        assert_eq!(
            (&said["level"], &said["message"]),
            (&json!("WARN"), &json!("an entry is left out"))
        );
        assert!(
            said["reason"]
                .as_str()
                .is_some_and(|reason| reason.contains(words)),
            "{said}"
        );
    }
}

#[tokio::test]
async fn headers_of_a_stateless_client_must_say_what_its_arguments_say() {
    let stage = STAGE.get(Stage::set).await;
    let fake = stateless().await;
    let (url, key) = before(&stage, "mirrored", &fake).await;
    let peer = Peer::stateless(&url, &key);
    let whole = json!({ "region": "us-west1", "shard": 42, "query": "SELECT 1" });
    let (region, shard) = (("mcp-param-region", "us-west1"), ("mcp-param-shard", "42"));
    let mut shown = Vec::new();
    for (title, arguments, headers) in [
        ("both", &whole, &[region, shard][..]),
        (
            "encoded, and another number",
            &whole,
            &[
                ("Mcp-Param-Region", "=?base64?dXMtd2VzdDE=?="),
                ("mcp-param-shard", "42.0"),
            ],
        ),
        (
            "one that nobody knows",
            &whole,
            &[region, shard, ("mcp-param-colour", "red")],
        ),
        ("no arguments", &json!({}), &[]),
        ("null", &json!({ "region": null }), &[]),
        (
            "another value",
            &whole,
            &[("mcp-param-region", "eu-1"), shard],
        ),
        ("one is missing", &whole, &[region]),
        ("twice", &whole, &[region, region, shard]),
        (
            "bad base64",
            &whole,
            &[("mcp-param-region", "=?base64?dXMtd2VzdDE?="), shard],
        ),
        (
            "nothing to repeat",
            &json!({ "shard": 42 }),
            &[region, shard],
        ),
    ] {
        let call = peer.build(
            "tools/call",
            json!({ "name": "up__query", "arguments": arguments }),
        );
        let call = headers
            .iter()
            .fold(call, |call, (name, value)| call.header(*name, *value));
        shown.push((title, Answer::of(call).await.shown()));
    }
    let shown: Vec<_> = shown
        .into_iter()
        .enumerate()
        .map(|(at, (title, said))| {
            (
                title,
                said.replace(&format!("\"id\":{}", at + 1), "\"id\":N"),
            )
        })
        .collect();
    insta::assert_snapshot!(listing(&shown), @r#"
    both
        200
        {"jsonrpc":"2.0","id":N,"result":{"resultType":"complete","content":[{"type":"text","text":"mcp-param-region: us-west1\nmcp-param-shard: 42"}]}}
    encoded, and another number
        200
        {"jsonrpc":"2.0","id":N,"result":{"resultType":"complete","content":[{"type":"text","text":"mcp-param-region: =?base64?dXMtd2VzdDE=?=\nmcp-param-shard: 42.0"}]}}
    one that nobody knows
        200
        {"jsonrpc":"2.0","id":N,"result":{"resultType":"complete","content":[{"type":"text","text":"mcp-param-colour: red\nmcp-param-region: us-west1\nmcp-param-shard: 42"}]}}
    no arguments
        200
        {"jsonrpc":"2.0","id":N,"result":{"resultType":"complete","content":[{"type":"text","text":""}]}}
    null
        200
        {"jsonrpc":"2.0","id":N,"result":{"resultType":"complete","content":[{"type":"text","text":""}]}}
    another value
        400
        {"jsonrpc":"2.0","id":N,"error":{"code":-32020,"message":"Header mismatch: the mcp-param-region header does not say what the argument \"region\" says. Send the same in both."}}
    one is missing
        400
        {"jsonrpc":"2.0","id":N,"error":{"code":-32020,"message":"Header mismatch: the mcp-param-shard header is missing. Send the argument \"shard\" in it, as tools/list says."}}
    twice
        400
        {"jsonrpc":"2.0","id":N,"error":{"code":-32020,"message":"Header mismatch: the mcp-param-region header cannot be read. Send it once, as plain ASCII or as =?base64?...?=."}}
    bad base64
        400
        {"jsonrpc":"2.0","id":N,"error":{"code":-32020,"message":"Header mismatch: the mcp-param-region header cannot be read. Send it once, as plain ASCII or as =?base64?...?=."}}
    nothing to repeat
        400
        {"jsonrpc":"2.0","id":N,"error":{"code":-32020,"message":"Header mismatch: there is a mcp-param-region header and no argument \"region\". Send both or none."}}
    "#);
    assert_eq!(fake.calls().len(), 5, "what was refused has not arrived");
    // A tool that marks nothing wants nothing.
    let call = peer.build(
        "tools/call",
        json!({ "name": "up__plain", "arguments": { "region": "a" } }),
    );
    let answer = Answer::of(call.header("mcp-param-region", "b")).await;
    assert_eq!(answer.status, 200, "{}", answer.shown());
    assert!(
        answer.text.contains("mcp-param-region: b"),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn headers_are_written_for_clients_that_know_none() {
    let stage = STAGE.get(Stage::set).await;
    let fake = stateless().await;
    let (url, key) = before(&stage, "written", &fake).await;
    let peer = Peer::session(&url, &key).await;
    for (arguments, want) in [
        (
            json!({ "region": "us-west1", "shard": 42, "query": "x" }),
            "mcp-param-region: us-west1\nmcp-param-shard: 42",
        ),
        (
            json!({ "region": " 世界 ", "shard": null }),
            "mcp-param-region: =?base64?IOS4lueVjCA=?=",
        ),
        (json!({}), ""),
    ] {
        let call = peer.build(
            "tools/call",
            json!({ "name": "up__query", "arguments": arguments }),
        );
        // In this era such a header means nothing, and nobody has held it against the body.
        let answer = Answer::of(call.header("mcp-param-region", "made-up")).await;
        let said = portcullis_tests::mcp::Reply(answer).text_content();
        assert_eq!(said, want, "{arguments}");
    }
}

#[tokio::test]
async fn headers_follow_what_a_policy_makes_of_the_arguments() {
    let stage = STAGE.get(Stage::set).await;
    let fake = stateless().await;
    let (tenant, key) = stage.guest_tenant("rewritten").await;
    tenant.upstream("up", fake.spec()).await;
    tenant.server("rewritten-up", &["up"]).await;
    let redact = binding(&stage.admin().push("redact").await, &[], json!({}));
    stage.chain(&tenant, &[redact]).await;
    let url = stage.gateway.mcp("rewritten-up");
    for era in ERAS {
        let peer = Peer::connect(era, &url, &key).await;
        let email = "ana@example.com";
        let call = peer.build(
            "tools/call",
            json!({ "name": "up__query", "arguments": { "region": email, "shard": 7 } }),
        );
        let call = call
            .header("mcp-param-region", email)
            .header("mcp-param-shard", "7")
            .header("mcp-param-colour", "red");
        let said = portcullis_tests::mcp::Reply(Answer::of(call).await).text_content();
        let sent = fake.calls().pop().expect("a call");
        let region = sent.message["params"]["arguments"]["region"]
            .as_str()
            .expect("a region")
            .to_owned();
        assert!(!region.contains('@'), "{era:?}: {region}");
        let colour = match era {
            Era::Session => "",
            Era::Stateless => "mcp-param-colour: red\n",
        };
        assert_eq!(
            said,
            format!("{colour}mcp-param-region: {region}\nmcp-param-shard: 7"),
            "{era:?}"
        );
    }
}

#[tokio::test]
async fn an_upstream_of_the_session_era_gets_no_such_headers() {
    let stage = STAGE.get(Stage::set).await;
    let rest = fakes::server(&[], |asked| fakes::says(asked, &arrived(asked)));
    let fake = Fake::start(move |asked| match asked.message["method"].as_str() {
        Some("tools/list") => fakes::Answer::json(
            &json!({ "jsonrpc": "2.0", "id": asked.message["id"], "result": { "tools": tools() } }),
        ),
        _ => rest(asked),
    })
    .await;
    let (url, key) = before(&stage, "older-mirrors", &fake).await;
    let peer = Peer::stateless(&url, &key);
    let call = || {
        peer.build(
            "tools/call",
            json!({ "name": "up__query", "arguments": { "region": "a" } }),
        )
    };
    let good = Answer::of(call().header("mcp-param-region", "a")).await;
    assert_eq!(portcullis_tests::mcp::Reply(good).text_content(), "");
    let bad = Answer::of(call().header("mcp-param-region", "b")).await;
    assert_eq!(portcullis_tests::mcp::Reply(bad).refusal(), (400, -32020));
}

#[tokio::test]
async fn a_page_may_send_the_headers_that_tools_want() {
    let stage = STAGE.get(Stage::set).await;
    let wire = Wire::unknown(&stage.url());
    for (asked, want) in [
        (None, &[][..]),
        (
            Some("content-type, Mcp-Param-Region,mcp-param-shard, x-other"),
            &["Mcp-Param-Region", "mcp-param-shard"],
        ),
    ] {
        let request = wire
            .request(Method::OPTIONS)
            .header("origin", "http://localhost:3000")
            .header("access-control-request-method", "POST");
        let request = match asked {
            Some(names) => request.header("access-control-request-headers", names),
            None => request,
        };
        let answer = Answer::of(request).await;
        let allowed = answer
            .header("access-control-allow-headers")
            .expect("names");
        let (known, params): (Vec<_>, Vec<_>) = allowed
            .split(", ")
            .partition(|name| !name.to_lowercase().starts_with("mcp-param-"));
        assert_eq!((answer.status, params.as_slice()), (204, want), "{asked:?}");
        assert!(
            known.contains(&"mcp-name") && !known.contains(&"x-other"),
            "{allowed}"
        );
    }
}
