//! Private keys in PEM, and the algorithms that they sign with.
//!
//! Used by `portcullis token`, and by upstreams whose authorization server wants a signature.

use jsonwebtoken::{Algorithm, EncodingKey};

/// What a key in PEM may sign with, RSA, P-256, P-384 or Ed25519; nothing for anything else. Both curves for an EC key,
/// since its PEM type does not say which: the wrong one refuses to sign.
#[must_use]
pub fn signers(pem: &[u8]) -> Vec<(Algorithm, EncodingKey)> {
    if let Ok(key) = EncodingKey::from_rsa_pem(pem) {
        vec![(Algorithm::RS256, key)]
    } else if let Ok(key) = EncodingKey::from_ec_pem(pem) {
        vec![(Algorithm::ES256, key.clone()), (Algorithm::ES384, key)]
    } else if let Ok(key) = EncodingKey::from_ed_pem(pem) {
        vec![(Algorithm::EdDSA, key)]
    } else {
        Vec::new()
    }
}
