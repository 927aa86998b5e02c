//! Recognisers of single patterns, each called at the byte that gives the pattern away.
//!
//! They work on bytes: every pattern is ASCII, so a match starts and ends on a character. Each looks at a bounded
//! number of bytes, or at bytes that no other call will look at again, so a scan is linear in the text.

pub mod contact;
pub mod number;
pub mod secret;

/// Half-open range of bytes.
pub type Span = (usize, usize);

/// The byte at an index; 0 past the end, which is part of no pattern.
pub fn at(text: &[u8], index: usize) -> u8 {
    text.get(index).copied().unwrap_or(0)
}

/// The byte before an index.
pub fn before(text: &[u8], index: usize) -> u8 {
    index.checked_sub(1).map_or(0, |index| at(text, index))
}

/// Whether `part` stands at `index`.
pub fn is_at(text: &[u8], index: usize, part: &[u8]) -> bool {
    text.get(index..).is_some_and(|rest| rest.starts_with(part))
}

/// The end of the run of bytes that `known` accepts, from `index`, at most `len_max` long.
pub fn run_end(text: &[u8], index: usize, len_max: usize, known: fn(u8) -> bool) -> usize {
    let rest = text.get(index..).unwrap_or_default();
    let len = rest.iter().take(len_max).take_while(|byte| known(**byte));
    index + len.count()
}

/// Letters, digits, `-` and `_`: the alphabet of base64url and of most tokens.
pub fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}
