//! The admin token: compared in constant time, on every request but the probes.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::model::Secret;

use super::{AdminState, Problem};

pub(super) async fn require_token(
    State(state): State<AdminState>,
    request: Request,
    next: Next,
) -> Response {
    if presents(request.headers(), &state.0.parts.token) {
        next.run(request).await
    } else {
        Problem::unauthorized().into_response()
    }
}

/// Whether the request carries the token (RFC 6750, section 2.1).
fn presents(headers: &HeaderMap, token: &Secret) -> bool {
    let presented = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    match presented.and_then(|value| value.split_once(' ')) {
        Some((scheme, presented)) if scheme.eq_ignore_ascii_case("bearer") => {
            same(presented.trim(), token.expose())
        }
        Some(_) | None => false,
    }
}

/// Compares digests, all of them, so that time tells neither a prefix nor the length.
fn same(a: &str, b: &str) -> bool {
    let (a, b) = (Sha256::digest(a), Sha256::digest(b));
    a.iter()
        .zip(b.iter())
        .fold(0, |difference, (a, b)| difference | (a ^ b))
        == 0
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header};

    use super::presents;
    use crate::model::Secret;

    #[test]
    fn only_the_token_itself_passes() {
        let token = Secret::new("the-admin-token-1");
        for (value, passes) in [
            ("Bearer the-admin-token-1", true),
            ("bearer the-admin-token-1", true),
            ("Bearer the-admin-token-", false),
            ("Bearer the-admin-token-12", false),
            ("Basic the-admin-token-1", false),
            ("the-admin-token-1", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            assert_eq!(presents(&headers, &token), passes, "{value}");
        }
        assert!(!presents(&HeaderMap::new(), &token));
    }
}
