//! `subscriptions/listen`: what a stateless client wants to be told, and how it is told (MCP 2026-07-28,
//! "Subscriptions").
//!
//! The gateway answers it to clients and asks it of upstreams. Every notification names the listen request that it is for.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::listing::ListKind;
use crate::params::META_SUBSCRIPTION_ID;
use crate::splice::{self, SpliceError};
use crate::text;

/// The notification that says which part of a request is honoured; always the first.
pub const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";
/// The notification that a resource has changed, in every revision.
pub const RESOURCE_UPDATED: &str = "notifications/resources/updated";

/// What somebody wants to be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// When the list of tools changes.
    pub tools: bool,
    /// When the list of prompts changes.
    pub prompts: bool,
    /// When the list of resources or of templates changes.
    pub resources: bool,
    /// When these resources change.
    pub uris: Vec<String>,
}

impl Filter {
    /// Every list.
    #[must_use]
    pub fn lists() -> Self {
        Self {
            tools: true,
            prompts: true,
            resources: true,
            uris: Vec::new(),
        }
    }

    /// Reads the params of a request; `None` where they are no such params, or name more than `uris_max` resources.
    #[must_use]
    pub fn parse(params: &str, uris_max: usize) -> Option<Self> {
        let asked = splice::get_member(params, "notifications")?;
        if !asked.starts_with('{') {
            return None;
        }
        let flag = |key| splice::get_member(asked, key) == Some("true");
        let uris = match splice::get_member(asked, "resourceSubscriptions") {
            Some(raw) => serde_json::from_str::<Vec<String>>(raw).ok()?,
            None => Vec::new(),
        };
        (uris.len() <= uris_max).then(|| Self {
            tools: flag("toolsListChanged"),
            prompts: flag("promptsListChanged"),
            resources: flag("resourcesListChanged"),
            uris,
        })
    }

    /// Whether changes of a list are wanted.
    #[must_use]
    pub fn wants(&self, kind: ListKind) -> bool {
        match kind {
            ListKind::Tools => self.tools,
            ListKind::Prompts => self.prompts,
            ListKind::Resources | ListKind::ResourceTemplates => self.resources,
        }
    }

    fn to_raw(&self) -> String {
        let mut members = Vec::new();
        for (is_wanted, key) in [
            (self.tools, "toolsListChanged"),
            (self.prompts, "promptsListChanged"),
            (self.resources, "resourcesListChanged"),
        ] {
            if is_wanted {
                members.push(format!("\"{key}\":true"));
            }
        }
        if !self.uris.is_empty() {
            let uris: Vec<_> = self.uris.iter().map(|uri| text::quote(uri)).collect();
            members.push(format!("\"resourceSubscriptions\":[{}]", uris.join(",")));
        }
        format!("{{{}}}", members.join(","))
    }
}

/// The params of a request.
#[must_use]
pub fn params(filter: &Filter) -> String {
    format!(r#"{{"notifications":{}}}"#, filter.to_raw())
}

/// The first notification: what of the request is honoured. `id` is the request's, as JSON text.
#[must_use]
pub fn acknowledgement(id: &str, honoured: &Filter) -> String {
    let honoured = honoured.to_raw();
    format!(
        r#"{{"jsonrpc":"2.0","method":"{ACKNOWLEDGED}","params":{{"_meta":{{"{META_SUBSCRIPTION_ID}":{id}}},"notifications":{honoured}}}}}"#
    )
}

/// The result that ends a subscription in good order.
#[must_use]
pub fn end(id: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"complete","_meta":{{"{META_SUBSCRIPTION_ID}":{id}}}}}}}"#
    )
}

/// The notification that a list has changed; for a listen request it names that one.
#[must_use]
pub fn list_changed(kind: ListKind, subscription: Option<&str>) -> String {
    let method = list_changed_method(kind);
    let mut notification = format!(r#"{{"jsonrpc":"2.0","method":"{method}""#);
    if let Some(id) = subscription {
        // Writing to a string does not fail.
        let _ = write!(
            notification,
            r#","params":{{"_meta":{{"{META_SUBSCRIPTION_ID}":{id}}}}}"#
        );
    }
    notification.push('}');
    notification
}

/// The method of that notification.
#[must_use]
pub fn list_changed_method(kind: ListKind) -> &'static str {
    match kind {
        ListKind::Tools => "notifications/tools/list_changed",
        ListKind::Prompts => "notifications/prompts/list_changed",
        ListKind::Resources | ListKind::ResourceTemplates => "notifications/resources/list_changed",
    }
}

/// Whether a notification says that a list has changed.
#[must_use]
pub fn is_list_changed(method: &str) -> bool {
    ListKind::ALL
        .into_iter()
        .any(|kind| list_changed_method(kind) == method)
}

/// The resource that a notification says has changed.
#[must_use]
pub fn updated_uri(params: &str) -> Option<Cow<'_, str>> {
    text::string(splice::get_member(params, "uri")?)
}

/// A notification under the id of another listen request.
///
/// # Errors
/// When the notification, or its params, are not JSON objects.
pub fn under(notification: &str, id: &str) -> Result<String, SpliceError> {
    splice::set_path(notification, &["params", "_meta", META_SUBSCRIPTION_ID], id)
}

/// A notification as a session-era client knows it: it belongs to no listen request.
///
/// # Errors
/// When the notification, or its params, are not JSON objects.
pub fn without_subscription(notification: &str) -> Result<String, SpliceError> {
    let meta = splice::get_pointer(notification, "/params/_meta");
    let names_one = meta.filter(|meta| splice::get_member(meta, META_SUBSCRIPTION_ID).is_some());
    let members = names_one.and_then(|meta| text::members(meta).ok());
    let path: &[&str] = match members.map(|meta| meta.members.len()) {
        Some(1) => &["params", "_meta"],
        Some(_) => &["params", "_meta", META_SUBSCRIPTION_ID],
        None => return Ok(notification.to_owned()),
    };
    splice::remove_path(notification, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_as_they_are_written() {
        for (raw, want) in [
            (r#"{"notifications":{}}"#, Some(Filter::default())),
            (
                r#"{"notifications":{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true}}"#,
                Some(Filter::lists()),
            ),
            (
                r#"{"notifications":{"resourceSubscriptions":["a://\"b\"","c"]}}"#,
                Some(Filter {
                    uris: vec!["a://\"b\"".into(), "c".into()],
                    ..Filter::default()
                }),
            ),
            (
                r#"{"notifications":{"resourceSubscriptions":["a","b","c"]}}"#,
                None,
            ),
            (r#"{"notifications":{"resourceSubscriptions":"a"}}"#, None),
            (r#"{"notifications":true}"#, None),
            ("{}", None),
        ] {
            let read = Filter::parse(raw, 2);
            assert_eq!(read, want, "{raw}");
            if let Some(filter) = read {
                assert_eq!(params(&filter), raw);
            }
        }
        let odd = r#"{"notifications":{"toolsListChanged":1,"promptsListChanged":false}}"#;
        assert_eq!(Filter::parse(odd, 2), Some(Filter::default()));
    }

    #[test]
    fn what_is_told_names_its_request() {
        let filter = Filter {
            tools: true,
            ..Filter::default()
        };
        insta::assert_snapshot!(
            [
                acknowledgement("7", &filter),
                list_changed(ListKind::Tools, Some("7")),
                list_changed(ListKind::ResourceTemplates, None),
                end("\"a\""),
                without_subscription(&list_changed(ListKind::Tools, Some("7"))).unwrap(),
                without_subscription(r#"{"params":{"uri":"a","_meta":{"x":1, "io.modelcontextprotocol/subscriptionId":7}}}"#).unwrap(),
                without_subscription(r#"{"params":{"uri":"a"}}"#).unwrap(),
                without_subscription(r#"{"params":{"uri":"a","_meta":{"x":1}}}"#).unwrap(),
                under(r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a://b"}}"#, "7").unwrap(),
            ]
            .join("\n"),
            @r#"
        {"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":7},"notifications":{"toolsListChanged":true}}}
        {"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":7}}}
        {"jsonrpc":"2.0","method":"notifications/resources/list_changed"}
        {"jsonrpc":"2.0","id":"a","result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/subscriptionId":"a"}}}
        {"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{}}
        {"params":{"uri":"a","_meta":{"x":1}}}
        {"params":{"uri":"a"}}
        {"params":{"uri":"a","_meta":{"x":1}}}
        {"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a://b","_meta":{"io.modelcontextprotocol/subscriptionId":7}}}
        "#
        );
        assert!(is_list_changed("notifications/resources/list_changed"));
        assert!(!is_list_changed(RESOURCE_UPDATED));
    }
}
