//! JSON strings (RFC 8259, section 7): decoding with a way back to the raw text, and encoding.

use std::borrow::Cow;
use std::fmt::Write;

/// The inside of a JSON string, decoded.
pub struct Decoded<'r> {
    pub text: Cow<'r, str>,
    /// Positions after each escape: in the decoded text, and in the raw one. Between them the two run in step.
    steps: Vec<(usize, usize)>,
}

impl<'r> Decoded<'r> {
    /// Decodes what stands between two quotes; none when an escape is no escape. Lone surrogates become U+FFFD.
    pub fn new(raw: &'r str) -> Option<Self> {
        if !raw.contains('\\') {
            let text = Cow::Borrowed(raw);
            return Some(Self {
                text,
                steps: Vec::new(),
            });
        }
        let mut text = String::with_capacity(raw.len());
        let mut steps = Vec::new();
        let mut rest = raw;
        while let Some((plain, escaped)) = rest.split_once('\\') {
            text.push_str(plain);
            let (character, len) = unescape(escaped)?;
            text.push(character);
            rest = escaped.get(len..)?;
            steps.push((text.len(), raw.len() - rest.len()));
        }
        text.push_str(rest);
        let text = Cow::Owned(text);
        Some(Self { text, steps })
    }

    /// Where a character boundary of the decoded text lies in the raw one.
    pub fn raw_index(&self, index: usize) -> usize {
        let after = self.steps.partition_point(|(decoded, _)| *decoded <= index);
        let step = after.checked_sub(1).and_then(|last| self.steps.get(last));
        step.map_or(index, |(decoded, raw)| raw + (index - decoded))
    }
}

/// The character of an escape whose backslash has been read, and the length of the rest of it.
fn unescape(escaped: &str) -> Option<(char, usize)> {
    let simple = match escaped.as_bytes().first()? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unescape_unicode(escaped),
        _ => return None,
    };
    Some((simple, 1))
}

fn unescape_unicode(escaped: &str) -> Option<(char, usize)> {
    const LEN: usize = 5;
    let first = hex(escaped.get(1..LEN)?)?;
    if let Some(character) = char::from_u32(first) {
        return Some((character, LEN));
    }
    let second = escaped.get(LEN..).and_then(|rest| rest.strip_prefix("\\u"));
    let second = second.and_then(|rest| rest.get(..4)).and_then(hex);
    let pair = second.and_then(|second| {
        let is_pair = (0xd800..0xdc00).contains(&first) && (0xdc00..0xe000).contains(&second);
        let code = 0x1_0000 + ((first - 0xd800) << 10) + second.checked_sub(0xdc00)?;
        char::from_u32(code).filter(|_| is_pair)
    });
    Some(pair.map_or((char::REPLACEMENT_CHARACTER, LEN), |pair| (pair, LEN + 6)))
}

fn hex(digits: &str) -> Option<u32> {
    let all = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    all.then(|| u32::from_str_radix(digits, 16).ok())?
}

/// Text as the inside of a JSON string.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            control if u32::from(control) < 0x20 => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            plain => out.push(plain),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_as_json_does() {
        let cases = [
            ("", Some("")),
            ("plain é", Some("plain é")),
            (r#"a\"b\\c\/d\b\f\n\r\t"#, Some("a\"b\\c/d\u{8}\u{c}\n\r\t")),
            (r"\u0041\u00e9\u20AC", Some("Aé€")),
            (r"\ud83d\ude00!", Some("😀!")),
            (r"\ud83dx", Some("\u{fffd}x")),
            (r"\ude00\ud83d", Some("\u{fffd}\u{fffd}")),
            (r"\ud83d\u0041", Some("\u{fffd}A")),
            (r"\x", None),
            (r"\u12", None),
            (r"\u+123", None),
            ("\\", None),
        ];
        for (raw, want) in cases {
            let decoded = Decoded::new(raw).map(|decoded| decoded.text.into_owned());
            assert_eq!(decoded.as_deref(), want, "{raw}");
        }
    }

    #[test]
    fn finds_the_way_back() {
        let raw = r"a\u0040é\n😀\ud83d\ude00z";
        let decoded = Decoded::new(raw).unwrap();
        for (index, character) in decoded.text.char_indices() {
            let (start, end) = (
                decoded.raw_index(index),
                decoded.raw_index(index + character.len_utf8()),
            );
            let part = Decoded::new(&raw[start..end]).unwrap();
            assert_eq!(part.text, character.to_string());
        }
        assert_eq!(decoded.raw_index(decoded.text.len()), raw.len());
    }

    #[test]
    fn encodes_what_must_be() {
        assert_eq!(encode("a\"\\\n\u{1}é"), r#"a\"\\\n\u0001é"#);
    }
}
