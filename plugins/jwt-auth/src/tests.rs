//! Tokens against a host that knows what to say of each.

use portcullis_sdk::testing::{self, Host, manifest_problems};
use portcullis_sdk::{Denial, Identity, Policy};

use crate::{JwtAuth, is_jwt};

const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2ln";
const PLAIN: &str = r#"{"issuers": ["https://id.example"], "audiences": ["portcullis"]}"#;

fn authenticate(
    config: &str,
    authorization: &str,
    verdict: Result<&str, &str>,
) -> (Result<Option<Identity>, Denial>, Host) {
    let host = Host::new().token(TOKEN, verdict);
    let policy = JwtAuth::configure(config).expect("configuration");
    let call = testing::Call::message("tools/list").header("authorization", authorization);
    (policy.authenticate(&call.build()), host)
}

#[test]
fn claims_become_an_identity() {
    let mapped = r#"{"issuers": ["i"], "roles": ["member"], "claims": {
        "subject": "/user/id", "team": "/user/groups/0", "roles": "/realm_access/roles", "scopes": "https://x/scp"}}"#;
    let alice = || Identity::new("alice");
    let cases = [
        (PLAIN, r#"{"sub": "alice"}"#, alice()),
        (
            PLAIN,
            r#"{"iss": "i", "sub": "alice", "team": "core", "roles": ["admin", "dev"], "scope": "read write"}"#,
            alice()
                .with_team("core")
                .with_roles(["admin", "dev"])
                .with_scopes(["read", "write"]),
        ),
        (
            PLAIN,
            r#"{"sub": "alice", "team": 7, "roles": "admin dev", "scope": ["read", 1, null]}"#,
            alice()
                .with_team("7")
                .with_roles(["admin", "dev"])
                .with_scopes(["read", "1"]),
        ),
        (
            mapped,
            r#"{"user": {"id": "alice", "groups": ["core"]}, "realm_access": {"roles": ["dev"]}, "https://x/scp": "a b"}"#,
            alice()
                .with_team("core")
                .with_roles(["dev", "member"])
                .with_scopes(["a", "b"]),
        ),
        (
            PLAIN,
            r#"{"sub": "al\u0069ce", "team": null, "roles": {}, "scope": 1}"#,
            alice(),
        ),
    ];
    for (config, claims, want) in cases {
        let (result, _) = authenticate(config, &format!("Bearer {TOKEN}"), Ok(claims));
        assert_eq!(result, Ok(Some(want.with_claims(claims))), "{claims}");
    }
}

#[test]
fn other_credentials_are_left_to_others() {
    let cases = [
        "",
        "Basic YTpi",
        "Bearer",
        "Bearer pk_0123456789",
        "Bearer a.b",
        "Bearer a.b.c.d",
        "Bearer a.b.c!",
    ];
    for authorization in cases {
        let (result, host) = authenticate(PLAIN, authorization, Ok("{}"));
        assert_eq!(result, Ok(None), "{authorization}");
        assert_eq!(
            host.verified(),
            [],
            "{authorization}: the host is not asked"
        );
    }
}

#[test]
fn the_scheme_is_case_insensitive_and_the_host_is_told_what_counts() {
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let (result, host) = authenticate(
            PLAIN,
            &format!("{scheme} {TOKEN}"),
            Ok(r#"{"sub": "alice"}"#),
        );
        assert!(matches!(result, Ok(Some(_))), "{scheme}");
        let asked = (
            vec!["https://id.example".to_owned()],
            vec!["portcullis".to_owned()],
        );
        assert_eq!(host.verified(), [asked]);
    }
}

#[test]
fn bad_tokens_are_refused_with_a_challenge() {
    let cases = [
        ("expired", "unauthenticated", "expired"),
        ("not-yet-valid", "unauthenticated", "not valid yet"),
        ("wrong-audience", "unauthenticated", "another audience"),
        ("unknown-issuer", "unauthenticated", "not trusted"),
        ("bad-signature", "unauthenticated", "signature"),
        ("malformed", "unauthenticated", "cannot be read"),
        ("a-newer-reason", "unauthenticated", "does not hold"),
        ("keys-unavailable", "unavailable", "cannot be fetched"),
    ];
    for (reason, code, words) in cases {
        let (result, _) = authenticate(PLAIN, &format!("Bearer {TOKEN}"), Err(reason));
        let denial = result.expect_err(reason);
        assert_eq!(denial.code, code, "{reason}");
        assert!(
            denial.message.contains(words),
            "{reason}: {}",
            denial.message
        );
        let challenge = denial.challenge.unwrap_or_default();
        let challenged =
            challenge.starts_with("Bearer error=\"invalid_token\", error_description=\"");
        assert_eq!(
            challenged,
            code == "unauthenticated",
            "{reason}: {challenge}"
        );
        assert!(!challenge.contains(TOKEN) && !denial.message.contains(TOKEN));
    }
}

#[test]
fn a_token_must_say_who_is_calling() {
    for claims in [
        "{}",
        r#"{"sub": ""}"#,
        r#"{"sub": null}"#,
        r#"{"sub": ["a"]}"#,
        "[]",
        "nonsense",
    ] {
        let (result, _) = authenticate(PLAIN, &format!("Bearer {TOKEN}"), Ok(claims));
        assert_eq!(
            result.expect_err(claims).code,
            "unauthenticated",
            "{claims}"
        );
    }
}

#[test]
fn unknown_issuers_can_be_passed_on() {
    let config = r#"{"issuers": ["i"], "pass_unknown_issuers": true}"#;
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(
        authenticate(config, &bearer, Err("unknown-issuer")).0,
        Ok(None)
    );
    assert!(authenticate(config, &bearer, Err("expired")).0.is_err());
}

#[test]
fn tokens_have_a_shape() {
    let cases = [
        (TOKEN, true),
        ("a.b.c", true),
        ("a.b.", true),
        ("a..c", false),
        (".b.c", false),
        ("a.b", false),
        ("a.b.c.d", false),
        ("a.b.c=", false),
        ("", false),
    ];
    for (token, want) in cases {
        assert_eq!(is_jwt(token), want, "{token}");
    }
}

#[test]
fn wrong_configurations_are_named() {
    let cases = [
        ("{}", "missing field `issuers`"),
        (r#"{"issuers": []}"#, "issuers: name at least one"),
        (
            r#"{"issuers": ["i"], "claims": {"team": 1}}"#,
            "claims.team: invalid type",
        ),
        (
            r#"{"issuers": ["i"], "claims": {"group": "g"}}"#,
            "claims.group: unknown field",
        ),
    ];
    for (config, want) in cases {
        let error = JwtAuth::configure(config).unwrap_err();
        assert!(error.starts_with(want), "{config}: {error}");
    }
}

#[test]
fn the_manifest_holds() {
    assert_eq!(manifest_problems::<JwtAuth>(), Vec::<String>::new());
}
