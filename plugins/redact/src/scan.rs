//! Finds patterns in text: one pass over the bytes, stopping only at those that can give a pattern away.
//!
//! The telling byte of each pattern is its rarest one (`@`, the `J` of `eyJ`, the `_` of `ghp_`), so ordinary text is
//! passed over at the speed of a table look-up.

use regex_lite::Regex;
use serde::Deserialize;

use crate::kind::{Kind, Kinds};
use crate::patterns::{Span, at, before, contact, is_at, number, secret};
use crate::sieve::{self, Initials, is_number_byte};

/// A pattern of the configuration's own, as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Custom {
    name: String,
    literal: Option<String>,
    pattern: Option<String>,
}

#[derive(Debug)]
enum Finder {
    Literal(String),
    Pattern(Regex),
}

/// A place in a text, and what was found there.
#[derive(Debug, PartialEq)]
pub struct Found<'s> {
    pub start: usize,
    pub end: usize,
    pub kind: &'s str,
}

/// Everything that is looked for.
#[derive(Debug)]
pub struct Scanner {
    kinds: Kinds,
    telling: [bool; 256],
    custom: Vec<(String, Finder)>,
}

const NUMBERS: [Kind; 5] = [
    Kind::CreditCard,
    Kind::UsSsn,
    Kind::Iban,
    Kind::Phone,
    Kind::Ip,
];

impl Scanner {
    /// Compiles the patterns of the configuration's own; the error names the one that is wrong.
    pub fn new(kinds: &[Kind], custom: Vec<Custom>) -> Result<Self, String> {
        let finders = custom.into_iter().enumerate().map(|(index, custom)| {
            let finder = match (custom.literal, custom.pattern) {
                (Some(text), None) if !text.is_empty() => Finder::Literal(text),
                (None, Some(pattern)) => Finder::Pattern(
                    Regex::new(&pattern)
                        .map_err(|error| format!("custom[{index}].pattern: {error}"))?,
                ),
                _ => {
                    return Err(format!(
                        "custom[{index}]: needs either a `literal` or a `pattern`"
                    ));
                }
            };
            Ok((custom.name, finder))
        });
        let kinds = Kinds::new(kinds);
        Ok(Self {
            kinds,
            telling: telling_bytes(kinds),
            custom: finders.collect::<Result<_, String>>()?,
        })
    }

    /// Whether raw JSON text can hold anything at all: no allocation, no structure, no false negatives.
    pub fn suspects(&self, raw: &str) -> bool {
        self.suspects_also(raw, Initials::None, |_| false)
    }

    /// The same for something more, which begins after a quote and with one of `initials`.
    pub fn suspects_also(
        &self,
        raw: &str,
        initials: Initials,
        also: impl Fn(usize) -> bool,
    ) -> bool {
        if !self.custom.is_empty() {
            return true;
        }
        let bytes = raw.as_bytes();
        let hints = |index: usize| {
            let tells = self.telling.get(usize::from(at(bytes, index)));
            tells.is_some_and(|tells| *tells) && self.hints(bytes, index)
        };
        if self.kinds.has(Kind::Ip) && (0..bytes.len()).any(hints) {
            return true;
        }
        let in_stride = |stride: sieve::Stride| {
            let mut places = stride.start..(stride.start + sieve::STRIDE).min(bytes.len());
            stride.pattern && places.clone().any(hints) || stride.key && places.any(&also)
        };
        sieve::strides(bytes, initials).any(in_stride)
            || (self.kinds.any(&NUMBERS)
                && sieve::numbers(bytes, self.digits_min()).any(|index| self.hints(bytes, index)))
    }

    /// Every match, in order, none overlapping another.
    pub fn find(&self, text: &str) -> Vec<Found<'_>> {
        let bytes = text.as_bytes();
        let mut found = Vec::new();
        let (mut index, mut floor) = (0, 0);
        while let Some(next) = self.next_telling(bytes, index) {
            index = next + 1;
            if let Some((kind, (start, end))) = self.recognise(bytes, next, floor) {
                (floor, index) = (end, end.max(index));
                let kind = kind.name();
                found.push(Found { start, end, kind });
            }
        }
        if !self.custom.is_empty() {
            self.find_custom(text, &mut found);
        }
        found
    }

    fn next_telling(&self, bytes: &[u8], from: usize) -> Option<usize> {
        let telling = |byte: &u8| {
            self.telling
                .get(usize::from(*byte))
                .copied()
                .unwrap_or(false)
        };
        let rest = bytes.get(from..)?;
        rest.iter().position(telling).map(|step| from + step)
    }

    /// Looks at raw text, where escapes are still escapes: boundaries prove nothing there, prefixes do.
    fn hints(&self, raw: &[u8], index: usize) -> bool {
        match at(raw, index) {
            b'@' => true,
            b'\\' => at(raw, index + 1) == b'u',
            b'-' => is_at(raw, index, b"-----BEGIN") || is_key_prefix(raw, index),
            b'_' => is_key_prefix(raw, index) || is_github_prefix(raw, index),
            b'J' => before(raw, index) == b'y',
            b'K' | b'S' => before(raw, index) == b'A' && at(raw, index + 1) == b'I',
            b':' => {
                let is_part = |byte: u8| byte.is_ascii_hexdigit() || byte == b':';
                is_part(before(raw, index)) && is_part(at(raw, index + 1))
                    || at(raw, index + 1) == b':'
            }
            b'0'..=b'9' => !before(raw, index).is_ascii_digit() && self.hints_number(raw, index),
            _ => false,
        }
    }

    /// Enough digits for the shortest number that is looked for, or the letters before an IBAN's check digits.
    fn hints_number(&self, raw: &[u8], index: usize) -> bool {
        const LOOK_BYTES_MAX: usize = 40;
        let digits_min = self.digits_min();
        let is_number = |byte: &&u8| is_number_byte(**byte);
        let run = raw.get(index..).unwrap_or_default().iter();
        let (mut digits, mut dots) = (0, 0);
        for byte in run.take(LOOK_BYTES_MAX).take_while(is_number) {
            digits += usize::from(byte.is_ascii_digit());
            dots += usize::from(*byte == b'.');
        }
        let letters = index.checked_sub(2).and_then(|start| raw.get(start..index));
        let is_iban = letters.is_some_and(|two| two.iter().all(u8::is_ascii_uppercase))
            && at(raw, index + 1).is_ascii_digit();
        digits >= digits_min
            || (self.kinds.has(Kind::Iban) && is_iban)
            || (self.kinds.has(Kind::Ip) && dots >= 3)
    }

    /// The digits of the shortest number that is looked for.
    fn digits_min(&self) -> usize {
        if self.kinds.has(Kind::Phone) { 8 } else { 9 }
    }

    fn recognise(&self, text: &[u8], index: usize, floor: usize) -> Option<(Kind, Span)> {
        let wanted = |kind: Kind, recognise: &dyn Fn() -> Option<Span>| {
            let span = self.kinds.has(kind).then(recognise)??;
            (span.0 >= floor).then_some((kind, span))
        };
        match at(text, index) {
            b'@' => wanted(Kind::Email, &|| contact::email(text, index, floor)),
            b'-' => wanted(Kind::PrivateKey, &|| secret::private_key(text, index))
                .or_else(|| wanted(Kind::ApiKey, &|| secret::api_key(text, index))),
            b'_' => wanted(Kind::GithubToken, &|| secret::github_token(text, index))
                .or_else(|| wanted(Kind::ApiKey, &|| secret::api_key(text, index))),
            b'J' => wanted(Kind::Jwt, &|| secret::jwt(text, index)),
            b'K' | b'S' => wanted(Kind::AwsAccessKey, &|| secret::aws_access_key(text, index)),
            b':' => wanted(Kind::Ip, &|| contact::ipv6(text, index, floor)),
            b'0'..=b'9' if !before(text, index).is_ascii_digit() => {
                wanted(Kind::Iban, &|| number::iban(text, index))
                    .or_else(|| wanted(Kind::CreditCard, &|| number::card(text, index)))
                    .or_else(|| wanted(Kind::UsSsn, &|| number::us_ssn(text, index)))
                    .or_else(|| wanted(Kind::Ip, &|| contact::ipv4(text, index)))
                    .or_else(|| wanted(Kind::Phone, &|| contact::phone(text, index)))
            }
            _ => None,
        }
    }

    /// Adds the matches of the configuration's own patterns; what overlaps becomes one match.
    fn find_custom<'s>(&'s self, text: &str, found: &mut Vec<Found<'s>>) {
        for (name, finder) in &self.custom {
            let mut add = |start: usize, end: usize| {
                if end > start {
                    found.push(Found {
                        start,
                        end,
                        kind: name,
                    });
                }
            };
            match finder {
                Finder::Literal(literal) => text
                    .match_indices(literal.as_str())
                    .for_each(|(start, part)| add(start, start + part.len())),
                Finder::Pattern(pattern) => {
                    pattern
                        .find_iter(text)
                        .for_each(|part| add(part.start(), part.end()));
                }
            }
        }
        found.sort_by_key(|found| found.start);
        found.dedup_by(|next, kept| {
            let overlaps = next.start < kept.end;
            if overlaps {
                kept.end = kept.end.max(next.end);
            }
            overlaps
        });
    }
}

fn is_key_prefix(raw: &[u8], index: usize) -> bool {
    before(raw, index) == b'k' && matches!(before(raw, index.saturating_sub(1)), b'p' | b's' | b'r')
}

fn is_github_prefix(raw: &[u8], index: usize) -> bool {
    let three = index
        .checked_sub(3)
        .is_some_and(|start| is_at(raw, start, b"gh"));
    three
        || index
            .checked_sub(6)
            .is_some_and(|start| is_at(raw, start, b"github"))
}

/// The bytes at which a scan stops.
fn telling_bytes(kinds: Kinds) -> [bool; 256] {
    let keys = [Kind::ApiKey, Kind::GithubToken];
    let rows: [(&[u8], bool); 8] = [
        (b"@", kinds.has(Kind::Email)),
        (b"-", kinds.any(&[Kind::PrivateKey, Kind::ApiKey])),
        (b"_", kinds.any(&keys)),
        (b"J", kinds.has(Kind::Jwt)),
        (b"KS", kinds.has(Kind::AwsAccessKey)),
        (b":", kinds.has(Kind::Ip)),
        (b"0123456789", kinds.any(&NUMBERS)),
        // An escape can hide every other byte.
        (b"\\", true),
    ];
    let mut telling = [false; 256];
    for (bytes, wanted) in rows {
        for byte in bytes {
            if let Some(slot) = telling.get_mut(usize::from(*byte)) {
                *slot = wanted;
            }
        }
    }
    telling
}

#[cfg(test)]
mod tests;
