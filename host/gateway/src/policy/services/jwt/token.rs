//! A token taken apart: what it says of itself, before any of it is believed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::claims::Claims;
use super::refusal::JwtRefusal;

/// Longer texts are not looked at.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// A JWS in compact form (RFC 7515, 7.1), not verified.
pub(super) struct Token<'a> {
    pub(super) header: Header,
    /// What the signature is of.
    pub(super) signed: &'a str,
    /// The signature, in base64url.
    pub(super) signature: &'a str,
    /// The claims as text, as they were written.
    pub(super) payload: String,
    pub(super) claims: Claims,
}

/// What a verifier needs of the header.
#[derive(Deserialize)]
pub(in crate::policy::services) struct Header {
    pub(in crate::policy::services) alg: String,
    #[serde(default)]
    pub(in crate::policy::services) kid: Option<String>,
    /// Extensions that must be understood (RFC 7515, 4.1.11). None of them is.
    #[serde(default)]
    crit: Option<IgnoredAny>,
}

impl<'a> Token<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, JwtRefusal> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(JwtRefusal::Malformed);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(JwtRefusal::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(JwtRefusal::Malformed)?;
        let header: Header = parse_object(&decode(header)?)?;
        if header.crit.is_some() {
            return Err(JwtRefusal::Malformed);
        }
        let payload = decode(payload)?;
        let claims = parse_object(&payload)?;
        Ok(Self {
            header,
            signed,
            signature,
            payload,
            claims,
        })
    }
}

fn decode(part: &str) -> Result<String, JwtRefusal> {
    let bytes = URL_SAFE_NO_PAD
        .decode(part)
        .ok()
        .ok_or(JwtRefusal::Malformed)?;
    String::from_utf8(bytes).ok().ok_or(JwtRefusal::Malformed)
}

/// An object, and nothing else: a derived reader would take an array for one, field by field.
fn parse_object<'t, T: Deserialize<'t>>(text: &'t str) -> Result<T, JwtRefusal> {
    if !text.trim_start().starts_with('{') {
        return Err(JwtRefusal::Malformed);
    }
    serde_json::from_str(text).ok().ok_or(JwtRefusal::Malformed)
}
