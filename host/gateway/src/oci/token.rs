//! Being let in: what a registry asks for when it answers 401, by HTTP Basic or by a token for this one repository.

use std::fmt;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use url::Url;

use crate::challenge::{Challenge, challenges};

use super::PullError;
use super::rules::shown;
use super::web::{Ask, Web};

/// Largest answer of a token endpoint, in bytes.
const TOKEN_BYTES_MAX: usize = 64 << 10;

/// What a token endpoint answers; some call the token one thing, some the other.
#[derive(Deserialize)]
struct Granted {
    token: Option<String>,
    access_token: Option<String>,
}

impl fmt::Debug for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Granted(***)")
    }
}

/// The header that the challenges of `headers` ask for, or none where nothing would help.
pub(super) async fn authorization(
    web: &Web<'_>,
    (headers, from): (&HeaderMap, &Url),
    repository: &str,
) -> Result<Option<HeaderValue>, PullError> {
    let values = headers.get_all(WWW_AUTHENTICATE).iter();
    let all: Vec<Challenge<'_>> = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(challenges)
        .collect();
    let of = |scheme: &str| {
        all.iter()
            .find(|challenge| challenge.scheme.eq_ignore_ascii_case(scheme))
    };
    match (of("bearer"), of("basic")) {
        (Some(bearer), _) => token(web, (bearer, from), repository).await,
        (None, Some(_)) => Ok(web.rules().basic()),
        (None, None) => Ok(None),
    }
}

/// Asks the realm for a token that is good for pulling from this repository and for nothing else.
async fn token(
    web: &Web<'_>,
    (challenge, from): (&Challenge<'_>, &Url),
    repository: &str,
) -> Result<Option<HeaderValue>, PullError> {
    let param = |name: &str| {
        let mut params = challenge.params.iter();
        params
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, text)| text.as_str())
    };
    let realm = param("realm").and_then(|realm| Url::parse(realm).ok());
    let Some(mut realm) = realm else {
        let from = shown(from);
        let message = format!("{from} asks for a token, and names no URL that gives one");
        return Err(PullError::Document(message));
    };
    web.rules().check(&realm, from)?;
    let scope = format!("repository:{repository}:pull");
    realm.query_pairs_mut().append_pair("scope", &scope);
    if let Some(service) = param("service") {
        realm.query_pairs_mut().append_pair("service", service);
    }
    let answer = web
        .get(Ask {
            url: &realm,
            accept: "application/json",
            authorization: web.rules().basic(),
            bytes_max: TOKEN_BYTES_MAX,
        })
        .await?;
    match answer.status {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Ok(None),
        status => {
            let url = shown(&realm);
            return Err(PullError::Status { url, status });
        }
    }
    let granted: Option<Granted> = serde_json::from_slice(&answer.body).ok();
    let token = granted.and_then(|granted| granted.token.or(granted.access_token));
    let value = token.and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok());
    let Some(mut value) = value else {
        let message = format!("{} gives no token in its answer", shown(&realm));
        return Err(PullError::Document(message));
    };
    value.set_sensitive(true);
    Ok(Some(value))
}
