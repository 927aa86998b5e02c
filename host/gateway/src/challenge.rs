//! The grammar of `WWW-Authenticate` (RFC 9110, section 11.6.1): what servers say when they refuse for want of
//! authorization.
//!
//! Read by upstreams' OAuth and by pulls from registries, each of which knows what the challenges mean to it.

/// One challenge: a scheme and its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge<'a> {
    pub(crate) scheme: &'a str,
    pub(crate) params: Vec<(&'a str, String)>,
}

/// Every challenge of a header value. What is no challenge ends it.
pub(crate) fn challenges(value: &str) -> Vec<Challenge<'_>> {
    let mut found: Vec<Challenge<'_>> = Vec::new();
    let mut rest = value;
    while let Some(item) = next_item(&mut rest) {
        match (item, found.last_mut()) {
            (Item::Scheme(scheme), _) => found.push(Challenge {
                scheme,
                params: Vec::new(),
            }),
            (Item::Param(name, text), Some(challenge)) => challenge.params.push((name, text)),
            // Of no scheme.
            (Item::Param(..), None) => {}
        }
    }
    found
}

enum Item<'a> {
    Scheme(&'a str),
    Param(&'a str, String),
}

/// The next word: a scheme, or a parameter with its value. What is neither ends the header.
fn next_item<'a>(rest: &mut &'a str) -> Option<Item<'a>> {
    let text = rest.trim_start_matches([' ', '\t', ',']);
    let end = text.find(|c: char| !is_token(c)).unwrap_or(text.len());
    let (word, after) = text
        .split_at_checked(end)
        .filter(|(word, _)| !word.is_empty())?;
    let Some(value) = after.trim_start().strip_prefix('=') else {
        *rest = after;
        return Some(Item::Scheme(word));
    };
    let value = value.trim_start();
    let (text, after) = match value.strip_prefix('"') {
        Some(quoted) => unquote(quoted)?,
        None => {
            let end = value.find([',', ' ', '\t']).unwrap_or(value.len());
            let (bare, after) = value.split_at_checked(end)?;
            (bare.to_owned(), after)
        }
    };
    *rest = after;
    Some(Item::Param(word, text))
}

/// The text of a quoted string up to its closing quote, and what follows.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return quoted.get(at + 1..).map(|after| (text, after)),
            '\\' => text.extend(chars.next().map(|(_, escaped)| escaped)),
            plain => text.push(plain),
        }
    }
    None
}

/// RFC 9110, section 5.6.2.
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}
