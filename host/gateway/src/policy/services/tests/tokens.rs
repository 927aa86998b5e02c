//! Which tokens hold, and what the others are told.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use proptest::prelude::*;
use serde_json::json;

use super::signer::{Signer, claims};
use super::{Bench, ISS, JwksTiming, NOW_S, TenantServices, named, with_jwks, with_secret};
use crate::policy::services::jwt::{Asked, JwtRefusal};

const SECRET: &str = "an-example-secret-of-enough-bytes";

#[tokio::test]
async fn claims_come_back_as_they_were_written() {
    let bench = Bench::new(JwksTiming::default());
    let payload = format!(
        "{{ \"exp\": {}.5,\n\t\"iss\":\"{ISS}\", \"b\":1.50, \"a\":\"\\u00e9\",\"b2\":1e3 }}",
        NOW_S + 1
    );
    for algorithm in [
        Algorithm::RS256,
        Algorithm::PS256,
        Algorithm::RS512,
        Algorithm::ES256,
        Algorithm::EdDSA,
    ] {
        let signer = Signer::new(algorithm, "k1");
        for jwk in [signer.jwk(), signer.jwk_without_alg()] {
            let tenant = bench.tenant(&[("main", with_jwks(ISS, &[jwk]))]);
            let named_key = signer.token(&payload);
            let unnamed_key = signer.token_with(&json!({ "alg": algorithm }).to_string(), &payload);
            for token in [&named_key, &unnamed_key, &named_key] {
                assert_eq!(
                    bench.verify(&tenant, token).as_deref(),
                    Ok(payload.as_str()),
                    "{algorithm:?}"
                );
            }
        }
    }
    let tenant = bench.tenant(&[("main", with_secret(ISS, SECRET))]);
    let token = Signer::hs256(SECRET.as_bytes()).token(&payload);
    assert_eq!(
        bench.verify(&tenant, &token).as_deref(),
        Ok(payload.as_str())
    );
}

#[tokio::test]
async fn claims_decide() {
    let bench = Bench::new(JwksTiming::default());
    let tenant = bench.tenant(&[
        ("main", with_secret(ISS, SECRET)),
        (
            "other",
            with_secret(
                "https://other.example",
                "another-secret-that-is-long-enough",
            ),
        ),
    ]);
    let signer = Signer::hs256(SECRET.as_bytes());
    let (main, gateway): (&[&str], &[&str]) = (&[ISS], &["gateway"]);
    let cases = [
        ("as it should be", json!({}), (main, gateway), "ok"),
        ("any registered issuer", json!({}), (&[], gateway), "ok"),
        ("any audience", json!({ "aud": null }), (main, &[]), "ok"),
        (
            "several audiences",
            json!({ "aud": ["x", "gateway"] }),
            (main, &["y", "gateway"]),
            "ok",
        ),
        (
            "null audience",
            json!({ "aud": [] }),
            (main, gateway),
            "wrong-audience",
        ),
        (
            "no audience",
            json!({ "aud": null }),
            (main, gateway),
            "wrong-audience",
        ),
        (
            "another audience",
            json!({ "aud": "Gateway" }),
            (main, gateway),
            "wrong-audience",
        ),
        (
            "audience is a number",
            json!({ "aud": 7 }),
            (main, &[]),
            "malformed",
        ),
        (
            "too many audiences",
            json!({ "aud": vec!["x"; 65] }),
            (main, &[]),
            "malformed",
        ),
        (
            "an issuer that was not asked for",
            json!({}),
            (&["https://other.example"], gateway),
            "unknown-issuer",
        ),
        (
            "an issuer that nobody registered",
            json!({ "iss": "https://evil.example" }),
            (&[], &[]),
            "unknown-issuer",
        ),
        (
            "asked for, not registered",
            json!({ "iss": "e" }),
            (&["e"], &[]),
            "unknown-issuer",
        ),
        (
            "no issuer",
            json!({ "iss": null }),
            (&[], &[]),
            "unknown-issuer",
        ),
        (
            "issuer is a list",
            json!({ "iss": [ISS] }),
            (&[], &[]),
            "malformed",
        ),
        (
            "another issuer's key",
            json!({ "iss": "https://other.example" }),
            (&[], &[]),
            "bad-signature",
        ),
        (
            "no expiry",
            json!({ "exp": null }),
            (main, gateway),
            "malformed",
        ),
        (
            "expiry is text",
            json!({ "exp": "tomorrow" }),
            (main, gateway),
            "malformed",
        ),
        (
            "just within the leeway",
            json!({ "exp": NOW_S - 29 }),
            (main, gateway),
            "ok",
        ),
        (
            "expired",
            json!({ "exp": NOW_S - 30 }),
            (main, gateway),
            "expired",
        ),
        (
            "expired before there was time",
            json!({ "exp": -1 }),
            (main, gateway),
            "expired",
        ),
        (
            "a fraction",
            json!({ "exp": NOW_S as f64 + 0.5 }),
            (main, gateway),
            "ok",
        ),
        (
            "the end of time",
            json!({ "exp": 1e300 }),
            (main, gateway),
            "ok",
        ),
        ("soon", json!({ "nbf": NOW_S + 30 }), (main, gateway), "ok"),
        (
            "too soon",
            json!({ "nbf": NOW_S + 31 }),
            (main, gateway),
            "not-yet-valid",
        ),
    ];
    for (name, more, asked, want) in cases {
        let token = signer.token(&claims(more));
        // Twice: the second time it may be remembered.
        for _ in 0..2 {
            let got = bench
                .verify_for(&tenant, &token, asked)
                .map_or_else(|code| code, |_| "ok");
            assert_eq!(got, want, "{name}");
        }
    }
}

#[tokio::test]
async fn an_algorithm_must_be_the_keys_own() {
    let bench = Bench::new(JwksTiming::default());
    let (rsa, ec, ed) = (
        Signer::new(Algorithm::RS256, "rsa"),
        Signer::new(Algorithm::ES256, "ec"),
        Signer::new(Algorithm::EdDSA, "ed"),
    );
    let modulus = URL_SAFE_NO_PAD
        .decode(rsa.jwk()["n"].as_str().unwrap())
        .unwrap();
    let oct = json!({ "kty": "oct", "kid": "oct", "k": URL_SAFE_NO_PAD.encode(SECRET) });
    let public = with_jwks(ISS, &[rsa.jwk(), ec.jwk(), ed.jwk(), oct]);
    let secret = with_secret("https://secret.example", SECRET);
    let tenant = bench.tenant(&[("public", public), ("secret", secret)]);

    let good = claims(json!({}));
    let for_secret = claims(json!({ "iss": "https://secret.example" }));
    let head = |alg: &str, kid: &str| json!({ "alg": alg, "kid": kid }).to_string();
    let hs256 = Signer::hs256(SECRET.as_bytes());
    let unsigned = |alg: &str| {
        let parts = [head(alg, "rsa"), good.clone()].map(|part| URL_SAFE_NO_PAD.encode(part));
        format!("{}.", parts.join("."))
    };
    let cases = [
        ("the right one", rsa.token(&good), "ok"),
        ("none", unsigned("none"), "bad-signature"),
        ("none, in capitals", unsigned("None"), "bad-signature"),
        ("no signature", unsigned("RS256"), "bad-signature"),
        (
            "a public key as secret",
            Signer::hs256(&modulus).token_with(&head("HS256", "rsa"), &good),
            "bad-signature",
        ),
        (
            "a symmetric key of the set",
            hs256.token_with(&head("HS256", "oct"), &good),
            "bad-signature",
        ),
        (
            "a symmetric key without its name",
            hs256.token_with(r#"{"alg":"HS256"}"#, &good),
            "bad-signature",
        ),
        (
            "another algorithm than the key's",
            {
                let pss = Signer::new(Algorithm::PS256, "rsa");
                pss.token(&good)
            },
            "bad-signature",
        ),
        (
            "another key's algorithm",
            ec.token_with(&head("ES256", "rsa"), &good),
            "bad-signature",
        ),
        (
            "another key's name",
            ec.token_with(&head("ES256", "ed"), &good),
            "bad-signature",
        ),
        (
            "a key that nobody knows",
            ed.token_with(&head("EdDSA", "gone"), &good),
            "bad-signature",
        ),
        (
            "RS256 for a secret",
            rsa.token(&for_secret),
            "bad-signature",
        ),
        (
            "HS512 for a secret",
            hs256.token_with(&head("HS512", "x"), &for_secret),
            "bad-signature",
        ),
        ("HS256 for a secret", hs256.token(&for_secret), "ok"),
        (
            "an unknown algorithm",
            rsa.token_with(&head("XS256", "rsa"), &good),
            "bad-signature",
        ),
        (
            "something critical",
            rsa.token_with(r#"{"alg":"RS256","kid":"rsa","crit":["exp"]}"#, &good),
            "malformed",
        ),
        (
            "no algorithm",
            rsa.token_with(r#"{"kid":"rsa"}"#, &good),
            "malformed",
        ),
    ];
    for (name, token, want) in cases {
        assert_eq!(
            bench
                .verify(&tenant, &token)
                .map_or_else(|code| code, |_| "ok"),
            want,
            "{name}"
        );
    }
}

#[tokio::test]
async fn what_is_not_a_token_is_malformed() {
    let bench = Bench::new(JwksTiming::default());
    let tenant = bench.tenant(&[("main", with_secret(ISS, SECRET))]);
    let signer = Signer::hs256(SECRET.as_bytes());
    let good = signer.token(&claims(json!({})));
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let array = json!([ISS, NOW_S + 300, null, "gateway"]).to_string();
    let twice = format!(r#"{{"iss":"{ISS}","exp":1,"exp":{}}}"#, NOW_S + 300);
    let cases = [
        ("nothing", String::new(), "malformed"),
        ("two parts", signed.to_owned(), "malformed"),
        ("four parts", format!("{good}.x"), "malformed"),
        ("dots", "..".to_owned(), "malformed"),
        ("claims in an array", signer.token(&array), "malformed"),
        ("a claim twice", signer.token(&twice), "malformed"),
        ("no JSON", signer.token("alice"), "malformed"),
        ("padded", format!("{signed}=.{signature}"), "malformed"),
        (
            "too long",
            signer.token(&claims(json!({ "x": "x".repeat(16_384) }))),
            "malformed",
        ),
        (
            "another signature",
            format!("{signed}.{}", signature.to_lowercase()),
            "bad-signature",
        ),
        (
            "a signature that is none",
            format!("{signed}.!"),
            "bad-signature",
        ),
        ("itself", good.clone(), "ok"),
    ];
    for (name, token, want) in cases {
        assert_eq!(
            bench
                .verify(&tenant, &token)
                .map_or_else(|code| code, |_| "ok"),
            want,
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_remembered_token_is_still_checked() {
    let bench = Bench::new(JwksTiming::default());
    let tenant = bench.tenant(&[("main", with_secret(ISS, SECRET))]);
    let token = Signer::hs256(SECRET.as_bytes()).token(&claims(json!({})));
    assert!(
        bench
            .verify_for(&tenant, &token, (&[ISS], &["gateway"]))
            .is_ok()
    );
    assert_eq!(
        bench.verify_for(&tenant, &token, (&["https://other"], &[])),
        Err("unknown-issuer")
    );
    assert_eq!(
        bench.verify_for(&tenant, &token, (&[ISS], &["elsewhere"])),
        Err("wrong-audience")
    );
    bench.clock.advance(Duration::from_secs(329));
    assert!(bench.verify(&tenant, &token).is_ok());
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(bench.verify(&tenant, &token), Err("expired"));
}

#[tokio::test]
async fn a_generation_with_the_same_issuers_remembers_and_another_does_not() {
    let bench = Bench::new(JwksTiming::default());
    let issuers = [("main", with_secret(ISS, SECRET))];
    let before = bench.tenant(&issuers);
    let token = Signer::hs256(SECRET.as_bytes()).token(&claims(json!({})));
    assert!(bench.verify(&before, &token).is_ok());

    let same = bench.tenant(&issuers);
    assert!(std::ptr::eq(before.issuers(), same.issuers()));
    let other_tenant = bench
        .shared
        .tenant("globex", &named(&issuers), &[])
        .unwrap();
    assert!(!std::ptr::eq(before.issuers(), other_tenant.issuers()));

    let renewed = bench.tenant(&[(
        "main",
        with_secret(ISS, "the-secret-was-changed-to-this-one"),
    )]);
    assert_eq!(bench.verify(&renewed, &token), Err("bad-signature"));
    assert!(
        bench.verify(&before, &token).is_ok(),
        "requests in flight end on what they began with"
    );
}

#[tokio::test]
async fn a_token_has_a_number_of_its_own() {
    let bench = Bench::new(JwksTiming::default());
    let tenant = bench.tenant(&[("main", with_secret(ISS, SECRET))]);
    let globex = bench
        .shared
        .tenant("globex", &named(&[("main", with_secret(ISS, SECRET))]), &[])
        .unwrap();
    let asked = Asked {
        issuers: &[],
        audiences: &[],
    };
    let signer = Signer::hs256(SECRET.as_bytes());
    let [alice, bob] = ["alice", "bob"].map(|sub| signer.token(&claims(json!({ "sub": sub }))));
    let number = |tenant: &TenantServices, token: &str| {
        let verified = tenant.issuers().verify(token, asked, NOW_S);
        verified.map(|verified| verified.number)
    };
    let first = number(&tenant, &alice);
    assert!(first.is_ok());
    assert_eq!(number(&tenant, &alice), first);
    assert_ne!(number(&tenant, &bob), first);
    assert_ne!(number(&globex, &alice), first, "another tenant's");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a caller sends: a refusal, and never a panic.
    #[test]
    fn anything_else_is_refused(text in any::<String>(), header in any::<String>(), payload in any::<String>(), tail in "[a-zA-Z0-9_.-]{0,90}") {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _entered = runtime.enter();
        let bench = Bench::new(JwksTiming::default());
        let ed = Signer::new(Algorithm::EdDSA, "ed");
        let tenant = bench.tenant(&[("main", with_jwks(ISS, &[ed.jwk()]))]);
        let asked = Asked { issuers: &[], audiences: &[] };
        let parts = [header, payload].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
        let (signed, _) = ed.token(&claims(json!({}))).rsplit_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        for token in [text, parts.clone(), format!("{parts}.{tail}"), tail.clone()] {
            prop_assert_eq!(tenant.issuers().verify(&token, asked, NOW_S), Err(JwtRefusal::Malformed));
        }
        let forged = tenant.issuers().verify(&format!("{signed}.{}", tail.replace('.', "")), asked, NOW_S);
        prop_assert_eq!(forged, Err(JwtRefusal::BadSignature));
    }
}
