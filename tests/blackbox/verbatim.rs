//! What no policy touches passes byte-identical, whatever JSON it is: params on their way up, results on their way down.
//! Between the eras nothing changes but what the eras themselves say.

use std::sync::{Arc, Mutex, PoisonError};

use portcullis_tests::fakes::{self, Answer, Asked, Fake};
use portcullis_tests::gateway::Gateway;
use portcullis_tests::mcp::{Era, Peer, Reply, SESSION_REVISION, STATELESS_REVISION};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use tokio::runtime::Runtime;

#[path = "../../host/protocol/src/arbitrary.rs"]
#[allow(dead_code, reason = "strategies that others share")]
mod arbitrary;

const CASES: u32 = 64;
const ERAS: [Era; 2] = [Era::Session, Era::Stateless];
/// What the gateway adds for an upstream without sessions, or takes away for one with sessions.
const VERSION: &str = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;
const CAPABILITIES: &str = r#""io.modelcontextprotocol/clientCapabilities":{}"#;

/// One exchange, its parts being JSON texts.
#[derive(Debug, Clone)]
struct Case {
    arguments: String,
    /// A member of `_meta` that is nobody's business.
    meta: String,
    /// A member of the params that nobody knows.
    unknown: String,
    result: String,
    space: &'static str,
    is_event: bool,
}

fn cases() -> impl Strategy<Value = Case> {
    (
        arbitrary::object(),
        arbitrary::json(),
        arbitrary::json(),
        arbitrary::json(),
        arbitrary::space(),
        any::<bool>(),
    )
        .prop_map(|(arguments, meta, unknown, result, space, is_event)| Case {
            arguments,
            meta,
            unknown,
            result,
            space,
            is_event,
        })
}

/// What the upstream answers next, around the id of the request.
type Next = Arc<Mutex<(String, String, bool)>>;

/// A gateway without policies before an upstream of one era, and a client of one era.
struct Scene {
    client: Era,
    tool: &'static str,
    upstream: Fake,
    next: Next,
    peer: Peer,
    _gateway: Gateway,
}

impl Scene {
    async fn set((client, upstream_era): (Era, Era), naming: &str) -> Self {
        let next = Next::default();
        let upstream = upstream(upstream_era, &next).await;
        let gateway = Gateway::start().await;
        let tenant = gateway.admin().tenant("acme").await;
        tenant.upstream("up", upstream.spec()).await;
        let server = json!({ "upstreams": [{ "name": "up" }], "naming": naming });
        tenant.server_spec("verbatim", server).await;
        tenant.open_chain(&[]).await;
        let peer = Peer::connect(client, &gateway.mcp("verbatim"), "nobody").await;
        Self {
            client,
            tool: if naming == "plain" {
                "echo"
            } else {
                "up__echo"
            },
            upstream,
            next,
            peer,
            _gateway: gateway,
        }
    }

    /// Sends a body under id 7, and has it answered with this result; what the upstream got, and the answer.
    async fn exchange(&self, body: String, (result, is_event): (&str, bool)) -> (String, Reply) {
        let answer = (
            r#"{"jsonrpc":"2.0", "id":"#.to_owned(),
            format!(r#","result":{result}}}"#),
            is_event,
        );
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = answer;
        let reply = match self.client {
            Era::Session => {
                let headers = [
                    ("mcp-session-id", self.peer.session_id()),
                    ("mcp-protocol-version", SESSION_REVISION),
                ];
                self.peer.wire.send(body, &headers).await
            }
            Era::Stateless => {
                let headers = [
                    ("mcp-protocol-version", STATELESS_REVISION),
                    ("mcp-method", "tools/call"),
                    ("mcp-name", self.tool),
                ];
                self.peer.wire.send(body, &headers).await
            }
        };
        let mut asked = self.upstream.asked();
        asked.retain(is_call);
        let got = asked.pop().map(|call| call.text);
        (
            got.unwrap_or_else(|| panic!("no call: {}", reply.shown())),
            reply,
        )
    }

    /// The message in a reply. Line breaks of a message in an event are line feeds.
    fn message(reply: &Reply, is_event: bool) -> String {
        if !is_event {
            return reply.text.clone();
        }
        let event = reply
            .text
            .split("\n\n")
            .find(|event| event.contains("result"));
        let lines = event.unwrap_or_default().lines();
        let lines: Vec<_> = lines
            .filter_map(|line| line.strip_prefix("data: "))
            .collect();
        lines.join("\n")
    }
}

async fn upstream(era: Era, next: &Next) -> Fake {
    let next = Arc::clone(next);
    let call = move |asked: &Asked| {
        let (before, after, is_event) = next.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let message = format!("{before}{}{after}", id_of(&asked.text));
        let (kind, body) = match is_event {
            true => {
                let lines = message.split("\r\n").flat_map(|line| line.split('\n'));
                let lines: String = lines.map(|line| format!("data: {line}\n")).collect();
                ("text/event-stream", format!("{lines}\n"))
            }
            false => ("application/json", message),
        };
        Answer::Whole {
            status: 200,
            kind,
            body,
        }
    };
    let session = fakes::server(&["echo"], |asked| fakes::says(asked, ""));
    let stateless = fakes::stateless(|asked| {
        let tools = json!([{ "name": "echo", "inputSchema": { "type": "object" } }]);
        (asked.message["method"] == "tools/list")
            .then(|| json!({ "resultType": "complete", "tools": tools, "ttlMs": 0, "cacheScope": "private" }))
    });
    Fake::start(move |asked| match (is_call(asked), era) {
        (true, _) => call(asked),
        (false, Era::Session) => session(asked),
        (false, Era::Stateless) => stateless(asked),
    })
    .await
}

/// Told by the text: not everything that is JSON can be read by everybody.
fn is_call(asked: &Asked) -> bool {
    asked.text.contains(r#""method":"tools/call""#)
}

/// The id in a message of these tests: nothing of that name stands before it.
fn id_of(message: &str) -> &str {
    let (_, rest) = message.split_once(r#""id":"#).expect("an id");
    rest.split(',').next().expect("an id")
}

/// Has the property hold for many cases.
fn always(scene: &Scene, runtime: &Runtime, holds: impl AsyncFn(&Scene, &Case)) {
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let tried = TestRunner::new(config).run(&cases(), |case| {
        runtime.block_on(holds(scene, &case));
        Ok(())
    });
    tried.unwrap_or_else(|failed| panic!("{failed}"));
}

#[test]
fn within_an_era_every_byte_passes() {
    let runtime = Runtime::new().expect("a runtime");
    for era in ERAS {
        for naming in ["plain", "prefixed"] {
            let scene = runtime.block_on(Scene::set((era, era), naming));
            always(&scene, &runtime, async |scene, case| {
                let Case {
                    arguments,
                    meta,
                    unknown,
                    result,
                    space,
                    is_event,
                } = case;
                let owned = match era {
                    Era::Session => String::new(),
                    Era::Stateless => format!(",{space}{VERSION}, {CAPABILITIES}"),
                };
                let body = |tool: &str| {
                    format!(
                        r#"{{{space}"jsonrpc":"2.0","id":7,{space}"method":"tools/call","params":{space}{{"name":"{tool}","unknown":{unknown},{space}"arguments":{arguments},"_meta":{{"x/y":{meta}{owned}}}}}}}{space}"#
                    )
                };
                let result = format!(
                    r#"{{"resultType":"complete","content":[],{space}"structuredContent":{result}}}{space}"#
                );
                let (got, reply) = scene.exchange(body(scene.tool), (&result, *is_event)).await;
                assert_eq!(got, body("echo"));
                let want = format!(r#"{{"jsonrpc":"2.0", "id":7,"result":{result}}}"#);
                let want = if *is_event {
                    want.replace("\r\n", "\n")
                } else {
                    want
                };
                assert_eq!(Scene::message(&reply, *is_event), want);
            });
        }
    }
}

#[test]
fn for_an_upstream_without_sessions_nothing_is_added_but_what_a_request_must_say() {
    let runtime = Runtime::new().expect("a runtime");
    let scene = runtime.block_on(Scene::set((Era::Session, Era::Stateless), "prefixed"));
    let body = |tool: &str, (unknown, arguments, meta): (&str, &str, &str)| {
        format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"{tool}","unknown":{unknown},"arguments":{arguments},"_meta":{{"x/y":{meta}}}}}}}"#
        )
    };
    let (got, _) =
        runtime.block_on(scene.exchange(body("up__echo", ("0", "{}", "0")), ("{}", false)));
    let plain = body("echo", ("0", "{}", "0"));
    let at = plain.len() - "}}}".len();
    let added = got[at..]
        .strip_suffix("}}}")
        .expect("more in `_meta`")
        .to_owned();
    assert!(got.starts_with(&plain[..at]), "{got}");
    insta::assert_snapshot!(added.replace(env!("CARGO_PKG_VERSION"), "VERSION"), @r#","io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"portcullis","version":"VERSION"},"io.modelcontextprotocol/clientCapabilities":{}"#);

    always(&scene, &runtime, async |scene, case| {
        let Case {
            arguments,
            meta,
            unknown,
            result,
            space: _,
            is_event,
        } = case;
        let parts = (unknown.as_str(), arguments.as_str(), meta.as_str());
        let result = format!(r#"{{"content":[],"structuredContent":{result}}}"#);
        let said = result.replacen('{', r#"{"resultType":"complete","#, 1);
        let (got, reply) = scene
            .exchange(body("up__echo", parts), (&said, *is_event))
            .await;
        let mut want = body("echo", parts);
        want.insert_str(want.len() - "}}}".len(), &added);
        assert_eq!(got, want);
        let want = format!(r#"{{"jsonrpc":"2.0","id":7,"result":{result}}}"#);
        assert_eq!(
            reply.text,
            if *is_event {
                want.replace("\r\n", "\n")
            } else {
                want
            }
        );
    });
}

#[test]
fn for_an_upstream_with_sessions_nothing_is_taken_away_but_what_a_session_says() {
    let runtime = Runtime::new().expect("a runtime");
    let scene = runtime.block_on(Scene::set((Era::Stateless, Era::Session), "prefixed"));
    always(&scene, &runtime, async |scene, case| {
        let Case {
            arguments,
            meta,
            unknown,
            result,
            space,
            is_event,
        } = case;
        let body = |id: &str, tool: &str, owned: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","unknown":{unknown},{space}"arguments":{arguments},"_meta":{{{owned}"x/y":{meta}}}}}}}"#
            )
        };
        let owned = format!("{VERSION},{CAPABILITIES},");
        let said = format!(r#"{{"content":[],{space}"structuredContent":{result}}}"#);
        let (got, reply) = scene
            .exchange(body("7", "up__echo", &owned), (&said, *is_event))
            .await;
        assert_eq!(got, body(id_of(&got), "echo", ""));
        let want = said.strip_suffix('}').unwrap_or_default();
        let want =
            format!(r#"{{"jsonrpc":"2.0","id":7,"result":{want},"resultType":"complete"}}}}"#);
        assert_eq!(
            reply.text,
            if *is_event {
                want.replace("\r\n", "\n")
            } else {
                want
            }
        );
    });
}
