//! The JSON-RPC envelope: what kind of message a body is, and nothing more.
//!
//! The listener and the upstreams call [`parse`] on every message. It reads the envelope in one pass and borrows
//! `params`, `result` and `error` as the text that the sender wrote; it never looks inside them and never copies them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::text;

mod refusal;

pub use refusal::EnvelopeError;

/// One JSON-RPC message.
#[derive(Debug, Clone)]
pub enum Message<'a> {
    /// Wants a response.
    Request(Request<'a>),
    /// Wants none.
    Notification(Notification<'a>),
    /// Answers a request that the other side made.
    Response(Response<'a>),
}

impl<'a> Message<'a> {
    /// The method of a request or notification.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        match self {
            Message::Request(request) => Some(&request.method),
            Message::Notification(notification) => Some(&notification.method),
            Message::Response(_) => None,
        }
    }

    /// The id of a request or response, as its text.
    #[must_use]
    pub fn id(&self) -> Option<&'a RawValue> {
        match self {
            Message::Request(request) => Some(request.id),
            Message::Notification(_) => None,
            Message::Response(response) => response.id,
        }
    }

    /// The params of a request or notification.
    #[must_use]
    pub fn params(&self) -> Option<&'a RawValue> {
        match self {
            Message::Request(request) => request.params,
            Message::Notification(notification) => notification.params,
            Message::Response(_) => None,
        }
    }
}

/// A message that wants a response.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// A JSON string or integer, as its text.
    pub id: &'a RawValue,
    /// The method's name.
    pub method: Cow<'a, str>,
    /// A JSON object, as its text; absent when the sender left it out or wrote `null`.
    pub params: Option<&'a RawValue>,
}

/// A message that wants no response.
#[derive(Debug, Clone)]
pub struct Notification<'a> {
    /// The method's name.
    pub method: Cow<'a, str>,
    /// A JSON object, as its text; absent when the sender left it out or wrote `null`.
    pub params: Option<&'a RawValue>,
}

/// The answer to a request.
#[derive(Debug, Clone)]
pub struct Response<'a> {
    /// The request's id; absent only on errors whose sender could not read it.
    pub id: Option<&'a RawValue>,
    /// How the request ended.
    pub outcome: Outcome<'a>,
}

/// How a request ended.
#[derive(Debug, Clone, Copy)]
pub enum Outcome<'a> {
    /// The `result` member, as its text.
    Result(&'a RawValue),
    /// The `error` member, as its text.
    Error(&'a RawValue),
}

/// Reads one message.
///
/// # Errors
/// When the body is not exactly one JSON-RPC 2.0 message; a JSON array is [`EnvelopeError::Batch`].
pub fn parse(body: &[u8]) -> Result<Message<'_>, EnvelopeError> {
    let text = std::str::from_utf8(body).map_err(EnvelopeError::NotUtf8)?;
    parse_str(text)
}

/// Reads one message from text; see [`parse`].
///
/// # Errors
/// As [`parse`].
pub fn parse_str(text: &str) -> Result<Message<'_>, EnvelopeError> {
    Members::read(text)?.into_message()
}

/// A response, by its frame alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The request's id as its text; absent, or `null`, only on errors whose sender could not read it.
    pub id: Option<&'a str>,
    /// The `result` member as its text; absent on errors.
    pub result: Option<&'a str>,
}

/// Reads whose answer a body is, without checking the JSON inside `result` or `error`: that is for whoever reads it.
/// `None` for anything but one response.
#[must_use]
pub fn frame(body: &[u8]) -> Option<Frame<'_>> {
    let text = std::str::from_utf8(body).ok()?;
    let object = text::members(text).ok()?;
    if text::skip_space(body, object.end) != body.len() {
        return None;
    }
    let member = |name| {
        let mut of_name = object.members.iter().filter(|member| member.is(text, name));
        match (of_name.next(), of_name.next()) {
            (Some(member), None) => text.get(member.value.clone()),
            (None, _) | (Some(_), Some(_)) => None,
        }
    };
    let (id, result, error) = (member("id"), member("result"), member("error"));
    let is_call = object
        .members
        .iter()
        .any(|member| member.is(text, "method"));
    let is_2_0 = member("jsonrpc").and_then(text::string).as_deref() == Some("2.0");
    (is_2_0 && !is_call && result.is_some() != error.is_some()).then_some(Frame { id, result })
}

/// The messages of a batch, for the one revision that allows batches; each is then read by [`parse_str`].
///
/// # Errors
/// When the body is not an array, is empty, or holds more than `len_max` elements.
pub fn parse_batch(body: &[u8], len_max: usize) -> Result<Vec<&RawValue>, EnvelopeError> {
    let text = std::str::from_utf8(body).map_err(EnvelopeError::NotUtf8)?;
    if first_byte(text) != Some(b'[') {
        return Err(EnvelopeError::NotAnObject);
    }
    let elements = text::checked_elements(text, len_max)
        .map_err(not_json)?
        .ok_or(EnvelopeError::BatchTooLong { len_max })?;
    if elements.is_empty() {
        return Err(EnvelopeError::BatchEmpty);
    }
    Ok(elements)
}

/// The id of a message that [`parse`] refused, where it can be read all the same: an error reply should carry it.
#[must_use]
pub fn id_of_refused(body: &[u8]) -> Option<&RawValue> {
    let text = std::str::from_utf8(body).ok()?;
    let members = Members::read(text).ok()?;
    let id = members.id?;
    check_id(id).is_ok().then_some(id)
}

fn first_byte(text: &str) -> Option<u8> {
    text.as_bytes()
        .get(text::skip_space(text.as_bytes(), 0))
        .copied()
}

fn not_json(source: serde_json::Error) -> EnvelopeError {
    EnvelopeError::NotJson {
        line: source.line(),
        column: source.column(),
        source,
    }
}

/// A JSON string or integer. JSON itself was checked before, so only the kind of value is in question.
fn check_id(id: &RawValue) -> Result<(), EnvelopeError> {
    let text = id.get();
    match text.as_bytes().first() {
        Some(b'"') => Ok(()),
        Some(b'-' | b'0'..=b'9') if text.contains(['.', 'e', 'E']) => {
            Err(EnvelopeError::FractionalId)
        }
        Some(b'-' | b'0'..=b'9') => Ok(()),
        Some(b'n') => Err(EnvelopeError::NullId),
        Some(_) | None => Err(EnvelopeError::BadId),
    }
}

/// The envelope's members as they were found.
#[derive(Debug, Default)]
struct Members<'a> {
    jsonrpc: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    method: Option<&'a RawValue>,
    params: Option<&'a RawValue>,
    result: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
    duplicate: Option<&'static str>,
}

impl<'a> Members<'a> {
    fn read(text: &'a str) -> Result<Self, EnvelopeError> {
        match first_byte(text) {
            Some(b'{') => {}
            Some(b'[') => return Err(EnvelopeError::Batch),
            Some(_) | None => {
                serde_json::from_str::<IgnoredAny>(text).map_err(not_json)?;
                return Err(EnvelopeError::NotAnObject);
            }
        }
        let mut parser = serde_json::Deserializer::from_str(text);
        let members = parser.deserialize_map(MembersVisitor).map_err(not_json)?;
        parser.end().map_err(not_json)?;
        Ok(members)
    }

    fn into_message(self) -> Result<Message<'a>, EnvelopeError> {
        if let Some(name) = self.duplicate {
            return Err(EnvelopeError::Duplicate(name));
        }
        self.check_version()?;
        match (self.method, self.result, self.error) {
            (Some(_), None, None) => self.into_call(),
            (Some(_), _, _) => Err(EnvelopeError::MethodAndOutcome),
            (None, Some(_), Some(_)) => Err(EnvelopeError::ResultAndError),
            (None, Some(result), None) => {
                let id = self.id.ok_or(EnvelopeError::ResultWithoutId)?;
                check_id(id)?;
                Ok(Message::Response(Response {
                    id: Some(id),
                    outcome: Outcome::Result(result),
                }))
            }
            (None, None, Some(error)) => {
                let id = self.id.filter(|id| id.get() != "null");
                id.map_or(Ok(()), check_id)?;
                Ok(Message::Response(Response {
                    id,
                    outcome: Outcome::Error(error),
                }))
            }
            (None, None, None) => Err(EnvelopeError::Empty),
        }
    }

    fn into_call(self) -> Result<Message<'a>, EnvelopeError> {
        let method = self
            .method
            .and_then(|raw| text::string(raw.get()))
            .ok_or(EnvelopeError::BadMethod)?;
        let params = match self.params {
            Some(raw) if raw.get().starts_with('{') => Some(raw),
            Some(raw) if raw.get() == "null" => None,
            Some(_) => return Err(EnvelopeError::BadParams),
            None => None,
        };
        match self.id {
            Some(id) => {
                check_id(id)?;
                Ok(Message::Request(Request { id, method, params }))
            }
            None => Ok(Message::Notification(Notification { method, params })),
        }
    }

    fn check_version(&self) -> Result<(), EnvelopeError> {
        let version = self.jsonrpc.and_then(|raw| text::string(raw.get()));
        if version.as_deref() == Some("2.0") {
            Ok(())
        } else {
            Err(EnvelopeError::Version)
        }
    }
}

/// Which member of the envelope a key names.
#[derive(Clone, Copy)]
enum Key {
    Jsonrpc,
    Id,
    Method,
    Params,
    Result,
    Error,
    Other,
}

struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Key;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a member name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Key, E> {
        Ok(match name {
            "jsonrpc" => Key::Jsonrpc,
            "id" => Key::Id,
            "method" => Key::Method,
            "params" => Key::Params,
            "result" => Key::Result,
            "error" => Key::Error,
            _ => Key::Other,
        })
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON-RPC message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut found = Members::default();
        while let Some(key) = map.next_key_seed(KeySeed)? {
            let (slot, name) = match key {
                Key::Jsonrpc => (&mut found.jsonrpc, "jsonrpc"),
                Key::Id => (&mut found.id, "id"),
                Key::Method => (&mut found.method, "method"),
                Key::Params => (&mut found.params, "params"),
                Key::Result => (&mut found.result, "result"),
                Key::Error => (&mut found.error, "error"),
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if slot.replace(map.next_value()?).is_some() {
                found.duplicate = Some(name);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
