//! One scenario: its server becomes an upstream of a tenant of its own, and a client calls through the gateway.
//!
//! Where the gateway waits for a person's consent, an operator gives it, and the client calls again.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use portcullis_tests::admin::{Admin, Tenant};
use portcullis_tests::gateway::Gateway;
use portcullis_tests::mcp::{Era, Peer, SESSION_REVISION};

use crate::consent;
use crate::scenario::Scenario;

/// What the client presents to the gateway. A scenario's server fails when it ever sees it.
const CALLERS_TOKEN: &str = "the-callers-own-token";
/// How often an operator consents before giving up.
const CONSENTS_MAX: usize = 4;

/// Where the gateway is, and what its admin API asks for; handed to the processes that the suite starts.
pub(crate) struct UnderTest {
    pub(crate) gateway: String,
    pub(crate) admin: String,
    pub(crate) token: String,
}

impl UnderTest {
    const NAMES: [&'static str; 3] = [
        "PORTCULLIS_CONFORMANCE_GATEWAY",
        "PORTCULLIS_CONFORMANCE_ADMIN",
        "PORTCULLIS_CONFORMANCE_TOKEN",
    ];

    pub(crate) fn of(gateway: &Gateway) -> Self {
        Self {
            gateway: gateway.url().to_owned(),
            admin: gateway.admin_url().to_owned(),
            token: gateway.admin_token().to_owned(),
        }
    }

    pub(crate) fn variables(&self) -> [(&'static str, &str); 3] {
        let [gateway, admin, token] = Self::NAMES;
        [
            (gateway, &self.gateway),
            (admin, &self.admin),
            (token, &self.token),
        ]
    }

    fn of_environment() -> Self {
        let [gateway, admin, token] = Self::NAMES.map(|name| {
            std::env::var(name)
                .unwrap_or_else(|_absent| panic!("{name} says which gateway to drive"))
        });
        Self {
            gateway,
            admin,
            token,
        }
    }
}

/// Drives the gateway through the scenario at `url`.
pub(crate) async fn run(url: &str) -> ExitCode {
    let (scenario, under_test) = (Scenario::of_environment(), UnderTest::of_environment());
    let admin = Admin::new(&under_test.admin, &under_test.token);
    let name = unique();
    let tenant = admin.tenant(&name).await;
    tenant.upstream("scenario", scenario.upstream(url)).await;
    let server = json!({ "upstreams": [{ "name": "scenario" }], "naming": "plain" });
    tenant.server_spec(&name, server).await;
    let anyone = json!({ "anonymous": true, "bindings": [] });
    admin.put(&tenant.path("/policies"), &anyone).await.ok();

    let endpoint = format!("{}/servers/{name}/mcp", under_test.gateway);
    let walked = walk(&scenario, &endpoint, (&admin, &tenant)).await;
    // The scenario's server ends when its last connection does.
    admin.delete(&tenant.path("")).await.ok();
    match walked {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{}: {why}", scenario.name);
            ExitCode::FAILURE
        }
    }
}

async fn walk(
    scenario: &Scenario,
    endpoint: &str,
    (admin, tenant): (&Admin, &Tenant),
) -> Result<(), String> {
    for _ in 0..CONSENTS_MAX {
        let Err(why) = calls(scenario, endpoint).await else {
            return Ok(());
        };
        if !scenario.is_about_authorization() {
            return Err(why);
        }
        consent::give(admin, tenant, "scenario")
            .await
            .map_err(|no| format!("{why} {no}"))?;
    }
    Err("no consent is ever enough".to_owned())
}

/// What a client does: it asks what there is, and uses all of it.
async fn calls(scenario: &Scenario, endpoint: &str) -> Result<(), String> {
    let era = if scenario.revision.as_str() <= SESSION_REVISION {
        Era::Session
    } else {
        Era::Stateless
    };
    let peer = Peer::connect(era, endpoint, CALLERS_TOKEN).await;
    let listed = ask(&peer, "tools/list", json!({})).await?;
    let tools = listed["tools"].as_array().cloned().unwrap_or_default();
    for (name, arguments) in wanted(scenario, &tools) {
        ask(
            &peer,
            "tools/call",
            json!({ "name": name, "arguments": arguments }),
        )
        .await?;
    }
    if scenario.is_about_authorization() {
        return Ok(());
    }
    for (list, entries, read, key) in [
        ("prompts/list", "prompts", "prompts/get", "name"),
        ("resources/list", "resources", "resources/read", "uri"),
    ] {
        let listed = ask(&peer, list, json!({})).await?;
        for entry in listed[entries].as_array().into_iter().flatten() {
            ask(&peer, read, json!({ key: entry[key] })).await?;
        }
    }
    Ok(())
}

/// The calls that the scenario asks for, else one of each tool, with what its schema requires.
fn wanted(scenario: &Scenario, tools: &[Value]) -> Vec<(String, Value)> {
    let named = |call: &Value| {
        let name = call["name"].as_str().unwrap_or_default().to_owned();
        (name, call["arguments"].clone())
    };
    if let Some(calls) = scenario.context["toolCalls"].as_array() {
        return calls.iter().map(named).collect();
    }
    let call = |tool: &Value| {
        let name = tool["name"].as_str().unwrap_or_default().to_owned();
        (name, arguments(&tool["inputSchema"]))
    };
    tools.iter().map(call).collect()
}

fn arguments(schema: &Value) -> Value {
    let required = schema["required"].as_array().into_iter().flatten();
    let filled = required.filter_map(Value::as_str).map(|name| {
        let value = match schema["properties"][name]["type"].as_str() {
            Some("number" | "integer") => json!(1),
            Some("boolean") => json!(true),
            Some("object") => json!({}),
            Some("array") => json!([]),
            _ => json!("text"),
        };
        (name.to_owned(), value)
    });
    Value::Object(filled.collect::<Map<_, _>>())
}

async fn ask(peer: &Peer, method: &str, params: Value) -> Result<Value, String> {
    let reply = peer.request(method, params).await;
    let messages = reply.messages();
    let answer = messages
        .iter()
        .rfind(|message| message.get("method").is_none());
    match answer {
        Some(answer) if answer.get("result").is_some() => Ok(answer["result"].clone()),
        Some(answer) => Err(format!("{method}: {}", answer["error"]["message"])),
        None => Err(format!("{method}: HTTP status {}", reply.status)),
    }
}

/// A name that no other scenario has.
fn unique() -> String {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    format!("c{}-{}", std::process::id(), since.as_micros())
}
