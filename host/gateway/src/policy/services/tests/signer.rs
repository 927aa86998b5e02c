//! Issuers of the tests: fresh keys, and tokens written by hand.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, AlgorithmFamily, EncodingKey};
use rsa::RsaPrivateKey;
use rsa::pkcs1::EncodeRsaPrivateKey;
use serde_json::{Value, json};

use super::{ISS, NOW_S};

/// PKCS #8 of an Ed25519 key, up to the key's 32 bytes (RFC 8410).
const ED25519_PREFIX: &[u8] = &[
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// PKCS #8 of a P-256 key without its public part, up to the key's 32 bytes (RFC 5208, RFC 5915).
const P256_PREFIX: &[u8] = &[
    0x30, 0x41, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x27, 0x30, 0x25, 0x02, 0x01,
    0x01, 0x04, 0x20,
];

/// One key and the algorithm that it signs with.
pub(super) struct Signer {
    pub(super) algorithm: Algorithm,
    pub(super) kid: &'static str,
    key: EncodingKey,
}

impl Signer {
    pub(super) fn new(algorithm: Algorithm, kid: &'static str) -> Self {
        let key = match algorithm.family() {
            AlgorithmFamily::Ec => EncodingKey::from_ec_der(&[P256_PREFIX, &scalar()].concat()),
            AlgorithmFamily::Ed => {
                EncodingKey::from_ed_der(&[ED25519_PREFIX, &rand::random::<[u8; 32]>()].concat())
            }
            AlgorithmFamily::Rsa => EncodingKey::from_rsa_der(rsa_der()),
            AlgorithmFamily::Hmac => EncodingKey::from_secret(&rand::random::<[u8; 32]>()),
        };
        Self {
            algorithm,
            kid,
            key,
        }
    }

    pub(super) fn hs256(secret: &[u8]) -> Self {
        Self {
            algorithm: Algorithm::HS256,
            kid: "secret",
            key: EncodingKey::from_secret(secret),
        }
    }

    /// The public key, with its name.
    pub(super) fn jwk(&self) -> Value {
        let mut jwk = self.jwk_without_alg();
        jwk["alg"] = json!(self.algorithm);
        jwk
    }

    pub(super) fn jwk_without_alg(&self) -> Value {
        let mut jwk =
            serde_json::to_value(Jwk::from_encoding_key(&self.key, self.algorithm).unwrap())
                .unwrap();
        jwk["kid"] = json!(self.kid);
        jwk.as_object_mut().unwrap().shift_remove("alg");
        jwk
    }

    /// A token with a header that names the key.
    pub(super) fn token(&self, payload: &str) -> String {
        self.token_with(
            &json!({ "alg": self.algorithm, "kid": self.kid }).to_string(),
            payload,
        )
    }

    /// A token with any header, signed with this key's algorithm whatever the header says.
    pub(super) fn token_with(&self, header: &str, payload: &str) -> String {
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(payload)
        );
        let signature =
            jsonwebtoken::crypto::sign(signed.as_bytes(), &self.key, self.algorithm).unwrap();
        format!("{signed}.{signature}")
    }
}

/// Claims that hold, with `more` put over them; null removes one.
pub(super) fn claims(more: Value) -> String {
    let mut claims = json!({ "iss": ISS, "sub": "alice", "aud": "gateway", "exp": NOW_S + 300 });
    let claims_map = claims.as_object_mut().unwrap();
    for (name, value) in more.as_object().unwrap() {
        if value.is_null() {
            claims_map.shift_remove(name);
        } else {
            claims_map.insert(name.clone(), value.clone());
        }
    }
    claims.to_string()
}

/// Below the order of P-256, and not zero.
fn scalar() -> [u8; 32] {
    let mut scalar: [u8; 32] = rand::random();
    scalar[0] = 1;
    scalar
}

/// One key for all tests: making one takes a moment.
fn rsa_der() -> &'static [u8] {
    static DER: OnceLock<Vec<u8>> = OnceLock::new();
    DER.get_or_init(|| {
        let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
        key.to_pkcs1_der().unwrap().as_bytes().to_vec()
    })
}
