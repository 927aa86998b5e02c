//! Tokens that an ordinary verifier accepts.

use clap::Parser;
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::{Map, Value, json};

use super::{TokenArgs, claims, parse_duration_s, sign};

/// Throw-away keys, made for these tests.
const ED25519: (&str, &str) = (
    include_str!("testkeys/ed25519.pem"),
    include_str!("testkeys/ed25519.pub.pem"),
);
const P256: (&str, &str) = (
    include_str!("testkeys/p256.pem"),
    include_str!("testkeys/p256.pub.pem"),
);
const P384: (&str, &str) = (
    include_str!("testkeys/p384.pem"),
    include_str!("testkeys/p384.pub.pem"),
);
const RSA: (&str, &str) = (
    include_str!("testkeys/rsa.pem"),
    include_str!("testkeys/rsa.pub.pem"),
);

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: TokenArgs,
}

fn args(words: &[&str]) -> TokenArgs {
    Line::try_parse_from(["token"].iter().chain(words))
        .unwrap()
        .args
}

fn minted(args: &TokenArgs) -> String {
    sign(
        args,
        &claims(
            args,
            jsonwebtoken::get_current_timestamp().try_into().unwrap(),
        )
        .unwrap(),
    )
    .unwrap()
}

fn verified(token: &str, key: &DecodingKey) -> Map<String, Value> {
    let algorithm = jsonwebtoken::decode_header(token).unwrap().alg;
    let mut validation = Validation::new(algorithm);
    validation.set_audience(&["https://mcp.example"]);
    jsonwebtoken::decode::<Map<String, Value>>(token, key, &validation)
        .unwrap()
        .claims
}

#[test]
fn a_shared_secret_signs_what_was_asked_for() {
    let args = args(&[
        "--secret",
        "0123456789abcdef0123456789abcdef",
        "--issuer",
        "https://login.example",
        "--audience",
        "https://mcp.example",
        "--subject",
        "alice",
        "--team",
        "search",
        "--role",
        "dev",
        "--role",
        "ops",
        "--scope",
        "tools:call",
        "--scope",
        "tools:list",
        "--tenant",
        "acme",
        "--kid",
        "k1",
        "--claim",
        "level=3",
        "--claim",
        "note=plain text",
    ]);
    let token = minted(&args);
    assert_eq!(
        jsonwebtoken::decode_header(&token).unwrap().kid.as_deref(),
        Some("k1")
    );
    let mut claims = verified(
        &token,
        &DecodingKey::from_secret(b"0123456789abcdef0123456789abcdef"),
    );
    let issued = claims.remove("iat").unwrap().as_i64().unwrap();
    assert_eq!(
        claims.remove("exp").unwrap().as_i64().unwrap() - issued,
        3_600
    );
    let want = json!({
        "iss": "https://login.example", "aud": "https://mcp.example", "sub": "alice", "team": "search", "tenant": "acme",
        "roles": ["dev", "ops"], "scope": "tools:call tools:list", "level": 3, "note": "plain text",
    });
    assert_eq!(Value::Object(claims), want);
}

#[test]
fn private_keys_choose_the_algorithm() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        (
            "EdDSA",
            ED25519.0,
            DecodingKey::from_ed_pem(ED25519.1.as_bytes()),
        ),
        ("ES256", P256.0, DecodingKey::from_ec_pem(P256.1.as_bytes())),
        ("ES384", P384.0, DecodingKey::from_ec_pem(P384.1.as_bytes())),
        ("RS256", RSA.0, DecodingKey::from_rsa_pem(RSA.1.as_bytes())),
    ];
    for (algorithm, pem, public) in cases {
        let file = folder.path().join(algorithm);
        std::fs::write(&file, pem).unwrap();
        let token = minted(&args(&[
            "--key",
            file.to_str().unwrap(),
            "--audience",
            "https://mcp.example",
        ]));
        assert_eq!(
            format!("{:?}", jsonwebtoken::decode_header(&token).unwrap().alg),
            algorithm
        );
        verified(&token, &public.unwrap());
    }
}

#[test]
fn signers_that_do_not_fit_are_refused() {
    assert!(
        Line::try_parse_from(["token"]).is_err(),
        "something has to sign"
    );
    assert!(
        Line::try_parse_from(["token", "--secret", "a", "--key", "b"]).is_err(),
        "one thing signs"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.pem");
    std::fs::write(&file, P256.1).unwrap();
    let public = args(&["--key", file.to_str().unwrap()]);
    assert!(
        sign(&public, &Map::new()).is_err(),
        "a public key does not sign"
    );
    let mixed = args(&["--secret", "s", "--alg", "RS256"]);
    assert_eq!(sign(&mixed, &Map::new()).unwrap_err().exit_code(), 2);
    assert_eq!(
        claims(&args(&["--secret", "s", "--claim", "x"]), 0)
            .unwrap_err()
            .exit_code(),
        2
    );
}

#[test]
fn durations_are_numbers_with_a_unit() {
    for (text, want) in [
        ("90s", Ok(90)),
        ("15m", Ok(900)),
        ("1h", Ok(3_600)),
        ("7d", Ok(604_800)),
        ("30", Ok(30)),
        ("-1h", Ok(-3_600)),
    ] {
        assert_eq!(parse_duration_s(text), want, "{text}");
    }
    for text in ["", "h", "1y", "1.5h", "9223372036854775807d", "1ä"] {
        assert!(parse_duration_s(text).is_err(), "{text}");
    }
}
