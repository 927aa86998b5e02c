//! What an upstream says when it refuses a request for want of authorization: `WWW-Authenticate` (RFC 9110, 11.6.1).
//!
//! Read from a response's head by `Wire`; it decides what is asked for next.

use http::{HeaderMap, Response, StatusCode, header};

/// A refusal that an access token may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum Lack {
    /// 401: of a token, or of one that is good.
    Token,
    /// 403: of scopes (RFC 6750, section 3.1).
    Scope,
}

/// The parameters of a `Bearer` challenge that matter here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::upstream) struct Challenge {
    /// Where the upstream describes itself (RFC 9728, section 5.1).
    pub(super) resource_metadata: Option<String>,
    /// What it wants a token to be good for.
    pub(super) scopes: Vec<String>,
    error: Option<String>,
}

/// Whether a response refuses for want of authorization, and what it asks for.
pub(in crate::upstream) fn read<B>(response: &Response<B>) -> Option<(Lack, Challenge)> {
    match response.status() {
        StatusCode::UNAUTHORIZED => {
            Some((Lack::Token, bearer(response.headers()).unwrap_or_default()))
        }
        StatusCode::FORBIDDEN => bearer(response.headers())
            .filter(|challenge| challenge.error.as_deref() == Some("insufficient_scope"))
            .map(|challenge| (Lack::Scope, challenge)),
        _ => None,
    }
}

fn bearer(headers: &HeaderMap) -> Option<Challenge> {
    let values = headers.get_all(header::WWW_AUTHENTICATE).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .find_map(parse)
}

/// The first `Bearer` challenge of a header value, which may hold several challenges.
fn parse(value: &str) -> Option<Challenge> {
    let mut found: Option<Challenge> = None;
    let mut rest = value;
    while let Some(item) = next_item(&mut rest) {
        match item {
            Item::Scheme(_) if found.is_some() => break,
            Item::Scheme(scheme) => {
                found = scheme
                    .eq_ignore_ascii_case("bearer")
                    .then(Challenge::default);
            }
            Item::Param(name, text) => {
                if let Some(challenge) = &mut found {
                    challenge.take(name, text);
                }
            }
        }
    }
    found
}

impl Challenge {
    fn take(&mut self, name: &str, text: String) {
        if name.eq_ignore_ascii_case("resource_metadata") {
            self.resource_metadata = Some(text);
        } else if name.eq_ignore_ascii_case("scope") {
            self.scopes = text.split_ascii_whitespace().map(str::to_owned).collect();
        } else if name.eq_ignore_ascii_case("error") {
            self.error = Some(text);
        }
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn response(status: u16, values: &[&str]) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        for value in values {
            response
                .headers_mut()
                .append(header::WWW_AUTHENTICATE, value.parse().unwrap());
        }
        response
    }

    fn scopes(scopes: &[&str]) -> Vec<String> {
        scopes.iter().map(|scope| (*scope).to_owned()).collect()
    }

    #[test]
    fn a_bearer_challenge_is_found_among_others() {
        for value in [
            r#"Bearer scope="a b", resource_metadata="https://u.example/m""#,
            r#"bearer resource_metadata = "https://u.example/m" , scope = "a b""#,
            r#"Basic realm="x, Bearer y", Bearer scope="a b",resource_metadata="https://u.example/m", Digest scope=c"#,
            r#"Negotiate, Bearer realm="say \"hi\"", scope="a b", resource_metadata=https://u.example/m"#,
        ] {
            let (lack, challenge) = read(&response(401, &[value])).unwrap();
            assert_eq!(lack, Lack::Token, "{value}");
            assert_eq!(
                challenge.resource_metadata.as_deref(),
                Some("https://u.example/m"),
                "{value}"
            );
            assert_eq!(challenge.scopes, scopes(&["a", "b"]), "{value}");
        }
        let two = read(&response(401, &["Basic realm=x", "Bearer scope=a"])).unwrap();
        assert_eq!(two.1.scopes, scopes(&["a"]));
    }

    #[test]
    fn a_refusal_without_a_challenge_is_one_all_the_same() {
        for values in [&[][..], &["Basic realm=x"], &["Bearer"], &["\"", "=, ="]] {
            let (lack, challenge) = read(&response(401, values)).unwrap();
            assert_eq!((lack, challenge), (Lack::Token, Challenge::default()));
        }
    }

    #[test]
    fn only_a_want_of_scope_makes_a_403_worth_another_token() {
        let asks = r#"Bearer error="insufficient_scope", scope="w""#;
        let (lack, challenge) = read(&response(403, &[asks])).unwrap();
        assert_eq!((lack, challenge.scopes), (Lack::Scope, scopes(&["w"])));
        assert_eq!(read(&response(403, &["Bearer scope=w"])), None);
        assert_eq!(read(&response(403, &[])), None);
        assert_eq!(read(&response(200, &[asks])), None);
    }

    proptest! {
        #[test]
        fn no_header_is_too_odd(value in "\\PC{0,200}") {
            parse(&value);
        }
    }
}
