//! The private half of an Ed25519 key, as a file in PKCS#8 PEM (RFC 8410) that other tools read and write, too.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use thiserror::Error;

use crate::model::{PublicKey, Secret};

const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";
/// What stands before the 32 bytes of the seed in PKCS#8, version 1.
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// A key that signs. It is shown nowhere.
pub struct PrivateKey(Ed25519KeyPair);

/// Why there is no key. Nothing of what was read is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidPrivateKey {
    /// Not PKCS#8 in PEM, or of another kind of key.
    #[error(
        "this is no Ed25519 private key in PEM (BEGIN PRIVATE KEY): make one with `portcullis plugin keygen`"
    )]
    Form,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    NoRandom,
}

impl PrivateKey {
    /// A new key, and the file that holds it.
    ///
    /// # Errors
    /// [`InvalidPrivateKey::NoRandom`].
    pub fn generate() -> Result<(Self, Secret), InvalidPrivateKey> {
        let mut seed = [0; 32];
        SystemRandom::new()
            .fill(&mut seed)
            .map_err(|_unspecified| InvalidPrivateKey::NoRandom)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed)
            .map_err(|_rejected| InvalidPrivateKey::Form)?;
        let der = [&PKCS8[..], &seed].concat();
        let pem = format!("{PEM_BEGIN}\n{}\n{PEM_END}\n", STANDARD.encode(der));
        Ok((Self(pair), Secret::new(pem)))
    }

    /// The key of a file.
    ///
    /// # Errors
    /// [`InvalidPrivateKey::Form`].
    pub fn from_pem(pem: &str) -> Result<Self, InvalidPrivateKey> {
        let encoded = pem
            .trim()
            .strip_prefix(PEM_BEGIN)
            .and_then(|rest| rest.strip_suffix(PEM_END))
            .map(|lines| lines.split_ascii_whitespace().collect::<String>());
        let der = encoded.and_then(|encoded| STANDARD.decode(encoded).ok());
        // Version 1, which OpenSSL writes, does not hold the public key that version 2 is checked against.
        let pair = der.and_then(|der| Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).ok());
        pair.map(Self).ok_or(InvalidPrivateKey::Form)
    }

    /// The half that others may have.
    ///
    /// # Errors
    /// [`InvalidPrivateKey::Form`], for a key of another length, which there is not.
    pub fn public(&self) -> Result<PublicKey, InvalidPrivateKey> {
        let bytes = self.0.public_key().as_ref().try_into().ok();
        bytes.map(PublicKey::new).ok_or(InvalidPrivateKey::Form)
    }

    /// The key's signature of these bytes.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_from_its_file_and_is_not_shown() {
        let (key, pem) = PrivateKey::generate().unwrap();
        let read = PrivateKey::from_pem(pem.expose()).unwrap();
        assert_eq!(read.public(), key.public());
        assert_eq!(format!("{key:?} {pem:?}"), "PrivateKey(***) ***");
        let (other, _) = PrivateKey::generate().unwrap();
        assert_ne!(other.public(), key.public());
    }

    #[test]
    fn what_openssl_wrote_is_read() {
        let key = PrivateKey::from_pem(include_str!("../cli/token/testkeys/ed25519.pem")).unwrap();
        let public = include_str!("../cli/token/testkeys/ed25519.pub.pem").parse();
        assert_eq!(key.public().ok(), public.ok());
    }

    #[test]
    fn other_files_are_no_keys() {
        for pem in [
            "",
            include_str!("../cli/token/testkeys/p256.pem"),
            include_str!("../cli/token/testkeys/rsa.pem"),
            include_str!("../cli/token/testkeys/ed25519.pub.pem"),
            "-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n",
        ] {
            let refused = PrivateKey::from_pem(pem).err();
            assert_eq!(refused, Some(InvalidPrivateKey::Form), "{pem}");
        }
    }
}
