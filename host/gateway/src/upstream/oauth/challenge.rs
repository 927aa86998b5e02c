//! What an upstream says when it refuses a request for want of authorization: `WWW-Authenticate` (RFC 9110, 11.6.1).
//!
//! Read from a response's head by `Wire`; it decides what is asked for next.

use http::{HeaderMap, Response, StatusCode, header};

use crate::challenge::challenges;

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
    let mut found = challenges(value).into_iter();
    let bearer = found.find(|found| found.scheme.eq_ignore_ascii_case("bearer"))?;
    let mut challenge = Challenge::default();
    for (name, text) in bearer.params {
        challenge.take(name, text);
    }
    Some(challenge)
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
