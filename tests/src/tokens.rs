//! Tokens (JWT), good ones and bad ones, signed as a tenant's issuer would.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

/// The shared secret of the tests' issuer.
pub const SECRET: &str = "a secret of at least thirty-two bytes";
/// The tests' issuer.
pub const ISSUER: &str = "https://login.test";
/// The tests' audience.
pub const AUDIENCE: &str = "https://mcp.test";

/// A token of the tests' issuer; `changes` replace claims, and remove those that are null.
///
/// # Panics
/// When it cannot be signed.
#[must_use]
pub fn token(subject: &str, changes: &Value) -> String {
    signed_with(SECRET, subject, changes)
}

/// As [`token`], signed with another secret.
///
/// # Panics
/// As [`token`].
#[must_use]
pub fn signed_with(secret: &str, subject: &str, changes: &Value) -> String {
    let now_s = now_s();
    let mut claims = json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": now_s, "exp": now_s + 3_600 });
    let members = claims.as_object_mut().expect("claims are an object");
    for (claim, value) in changes.as_object().into_iter().flatten() {
        if value.is_null() {
            members.remove(claim);
        } else {
            members.insert(claim.clone(), value.clone());
        }
    }
    jsonwebtoken::encode(
        &Header::new(Algorithm::HS256),
        &claims,
        &EncodingKey::from_secret(secret.as_bytes()),
    )
    .expect("a token")
}

/// A private key for EdDSA (RFC 8037, appendix A.1, which the whole world knows).
const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----";

/// The key set (RFC 7517) that goes with [`signed_by_key`].
#[must_use]
pub fn jwks() -> Value {
    let public = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": public, "kid": "test", "use": "sig", "alg": "EdDSA" }] })
}

/// As [`token`], signed with a private key.
///
/// # Panics
/// As [`token`].
#[must_use]
pub fn signed_by_key(subject: &str) -> String {
    let now_s = now_s();
    let claims = json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": now_s, "exp": now_s + 3_600 });
    let header = Header {
        kid: Some("test".to_owned()),
        ..Header::new(Algorithm::EdDSA)
    };
    jsonwebtoken::encode(
        &header,
        &claims,
        &EncodingKey::from_ed_pem(KEY.as_bytes()).expect("a key"),
    )
    .expect("a token")
}

/// Milliseconds since the Unix epoch.
///
/// # Panics
/// Before the Unix epoch.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since = since.expect("it is after 1970");
    u64::try_from(since.as_millis()).expect("it is before the end of time")
}

/// Seconds since the Unix epoch.
///
/// # Panics
/// Before the Unix epoch.
#[must_use]
pub fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("it is after 1970")
        .as_secs()
}
