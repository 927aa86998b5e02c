//! Where the ids of tasks stand in messages (MCP 2025-11-25, "Tasks"; the extension of 2026-07-28).
//!
//! A gateway in front of several servers gives tasks ids of its own, since two servers may use the same one. Everything
//! else in a message stays as it is.

use std::borrow::Cow;

use crate::splice::{self, SpliceError};
use crate::text;

/// The extension of the stateless era, as clients and servers declare it.
pub const EXTENSION: &str = "io.modelcontextprotocol/tasks";
/// `_meta` key of the task that a message belongs to (session era).
const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";

/// Whether a request may come back with a task: its params ask for one, or its sender declares that it knows them. A
/// cheap look, which may say yes too often.
#[must_use]
pub fn are_welcome(params: &str) -> bool {
    params.contains("\"task\"") || params.contains(EXTENSION)
}

/// Whether a stateless request's `_meta` declares the extension.
#[must_use]
pub fn are_declared(params: &str) -> bool {
    let path = [
        "_meta",
        crate::params::META_CLIENT_CAPABILITIES,
        "extensions",
        EXTENSION,
    ];
    member_at(params, &path).is_some()
}

/// The id in the params of a `tasks/…` request.
#[must_use]
pub fn id(params: &str) -> Option<Cow<'_, str>> {
    text::string(splice::get_member(params, "taskId")?)
}

/// The params of a `tasks/…` request, or of a notification about a task, with another id.
///
/// # Errors
/// When the params are not a JSON object.
pub fn with_id(params: &str, id: &str) -> Result<String, SpliceError> {
    splice::set_member(params, "taskId", &text::quote(id))
}

/// A result with the ids of tasks replaced, wherever they stand in the answer to `method`.
///
/// # Errors
/// When the result is not a JSON object.
pub fn rename_in_result<'a>(
    method: &str,
    result: &'a str,
    rename: impl Fn(&str) -> String,
) -> Result<Cow<'a, str>, SpliceError> {
    let is_task = method.starts_with("tasks/")
        || splice::get_member(result, "resultType")
            .and_then(text::string)
            .as_deref()
            == Some("task");
    let places: [&[&str]; 3] = [
        &["taskId"],
        &["task", "taskId"],
        &["_meta", RELATED_TASK, "taskId"],
    ];
    let mut result = Cow::Borrowed(result);
    for path in places.into_iter().skip(usize::from(!is_task)) {
        let known = member_at(&result, path).and_then(text::string);
        if let Some(id) = known.map(|id| rename(&id)) {
            result = Cow::Owned(splice::set_path(&result, path, &text::quote(&id))?);
        }
    }
    Ok(result)
}

fn member_at<'a>(object: &'a str, path: &[&str]) -> Option<&'a str> {
    path.iter()
        .try_fold(object, |object, key| splice::get_member(object, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_replaced_where_they_stand_and_nothing_else_is() {
        let cases = [
            (
                "tools/call",
                r#"{"resultType":"task", "taskId":"a","n":1.10}"#,
                r#"{"resultType":"task", "taskId":"<a>","n":1.10}"#,
            ),
            (
                "tools/call",
                r#"{"task":{"taskId":"a","status":"working"}}"#,
                r#"{"task":{"taskId":"<a>","status":"working"}}"#,
            ),
            (
                "tools/call",
                r#"{"content":[],"taskId":"a"}"#,
                r#"{"content":[],"taskId":"a"}"#,
            ),
            ("tasks/get", r#"{"taskId":"a"}"#, r#"{"taskId":"<a>"}"#),
            (
                "tasks/cancel",
                r#"{"resultType":"complete"}"#,
                r#"{"resultType":"complete"}"#,
            ),
            (
                "tasks/result",
                r#"{"content":[],"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"a"}}}"#,
                r#"{"content":[],"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"<a>"}}}"#,
            ),
        ];
        for (method, result, want) in cases {
            let renamed = rename_in_result(method, result, |id| format!("<{id}>")).unwrap();
            assert_eq!(renamed, want, "{method}");
        }
    }

    #[test]
    fn a_client_says_that_it_knows_tasks() {
        let declared = r#"{"_meta":{"io.modelcontextprotocol/clientCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}}"#;
        let asked = r#"{"name":"x","task":{"ttl":1}}"#;
        for (params, welcome, is_declared) in [
            (declared, true, true),
            (asked, true, false),
            (r#"{"name":"x"}"#, false, false),
        ] {
            assert_eq!(
                (are_welcome(params), are_declared(params)),
                (welcome, is_declared),
                "{params}"
            );
        }
    }

    #[test]
    fn requests_name_their_task() {
        assert_eq!(id(r#"{"taskId":"a\u0062"}"#).as_deref(), Some("ab"));
        assert_eq!(id("{}"), None);
        assert_eq!(
            with_id(r#"{"taskId":"a" ,"x":1}"#, "b").unwrap(),
            r#"{"taskId":"b" ,"x":1}"#
        );
    }
}
