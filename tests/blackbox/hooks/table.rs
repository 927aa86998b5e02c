//! The table: for each request of the protocol, what a client sends and which hooks have to see it.

use portcullis_protocol::revision::{self, Era};
use portcullis_tests::mcp;
use serde_json::{Value, json};

/// Who answers a request, and so which hooks see it. Every message is authenticated and admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The gateway itself.
    Here,
    /// The catalogue: its entries are transformed.
    Listed,
    /// The upstream that offers it: routed, transformed on the way there, and on the way back where there is a result.
    Offered,
    /// The upstream that keeps the task: as before, but there is no choice.
    Tasked,
}

/// Requests that a client of an era may send.
pub fn methods(era: mcp::Era) -> &'static [&'static str] {
    revision::methods(match era {
        mcp::Era::Session => Era::Session,
        mcp::Era::Stateless => Era::Stateless,
    })
}

/// How a request is answered, and params to send with it. The demo server stands behind the upstream `up`.
///
/// # Panics
/// For a method that has no row yet.
pub fn row(method: &str) -> (Way, Value) {
    let prompt = json!({ "type": "ref/prompt", "name": "up__test_prompt_with_arguments" });
    let watched = json!({ "uri": "test://watched-resource" });
    let nobodys = json!({ "taskId": "nobody's" });
    match method {
        "initialize" => (Way::Here, portcullis_tests::sse::introduction("2025-11-25")),
        "ping" | "server/discover" => (Way::Here, json!({})),
        "logging/setLevel" => (Way::Here, json!({ "level": "debug" })),
        "subscriptions/listen" => (
            Way::Here,
            json!({ "notifications": {
                "toolsListChanged": true, "resourceSubscriptions": ["test://watched-resource"] } }),
        ),
        "tools/list" | "prompts/list" | "resources/list" | "resources/templates/list" => {
            (Way::Listed, json!({}))
        }
        "tools/call" => (
            Way::Offered,
            json!({ "name": "up__echo", "arguments": { "message": "hello" } }),
        ),
        "prompts/get" => (Way::Offered, json!({ "name": "up__test_simple_prompt" })),
        "resources/read" => (Way::Offered, json!({ "uri": "test://static-text" })),
        "resources/subscribe" | "resources/unsubscribe" => (Way::Offered, watched),
        "completion/complete" => (
            Way::Offered,
            json!({ "ref": prompt, "argument": { "name": "arg1", "value": "" } }),
        ),
        "tasks/get" | "tasks/result" | "tasks/update" | "tasks/cancel" => (Way::Tasked, nobodys),
        // The gateway keeps no list of tasks.
        "tasks/list" => (Way::Here, json!({})),
        other => panic!("the method {other} has no row yet: say here which hooks see it"),
    }
}

/// Notifications that a client of an era may send.
pub fn notifications(era: mcp::Era) -> Vec<(&'static str, Value)> {
    let cancelled = ("notifications/cancelled", json!({ "requestId": "nothing" }));
    match era {
        mcp::Era::Session => vec![
            cancelled,
            ("notifications/initialized", json!({})),
            ("notifications/roots/list_changed", json!({})),
            (
                "notifications/progress",
                json!({ "progressToken": "nobody's", "progress": 1 }),
            ),
        ],
        // The others belong to sessions.
        mcp::Era::Stateless => vec![cancelled],
    }
}

/// Questions of upstreams: the tool that asks one, its arguments, the method, and a client's answer.
pub fn questions() -> [(&'static str, Value, &'static str, Value); 3] {
    let sampled = json!({ "role": "assistant", "model": "m", "content": { "type": "text", "text": "Teal." } });
    let accepted =
        json!({ "action": "accept", "content": { "username": "ada", "email": "ada@example.com" } });
    let roots = json!({ "roots": [{ "uri": "file:///work", "name": "work" }] });
    [
        (
            "up__test_sampling",
            json!({ "prompt": "Which colour?" }),
            "sampling/createMessage",
            sampled,
        ),
        (
            "up__test_elicitation",
            json!({ "message": "Who are you?" }),
            "elicitation/create",
            accepted,
        ),
        (
            "up__test_input_required_result_list_roots",
            json!({}),
            "roots/list",
            roots,
        ),
    ]
}
