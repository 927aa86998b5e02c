//! Where people and machines are reached: e-mail addresses, phone numbers, IP addresses.

use std::net::Ipv6Addr;

use super::{Span, at, before, run_end};

/// An address around the `@` at `index`, not reaching before `floor`.
pub fn email(text: &[u8], index: usize, floor: usize) -> Option<Span> {
    const LOCAL_LEN_MAX: usize = 64;
    const LABEL_LEN_MAX: usize = 63;
    let is_local = |byte: &u8| byte.is_ascii_alphanumeric() || b"._%+-'".contains(byte);
    let head = text.get(floor..index)?;
    let len = head
        .iter()
        .rev()
        .take(LOCAL_LEN_MAX)
        .take_while(|byte| is_local(byte))
        .count();
    let local = text.get(index - len..index)?;
    let marks = local
        .iter()
        .take_while(|byte| !byte.is_ascii_alphanumeric())
        .count();
    if marks == len {
        return None;
    }
    let is_label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let mut start = index + 1;
    let mut labels = 0;
    loop {
        let end = run_end(text, start, LABEL_LEN_MAX, is_label);
        if end == start {
            return None;
        }
        labels += 1;
        if at(text, end) == b'.' && at(text, end + 1).is_ascii_alphanumeric() {
            start = end + 1;
            continue;
        }
        // The last label is a top-level domain: letters first, and more than one byte.
        let is_domain = labels > 1 && at(text, start).is_ascii_alphabetic() && end - start > 1;
        return is_domain.then_some((index - len + marks, end));
    }
}

/// A phone number that says it is one: `+` and a country, or North America's ten digits in groups. `index` is the
/// first digit.
pub fn phone(text: &[u8], index: usize) -> Option<Span> {
    match before(text, index) {
        b'+' => international(text, index),
        byte => grouped(text, index, byte == b'('),
    }
}

fn international(text: &[u8], index: usize) -> Option<Span> {
    let start = index - 1;
    if before(text, start).is_ascii_alphanumeric() || at(text, index) == b'0' {
        return None;
    }
    let (mut digits, mut marks, mut end) = (0, 0, index);
    for next in index.. {
        match at(text, next) {
            b'0'..=b'9' => {
                (digits, marks, end) = (digits + 1, 0, next + 1);
                if digits > 15 {
                    return None;
                }
            }
            b' ' | b'-' | b'.' | b'(' | b')' if marks < 2 => marks += 1,
            _ => break,
        }
    }
    (digits >= 8 && !at(text, end).is_ascii_alphanumeric()).then_some((start, end))
}

fn grouped(text: &[u8], index: usize, in_brackets: bool) -> Option<Span> {
    let is_mark = |byte: u8| matches!(byte, b'-' | b'.' | b' ');
    let group = |start: usize, len: usize| {
        let end = run_end(text, start, len, |byte| byte.is_ascii_digit());
        (end - start == len).then_some(end)
    };
    let mut next = group(index, 3)?;
    if in_brackets {
        if at(text, next) != b')' {
            return None;
        }
        next += if at(text, next + 1) == b' ' { 2 } else { 1 };
    } else {
        let first = before(text, index);
        if first.is_ascii_alphanumeric()
            || is_mark(first) && first != b' '
            || !is_mark(at(text, next))
        {
            return None;
        }
        next += 1;
    }
    let exchange = next;
    next = group(exchange, 3)?;
    if !is_mark(at(text, next)) {
        return None;
    }
    let end = group(next + 1, 4)?;
    // Neither part starts with 0 or 1, which keeps dates and most other numbers out.
    let plausible = at(text, index) >= b'2' && at(text, exchange) >= b'2';
    let start = if in_brackets { index - 1 } else { index };
    (plausible && !is_joined(text, end)).then_some((start, end))
}

/// Whether what ends at `index` goes on as a word or a number.
fn is_joined(text: &[u8], index: usize) -> bool {
    let byte = at(text, index);
    byte.is_ascii_alphanumeric()
        || (matches!(byte, b'-' | b'.') && at(text, index + 1).is_ascii_digit())
}

/// Four decimal octets; `index` is the first digit.
pub fn ipv4(text: &[u8], index: usize) -> Option<Span> {
    let first = before(text, index);
    if first.is_ascii_alphanumeric() || first == b'.' || first == b'-' {
        return None;
    }
    let mut next = index;
    for octet in 0..4 {
        let end = run_end(text, next, 4, |byte| byte.is_ascii_digit());
        let digits = std::str::from_utf8(text.get(next..end)?).ok()?;
        digits.parse::<u8>().ok()?;
        next = end;
        if octet < 3 {
            if at(text, next) != b'.' {
                return None;
            }
            next += 1;
        }
    }
    (!is_joined(text, next)).then_some((index, next))
}

/// An address around the `:` at `index`, not reaching before `floor`.
pub fn ipv6(text: &[u8], index: usize, floor: usize) -> Option<Span> {
    const LEN_MAX: usize = 45;
    let known = |byte: u8| byte.is_ascii_hexdigit() || byte == b':';
    let head = text.get(floor..index)?;
    let back = head
        .iter()
        .rev()
        .take(LEN_MAX)
        .take_while(|byte| known(**byte))
        .count();
    let start = index - back;
    let end = run_end(text, index, LEN_MAX, |byte| {
        byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')
    });
    let candidate = std::str::from_utf8(text.get(start..end)?).ok()?;
    let candidate = candidate.trim_end_matches('.');
    let candidate = match candidate.strip_suffix(':') {
        Some(shorter) if !shorter.ends_with(':') => shorter,
        Some(_) | None => candidate,
    };
    let end = start + candidate.len();
    let outside =
        before(text, start).is_ascii_alphanumeric() || at(text, end).is_ascii_alphanumeric();
    // `::` alone is mostly something else, such as a path in Rust or C++.
    let named = candidate.bytes().filter(u8::is_ascii_hexdigit).count() > 0;
    (!outside && named && candidate.parse::<Ipv6Addr>().is_ok()).then_some((start, end))
}
