//! Results of 50 MiB: they stream through, and the gateway's memory does not grow with them.

use std::sync::Arc;

use portcullis_tests::admin::binding;
use portcullis_tests::fakes::{self, Answer, Asked, Fake};
use portcullis_tests::flow::{Flow, Reader};
use portcullis_tests::gateway::Gateway;
use portcullis_tests::mcp::{Era, Peer, Reply};
use portcullis_tests::memory::Memory;
use portcullis_tests::show;
use portcullis_tests::upstreams::example_command;
use portcullis_tests::wait;
use reqwest::Response;
use serde_json::json;

const MIB: usize = 1 << 20;
const RESULT_BYTES: usize = 50 * MIB;
/// What one event may have, by default.
const EVENT_BYTES_MAX: u64 = 4 << 20;
/// What memory may grow by above that.
const GROWTH_BYTES_MAX: u64 = 8 << 20;
/// Settings that let events be larger than these results.
const RAISED: &str = "limits:\n  sse_event_bytes_max: 67108864\n";
const PROGRESS_TOKEN: &str = "p";

/// How a large result is written.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// JSON of a known length.
    Measured,
    /// JSON in chunks.
    Chunked,
    /// Many events of about so many bytes.
    Events(usize),
    /// One event.
    Event,
}

impl Form {
    /// A result of 50 MiB.
    fn flow(self) -> Flow {
        let text = (
            r#"{"jsonrpc":"2.0","id":{id},"result":{"resultType":"complete","content":[{"type":"text","text":""#,
            r#""}]}}"#,
        );
        let piece = "x".repeat(MIB / 16);
        match self {
            Self::Measured | Self::Chunked => {
                let parts = (text.0.to_owned(), piece, text.1.to_owned());
                let flow = Flow::new("application/json", parts, RESULT_BYTES / (MIB / 16));
                if matches!(self, Self::Measured) {
                    flow.measured()
                } else {
                    flow
                }
            }
            Self::Events(bytes) => {
                let progress = |message: &str| {
                    format!(
                        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":"{PROGRESS_TOKEN}","progress":1,"message":"{message}"}}}}"#
                    )
                };
                let bytes = bytes - progress("").len() - "data: \n".len();
                let part = format!("data: {}\n\n", progress(&"y".repeat(bytes)));
                let last = format!("data: {}done{}\n\n", text.0, text.1);
                Flow::new(
                    "text/event-stream",
                    (String::new(), part, last),
                    RESULT_BYTES / bytes,
                )
            }
            Self::Event => {
                let parts = (
                    format!("data: {}", text.0),
                    piece,
                    format!("{}\n\n", text.1),
                );
                Flow::new("text/event-stream", parts, RESULT_BYTES / (MIB / 16))
            }
        }
    }
}

/// Both forms of JSON, and events up to nearly as large as they may be: one goes out while the next comes in.
const FORMS: [Form; 5] = [
    Form::Measured,
    Form::Chunked,
    Form::Events(MIB),
    Form::Events(2 * MIB),
    Form::Events(4 * MIB - 4096),
];

/// An upstream of one era whose tools are the flows.
async fn upstream(era: Era, flows: &[Flow]) -> Fake {
    let flows: Arc<[Flow]> = flows.into();
    let call = move |asked: &Asked| {
        let name = asked.message["params"]["name"].as_str().unwrap_or_default();
        let place = name
            .rsplit('-')
            .next()
            .and_then(|at| at.parse::<usize>().ok());
        match place.and_then(|at| flows.get(at)) {
            Some(flow) => Answer::Flow(flow.answering(&asked.message["id"])),
            None => fakes::says(asked, "small"),
        }
    };
    match era {
        Era::Session => Fake::start(fakes::server(&TOOLS, call)).await,
        Era::Stateless => {
            let other = fakes::stateless(|asked| {
                let tools =
                    TOOLS.map(|name| json!({ "name": name, "inputSchema": { "type": "object" } }));
                (asked.message["method"] == "tools/list").then(
                    || json!({ "resultType": "complete", "tools": tools, "ttlMs": 0, "cacheScope": "private" }),
                )
            });
            Fake::start(move |asked| match asked.message["method"].as_str() {
                Some("tools/call") => call(asked),
                _ => other(asked),
            })
            .await
        }
    }
}

const TOOLS: [&str; 6] = ["flow-0", "flow-1", "flow-2", "flow-3", "flow-4", "small"];

/// A gateway with one tenant, whose chain lets everybody in.
struct Scene {
    _gateway: Gateway,
    upstream: Fake,
    peer: Peer,
    memory: Memory,
}

impl Scene {
    async fn set(mut gateway: Gateway, era: Era, flows: &[Flow], has_policies: bool) -> Self {
        let upstream = upstream(era, flows).await;
        let admin = gateway.admin();
        let tenant = admin.tenant("acme").await;
        tenant.upstream("up", upstream.spec()).await;
        tenant.server("large", &["up"]).await;
        let mut chain = Vec::new();
        if has_policies {
            let rules = json!({ "rules": [{ "effect": "allow" }] });
            let access = admin.push("access-control").await;
            chain.push(binding(&access, &[], rules));
        }
        tenant.open_chain(&chain).await;
        let peer = Peer::connect(era, &gateway.mcp("large"), "nobody").await;
        assert_eq!(
            peer.call("up__small", json!({})).await.text_content(),
            "small"
        );
        let memory = Memory::watch(gateway.process());
        Self {
            _gateway: gateway,
            upstream,
            peer,
            memory,
        }
    }

    /// Calls for a flow; the response as it begins.
    async fn call(&self, place: usize) -> Response {
        let params = json!({ "name": format!("up__flow-{place}"), "arguments": {}, "_meta": { "progressToken": PROGRESS_TOKEN } });
        let response = self.peer.build("tools/call", params).send().await;
        response.expect("a response")
    }

    /// Reads a flow to its end, all of which must have come.
    async fn read(&self, response: Response, flow: &Flow, what: &str) {
        let read = Reader::read(response).await;
        let asked = self.upstream.calls().pop().expect("a call").message;
        assert_eq!(
            read.digest(),
            flow.answering(&asked["id"]).digest(),
            "{what}: {}",
            read.last()
        );
    }

    fn has_not_grown(&self, what: &str) {
        let grown = self.memory.growth_bytes();
        println!("{what}: {} KiB", grown >> 10);
        assert!(
            grown < EVENT_BYTES_MAX + GROWTH_BYTES_MAX,
            "{what}: {} KiB",
            grown >> 10
        );
    }
}

async fn large_results(era: Era, has_policies: bool) {
    let flows = FORMS.map(Form::flow);
    let scene = Scene::set(Gateway::start().await, era, &flows, has_policies).await;
    for (place, (form, flow)) in FORMS.iter().zip(&flows).enumerate() {
        let what = format!("{era:?} {form:?}, policies: {has_policies}");
        let response = scene.call(place).await;
        scene.read(response, flow, &what).await;
        scene.has_not_grown(&what);

        // A client that does not read holds up its upstream.
        let already = flow.written();
        let response = scene.call(place).await;
        let mut last = u64::MAX;
        let mut quiet = 0;
        wait::so("an upstream that waits", || {
            let written = flow.written();
            quiet = if written == last { quiet + 1 } else { 0 };
            last = written;
            quiet > 50
        })
        .await;
        assert!(
            last - already < RESULT_BYTES as u64,
            "{what}: nobody waits for the client"
        );
        scene.has_not_grown(&format!("{what}, slowly"));
        scene.read(response, flow, &what).await;
        scene.has_not_grown(&format!("{what}, slowly, then at once"));
    }
}

#[tokio::test]
async fn large_results_of_sessions_stream_through() {
    large_results(Era::Session, false).await;
}

#[tokio::test]
async fn large_results_without_sessions_stream_through() {
    large_results(Era::Stateless, false).await;
}

#[tokio::test]
async fn large_results_stream_through_where_policies_only_admit() {
    large_results(Era::Session, true).await;
    large_results(Era::Stateless, true).await;
}

#[tokio::test]
async fn an_event_that_is_too_large_is_refused_and_the_limit_can_be_raised() {
    let flow = Form::Event.flow();
    for era in [Era::Session, Era::Stateless] {
        let flows = std::slice::from_ref(&flow);
        let scene = Scene::set(Gateway::start().await, era, flows, false).await;
        let response = scene.call(0).await;
        let refused = Reply(show::Answer::read(response).await).error();
        assert_eq!(refused.0, -32603, "{era:?}");
        let want = "the upstream sent an event that is larger than 4194304 bytes";
        assert!(refused.1.contains(want), "{era:?}: {refused:?}");
        scene.has_not_grown(&format!("{era:?} {:?}", Form::Event));

        let scene = Scene::set(Gateway::configured(RAISED).await, era, flows, false).await;
        let response = scene.call(0).await;
        scene.read(response, &flow, "raised").await;
        println!("{era:?} raised: {} KiB", scene.memory.growth_bytes() >> 10);
    }
}

/// A client of one era before a command of another, or the same.
async fn before_command(gateway: &Gateway, client: Era, command: &str) -> Peer {
    let tenant = gateway.admin().tenant(command).await;
    let spec = example_command("cmd", &["--era", command]);
    tenant.upstream("cmd", spec).await;
    tenant.server(command, &["cmd"]).await;
    tenant.open_chain(&[]).await;
    Peer::connect(client, &gateway.mcp(command), "nobody").await
}

#[tokio::test]
async fn a_line_of_a_command_that_is_too_long_is_refused_at_once() {
    let gateway = Gateway::start().await;
    for (era, command) in [(Era::Session, "session"), (Era::Stateless, "stateless")] {
        let peer = before_command(&gateway, era, command).await;
        let whole = peer.call("cmd__big", json!({ "bytes": 20 * MIB })).await;
        assert_eq!(whole.text_content().len(), 20 * MIB, "{era:?}");
        let large = json!({ "bytes": RESULT_BYTES });
        let (code, message) = peer.call("cmd__big", large).await.error();
        assert_eq!(code, -32603, "{era:?}");
        assert!(message.contains("Ask for less at a time."), "{message}");
        let small = peer.call("cmd__big", json!({ "bytes": 2 })).await;
        assert_eq!(small.text_content(), "xx", "{era:?}: the process goes on");
    }
}

#[tokio::test]
async fn what_crosses_the_eras_is_read_whole_within_a_bound_that_can_be_raised() {
    let large = json!({ "bytes": 5 * MIB });
    let crossing = [(Era::Stateless, "session"), (Era::Session, "stateless")];
    let gateway = Gateway::start().await;
    for (era, command) in crossing {
        let peer = before_command(&gateway, era, command).await;
        let (code, message) = peer.call("cmd__big", large.clone()).await.error();
        assert_eq!(code, -32603, "{era:?}");
        let want = "the result is larger than 4194304 bytes and must be seen whole";
        assert!(message.contains(want), "{message}");
    }
    let gateway = Gateway::configured(RAISED).await;
    for (era, command) in crossing {
        let peer = before_command(&gateway, era, command).await;
        let large = peer
            .call("cmd__big", json!({ "bytes": RESULT_BYTES }))
            .await;
        assert_eq!(large.text_content().len(), RESULT_BYTES, "{era:?}");
    }
}
