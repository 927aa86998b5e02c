//! Walking JSON text without building a tree.
//!
//! The ground under [`crate::splice`], [`crate::params`] and [`crate::listing`]: byte positions of members and
//! elements. It trusts that the text was checked by a real parser before (every `RawValue` was), so it only has to be
//! safe on malformed text, not to find every fault in it. It never recurses: depth costs no stack.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The text is not the JSON that it was taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// One `"key": value` of an object, as positions in the text.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// The key with its quotes.
    pub(crate) key: Range<usize>,
    /// The value without the whitespace around it.
    pub(crate) value: Range<usize>,
}

impl Member {
    /// Whether the member's key, unescaped, equals `name`.
    pub(crate) fn is(&self, text: &str, name: &str) -> bool {
        let raw = text.get(self.key.clone()).unwrap_or_default();
        match unquoted(raw) {
            Some(plain) => plain == name,
            None => string(raw).is_some_and(|key| key == name),
        }
    }
}

/// The text between the quotes, when nothing in it is escaped.
fn unquoted(raw: &str) -> Option<&str> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    (!inner.as_bytes().contains(&b'\\')).then_some(inner)
}

/// The value of a JSON string, borrowed where nothing in it is escaped. `None` when `raw` is not a string.
pub(crate) fn string(raw: &str) -> Option<Cow<'_, str>> {
    let raw = raw.trim_ascii();
    match unquoted(raw) {
        // A quote inside would have needed an escape, so what is left is the value.
        Some(plain) => Some(Cow::Borrowed(plain)),
        None => serde_json::from_str::<String>(raw).ok().map(Cow::Owned),
    }
}

/// `value` as a JSON string, quotes included.
pub(crate) fn quote(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

/// The members of an object, in order.
pub(crate) fn members(text: &str) -> Result<Object, Malformed> {
    let bytes = text.as_bytes();
    let open = skip_space(bytes, 0);
    if bytes.get(open) != Some(&b'{') {
        return Err(Malformed);
    }
    let mut members = Vec::new();
    let mut at = skip_space(bytes, open + 1);
    if bytes.get(at) == Some(&b'}') {
        return Ok(Object {
            open,
            end: at + 1,
            members,
        });
    }
    loop {
        let key_end = skip_string(bytes, at)?;
        let colon = skip_space(bytes, key_end);
        if bytes.get(colon) != Some(&b':') {
            return Err(Malformed);
        }
        let value_start = skip_space(bytes, colon + 1);
        let value_end = skip_value(bytes, value_start)?;
        members.push(Member {
            key: at..key_end,
            value: value_start..value_end,
        });
        let next = skip_space(bytes, value_end);
        match bytes.get(next) {
            Some(b',') => at = skip_space(bytes, next + 1),
            Some(b'}') => {
                return Ok(Object {
                    open,
                    end: next + 1,
                    members,
                });
            }
            Some(_) | None => return Err(Malformed),
        }
    }
}

/// An object's opening brace and members, as positions in the text.
#[derive(Debug)]
pub(crate) struct Object {
    /// Position of `{`.
    pub(crate) open: usize,
    /// Position after `}`.
    pub(crate) end: usize,
    /// In the order of the text; duplicates included.
    pub(crate) members: Vec<Member>,
}

impl Object {
    /// The member that a reader sees under `name`: the last of that name.
    pub(crate) fn last(&self, text: &str, name: &str) -> Option<&Member> {
        self.members
            .iter()
            .rev()
            .find(|member| member.is(text, name))
    }
}

/// The elements of an array, in order, as positions in the text.
pub(crate) fn elements(text: &str) -> Result<Vec<Range<usize>>, Malformed> {
    let bytes = text.as_bytes();
    let open = skip_space(bytes, 0);
    if bytes.get(open) != Some(&b'[') {
        return Err(Malformed);
    }
    let mut found = Vec::new();
    let mut at = skip_space(bytes, open + 1);
    if bytes.get(at) == Some(&b']') {
        return Ok(found);
    }
    loop {
        let end = skip_value(bytes, at)?;
        found.push(at..end);
        let next = skip_space(bytes, end);
        match bytes.get(next) {
            Some(b',') => at = skip_space(bytes, next + 1),
            Some(b']') => return Ok(found),
            Some(_) | None => return Err(Malformed),
        }
    }
}

/// The elements of an array, each checked by the parser; `None` when there are more than `len_max`.
pub(crate) fn checked_elements(
    text: &str,
    len_max: usize,
) -> Result<Option<Vec<&RawValue>>, serde_json::Error> {
    let mut parser = serde_json::Deserializer::from_str(text);
    let found = parser.deserialize_seq(ElementsVisitor { len_max })?;
    parser.end()?;
    Ok((found.len() <= len_max).then_some(found))
}

/// Keeps one element more than allowed, and only checks what comes after.
struct ElementsVisitor {
    len_max: usize,
}

impl<'de> Visitor<'de> for ElementsVisitor {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some(element) = seq.next_element()? {
            if found.len() <= self.len_max {
                found.push(element);
            }
        }
        Ok(found)
    }
}

/// The first position at or after `at` that is not whitespace.
pub(crate) fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// The position after the string that begins at `at`.
fn skip_string(bytes: &[u8], at: usize) -> Result<usize, Malformed> {
    if bytes.get(at) != Some(&b'"') {
        return Err(Malformed);
    }
    let mut at = at + 1;
    loop {
        let rest = bytes.get(at..).ok_or(Malformed)?;
        let stop = at + memchr::memchr2(b'"', b'\\', rest).ok_or(Malformed)?;
        match bytes.get(stop) {
            Some(b'"') => return Ok(stop + 1),
            Some(_) | None => at = stop + 2,
        }
    }
}

/// The position after the value that begins at `at`.
fn skip_value(bytes: &[u8], at: usize) -> Result<usize, Malformed> {
    match bytes.get(at) {
        Some(b'"') => skip_string(bytes, at),
        Some(b'{' | b'[') => skip_container(bytes, at),
        Some(b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => Ok(skip_scalar(bytes, at)),
        Some(_) | None => Err(Malformed),
    }
}

/// The position after the object or array that begins at `at`, counting brackets outside strings.
fn skip_container(bytes: &[u8], at: usize) -> Result<usize, Malformed> {
    let mut depth = 0_usize;
    let mut at = at;
    loop {
        match bytes.get(at) {
            Some(b'"') => {
                at = skip_string(bytes, at)?;
                continue;
            }
            Some(b'{' | b'[') => depth += 1,
            Some(b'}' | b']') => {
                depth -= 1;
                if depth == 0 {
                    return Ok(at + 1);
                }
            }
            Some(_) => {}
            None => return Err(Malformed),
        }
        at += 1;
    }
}

/// The position after the number or literal that begins at `at`.
fn skip_scalar(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        if matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r') {
            break;
        }
        at += 1;
    }
    at
}
