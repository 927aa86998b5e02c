//! Masks a JSON text: finds what must go, and replaces exactly that.
//!
//! Tools like to answer with JSON inside a string. Such a string is walked too, so that keys count there as well, and
//! whatever is put in is escaped once per level: the outer text stays JSON, and so does the inner one.

use crate::json::{self, NotJson, Place, Visitor};
use crate::scan::Scanner;
use crate::sieve::Initials;
use crate::strings::{Decoded, encode};

/// JSON in strings in JSON: deeper levels are searched as plain text.
const LEVELS_MAX: usize = 4;

/// What is masked, and by what.
#[derive(Debug)]
pub struct Masker {
    scanner: Scanner,
    keys: Vec<String>,
    initials: Initials,
    /// Whether a key may stand in the text in other bytes than its own.
    hides_keys: bool,
    replacement: String,
}

/// New raw text for a place of the old one.
struct Edit {
    start: usize,
    end: usize,
    with: String,
}

impl Masker {
    pub fn new(scanner: Scanner, keys: Vec<String>, replacement: String) -> Self {
        // What JSON may write in more ways than one, or in no bytes at all, can be anywhere.
        let is_plain = |byte: u8| byte >= 0x20 && !matches!(byte, b'"' | b'\\' | b'/');
        let are_plain = |key: &String| !key.is_empty() && key.bytes().all(is_plain);
        Self {
            scanner,
            initials: Initials::of(&keys),
            hides_keys: !keys.iter().all(are_plain),
            keys,
            replacement,
        }
    }

    /// The masked text, or none when there is nothing to mask.
    pub fn mask(&self, text: &str) -> Result<Option<String>, NotJson> {
        if !self.suspects(text) {
            return Ok(None);
        }
        let edits = self.edits(text, 0)?;
        if edits.is_empty() {
            return Ok(None);
        }
        let mut out = String::with_capacity(text.len());
        let mut copied = 0;
        for edit in edits {
            out.push_str(text.get(copied..edit.start).ok_or(NotJson)?);
            out.push_str(&edit.with);
            copied = edit.end;
        }
        out.push_str(text.get(copied..).ok_or(NotJson)?);
        Ok(Some(out))
    }

    /// Whether raw JSON text can hold a pattern or a masked key: no structure, no false negatives. Short escapes hide
    /// no letter of a plain key, and long ones are suspect anyway.
    fn suspects(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        let is_key = |start: usize, key: &str| {
            let end = start + key.len();
            let ends = matches!(bytes.get(end), Some(b'"' | b'\\'));
            let here = bytes.get(start..end);
            ends && here.is_some_and(|here| here.eq_ignore_ascii_case(key.as_bytes()))
        };
        let begins_key = |start: usize| {
            let is_quoted = start.checked_sub(1).and_then(|at| bytes.get(at)) == Some(&b'"');
            is_quoted && self.keys.iter().any(|key| is_key(start, key))
        };
        self.hides_keys || self.scanner.suspects_also(text, self.initials, begins_key)
    }

    fn edits(&self, text: &str, level: usize) -> Result<Vec<Edit>, NotJson> {
        let mut walk = Walk {
            masker: self,
            text,
            level,
            edits: Vec::new(),
            depth: 0,
            masked_key: None,
            masking: None,
        };
        json::read(text, &mut walk)?;
        Ok(walk.edits)
    }

    fn replacement(&self, kind: &str) -> String {
        self.replacement.replace("<kind>", kind)
    }

    /// Edits of the inside of a string that starts at `start`.
    fn string_edits(&self, raw: &str, start: usize, level: usize) -> Result<Vec<Edit>, NotJson> {
        let may_be_json = raw.trim_ascii_start().starts_with(['{', '[', '\\']);
        if !self.scanner.suspects(raw) && (self.keys.is_empty() || !may_be_json) {
            // Nothing is decoded, so escapes have not been checked; an unchanged text need not be.
            return Ok(Vec::new());
        }
        let decoded = Decoded::new(raw).ok_or(NotJson)?;
        let inner = self.inner_edits(&decoded.text, level);
        let edits = inner.unwrap_or_else(|| {
            let found = self.scanner.find(&decoded.text).into_iter();
            let edit = |found: crate::scan::Found<'_>| Edit {
                start: found.start,
                end: found.end,
                with: self.replacement(found.kind),
            };
            found.map(edit).collect()
        });
        let outward = |edit: Edit| Edit {
            start: start + decoded.raw_index(edit.start),
            end: start + decoded.raw_index(edit.end),
            with: encode(&edit.with),
        };
        Ok(edits.into_iter().map(outward).collect())
    }

    /// Edits of a string that holds JSON; none when it does not.
    fn inner_edits(&self, text: &str, level: usize) -> Option<Vec<Edit>> {
        let is_container = text.trim_ascii_start().starts_with(['{', '[']);
        if !is_container || level >= LEVELS_MAX {
            return None;
        }
        self.edits(text, level + 1).ok()
    }
}

struct Walk<'m> {
    masker: &'m Masker,
    text: &'m str,
    /// 0 for the message itself; more inside strings.
    level: usize,
    edits: Vec<Edit>,
    depth: usize,
    /// The key whose value comes next, when that value is to be masked.
    masked_key: Option<&'m str>,
    /// The value that is being masked: its key, its start, and its depth.
    masking: Option<(&'m str, usize, usize)>,
}

impl<'m> Walk<'m> {
    fn raw(&self, place: Place) -> Result<&'m str, NotJson> {
        self.text.get(place.0..place.1).ok_or(NotJson)
    }

    fn masked_name(&self, raw: &str) -> Result<Option<&'m str>, NotJson> {
        let keys = &self.masker.keys;
        if keys.is_empty() {
            return Ok(None);
        }
        let find = |key: &str| {
            keys.iter()
                .find(|name| name.eq_ignore_ascii_case(key))
                .map(String::as_str)
        };
        if raw.contains('\\') {
            Ok(find(&Decoded::new(raw).ok_or(NotJson)?.text))
        } else {
            Ok(find(raw))
        }
    }
}

impl Visitor for Walk<'_> {
    fn key(&mut self, place: Place) -> Result<(), NotJson> {
        if self.masking.is_some() {
            return Ok(());
        }
        let raw = self.raw(place)?;
        self.masked_key = self.masked_name(raw)?;
        if self.level > 0 {
            // Inside a string everything is a string's content, keys too.
            let edits = self.masker.string_edits(raw, place.0, LEVELS_MAX)?;
            self.edits.extend(edits);
        }
        Ok(())
    }

    fn begin(&mut self, start: usize, is_null: bool) {
        if let Some(key) = self.masked_key.take() {
            // There is nothing to hide about nothing.
            if !is_null {
                self.masking = Some((key, start, self.depth));
            }
        }
        self.depth += 1;
    }

    fn string(&mut self, place: Place) -> Result<(), NotJson> {
        if self.masking.is_none() {
            let raw = self.raw(place)?;
            let edits = self.masker.string_edits(raw, place.0, self.level)?;
            self.edits.extend(edits);
        }
        Ok(())
    }

    fn number(&mut self, place: Place) {
        if self.level == 0 || self.masking.is_some() {
            return;
        }
        // A number in JSON in a string: masked as a whole, so that the inner text stays JSON.
        let text = self.raw(place).unwrap_or_default();
        if let Some(found) = self.masker.scanner.find(text).first() {
            let with = format!("\"{}\"", encode(&self.masker.replacement(found.kind)));
            let (start, end) = place;
            self.edits.push(Edit { start, end, with });
        }
    }

    fn end(&mut self, end: usize) {
        self.depth -= 1;
        let Some((key, start, depth)) = self.masking else {
            return;
        };
        if depth != self.depth {
            return;
        }
        self.masking = None;
        let with = format!("\"{}\"", encode(&self.masker.replacement(key)));
        if self.text.get(start..end) != Some(with.as_str()) {
            self.edits.push(Edit { start, end, with });
        }
    }
}
