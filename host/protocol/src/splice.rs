//! Edits of JSON text that leave every other byte as it was written.
//!
//! The gateway renames tools, adds `_meta` members and strips what an older client does not know. Parsing and writing
//! the message again would turn `1.10` into `1.1`, large integers into floats and reorder keys; these functions cut
//! and insert instead. They expect text that a JSON parser has accepted, and answer with an error, never a panic,
//! when it is something else.
//!
//! Where a key occurs twice, readers see the last one, as most parsers do. A write replaces the last one and drops
//! the others, so that no second reader can find a second meaning.

use std::ops::Range;

use crate::text::{self, Malformed, Object};

/// Why an edit could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpliceError {
    /// The text, or the part of it that the path leads through, is not a JSON object.
    #[error("`{path}` is not a JSON object")]
    NotAnObject {
        /// JSON Pointer to the value; empty for the whole text.
        path: String,
    },
}

/// Sets `key` of `object` to the JSON text `raw_value`, at the end when the key is new.
///
/// # Errors
/// When `object` is not a JSON object.
pub fn set_member(object: &str, key: &str, raw_value: &str) -> Result<String, SpliceError> {
    set_path(object, &[key], raw_value)
}

/// Removes `key` from `object`, every occurrence of it. Without the key, the text comes back as it was.
///
/// # Errors
/// When `object` is not a JSON object.
pub fn remove_member(object: &str, key: &str) -> Result<String, SpliceError> {
    remove_path(object, &[key])
}

/// Sets the member that `path` leads to, making the objects on the way that are missing.
///
/// An empty path replaces the whole text.
///
/// # Errors
/// When `object`, or something on the way, is not a JSON object.
pub fn set_path(object: &str, path: &[&str], raw_value: &str) -> Result<String, SpliceError> {
    let Some((key, parents)) = path.split_last() else {
        return Ok(raw_value.to_owned());
    };
    let mut edits = Edits::default();
    let mut range = 0..object.len();
    for (depth, parent) in parents.iter().enumerate() {
        let inner = slice(object, &range);
        let found = parse(inner, path, depth)?;
        match edits.keep_last(inner, &found, parent, range.start) {
            Some(value) => range = value,
            None => {
                let rest = path.get(depth + 1..).unwrap_or_default();
                edits.append(
                    inner,
                    &found,
                    (parent, &nested(rest, raw_value)),
                    range.start,
                );
                return Ok(edits.apply(object));
            }
        }
    }
    let inner = slice(object, &range);
    let found = parse(inner, path, parents.len())?;
    match edits.keep_last(inner, &found, key, range.start) {
        Some(value) => edits.replace(value, raw_value.to_owned()),
        None => edits.append(inner, &found, (key, raw_value), range.start),
    }
    Ok(edits.apply(object))
}

/// Removes the member that `path` leads to. Where the path leads nowhere, the text comes back as it was.
///
/// # Errors
/// When `object`, or something on the way, is not a JSON object.
pub fn remove_path(object: &str, path: &[&str]) -> Result<String, SpliceError> {
    let Some((key, parents)) = path.split_last() else {
        return Ok(object.to_owned());
    };
    let mut edits = Edits::default();
    let mut range = 0..object.len();
    for (depth, parent) in parents.iter().enumerate() {
        let inner = slice(object, &range);
        let found = parse(inner, path, depth)?;
        match edits.keep_last(inner, &found, parent, range.start) {
            Some(value) => range = value,
            None => return Ok(object.to_owned()),
        }
    }
    let inner = slice(object, &range);
    let found = parse(inner, path, parents.len())?;
    edits.cut_members(&found, range.start, |member| member.is(inner, key));
    Ok(edits.apply(object))
}

/// The value at a JSON Pointer (RFC 6901), as its text; `""` is the whole text.
///
/// `None` where the pointer leads nowhere or is not a pointer.
#[must_use]
pub fn get_pointer<'a>(raw: &'a str, pointer: &str) -> Option<&'a str> {
    let mut current = raw.trim_ascii();
    if pointer.is_empty() {
        return Some(current);
    }
    for token in pointer.strip_prefix('/')?.split('/') {
        current = match current.as_bytes().first()? {
            b'{' => {
                let key = unescape(token)?;
                let object = text::members(current).ok()?;
                let value = object.last(current, &key)?.value.clone();
                current.get(value)?
            }
            b'[' => {
                let element = text::elements(current).ok()?.get(index(token)?)?.clone();
                current.get(element)?
            }
            _ => return None,
        };
    }
    Some(current)
}

/// The value of a member of an object, as its text; the last one where the key is written twice.
#[must_use]
pub fn get_member<'a>(object: &'a str, key: &str) -> Option<&'a str> {
    let found = text::members(object).ok()?;
    let value = found.last(object, key)?.value.clone();
    object.get(value)
}

/// `~1` and `~0` of a reference token; `None` for any other `~`.
fn unescape(token: &str) -> Option<String> {
    let mut key = String::with_capacity(token.len());
    let mut chars = token.chars();
    while let Some(char) = chars.next() {
        match char {
            '~' => match chars.next()? {
                '0' => key.push('~'),
                '1' => key.push('/'),
                _ => return None,
            },
            plain => key.push(plain),
        }
    }
    Some(key)
}

/// An array index: digits without a leading zero.
fn index(token: &str) -> Option<usize> {
    let digits = token.bytes().all(|byte| byte.is_ascii_digit());
    let padded = token.len() > 1 && token.starts_with('0');
    (digits && !padded).then(|| token.parse().ok()).flatten()
}

fn slice<'a>(text: &'a str, range: &Range<usize>) -> &'a str {
    text.get(range.clone()).unwrap_or_default()
}

fn parse(inner: &str, path: &[&str], depth: usize) -> Result<Object, SpliceError> {
    text::members(inner).map_err(|Malformed| {
        let mut pointer = String::new();
        for key in path.iter().take(depth) {
            pointer.push('/');
            pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
        }
        SpliceError::NotAnObject { path: pointer }
    })
}

/// `{"a":{"b":value}}` for the keys `a`, `b`.
fn nested(keys: &[&str], raw_value: &str) -> String {
    let mut out = String::new();
    for key in keys {
        out.push('{');
        out.push_str(&text::quote(key));
        out.push(':');
    }
    out.push_str(raw_value);
    out.extend(keys.iter().map(|_| '}'));
    out
}

/// Replacements of ranges of one text; collected first, so that the text is copied once.
#[derive(Debug, Default)]
struct Edits {
    changes: Vec<(Range<usize>, String)>,
}

impl Edits {
    fn replace(&mut self, range: Range<usize>, with: String) {
        self.changes.push((range, with));
    }

    /// Drops all but the last member of that name; answers with the last one's value as a range of the whole text.
    fn keep_last(
        &mut self,
        inner: &str,
        object: &Object,
        key: &str,
        base: usize,
    ) -> Option<Range<usize>> {
        let last = object.last(inner, key)?;
        let kept = last.key.start;
        self.cut_members(object, base, |member| {
            member.key.start != kept && member.is(inner, key)
        });
        Some(base + last.value.start..base + last.value.end)
    }

    /// Adds a member after the last one.
    fn append(&mut self, inner: &str, object: &Object, member: (&str, &str), base: usize) {
        let (key, raw_value) = member;
        let quoted = text::quote(key);
        match object.members.last() {
            Some(last) => {
                let at = base + last.value.end;
                self.replace(at..at, format!(",{quoted}:{raw_value}"));
            }
            None => {
                debug_assert!(inner.as_bytes().get(object.open) == Some(&b'{'));
                let at = base + object.open + 1;
                self.replace(at..at, format!("{quoted}:{raw_value}"));
            }
        }
    }

    /// Cuts the members that `drop` picks, together with exactly as many commas.
    fn cut_members(&mut self, object: &Object, base: usize, drop: impl Fn(&text::Member) -> bool) {
        let members = &object.members;
        let mut kept_end = None;
        let mut index = 0;
        while let Some(member) = members.get(index) {
            if !drop(member) {
                kept_end = Some(member.value.end);
                index += 1;
                continue;
            }
            let run = members
                .iter()
                .skip(index)
                .take_while(|member| drop(member))
                .count();
            let last_end = members
                .get(index + run - 1)
                .map_or(member.value.end, |last| last.value.end);
            let cut = match (members.get(index + run), kept_end) {
                (Some(next), _) => member.key.start..next.key.start,
                (None, Some(end)) => end..last_end,
                (None, None) => member.key.start..last_end,
            };
            self.replace(base + cut.start..base + cut.end, String::new());
            index += run;
        }
    }

    /// The text with every change made. Changes never overlap: cuts are of other members than replacements.
    fn apply(mut self, text: &str) -> String {
        self.changes
            .sort_by_key(|(range, _)| (range.start, range.end));
        let grown: usize = self.changes.iter().map(|(_, with)| with.len()).sum();
        let mut out = String::with_capacity(text.len() + grown);
        let mut at = 0;
        for (range, with) in &self.changes {
            out.push_str(slice(text, &(at..range.start)));
            out.push_str(with);
            at = range.end;
        }
        out.push_str(slice(text, &(at..text.len())));
        out
    }
}

#[cfg(test)]
mod tests;
