//! Multi-round-trip requests: results that ask for input, and requests that bring it (MCP 2026-07-28,
//! "Multi Round-Trip Requests").
//!
//! In the session era servers ask the same things in requests of their own. The gateway turns one into the other; what
//! is asked and what is answered travels as it is.

use std::borrow::Cow;

use crate::splice::{self, SpliceError};
use crate::text;

/// What a server wants to know before it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Requests by key, each an object with `method` and `params`, as JSON text.
    pub requests: Vec<(String, String)>,
    /// What the server wants back with the answers, as JSON text.
    pub state: Option<String>,
}

/// What a result asks for; `None` when it asks for nothing.
#[must_use]
pub fn asked(result: &str) -> Option<Asked> {
    let kind = splice::get_member(result, "resultType").and_then(text::string)?;
    (kind == "input_required").then(|| Asked {
        requests: splice::get_member(result, "inputRequests").map_or_else(Vec::new, entries),
        state: splice::get_member(result, "requestState").map(str::to_owned),
    })
}

/// A result that asks; `state` is plain text.
#[must_use]
pub fn input_required(requests: &[(String, String)], state: &str) -> String {
    let requests = object(requests);
    let state = text::quote(state);
    format!(
        r#"{{"resultType":"input_required","inputRequests":{requests},"requestState":{state}}}"#
    )
}

/// The params of a request with answers, results by key as JSON text, and with the state that the server wants back.
///
/// # Errors
/// When the params are not a JSON object.
pub fn answered(
    params: Option<&str>,
    answers: &[(String, String)],
    state: Option<&str>,
) -> Result<String, SpliceError> {
    let with_answers =
        splice::set_member(params.unwrap_or("{}"), "inputResponses", &object(answers))?;
    match state {
        Some(state) => splice::set_member(&with_answers, "requestState", state),
        None => splice::remove_member(&with_answers, "requestState"),
    }
}

/// The state that a request brings back.
#[must_use]
pub fn state(params: &str) -> Option<Cow<'_, str>> {
    text::string(splice::get_member(params, "requestState")?)
}

/// The answer that a request brings under a key, as JSON text.
#[must_use]
pub fn answer<'a>(params: &'a str, key: &str) -> Option<&'a str> {
    splice::get_member(splice::get_member(params, "inputResponses")?, key)
}

/// What a request of a session-era server asks, as it stands in `inputRequests`.
#[must_use]
pub fn as_asked(request: &str) -> Option<String> {
    let method = splice::get_member(request, "method")?;
    let params = splice::get_member(request, "params").unwrap_or("{}");
    Some(format!(r#"{{"method":{method},"params":{params}}}"#))
}

/// A whole request to a session-era client out of what stands in `inputRequests`; `id` is JSON text.
#[must_use]
pub fn as_request(id: &str, asked: &str) -> Option<String> {
    let method = splice::get_member(asked, "method")?;
    let params = splice::get_member(asked, "params").unwrap_or("{}");
    Some(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":{method},"params":{params}}}"#
    ))
}

/// The client's capability without which a server must not ask this.
#[must_use]
pub fn capability(method: &str) -> Option<&'static str> {
    match method {
        "sampling/createMessage" => Some("sampling"),
        "elicitation/create" => Some("elicitation"),
        "roots/list" => Some("roots"),
        _ => None,
    }
}

/// Whether a method's result may ask for input.
#[must_use]
pub fn may_ask(method: &str) -> bool {
    matches!(method, "tools/call" | "prompts/get" | "resources/read")
}

fn entries(object: &str) -> Vec<(String, String)> {
    let Ok(members) = text::members(object) else {
        return Vec::new();
    };
    let part = |range: &std::ops::Range<usize>| object.get(range.clone()).unwrap_or_default();
    let entry = |member: &text::Member| {
        let key = text::string(part(&member.key))?.into_owned();
        Some((key, part(&member.value).to_owned()))
    };
    members.members.iter().filter_map(entry).collect()
}

fn object(entries: &[(String, String)]) -> String {
    let members: Vec<_> = entries
        .iter()
        .map(|(key, value)| format!("{}:{value}", text::quote(key)))
        .collect();
    format!("{{{}}}", members.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn what_is_asked_crosses_as_it_is() {
        let result = r#"{"resultType":"input_required","inputRequests":{"a\"b": {"method":"roots/list"}, "c":{"method":"elicitation/create","params":{"n":1.10}}},"requestState":"s\u0031"}"#;
        let asked = asked(result).unwrap();
        assert_eq!(asked.state.as_deref(), Some(r#""s\u0031""#));
        let requests: Vec<_> = asked
            .requests
            .iter()
            .map(|(key, request)| (key.as_str(), as_request("7", request).unwrap()))
            .collect();
        assert_eq!(
            requests,
            [
                (
                    "a\"b",
                    r#"{"jsonrpc":"2.0","id":7,"method":"roots/list","params":{}}"#.to_owned()
                ),
                (
                    "c",
                    r#"{"jsonrpc":"2.0","id":7,"method":"elicitation/create","params":{"n":1.10}}"#
                        .to_owned()
                ),
            ]
        );
        for (_, request) in requests {
            let back = as_asked(&request).unwrap();
            assert!(request.contains(&back[1..back.len() - 1]), "{back}");
        }
    }

    #[test]
    fn results_that_ask_are_told_from_others() {
        for (result, asks) in [
            (r#"{"resultType":"complete"}"#, false),
            (r#"{"content":[]}"#, false),
            (r#"{"resultType":"input_required"}"#, true),
        ] {
            assert_eq!(asked(result).is_some(), asks, "{result}");
        }
        let ours = input_required(&[pair("k", r#"{"method":"roots/list"}"#)], "s\"");
        let read = asked(&ours).unwrap();
        assert_eq!(read.requests, [pair("k", r#"{"method":"roots/list"}"#)]);
        assert_eq!(read.state.as_deref(), Some(r#""s\"""#));
    }

    #[test]
    fn answers_are_brought_and_read() {
        let params = r#"{"name":"x","requestState":"old"}"#;
        let with = answered(Some(params), &[pair("k", r#"{"a":1}"#)], Some("\"new\"")).unwrap();
        assert_eq!(state(&with).as_deref(), Some("new"));
        assert_eq!(answer(&with, "k"), Some(r#"{"a":1}"#));
        assert_eq!(answer(&with, "other"), None);
        let without = answered(Some(params), &[], None).unwrap();
        assert_eq!(without, r#"{"name":"x","inputResponses":{}}"#);
    }
}
