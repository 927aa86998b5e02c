//! The public half of an Ed25519 key (RFC 8032), as people and documents write it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use utoipa::ToSchema;

/// What every text of a key begins with.
const PREFIX: &str = "ed25519:";
const PEM_BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const PEM_END: &str = "-----END PUBLIC KEY-----";
/// What stands before the key's 32 bytes in a `SubjectPublicKeyInfo` (RFC 8410, section 4).
const SPKI: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
/// Bytes of the key's hash that its id shows.
const ID_BYTES: usize = 8;

/// An Ed25519 public key, written `ed25519:` and base64; read from PEM as well.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, example = "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")]
pub struct PublicKey([u8; 32]);

/// Text that is no public key. It is not repeated: it may be a private one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidPublicKey {
    /// Somebody mixed the files up.
    #[error("this is a private key, which nobody else should see: give the public one (.pub)")]
    Private,
    /// Anything else.
    #[error(
        "this is no Ed25519 public key: write `ed25519:` and its 32 bytes in base64, or PEM (BEGIN PUBLIC KEY)"
    )]
    Form,
}

impl PublicKey {
    /// The key of these bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The raw 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What people tell keys apart by: 16 hex digits of the key's SHA-256. Trust is never decided by it.
    #[must_use]
    pub fn id(&self) -> String {
        let hash = Sha256::digest(self.0);
        let shown = hash.iter().take(ID_BYTES);
        shown.map(|byte| format!("{byte:02x}")).collect()
    }

    /// The key as PEM, which other tools read.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let der = [&SPKI[..], &self.0].concat();
        format!("{PEM_BEGIN}\n{}\n{PEM_END}\n", STANDARD.encode(der))
    }
}

impl FromStr for PublicKey {
    type Err = InvalidPublicKey;

    fn from_str(text: &str) -> Result<Self, InvalidPublicKey> {
        let text = text.trim();
        if text.contains("PRIVATE KEY") {
            return Err(InvalidPublicKey::Private);
        }
        let decoded = match text.strip_prefix(PREFIX) {
            Some(encoded) => STANDARD.decode(encoded).ok(),
            None => text
                .strip_prefix(PEM_BEGIN)
                .and_then(|rest| rest.strip_suffix(PEM_END))
                .map(|lines| lines.split_ascii_whitespace().collect::<String>())
                .and_then(|encoded| STANDARD.decode(encoded).ok())
                .and_then(|der| der.strip_prefix(&SPKI).map(<[u8]>::to_vec)),
        };
        let bytes = decoded.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or(InvalidPublicKey::Form)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_text_and_from_pem_and_nothing_else() {
        let key = PublicKey::new([7; 32]);
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!(key.to_pem().parse(), Ok(key));
        assert_eq!(key.to_pem().replace('\n', "\r\n").parse(), Ok(key));
        assert_eq!(key.id().len(), 16);
        assert_ne!(key.id(), PublicKey::new([8; 32]).id());
        let p256 = include_str!("../cli/token/testkeys/p256.pub.pem");
        let private = include_str!("../cli/token/testkeys/ed25519.pem");
        for (text, error) in [
            ("", InvalidPublicKey::Form),
            ("ed25519:", InvalidPublicKey::Form),
            ("ed25519:AAAA", InvalidPublicKey::Form),
            ("ed25519:not base64", InvalidPublicKey::Form),
            (p256, InvalidPublicKey::Form),
            (private, InvalidPublicKey::Private),
        ] {
            assert_eq!(text.parse::<PublicKey>(), Err(error), "{text}");
        }
    }

    #[test]
    fn what_openssl_wrote_is_read() {
        let pem = include_str!("../cli/token/testkeys/ed25519.pub.pem");
        let key: PublicKey = pem.parse().unwrap();
        assert_eq!(key.to_pem(), pem);
    }
}
