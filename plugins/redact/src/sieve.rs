//! Passes over texts in which nothing can be found: most of them, and most of every text.
//!
//! Sixteen bytes are looked at together, without a branch, so that compilers make vector instructions of it. What it
//! lets fall is looked at again byte by byte; what it passes over holds nothing, with no exception.

/// Bytes that are looked at together.
pub const STRIDE: usize = 16;
/// They are looked at with this many before them,
const BEFORE: usize = 3;
/// and this many after.
const AFTER: usize = 1;
const WINDOW: usize = BEFORE + STRIDE + AFTER;

/// How the keys begin that are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initials {
    /// There are no keys.
    None,
    /// With one of these letters, in either case.
    These([u8; 4]),
    /// With more letters than that.
    Any,
}

impl Initials {
    pub fn of(keys: &[String]) -> Self {
        let mut letters: Vec<u8> = keys
            .iter()
            .flat_map(|key| key.bytes().next())
            .map(|first| first | 0x20)
            .collect();
        letters.sort_unstable();
        letters.dedup();
        match letters.as_slice() {
            [] => Self::None,
            [a] => Self::These([*a; 4]),
            [a, b] => Self::These([*a, *b, *a, *b]),
            [a, b, c] => Self::These([*a, *b, *c, *a]),
            [a, b, c, d] => Self::These([*a, *b, *c, *d]),
            _ => Self::Any,
        }
    }
}

/// Sixteen bytes in which something may be.
#[derive(Clone, Copy, Debug)]
pub struct Stride {
    pub start: usize,
    /// The byte that tells of a pattern.
    pub pattern: bool,
    /// The first of a key.
    pub key: bool,
}

/// The strides in which a pattern with a telling byte, or a key, may be.
pub fn strides(bytes: &[u8], initials: Initials) -> impl Iterator<Item = Stride> + '_ {
    let (all, letters) = match initials {
        Initials::None => (0, [b'"'; 4]),
        Initials::These(letters) => (0, letters),
        Initials::Any => (1, [0; 4]),
    };
    let has_keys = initials != Initials::None;
    let starts = (0..bytes.len()).step_by(STRIDE);
    starts.filter_map(move |start| {
        let whole = start
            .checked_sub(BEFORE)
            .and_then(|from| window(bytes, from));
        let (pattern, key) = match whole {
            Some(window) => may_hold(window, all, letters),
            None => may_hold(&edge(bytes, start), all, letters),
        };
        let key = key && has_keys;
        (pattern || key).then_some(Stride {
            start,
            pattern,
            key,
        })
    })
}

/// Where it stands in the text: nothing is copied.
fn window(bytes: &[u8], from: usize) -> Option<&[u8; WINDOW]> {
    bytes.get(from..)?.first_chunk()
}

/// At the ends of the text, zeros stand for what is not there.
#[cold]
fn edge(bytes: &[u8], start: usize) -> [u8; WINDOW] {
    let mut window = [0; WINDOW];
    let from = start.saturating_sub(BEFORE);
    let until = (start + STRIDE + AFTER).min(bytes.len());
    let missing = from + BEFORE - start;
    if let (Some(there), Some(place)) = (
        bytes.get(from..until),
        window.get_mut(missing..missing + until - from),
    ) {
        place.copy_from_slice(there);
    }
    window
}

#[allow(
    clippy::indexing_slicing,
    reason = "of arrays, by numbers that are known to fit"
)]
#[inline(always)]
fn may_hold(window: &[u8; WINDOW], all: u8, letters: [u8; 4]) -> (bool, bool) {
    let is = |byte: u8, other: u8| u8::from(byte == other);
    // Sixteen of each, among them every digit and every capital.
    let is_digit = |byte: u8| u8::from(byte & 0xf0 == 0x30);
    let is_upper = |byte: u8| u8::from(byte & 0xe0 == 0x40);
    let (mut pattern, mut key) = (0, 0);
    for at in 0..STRIDE {
        let (third, second, last) = (window[at], window[at + 1], window[at + 2]);
        let (byte, next) = (window[at + BEFORE], window[at + BEFORE + 1]);
        let lower = byte | 0x20;
        let initial = is(lower, letters[0])
            | is(lower, letters[1])
            | is(lower, letters[2])
            | is(lower, letters[3])
            | all;
        key |= is(last, b'"') & initial;
        pattern |= is(byte, b'@')
            | (is(byte, b'\\') & is(next, b'u'))
            // -----BEGIN; sk-, pk_, rk_; ghp_, github_; eyJ; AKIA, ASIA; the country and check digits of an IBAN.
            | (is(byte, b'-') & (is(next, b'-') | is(last, b'k')))
            | (is(byte, b'_')
                & (is(last, b'k')
                    | (is(third, b'g') & is(second, b'h'))
                    | (is(second, b'u') & is(last, b'b'))))
            | (is(byte, b'J') & is(last, b'y'))
            | (is(last, b'A') & is(next, b'I'))
            | (is_upper(second) & is_upper(last) & is_digit(byte) & is_digit(next));
    }
    (pattern != 0, key != 0)
}

/// The digits at which runs of digits begin, within those stretches of digits and what stands between them that are
/// long enough for `len_min` digits. Only every `len_min`th byte is looked at on the way.
pub fn numbers(bytes: &[u8], len_min: usize) -> Numbers<'_> {
    Numbers {
        bytes,
        len_min,
        at: len_min.saturating_sub(1),
        rest: 0..0,
    }
}

/// See [`numbers`].
pub struct Numbers<'t> {
    bytes: &'t [u8],
    len_min: usize,
    at: usize,
    /// What remains of a stretch that is long enough.
    rest: std::ops::Range<usize>,
}

/// A digit, or what groups of them are kept apart by.
pub fn is_number_byte(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b' ' | b'-' | b'.' | b'(' | b')')
}

impl Iterator for Numbers<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        loop {
            let is_digit = |at: usize| self.bytes.get(at).is_some_and(u8::is_ascii_digit);
            let starts = |at: &usize| is_digit(*at) && !at.checked_sub(1).is_some_and(is_digit);
            if let Some(start) = self.rest.by_ref().find(starts) {
                return Some(start);
            }
            // No stretch of this length lies between two of these places.
            while !is_number_byte(*self.bytes.get(self.at)?) {
                self.at += self.len_min;
            }
            let (before, after) = self.bytes.split_at_checked(self.at)?;
            let back = before
                .iter()
                .rev()
                .take_while(|byte| is_number_byte(**byte));
            let forth = after.iter().take_while(|byte| is_number_byte(**byte));
            let (start, end) = (self.at - back.count(), self.at + forth.count());
            self.at = end + self.len_min;
            if end - start >= self.len_min {
                self.rest = start..end;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tells_is_found_wherever_it_stands() {
        let telling = [
            "@",
            "\\u",
            "-----BEGIN",
            "sk-",
            "pk_",
            "ghp_",
            "gho_",
            "github_",
            "eyJ",
            "AKIA",
            "ASIA",
            "DE89",
            "\"password",
            "\"SECRET",
        ];
        let keys = ["password".to_owned(), "secret".to_owned()];
        for part in telling {
            for before in 0..40 {
                for after in 0..20 {
                    let text = format!("{}{part}{}", ".".repeat(before), ".".repeat(after));
                    let found = strides(text.as_bytes(), Initials::of(&keys)).count();
                    assert!(found > 0, "{text}");
                }
            }
        }
        let plain =
            "The café in Paris, \"name\": \"9 to 5\", to-do list, C:\\\\x, my_tool_1, GH-7 \"\\n\"";
        assert_eq!(strides(plain.as_bytes(), Initials::of(&keys)).count(), 0);
        assert_eq!(strides(b"\"password\"", Initials::None).count(), 0);
        assert_eq!(Initials::of(&["P".to_owned()]), Initials::These([b'p'; 4]));
        assert_eq!(
            Initials::of(&["a", "b", "c", "d", "e"].map(str::to_owned)),
            Initials::Any
        );
        assert!(strides(b"\"x\"", Initials::Any).count() > 0);
    }

    #[test]
    fn long_numbers_are_found_wherever_they_stand() {
        for (number, want) in [
            ("123456789", true),
            ("12 34-56.78(9)", true),
            ("1234567", false),
            ("1234x56789", false),
        ] {
            for before in 0..40 {
                let text = format!("{}{number}x", "x".repeat(before));
                let found = numbers(text.as_bytes(), 9).next();
                assert_eq!(found, want.then_some(before), "{text}");
            }
        }
        let two = "123456789x12345678901x1x99999999999";
        assert_eq!(numbers(two.as_bytes(), 9).collect::<Vec<_>>(), [0, 10, 24]);
    }
}
