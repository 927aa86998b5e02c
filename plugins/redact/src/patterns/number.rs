//! Numbers that carry proof of what they are: payment cards (Luhn), IBANs (mod 97), social security numbers (ranges).

use super::{Span, at, before, run_end};

/// A payment card number that starts at `index`: 13 to 19 digits, in one piece or in groups of three to six.
pub fn card(text: &[u8], index: usize) -> Option<Span> {
    const DIGITS_MAX: usize = 19;
    const GROUP_LEN_MAX: usize = 6;
    let first = before(text, index);
    if first.is_ascii_alphanumeric() || (first == b'.' && before(text, index - 1).is_ascii_digit())
    {
        return None;
    }
    let mut digits = Vec::with_capacity(DIGITS_MAX);
    let mut best = None;
    let mut next = index;
    loop {
        let end = run_end(text, next, DIGITS_MAX + 1, |byte| byte.is_ascii_digit());
        digits.extend(text.get(next..end)?.iter().map(|byte| byte - b'0'));
        let len = end - next;
        if digits.len() > DIGITS_MAX || len < 3 || (next > index && len > GROUP_LEN_MAX) {
            return best;
        }
        if !at(text, end).is_ascii_alphanumeric() && is_card(&digits) {
            best = Some((index, end));
        }
        let goes_on = matches!(at(text, end), b' ' | b'-') && at(text, end + 1).is_ascii_digit();
        if !goes_on || len > GROUP_LEN_MAX {
            return best;
        }
        next = end + 1;
    }
}

fn is_card(digits: &[u8]) -> bool {
    digits.len() >= 13 && is_issued(digits) && luhn(digits)
}

/// The ranges of issuers (ISO/IEC 7812) that are in use; without them one long number in ten would pass as a card.
fn is_issued(digits: &[u8]) -> bool {
    let head = |len: usize| {
        let digits = digits.iter().take(len);
        digits.fold(0_u32, |number, digit| number * 10 + u32::from(*digit))
    };
    match digits.len() {
        13 => head(1) == 4,
        14 => matches!(head(2), 30 | 36 | 38 | 39),
        15 => matches!(head(2), 34 | 37),
        16 => {
            matches!(head(1), 4)
                || matches!(head(2), 35 | 51..=55 | 60 | 62 | 65)
                || matches!(head(3), 644..=649)
                || matches!(head(4), 2221..=2720)
        }
        17 | 18 => matches!(head(2), 35 | 60 | 62 | 65),
        _ => matches!(head(1), 4) || matches!(head(2), 35 | 60 | 62 | 65),
    }
}

/// ISO/IEC 7812-1, annex B: every second digit from the right is doubled.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, u32::from(*digit)) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => digit * 2 - 9,
            (_, digit) => digit * 2,
        })
        .sum();
    sum % 10 == 0
}

/// A United States social security number, `AAA-GG-SSSS`, that starts at `index` and could have been issued.
pub fn us_ssn(text: &[u8], index: usize) -> Option<Span> {
    const LEN: usize = 11;
    let first = before(text, index);
    if first.is_ascii_alphanumeric() || matches!(first, b'-' | b'.' | b'_') {
        return None;
    }
    let whole = text.get(index..index + LEN)?;
    let [a, b, c, mark, d, e, second_mark, f, g, h, i] = whole else {
        return None;
    };
    let digits = [a, b, c, d, e, f, g, h, i];
    if !matches!(mark, b'-' | b' ')
        || mark != second_mark
        || !digits.iter().all(|d| d.is_ascii_digit())
    {
        return None;
    }
    let next = at(text, index + LEN);
    if next.is_ascii_alphanumeric() || (next == b'-' && at(text, index + LEN + 1).is_ascii_digit())
    {
        return None;
    }
    let area = [*a, *b, *c];
    let issued = *a != b'9'
        && area != *b"000"
        && area != *b"666"
        && [*d, *e] != *b"00"
        && [*f, *g, *h, *i] != *b"0000";
    issued.then_some((index, index + LEN))
}

/// Countries and the lengths of their IBANs (ISO 13616 registry).
const IBAN_LENGTHS: &str = "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28\
    EE20EG29ES24FI18FK18FO18FR27GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21\
    LT20LU20LV21LY25MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18\
    SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30";

fn iban_len(country: &[u8]) -> Option<usize> {
    let entries = IBAN_LENGTHS.as_bytes().chunks_exact(4);
    let entry = entries
        .into_iter()
        .find(|entry| entry.starts_with(country))?;
    std::str::from_utf8(entry.get(2..)?).ok()?.parse().ok()
}

/// An IBAN whose check digits start at `index`: two capital letters stand before. Single spaces may separate groups.
pub fn iban(text: &[u8], index: usize) -> Option<Span> {
    let start = index.checked_sub(2)?;
    if before(text, start).is_ascii_alphanumeric() || !at(text, index + 1).is_ascii_digit() {
        return None;
    }
    let len = iban_len(text.get(start..index)?)?;
    let mut compact = Vec::with_capacity(len);
    let mut next = start;
    while compact.len() < len {
        match at(text, next) {
            byte @ (b'A'..=b'Z' | b'0'..=b'9') => compact.push(byte),
            b' ' if next > start && before(text, next) != b' ' => {}
            _ => return None,
        }
        next += 1;
    }
    (!at(text, next).is_ascii_alphanumeric() && mod_97(&compact)).then_some((start, next))
}

/// ISO 7064: the first four characters last, letters as 10 to 35, the remainder by 97 is one.
fn mod_97(compact: &[u8]) -> bool {
    let (head, tail) = compact.split_at(compact.len().min(4));
    let fold = |rest: u32, byte: &u8| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        _ => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
    };
    tail.iter().chain(head).fold(0, fold) == 1
}
