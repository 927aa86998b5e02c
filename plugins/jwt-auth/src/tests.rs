//! Tokens against a host that knows what to say of each.

use portcullis_sdk::testing::{self, Callers, Host, manifest_problems};
use portcullis_sdk::{Caller, Denial, Identity, Policy};

use crate::{JwtAuth, KEPT_MAX};

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
    let caller = policy.authenticate(&call.build());
    let identity = |caller| {
        Callers::default()
            .identity(caller)
            .expect("nothing is kept yet")
    };
    (caller.map(|caller| caller.map(identity)), host)
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
fn the_host_keeps_who_a_token_is_and_checks_it_every_time() {
    let token = |n: u64| format!("a.b.c{n}");
    let bearer = |n: u64| {
        let header = format!("Bearer {}", token(n));
        testing::Call::message("tools/list")
            .header("authorization", &header)
            .build()
    };
    let knows = |verdict: Result<&str, &str>| {
        let mut host = Host::new();
        for n in 0..2 * KEPT_MAX {
            let claims = verdict.map(|_| format!(r#"{{"sub": "user-{n}"}}"#));
            host = host.token(&token(n), claims.as_deref().map_err(|reason| *reason));
        }
        host
    };
    let host = knows(Ok(""));
    let policy = JwtAuth::configure(PLAIN).expect("configuration");
    let callers = Callers::default();
    let mut kept = 0;
    // More callers than are kept: each is always told apart from who had the place before.
    for n in (0..2 * KEPT_MAX).flat_map(|n| [n, n]) {
        let caller = policy
            .authenticate(&bearer(n))
            .expect("no denial")
            .expect("a caller");
        kept += u64::from(matches!(caller, Caller::Kept(_)));
        let identity = callers.identity(caller).expect("an identity");
        assert_eq!(identity.subject, format!("user-{n}"));
    }
    assert_eq!(kept, 2 * KEPT_MAX, "the second call of each");
    assert_eq!(
        host.verified().len() as u64,
        4 * KEPT_MAX,
        "every call is checked"
    );
    let _host = knows(Err("expired"));
    assert!(policy.authenticate(&bearer(1)).is_err());
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
