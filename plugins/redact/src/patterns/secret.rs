//! Credentials that show what they are: by prefix, by shape, or by banner.

use super::{Span, at, before, is_at, is_token_byte, run_end};

/// The longest token that is looked at.
const TOKEN_LEN_MAX: usize = 16 * 1024;

/// An AWS access key id, `AKIA` or `ASIA` and 16 more; `index` is its second byte.
pub fn aws_access_key(text: &[u8], index: usize) -> Option<Span> {
    const LEN: usize = 20;
    let start = index.checked_sub(1)?;
    let known = is_at(text, start, b"AKIA") || is_at(text, start, b"ASIA");
    if !known || before(text, start).is_ascii_alphanumeric() {
        return None;
    }
    let end = run_end(text, start, LEN + 1, |byte| {
        byte.is_ascii_uppercase() || byte.is_ascii_digit()
    });
    (end - start == LEN && !at(text, end).is_ascii_alphanumeric()).then_some((start, end))
}

/// A GitHub token; `index` is the first `_` after its prefix.
pub fn github_token(text: &[u8], index: usize) -> Option<Span> {
    if let Some(start) = index.checked_sub(6) {
        if is_at(text, start, b"github_pat_") && !is_token_byte(before(text, start)) {
            let body = start + 11;
            let end = run_end(text, body, 256, |byte| {
                byte.is_ascii_alphanumeric() || byte == b'_'
            });
            return (end - body >= 22).then_some((start, end));
        }
    }
    let start = index.checked_sub(3)?;
    let [b'g', b'h', b'p' | b'o' | b'u' | b's' | b'r'] = text.get(start..index)? else {
        return None;
    };
    if is_token_byte(before(text, start)) {
        return None;
    }
    let end = run_end(text, index + 1, 256, |byte| byte.is_ascii_alphanumeric());
    (end - index > 36).then_some((start, end))
}

/// An API key with one of the usual prefixes, `pk`, `sk` or `rk`; `index` is the `_` or `-` after it.
pub fn api_key(text: &[u8], index: usize) -> Option<Span> {
    const BODY_LEN_MIN: usize = 16;
    const PIECE_LEN_MIN: usize = 16;
    const BODY_LEN_SURE: usize = 32;
    let start = index.checked_sub(2)?;
    let [b'p' | b's' | b'r', b'k'] = text.get(start..index)? else {
        return None;
    };
    if is_token_byte(before(text, start)) {
        return None;
    }
    let end = run_end(text, index + 1, TOKEN_LEN_MAX, is_token_byte);
    let body = text.get(index + 1..end)?;
    // Names such as `sk-learn-pipeline-configuration` have neither digits nor long pieces.
    let pieces = body.split(|byte| matches!(byte, b'-' | b'_'));
    let piece_len = pieces.map(<[u8]>::len).max().unwrap_or(0);
    let is_random = body.iter().any(u8::is_ascii_digit)
        && body.iter().any(u8::is_ascii_alphabetic)
        && (piece_len >= PIECE_LEN_MIN || body.len() >= BODY_LEN_SURE);
    (body.len() >= BODY_LEN_MIN && is_random).then_some((start, end))
}

/// A JSON Web Token; `index` is the `J` of the `eyJ` that every encoded `{"` begins with.
pub fn jwt(text: &[u8], index: usize) -> Option<Span> {
    const PART_LEN_MIN: usize = 10;
    let start = index.checked_sub(2)?;
    if !is_at(text, start, b"eyJ") || is_token_byte(before(text, start)) {
        return None;
    }
    let header = run_end(text, start, TOKEN_LEN_MAX, is_token_byte);
    let claims = run_end(text, header + 1, TOKEN_LEN_MAX, is_token_byte);
    let end = run_end(text, claims + 1, TOKEN_LEN_MAX, is_token_byte);
    let is_jwt = at(text, header) == b'.'
        && at(text, claims) == b'.'
        && header - start >= PART_LEN_MIN
        && claims - header > PART_LEN_MIN;
    is_jwt.then_some((start, end))
}

/// A private key in PEM (RFC 7468) from its banner at `index` to its end, or to the end of the text.
pub fn private_key(text: &[u8], index: usize) -> Option<Span> {
    const BANNER: &[u8] = b"-----BEGIN ";
    const END: &[u8] = b"-----END ";
    const DASHES: &[u8] = b"-----";
    const LABEL_LEN_MAX: usize = 64;
    if !is_at(text, index, BANNER) {
        return None;
    }
    let label_start = index + BANNER.len();
    let label_end = run_end(text, label_start, LABEL_LEN_MAX, |byte| {
        byte.is_ascii_uppercase() || byte == b' '
    });
    let label = text.get(label_start..label_end)?;
    if !label.windows(11).any(|part| part == b"PRIVATE KEY") || !is_at(text, label_end, DASHES) {
        return None;
    }
    let body = label_end + DASHES.len();
    let Some(end) = find(text, body, END) else {
        return Some((index, text.len()));
    };
    let last = find(text, end + END.len(), DASHES);
    Some((index, last.map_or(text.len(), |last| last + DASHES.len())))
}

fn find(text: &[u8], from: usize, part: &[u8]) -> Option<usize> {
    let rest = text.get(from..)?;
    let found = rest.windows(part.len()).position(|window| window == part)?;
    Some(from + found)
}
