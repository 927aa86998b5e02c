//! One key of a set: from JSON to something that verifies, with lengths checked before any of it is used.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::VerifyKey;

/// RFC 7518, 3.3: 2048 bits at least.
const RSA_BYTES_MIN: usize = 256;
/// 4096 bits: what the implementation verifies, and what a check may cost.
const RSA_BYTES_MAX: usize = 512;

const RSA_ALGORITHMS: [Algorithm; 6] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// Why a key of a set is skipped.
#[derive(Debug, Error)]
pub(super) enum Unusable {
    #[error("is not a JWK: {0}")]
    NotAKey(#[from] serde_json::Error),
    #[error("has kty {0}, which does not verify signatures in public")]
    Type(String),
    #[error("has curve {0}; P-256, P-384 and Ed25519 are known")]
    Curve(String),
    #[error("has alg {0}, which does not fit it")]
    Algorithm(String),
    #[error("is for another use than signatures")]
    Use,
    #[error("lacks {0} in base64url, or it has the wrong length")]
    Member(&'static str),
    #[error("is not a point on its curve")]
    NotAPoint,
}

#[derive(Deserialize)]
struct RawKey {
    kty: String,
    #[serde(default, rename = "use")]
    used_for: Option<String>,
    #[serde(default)]
    key_ops: Option<Vec<String>>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    n: Option<String>,
    #[serde(default)]
    e: Option<String>,
    #[serde(default)]
    x: Option<String>,
    #[serde(default)]
    y: Option<String>,
}

/// Reads one key.
pub(super) fn read(json: &Value) -> Result<VerifyKey, Unusable> {
    let raw = RawKey::deserialize(json)?;
    let other_use = raw
        .used_for
        .as_deref()
        .is_some_and(|used_for| used_for != "sig");
    let other_ops = raw
        .key_ops
        .as_ref()
        .is_some_and(|ops| !ops.iter().any(|op| op == "verify"));
    if other_use || other_ops {
        return Err(Unusable::Use);
    }
    let (key, algorithms) = match raw.kty.as_str() {
        "RSA" => (rsa(&raw)?, RSA_ALGORITHMS.to_vec()),
        "EC" => elliptic(&raw)?,
        "OKP" => (edwards(&raw)?, vec![Algorithm::EdDSA]),
        other => return Err(Unusable::Type(other.to_owned())),
    };
    let algorithms = narrow(algorithms, raw.alg)?;
    VerifyKey {
        kid: raw.kid.map(Into::into),
        algorithms,
        key,
    }
    .checked()
}

/// A key that names its algorithm is used with no other.
fn narrow(mut algorithms: Vec<Algorithm>, alg: Option<String>) -> Result<Vec<Algorithm>, Unusable> {
    let Some(alg) = alg else {
        return Ok(algorithms);
    };
    match alg.parse() {
        Ok(named) => algorithms.retain(|algorithm| *algorithm == named),
        Err(_) => algorithms.clear(),
    }
    if algorithms.is_empty() {
        Err(Unusable::Algorithm(alg))
    } else {
        Ok(algorithms)
    }
}

fn rsa(raw: &RawKey) -> Result<DecodingKey, Unusable> {
    let n = member(raw.n.as_deref(), "n", RSA_BYTES_MIN..=RSA_BYTES_MAX)?;
    let e = member(raw.e.as_deref(), "e", 1..=4)?;
    Ok(DecodingKey::from_rsa_raw_components(&n, &e))
}

fn elliptic(raw: &RawKey) -> Result<(DecodingKey, Vec<Algorithm>), Unusable> {
    let (bytes, algorithm) = match raw.crv.as_deref() {
        Some("P-256") => (32, Algorithm::ES256),
        Some("P-384") => (48, Algorithm::ES384),
        other => return Err(Unusable::Curve(other.unwrap_or("none").to_owned())),
    };
    // An uncompressed point (SEC 1, 2.3.3).
    let mut point = vec![0x04];
    point.extend(member(raw.x.as_deref(), "x", bytes..=bytes)?);
    point.extend(member(raw.y.as_deref(), "y", bytes..=bytes)?);
    Ok((DecodingKey::from_ec_der(&point), vec![algorithm]))
}

fn edwards(raw: &RawKey) -> Result<DecodingKey, Unusable> {
    match raw.crv.as_deref() {
        Some("Ed25519") => {}
        other => return Err(Unusable::Curve(other.unwrap_or("none").to_owned())),
    }
    let x = member(raw.x.as_deref(), "x", 32..=32)?;
    Ok(DecodingKey::from_ed_der(&x))
}

fn member(
    text: Option<&str>,
    name: &'static str,
    bytes: std::ops::RangeInclusive<usize>,
) -> Result<Vec<u8>, Unusable> {
    let text = text.unwrap_or_default().trim_end_matches('=');
    let decoded = URL_SAFE_NO_PAD
        .decode(text)
        .ok()
        .ok_or(Unusable::Member(name))?;
    // Some issuers write a number with a leading zero byte, where RFC 7518 wants none.
    let number = match name {
        "n" => decoded
            .iter()
            .skip_while(|byte| **byte == 0)
            .copied()
            .collect(),
        _ => decoded,
    };
    if bytes.contains(&number.len()) {
        Ok(number)
    } else {
        Err(Unusable::Member(name))
    }
}
