//! Shallow, borrowed views of `params`: what a message names, and what its `_meta` says.
//!
//! The era check, the router and the policies read these instead of parsing arguments; nothing is copied unless a
//! string holds an escape, and arguments stay the text that the client wrote.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::listing::ListKind;
use crate::splice;
use crate::text;

/// `_meta` key of the protocol revision that a request is written in.
pub const META_PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// `_meta` key of the client's name and version.
pub const META_CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// `_meta` key of what the client can do.
pub const META_CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// `_meta` key of the least severe log message that the client wants.
pub const META_LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// `_meta` key of the server's name and version, in results.
pub const META_SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// `_meta` key of the listen request that a notification belongs to.
pub const META_SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
/// `_meta` key of the token under which progress is reported, in every revision.
pub const META_PROGRESS_TOKEN: &str = "progressToken";

/// Severities of log messages (RFC 5424, section 6.2.1), from the least.
pub const LOG_LEVELS: [&str; 8] = [
    "debug",
    "info",
    "notice",
    "warning",
    "error",
    "critical",
    "alert",
    "emergency",
];

/// The level in the params of a `logging/setLevel`; `None` when it is none of [`LOG_LEVELS`].
#[must_use]
pub fn log_level(params: &str) -> Option<&'static str> {
    let asked = text::string(splice::get_member(params, "level")?)?;
    LOG_LEVELS.into_iter().find(|known| *known == asked)
}

/// The level that a stateless request's `_meta` asks for.
#[must_use]
pub fn log_level_wanted(params: &str) -> Option<&'static str> {
    let meta = splice::get_member(params, "_meta")?;
    let asked = text::string(splice::get_member(meta, META_LOG_LEVEL)?)?;
    LOG_LEVELS.into_iter().find(|known| *known == asked)
}

/// What a `tools/call` or `prompts/get` asks for.
#[derive(Debug, Clone)]
pub struct CallParams<'a> {
    /// The tool or prompt.
    pub name: Cow<'a, str>,
    /// Its arguments, as the text that the client wrote.
    pub arguments: Option<&'a str>,
}

/// Why `params` cannot be read. The text is meant for the caller; the code is always -32602.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// `params` is absent.
    #[error("The request needs \"params\".")]
    Missing,
    /// `name` is absent or not a string.
    #[error("\"params.name\" must be a string.")]
    Name,
    /// `uri` is absent or not a string.
    #[error("\"params.uri\" must be a string.")]
    Uri,
    /// `arguments` is neither an object nor `null`.
    #[error("\"params.arguments\" must be an object.")]
    Arguments,
    /// A member that decides what is called occurs twice.
    #[error("\"params.{0}\" occurs more than once. Send it once.")]
    Duplicate(&'static str),
}

impl<'a> CallParams<'a> {
    /// Reads the `params` of a `tools/call` or `prompts/get`.
    ///
    /// A name or arguments written twice are refused: the gateway's policies and the upstream must not read
    /// different ones.
    ///
    /// # Errors
    /// When there is no usable name, or the arguments are not an object.
    pub fn parse(params: Option<&'a RawValue>) -> Result<Self, ParamsError> {
        let found = Shallow::read(params.ok_or(ParamsError::Missing)?);
        found.refuse_duplicates()?;
        let name = found.name.and_then(text::string).ok_or(ParamsError::Name)?;
        let arguments = match found.arguments {
            Some(raw) if raw.starts_with('{') => Some(raw),
            Some("null") | None => None,
            Some(_) => return Err(ParamsError::Arguments),
        };
        Ok(CallParams { name, arguments })
    }
}

/// The thing that a message is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target<'a> {
    /// A tool, by name.
    Tool(Cow<'a, str>),
    /// A prompt, by name.
    Prompt(Cow<'a, str>),
    /// A resource, by URI.
    Resource(Cow<'a, str>),
    /// A task, by id.
    Task(Cow<'a, str>),
    /// Nothing in particular, or nothing readable.
    None,
}

impl<'a> Target<'a> {
    /// What a message names. A message that should name something and does not is [`Target::None`].
    #[must_use]
    pub fn of(method: &str, params: Option<&'a RawValue>) -> Self {
        let Some(params) = params else {
            return Target::None;
        };
        let read = |key| splice::get_member(params.get(), key).and_then(text::string);
        let target = match method {
            "tools/call" => read("name").map(Target::Tool),
            "prompts/get" => read("name").map(Target::Prompt),
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" => {
                read("uri").map(Target::Resource)
            }
            "tasks/get" | "tasks/update" | "tasks/cancel" | "tasks/result" => {
                read("taskId").map(Target::Task)
            }
            "completion/complete" => completion_target(params),
            _ => None,
        };
        target.unwrap_or(Target::None)
    }

    /// The list that such things stand in.
    #[must_use]
    pub fn kind(&self) -> Option<ListKind> {
        match self {
            Target::Tool(_) => Some(ListKind::Tools),
            Target::Prompt(_) => Some(ListKind::Prompts),
            Target::Resource(_) => Some(ListKind::Resources),
            Target::Task(_) | Target::None => None,
        }
    }

    /// The name, URI or id itself.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Target::Tool(name)
            | Target::Prompt(name)
            | Target::Resource(name)
            | Target::Task(name) => Some(name),
            Target::None => None,
        }
    }
}

/// A completion is about the prompt or the resource template that it refers to.
fn completion_target(params: &RawValue) -> Option<Target<'_>> {
    let reference = splice::get_member(params.get(), "ref")?;
    let read = |key| splice::get_member(reference, key).and_then(text::string);
    match read("type")?.as_ref() {
        "ref/prompt" => read("name").map(Target::Prompt),
        "ref/resource" => read("uri").map(Target::Resource),
        _ => None,
    }
}

/// What `params._meta` says, as far as the gateway understands it.
#[derive(Debug, Clone, Default)]
pub struct Meta<'a> {
    /// The revision that the request is written in; absent when it is not a string.
    pub protocol_version: Option<Cow<'a, str>>,
    /// The client's name and version.
    pub client_info: Option<&'a RawValue>,
    /// What the client can do; absent when it is not an object.
    pub client_capabilities: Option<&'a RawValue>,
    /// The token under which progress is reported: a string or an integer.
    pub progress_token: Option<&'a RawValue>,
    /// The least severe log message that the client wants.
    pub log_level: Option<Cow<'a, str>>,
}

impl<'a> Meta<'a> {
    /// Reads `params._meta`; everything is absent where there is none, or it is not an object.
    #[must_use]
    pub fn of(params: Option<&'a RawValue>) -> Self {
        params
            // Most session-era messages have none, and saying so needs no parser. A key may be spelt with escapes.
            .filter(|params| params.get().contains("_meta") || params.get().contains("\\u"))
            .and_then(|params| Shallow::read(params).meta)
            .and_then(|meta| {
                serde_json::Deserializer::from_str(meta)
                    .deserialize_map(MetaVisitor)
                    .ok()
            })
            .unwrap_or_default()
    }
}

struct MetaVisitor;

impl<'de> Visitor<'de> for MetaVisitor {
    type Value = Meta<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a _meta object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Meta<'de>, A::Error> {
        let mut meta = Meta::default();
        while let Some(key) = map.next_key::<Name<'de>>()? {
            match key.0.as_ref() {
                META_PROTOCOL_VERSION => {
                    meta.protocol_version = text::string(map.next_value::<&RawValue>()?.get())
                }
                META_CLIENT_INFO => meta.client_info = Some(map.next_value()?),
                META_CLIENT_CAPABILITIES => {
                    let raw: &RawValue = map.next_value()?;
                    meta.client_capabilities = raw.get().starts_with('{').then_some(raw);
                }
                META_PROGRESS_TOKEN => meta.progress_token = Some(map.next_value()?),
                META_LOG_LEVEL => {
                    meta.log_level = text::string(map.next_value::<&RawValue>()?.get())
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(meta)
    }
}

/// A key, borrowed unless it is escaped.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The members of `params` that decide what is called, in one pass over the text.
#[derive(Default)]
struct Shallow<'a> {
    name: Option<&'a str>,
    arguments: Option<&'a str>,
    meta: Option<&'a str>,
    duplicate: Option<&'static str>,
}

impl<'a> Shallow<'a> {
    fn read(params: &'a RawValue) -> Self {
        let params = params.get();
        let mut found = Shallow::default();
        for member in text::members(params)
            .iter()
            .flat_map(|object| &object.members)
        {
            let slots = [
                (&mut found.name, "name"),
                (&mut found.arguments, "arguments"),
                (&mut found.meta, "_meta"),
            ];
            let named = slots.into_iter().find(|(_, name)| member.is(params, name));
            if let Some((slot, name)) = named
                && slot
                    .replace(params.get(member.value.clone()).unwrap_or_default())
                    .is_some()
            {
                found.duplicate = Some(name);
            }
        }
        found
    }

    fn refuse_duplicates(&self) -> Result<(), ParamsError> {
        self.duplicate
            .map_or(Ok(()), |name| Err(ParamsError::Duplicate(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_call_is_read_without_touching_its_arguments() {
        let call = CallParams::parse(Some(raw(
            r#"{"arguments": {"a": 1.10} ,"name":"ad\u0064"}"#,
        )))
        .unwrap();
        assert_eq!(call.name, "add");
        assert_eq!(call.arguments, Some(r#"{"a": 1.10}"#));
        let plain = CallParams::parse(Some(raw(r#"{"name":"add","arguments":null}"#))).unwrap();
        assert!(matches!(plain.name, Cow::Borrowed("add")));
        assert!(plain.arguments.is_none());
    }

    #[test]
    fn a_call_that_cannot_be_read_says_why() {
        let cases = [
            None,
            Some("{}"),
            Some(r#"{"name":1}"#),
            Some(r#"{"name":"a","arguments":[]}"#),
            Some(r#"{"name":"a","n\u0061me":"b"}"#),
            Some(r#"{"name":"a","arguments":{},"arguments":{}}"#),
        ];
        let said: Vec<_> = cases
            .iter()
            .map(|case| CallParams::parse(case.map(raw)).unwrap_err().to_string())
            .collect();
        insta::assert_snapshot!(said.join("\n"), @r#"
        The request needs "params".
        "params.name" must be a string.
        "params.name" must be a string.
        "params.arguments" must be an object.
        "params.name" occurs more than once. Send it once.
        "params.arguments" occurs more than once. Send it once.
        "#);
    }

    #[test]
    fn targets_are_found_by_method() {
        let tool = |name| Target::Tool(Cow::Borrowed(name));
        for (method, params, want) in [
            ("tools/call", r#"{"name":"add"}"#, tool("add")),
            ("tools/call", r#"{"name":"a","name":"b"}"#, tool("b")),
            ("tools/call", r#"{"name":3}"#, Target::None),
            ("tools/list", r#"{"name":"add"}"#, Target::None),
            ("prompts/get", r#"{"name":"p"}"#, Target::Prompt("p".into())),
            (
                "resources/read",
                r#"{"uri":"test://x"}"#,
                Target::Resource("test://x".into()),
            ),
            (
                "resources/subscribe",
                r#"{"uri":"test://x"}"#,
                Target::Resource("test://x".into()),
            ),
            ("tasks/get", r#"{"taskId":"t"}"#, Target::Task("t".into())),
            (
                "completion/complete",
                r#"{"ref":{"type":"ref/prompt","name":"p"}}"#,
                Target::Prompt("p".into()),
            ),
            (
                "completion/complete",
                r#"{"ref":{"type":"ref/resource","uri":"t://{x}"}}"#,
                Target::Resource("t://{x}".into()),
            ),
            (
                "completion/complete",
                r#"{"ref":{"type":"ref/other"}}"#,
                Target::None,
            ),
        ] {
            assert_eq!(
                Target::of(method, Some(raw(params))),
                want,
                "{method} {params}"
            );
        }
        assert_eq!(Target::of("tools/call", None).as_str(), None);
    }

    #[test]
    fn meta_is_read_where_it_has_the_right_shape() {
        let meta = Meta::of(Some(raw(
            r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","other":[1],
                "io.modelcontextprotocol/clientInfo":{"name":"c"},"io.modelcontextprotocol/clientCapabilities":{"roots":{}},
                "io.modelcontextprotocol/logLevel":"info","progressToken":12345678901234567890}}"#,
        )));
        assert_eq!(meta.protocol_version.as_deref(), Some("2026-07-28"));
        assert_eq!(meta.client_info.map(RawValue::get), Some(r#"{"name":"c"}"#));
        assert_eq!(
            meta.client_capabilities.map(RawValue::get),
            Some(r#"{"roots":{}}"#)
        );
        assert_eq!(
            meta.progress_token.map(RawValue::get),
            Some("12345678901234567890")
        );
        assert_eq!(meta.log_level.as_deref(), Some("info"));

        let odd = Meta::of(Some(raw(
            r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":7,"io.modelcontextprotocol/clientCapabilities":null}}"#,
        )));
        assert!(odd.protocol_version.is_none() && odd.client_capabilities.is_none());
        for none in [
            None,
            Some("{}"),
            Some(r#"{"_meta":null}"#),
            Some(r#"{"_meta":"x"}"#),
        ] {
            assert!(Meta::of(none.map(raw)).protocol_version.is_none());
        }
    }
}
