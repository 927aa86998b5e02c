//! Somebody who calls through the gateway: asks what there is, uses all of it, and answers what is asked meanwhile.

use std::sync::Arc;
use std::time::Duration;

use portcullis_tests::mcp::{Era, Peer, Stream};
use portcullis_tests::show::Answer;
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use super::task::Task;

/// What the caller presents to the gateway. A scenario's server fails when it ever sees it.
const CALLERS_TOKEN: &str = "the-callers-own-token";
/// How often one call may be answered with another question.
const ROUNDS_MAX: usize = 5;
/// The tool whose schema is to be sent back as it came, and the tool that takes it.
const ECHOED: [&str; 2] = ["json_schema_2020_12_tool", "json_schema_echo"];

/// A connected caller.
pub struct Caller {
    peer: Arc<Peer>,
    era: Era,
    /// Answers what is asked outside of replies.
    _listening: JoinSet<()>,
}

impl Caller {
    /// Connects as a client of the scenario's era.
    pub async fn connect(task: &Task, endpoint: &str) -> Self {
        let peer = match task.era {
            Era::Session => Peer::session_with(endpoint, CALLERS_TOKEN, capabilities()).await,
            Era::Stateless => Peer::stateless(endpoint, CALLERS_TOKEN),
        };
        let (peer, mut listening) = (Arc::new(peer), JoinSet::new());
        if task.asks_outside_of_replies() {
            listening.spawn(answer_all(peer.listen().await, Arc::clone(&peer)));
            // The first message to the server opens the way back; a call would be too late for what it asks.
            let level = json!({ "level": "warning" });
            drop(peer.request("logging/setLevel", level).await);
        }
        Self {
            peer,
            era: task.era,
            _listening: listening,
        }
    }

    /// Calls what the scenario names, else every tool; then gets every prompt and reads every resource.
    ///
    /// # Errors
    /// The first refusal.
    pub async fn use_everything(&self, task: &Task) -> Result<(), String> {
        let listed = self.ask("tools/list", json!({})).await?;
        for (name, arguments) in calls(task, &listed["tools"]) {
            let called = json!({ "name": name, "arguments": arguments });
            self.ask("tools/call", called).await?;
        }
        if task.is_about_authorization() {
            return Ok(());
        }
        for (list, entries, read, key) in [
            ("prompts/list", "prompts", "prompts/get", "name"),
            ("resources/list", "resources", "resources/read", "uri"),
        ] {
            let listed = self.ask(list, json!({})).await?;
            for entry in listed[entries].as_array().into_iter().flatten() {
                self.ask(read, json!({ key: entry[key] })).await?;
            }
        }
        Ok(())
    }

    /// Ends what it has begun.
    pub async fn leave(self) {
        if self.era == Era::Session {
            self.peer.end().await;
        }
    }

    /// One request, with as many rounds as it takes (MCP 2026-07-28, "Multi Round-Trip Requests").
    async fn ask(&self, method: &str, mut params: Value) -> Result<Value, String> {
        for _ in 0..ROUNDS_MAX {
            let result = self.send(method, params.clone()).await?;
            if result["resultType"] != "input_required" {
                return Ok(result);
            }
            let asked = result["inputRequests"].as_object().into_iter().flatten();
            let answers = asked.map(|(key, question)| (key.clone(), accepted(question)));
            params["inputResponses"] = Value::Object(answers.collect());
            if let Some(state) = result.get("requestState") {
                params["requestState"] = state.clone();
            }
        }
        Err(format!("{method}: one question after the other"))
    }

    async fn send(&self, method: &str, mut params: Value) -> Result<Value, String> {
        if self.era == Era::Stateless {
            params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = capabilities();
        }
        let sent = self.peer.build(method, params).send().await;
        let response = sent.map_err(|error| format!("{method}: {error}"))?;
        let kind = response.headers().get("content-type");
        let answer = if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream")) {
            self.follow(Stream::of(response)).await
        } else {
            let Answer { status, text, .. } = Answer::read(response).await;
            serde_json::from_str(&text)
                .ok()
                .ok_or_else(|| format!("{method}: HTTP status {status}"))
        }?;
        match answer.get("result") {
            Some(result) => Ok(result.clone()),
            None => Err(format!("{method}: {}", answer["error"]["message"])),
        }
    }

    /// A streamed reply to its end, also when it comes in pieces.
    async fn follow(&self, mut stream: Stream) -> Result<Value, String> {
        let mut retry_ms = 0;
        loop {
            while let Some(event) = stream.event().await {
                retry_ms = event.retry_ms.unwrap_or(retry_ms);
                let Ok(message) = serde_json::from_str::<Value>(&event.data) else {
                    continue;
                };
                match (message.get("method"), message.get("id")) {
                    (None, _) => return Ok(message),
                    (Some(_), Some(_)) => self.peer.answer(&message, accepted(&message)).await,
                    (Some(_), None) => {}
                }
            }
            let Some(last_event_id) = stream.last_event_id().map(str::to_owned) else {
                return Err("a stream ended without a reply".to_owned());
            };
            tokio::time::sleep(Duration::from_millis(retry_ms)).await;
            stream = self.peer.listen_after(&last_event_id).await;
        }
    }
}

async fn answer_all(mut stream: Stream, peer: Arc<Peer>) {
    while let Some(message) = stream.message().await {
        if message.get("method").is_some() && message.get("id").is_some() {
            peer.answer(&message, accepted(&message)).await;
        }
    }
}

fn capabilities() -> Value {
    json!({ "elicitation": {}, "sampling": {}, "roots": {} })
}

/// What somebody says who agrees to everything, and changes nothing that is filled in already.
fn accepted(question: &Value) -> Value {
    let schema = &question["params"]["requestedSchema"];
    let content = schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, field)| {
            let value = field
                .get("default")
                .cloned()
                .unwrap_or_else(|| value_of(field));
            (name.clone(), value)
        });
    json!({ "action": "accept", "content": content.collect::<Map<_, _>>() })
}

/// The calls that the scenario names, else one of each tool, with what its schema requires.
fn calls(task: &Task, tools: &Value) -> Vec<(String, Value)> {
    let tools = tools.as_array().map(Vec::as_slice).unwrap_or_default();
    let name = |of: &Value| of["name"].as_str().unwrap_or_default().to_owned();
    if let Some(calls) = task.context["toolCalls"].as_array() {
        return calls
            .iter()
            .map(|call| (name(call), call["arguments"].clone()))
            .collect();
    }
    let [shown, echo] = ECHOED;
    if let Some(tool) = tools.iter().find(|tool| tool["name"] == shown) {
        return vec![(echo.to_owned(), json!({ "schema": tool["inputSchema"] }))];
    }
    tools
        .iter()
        .map(|tool| (name(tool), arguments(&tool["inputSchema"])))
        .collect()
}

fn arguments(schema: &Value) -> Value {
    let required = schema["required"].as_array().into_iter().flatten();
    let named = required.filter_map(Value::as_str);
    let filled = named.map(|name| (name.to_owned(), value_of(&schema["properties"][name])));
    Value::Object(filled.collect::<Map<_, _>>())
}

/// Some value of a type.
fn value_of(schema: &Value) -> Value {
    match schema["type"].as_str() {
        Some("number" | "integer") => json!(1),
        Some("boolean") => json!(true),
        Some("object") => json!({}),
        Some("array") => json!([]),
        Some(_) | None => json!("text"),
    }
}
