//! Which issuers can be served, and which field of the others is at fault.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::signer::Signer;
use super::{Bench, ISS, JwksTiming, named, spec, with_jwks, with_secret, with_url};
use crate::model::IssuerSpec;

#[tokio::test]
async fn an_issuer_that_can_not_be_served_is_named_with_its_field() {
    let bench = Bench::new(JwksTiming::default());
    let signer = Signer::new(Algorithm::ES256, "k1");
    let long = "x".repeat(32);
    let both = IssuerSpec {
        jwks: Some(json!({})),
        ..with_url(ISS, "http://127.0.0.1/")
    };
    let all = IssuerSpec {
        jwks_url: Some("http://h/".into()),
        jwks: Some(json!({})),
        ..with_secret(ISS, &long)
    };
    let cases = [
        (
            "no issuer",
            with_secret("", &long),
            "b: issuer: must not be empty",
        ),
        ("no source", spec(ISS), "b: jwks_url: set exactly one of"),
        ("two sources", both, "b: jwks: set exactly one of"),
        ("three sources", all, "b: jwks: set exactly one of"),
        (
            "a short secret",
            with_secret(ISS, &long[1..]),
            "b: secret: must have 32 bytes at least",
        ),
        (
            "no URL",
            with_url(ISS, "issuer.example/jwks"),
            "b: jwks_url: must be an absolute http or https URL",
        ),
        (
            "a file",
            with_url(ISS, "file:///etc/passwd"),
            "b: jwks_url: must be an absolute http or https URL",
        ),
        (
            "no host",
            with_url(ISS, "/jwks"),
            "b: jwks_url: must be an absolute http or https URL",
        ),
        (
            "no set",
            IssuerSpec {
                jwks: Some(json!([])),
                ..spec(ISS)
            },
            "b: jwks: not a JWK Set (RFC 7517)",
        ),
        (
            "an empty set",
            with_jwks(ISS, &[]),
            "b: jwks: no key that verifies signatures: the set is empty",
        ),
        (
            "too many keys",
            with_jwks(ISS, &vec![signer.jwk(); 65]),
            "b: jwks: 65 keys, 64 are allowed",
        ),
        (
            "the same issuer",
            with_secret("https://a.example", &long),
            "b: issuer: a has the same issuer",
        ),
    ];
    for (name, bad, want) in cases {
        let issuers = named(&[("a", with_secret("https://a.example", &long)), ("b", bad)]);
        let error = bench
            .shared
            .tenant("acme", &issuers, &[])
            .err()
            .map(|error| error.to_string());
        let error = error.unwrap_or_else(|| panic!("{name} is served"));
        assert!(error.contains(want), "{name}: {error}");
        assert!(!error.contains(&long[1..]), "{name}: {error}");
    }
}

#[tokio::test]
async fn a_key_that_is_of_no_use_is_skipped_with_a_reason() {
    let bench = Bench::new(JwksTiming::default());
    let (rsa, ec, ed) = (
        Signer::new(Algorithm::RS256, "rsa").jwk(),
        Signer::new(Algorithm::ES256, "ec").jwk(),
        Signer::new(Algorithm::EdDSA, "ed").jwk(),
    );
    let with = |jwk: &Value, name: &str, value: Value| {
        let mut jwk = jwk.clone();
        jwk[name] = value;
        jwk
    };
    let bytes = |len: usize| json!(URL_SAFE_NO_PAD.encode(vec![0x81; len]));
    let cases = [
        (json!("text"), "key 0 is not a JWK"),
        (json!({}), "key 0 is not a JWK"),
        (json!({ "kty": "oct", "k": "AAAA" }), "has kty oct"),
        (json!({ "kty": "XYZ" }), "has kty XYZ"),
        (with(&rsa, "use", json!("enc")), "is for another use"),
        (
            with(&rsa, "key_ops", json!(["encrypt"])),
            "is for another use",
        ),
        (
            with(&rsa, "alg", json!("ES256")),
            "has alg ES256, which does not fit",
        ),
        (
            with(&rsa, "alg", json!("HS256")),
            "has alg HS256, which does not fit",
        ),
        (
            with(&rsa, "alg", json!("RSA-OAEP")),
            "has alg RSA-OAEP, which does not fit",
        ),
        (
            with(&rsa, "n", bytes(128)),
            "lacks n in base64url, or it has the wrong length",
        ),
        (with(&rsa, "n", bytes(1_024)), "lacks n"),
        (with(&rsa, "n", json!("!")), "lacks n"),
        (with(&rsa, "e", json!(null)), "lacks e"),
        (with(&ec, "crv", json!("P-521")), "has curve P-521"),
        (with(&ec, "crv", json!("secp256k1")), "has curve secp256k1"),
        (with(&ec, "x", bytes(31)), "lacks x"),
        (with(&ec, "y", bytes(32)), "is not a point on its curve"),
        (with(&ed, "crv", json!("Ed448")), "has curve Ed448"),
        (with(&ed, "x", bytes(31)), "lacks x"),
        (with(&ed, "x", bytes(33)), "lacks x"),
    ];
    for (key, want) in cases {
        let alone = bench.shared.tenant(
            "acme",
            &named(&[("a", with_jwks(ISS, std::slice::from_ref(&key)))]),
            &[],
        );
        let error = alone
            .err()
            .map(|error| error.to_string())
            .unwrap_or_else(|| panic!("{want}: {key} is served"));
        assert!(error.contains(want), "{want}: {error}");
        // Beside one of use it does no harm.
        let beside = bench.shared.tenant(
            "acme",
            &named(&[("a", with_jwks(ISS, &[key, ed.clone()]))]),
            &[],
        );
        assert!(beside.is_ok(), "{want}");
    }
}
