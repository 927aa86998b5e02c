//! The JSON-RPC envelope: what kind of message a body is, and nothing more.
//!
//! The listener and the upstreams call [`parse`] on every message. It reads the envelope in one pass and borrows
//! `params`, `result` and `error` as the text that the sender wrote; it never looks inside them and never copies them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::{INVALID_REQUEST, PARSE_ERROR};
use crate::text;

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

/// Why a body is not one JSON-RPC message. The text of each is meant for the caller.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Bytes that are not UTF-8.
    #[error("The body is not valid UTF-8. Send JSON encoded as UTF-8.")]
    NotUtf8(#[source] std::str::Utf8Error),
    /// Text that is not JSON.
    #[error(
        "The body is not valid JSON (line {line}, column {column}). Send one JSON-RPC 2.0 message."
    )]
    NotJson {
        /// Line of the fault, from 1.
        line: usize,
        /// Column of the fault, from 1.
        column: usize,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// A JSON array.
    #[error("JSON-RPC batches are not accepted here. Send each message in a request of its own.")]
    Batch,
    /// JSON that is neither an object nor an array.
    #[error("The body is not a JSON object. Send one JSON-RPC 2.0 message.")]
    NotAnObject,
    /// A member that occurs twice.
    #[error("The member \"{0}\" occurs more than once. Send it once.")]
    Duplicate(&'static str),
    /// `jsonrpc` is absent or not `"2.0"`.
    #[error("The member \"jsonrpc\" must be \"2.0\".")]
    Version,
    /// `id` is `null` on a message with a method.
    #[error(
        "The member \"id\" must not be null. Use a string or an integer, or leave it out to send a notification."
    )]
    NullId,
    /// `id` is a number with a fraction or an exponent.
    #[error(
        "The member \"id\" must be a string or an integer; a fractional number cannot be matched reliably."
    )]
    FractionalId,
    /// `id` is neither a string nor a number.
    #[error("The member \"id\" must be a string or an integer.")]
    BadId,
    /// `method` is not a string.
    #[error("The member \"method\" must be a string.")]
    BadMethod,
    /// `params` is neither an object nor `null`.
    #[error(
        "The member \"params\" must be an object. Name the parameters instead of listing them."
    )]
    BadParams,
    /// Both `result` and `error`.
    #[error("A response carries either \"result\" or \"error\", not both.")]
    ResultAndError,
    /// `method` beside `result` or `error`.
    #[error("A message with \"method\" must not carry \"result\" or \"error\".")]
    MethodAndOutcome,
    /// Neither `method` nor `result` nor `error`.
    #[error(
        "The message carries neither \"method\" nor \"result\" nor \"error\". Add the one that it is about."
    )]
    Empty,
    /// A `result` without an id.
    #[error("A response with \"result\" must carry the \"id\" of its request.")]
    ResultWithoutId,
    /// More messages in a batch than allowed.
    #[error("The batch holds more than {len_max} messages. Send fewer at a time.")]
    BatchTooLong {
        /// The most messages that a batch may hold.
        len_max: usize,
    },
    /// A batch of no messages.
    #[error("The batch is empty. Send at least one message.")]
    BatchEmpty,
}

impl EnvelopeError {
    /// The JSON-RPC code to answer with.
    #[must_use]
    pub fn code(&self) -> i32 {
        match self {
            EnvelopeError::NotUtf8(_) | EnvelopeError::NotJson { .. } => PARSE_ERROR,
            EnvelopeError::Batch
            | EnvelopeError::NotAnObject
            | EnvelopeError::Duplicate(_)
            | EnvelopeError::Version
            | EnvelopeError::NullId
            | EnvelopeError::FractionalId
            | EnvelopeError::BadId
            | EnvelopeError::BadMethod
            | EnvelopeError::BadParams
            | EnvelopeError::ResultAndError
            | EnvelopeError::MethodAndOutcome
            | EnvelopeError::Empty
            | EnvelopeError::ResultWithoutId
            | EnvelopeError::BatchTooLong { .. }
            | EnvelopeError::BatchEmpty => INVALID_REQUEST,
        }
    }

    /// The HTTP status to answer with.
    #[must_use]
    pub fn http_status(&self) -> u16 {
        400
    }

    /// What the caller may read: what is wrong, and what to do.
    #[must_use]
    pub fn public_message(&self) -> String {
        self.to_string()
    }
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

/// The messages of a batch, for the one revision that allows batches; each is then read by [`parse_str`].
///
/// # Errors
/// When the body is not an array, is empty, or holds more than `len_max` elements.
pub fn parse_batch(body: &[u8], len_max: usize) -> Result<Vec<&RawValue>, EnvelopeError> {
    let text = std::str::from_utf8(body).map_err(EnvelopeError::NotUtf8)?;
    if first_byte(text) != Some(b'[') {
        return Err(EnvelopeError::NotAnObject);
    }
    let elements: Vec<&RawValue> = serde_json::from_str(text).map_err(not_json)?;
    if elements.is_empty() {
        return Err(EnvelopeError::BatchEmpty);
    }
    if elements.len() > len_max {
        return Err(EnvelopeError::BatchTooLong { len_max });
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
