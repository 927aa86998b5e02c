//! The token endpoint (RFC 6749, section 3.2): a form goes in, tokens or a refusal come out.
//!
//! After it: the credential, which presents what was obtained. Neither request nor response ends in an error.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};
use url::form_urlencoded::Serializer;

use super::client::{Client, refused};
use super::discovery::Server;
use super::error::{OauthError, shown};
use super::web::{Web, WebError};
use crate::model::Secret;

/// A request's parameters.
pub(super) struct Form(Vec<(&'static str, String)>);

impl Form {
    /// Of a grant, for what the server's tokens are to be good for (RFC 8707, section 2.2).
    pub(super) fn of_grant(grant_type: &str, server: &Server, scopes: &[String]) -> Self {
        let mut form = Self(Vec::with_capacity(8));
        form.add("grant_type", grant_type);
        form.add("resource", &server.resource);
        if !scopes.is_empty() {
            form.add("scope", &scopes.join(" "));
        }
        form
    }

    pub(super) fn add(&mut self, name: &'static str, value: &str) {
        self.0.push((name, value.to_owned()));
    }

    fn encoded(&self) -> String {
        Serializer::new(String::new())
            .extend_pairs(&self.0)
            .finish()
    }
}

/// What the token endpoint gave.
#[derive(Debug, Deserialize)]
pub(super) struct Given {
    pub(super) access_token: Secret,
    token_type: String,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<u64>,
    pub(super) refresh_token: Option<Secret>,
}

impl Given {
    /// How long the access token is good for, where that was said; some servers say 0 for as long as nobody objects.
    pub(super) fn lifetime(&self) -> Option<Duration> {
        self.expires_in
            .filter(|lifetime_s| *lifetime_s > 0)
            .map(Duration::from_secs)
    }
}

/// A number of seconds; some servers write it as a string.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(f64),
        Text(String),
        Other(IgnoredAny),
    }
    Ok(match Written::deserialize(deserializer)? {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates"
        )]
        Written::Number(number) => Some(number as u64),
        Written::Text(text) => text.parse().ok(),
        Written::Other(_) => None,
    })
}

/// Asks for tokens, as `client`.
///
/// # Errors
/// The server's refusal, or why there is no answer.
pub(super) async fn ask(
    web: &Web,
    (server, client): (&Server, &Client),
    mut form: Form,
) -> Result<Given, OauthError> {
    let mut headers = HeaderMap::new();
    client.sign(server, (&mut form, &mut headers))?;
    let body = (headers, "application/x-www-form-urlencoded");
    let answer = web
        .post(&server.token_endpoint, body, form.encoded())
        .await?;
    if !answer.status.is_success() {
        return Err(OauthError::Refused(refused(&answer.body, answer.status)));
    }
    let given: Given =
        serde_json::from_slice(&answer.body)
            .ok()
            .ok_or_else(|| WebError::Document {
                url: shown(&server.token_endpoint),
                what: "token response",
            })?;
    let is_bearer = given.token_type.eq_ignore_ascii_case("bearer");
    let fits = is_bearer && bearer(&given.access_token).is_some();
    fits.then_some(given).ok_or(OauthError::TokenType)
}

/// The header that presents an access token (RFC 6750, section 2.1).
pub(super) fn bearer(token: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_read_as_they_are_written() {
        for (written, want_s) in [
            (r#""expires_in": 3600"#, Some(3_600)),
            (r#""expires_in": 59.9"#, Some(59)),
            (r#""expires_in": "3600""#, Some(3_600)),
            (r#""expires_in": -1"#, None),
            (r#""expires_in": 0"#, None),
            (r#""expires_in": "soon""#, None),
            (r#""expires_in": null"#, None),
            (r#""expires_in": [1]"#, None),
            (r#""scope": "a""#, None),
        ] {
            let text = format!(r#"{{"access_token": "t", "token_type": "Bearer", {written}}}"#);
            let given: Given = serde_json::from_str(&text).unwrap();
            assert_eq!(
                given.lifetime(),
                want_s.map(Duration::from_secs),
                "{written}"
            );
        }
    }

    #[test]
    fn what_was_given_is_not_shown() {
        let text = r#"{"access_token": "s-1", "token_type": "Bearer", "refresh_token": "s-2"}"#;
        let given: Given = serde_json::from_str(text).unwrap();
        let shown = format!("{given:?} {:?}", bearer(&given.access_token));
        assert!(!shown.contains("s-"), "{shown}");
        assert!(bearer(&Secret::new("a\nb")).is_none());
    }
}
