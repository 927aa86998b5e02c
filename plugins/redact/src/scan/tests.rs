//! Every pattern with what it must find, and with what only looks like it.

use super::*;

const ALL: [Kind; 11] = [
    Kind::Email,
    Kind::CreditCard,
    Kind::UsSsn,
    Kind::Iban,
    Kind::Phone,
    Kind::Ip,
    Kind::AwsAccessKey,
    Kind::GithubToken,
    Kind::ApiKey,
    Kind::Jwt,
    Kind::PrivateKey,
];

/// What is found, as `kind=text`.
fn find(kinds: &[Kind], text: &str) -> Vec<String> {
    let scanner = Scanner::new(kinds, Vec::new()).unwrap();
    let found = scanner.find(text);
    if !found.is_empty() {
        assert!(scanner.suspects(text), "passed over: {text}");
    }
    let shown = found
        .iter()
        .map(|f| format!("{}={}", f.kind, &text[f.start..f.end]));
    shown.collect()
}

fn check(kind: Kind, cases: &[(&str, &[&str])]) {
    for (text, want) in cases {
        let want: Vec<String> = want
            .iter()
            .map(|w| format!("{}={w}", kind.name()))
            .collect();
        assert_eq!(find(&[kind], text), want, "{text}");
        // Boundaries of JSON do not change what is found.
        assert_eq!(find(&[kind], &format!("\"{text}\"")), want, "quoted {text}");
        // With every other pattern at work, the place is still covered.
        assert!(find(&ALL, text).len() >= want.len(), "all kinds: {text}");
    }
}

#[test]
fn emails() {
    check(
        Kind::Email,
        &[
            ("alice@example.com", &["alice@example.com"]),
            (
                "to: <a.b+c@mail.example.co.uk>.",
                &["a.b+c@mail.example.co.uk"],
            ),
            ("a@b.io,c@d.org", &["a@b.io", "c@d.org"]),
            ("é alice@example.com é", &["alice@example.com"]),
            ("mailto:x_1@sub-domain.example", &["x_1@sub-domain.example"]),
            ("alice@localhost", &[]),
            ("@example.com", &[]),
            ("alice@", &[]),
            ("alice@example.", &[]),
            ("alice@example.c", &[]),
            ("alice@10.0.0.1", &[]),
            ("@scope/package@1.2.3", &[]),
            ("...@example.com", &[]),
        ],
    );
}

#[test]
fn credit_cards() {
    check(
        Kind::CreditCard,
        &[
            ("4111111111111111", &["4111111111111111"]),
            ("4111 1111 1111 1111", &["4111 1111 1111 1111"]),
            ("card: 5555-5555-5555-4444.", &["5555-5555-5555-4444"]),
            ("3782 822463 10005", &["3782 822463 10005"]),
            ("6011111111111117 exp 12/29", &["6011111111111117"]),
            ("4111 1111 1111 1111 123", &["4111 1111 1111 1111"]),
            ("order 1234 4111 1111 1111 1111", &["4111 1111 1111 1111"]),
            ("2223003122003222", &["2223003122003222"]),
            ("4111111111111111 078-05-1120", &["4111111111111111"]),
            ("4111111111111112", &[]),
            ("41111111111111111111", &[]),
            ("a4111111111111111", &[]),
            ("4111111111111111a", &[]),
            ("0.4111111111111111", &[]),
            ("1700000000000", &[]),
            ("9999999999999995", &[]),
            ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", &[]),
        ],
    );
}

#[test]
fn social_security_numbers() {
    check(
        Kind::UsSsn,
        &[
            ("078-05-1120", &["078-05-1120"]),
            ("SSN 219 09 9999!", &["219 09 9999"]),
            ("000-12-3456", &[]),
            ("666-12-3456", &[]),
            ("900-12-3456", &[]),
            ("123-00-4567", &[]),
            ("123-45-0000", &[]),
            ("123-45-67890", &[]),
            ("1123-45-6789", &[]),
            ("123-45 6789", &[]),
            ("123456789", &[]),
            ("1-123-45-6789-1", &[]),
        ],
    );
}

#[test]
fn ibans() {
    check(
        Kind::Iban,
        &[
            ("GB82WEST12345698765432", &["GB82WEST12345698765432"]),
            (
                "GB82 WEST 1234 5698 7654 32",
                &["GB82 WEST 1234 5698 7654 32"],
            ),
            (
                "to DE89 3704 0044 0532 0130 00, please",
                &["DE89 3704 0044 0532 0130 00"],
            ),
            ("NO9386011117947", &["NO9386011117947"]),
            (
                "FR1420041010050500013M02606 EUR",
                &["FR1420041010050500013M02606"],
            ),
            ("GB83WEST12345698765432", &[]),
            ("XX82WEST12345698765432", &[]),
            ("GB82WEST1234569876543", &[]),
            ("GB82WEST123456987654321", &[]),
            ("AGB82WEST12345698765432", &[]),
            ("GB82  WEST 1234 5698 7654 32", &[]),
        ],
    );
}

#[test]
fn phones() {
    check(
        Kind::Phone,
        &[
            ("+1 415 555 2671", &["+1 415 555 2671"]),
            ("+442071838750", &["+442071838750"]),
            ("call +49 (30) 901820 now", &["+49 (30) 901820"]),
            ("(415) 555-2671", &["(415) 555-2671"]),
            ("415-555-2671", &["415-555-2671"]),
            ("415.555.2671,", &["415.555.2671"]),
            ("2026-05-09 10:00", &[]),
            ("4155552671", &[]),
            ("1+23456789012", &[]),
            ("+1234567", &[]),
            ("+1234567890123456", &[]),
            ("115-555-2671", &[]),
            ("415-155-2671", &[]),
            ("415-555-26711", &[]),
            ("1-415-555-2671-9", &[]),
        ],
    );
}

#[test]
fn addresses() {
    check(
        Kind::Ip,
        &[
            ("192.0.2.1", &["192.0.2.1"]),
            ("from 10.1.2.3:8080", &["10.1.2.3"]),
            ("2001:db8::1", &["2001:db8::1"]),
            ("[fe80::1]:443", &["fe80::1"]),
            ("::1", &["::1"]),
            ("1:2:3:4:5:6:7:8.", &["1:2:3:4:5:6:7:8"]),
            ("256.1.1.1", &[]),
            ("1.2.3", &[]),
            ("1.2.3.4.5", &[]),
            ("v1.2.3.4", &[]),
            ("12:30:45", &[]),
            ("std::vec", &[]),
            ("a::b", &["a::b"]),
        ],
    );
}

#[test]
fn secrets() {
    check(
        Kind::AwsAccessKey,
        &[
            ("AKIAIOSFODNN7EXAMPLE", &["AKIAIOSFODNN7EXAMPLE"]),
            ("id=ASIAIOSFODNN7EXAMPLE;", &["ASIAIOSFODNN7EXAMPLE"]),
            ("AKIAIOSFODNN7EXAMPL", &[]),
            ("AKIAIOSFODNN7EXAMPLES", &[]),
            ("XAKIAIOSFODNN7EXAMPLE", &[]),
        ],
    );
    check(
        Kind::GithubToken,
        &[
            (
                "ghp_0123456789abcdefghijABCDEFGHIJ012345",
                &["ghp_0123456789abcdefghijABCDEFGHIJ012345"],
            ),
            (
                "github_pat_11ABCDEFG0123456789_abcdef",
                &["github_pat_11ABCDEFG0123456789_abcdef"],
            ),
            ("ghp_short", &[]),
            ("xghp_0123456789abcdefghijABCDEFGHIJ012345", &[]),
            ("ghx_0123456789abcdefghijABCDEFGHIJ012345", &[]),
        ],
    );
    check(
        Kind::ApiKey,
        &[
            ("pk_4f9a0c1b2d3e4f5a6b7c", &["pk_4f9a0c1b2d3e4f5a6b7c"]),
            (
                "sk-proj-4f9a0c1b2d3e4f5a6b7c",
                &["sk-proj-4f9a0c1b2d3e4f5a6b7c"],
            ),
            (
                "key sk_live_4f9a0c1b2d3e4f5a6b7c.",
                &["sk_live_4f9a0c1b2d3e4f5a6b7c"],
            ),
            (
                "pk_aB3-_dE5-_fG7-_hI9-_jK1-_lM3-_nO5",
                &["pk_aB3-_dE5-_fG7-_hI9-_jK1-_lM3-_nO5"],
            ),
            ("sk-learn-pipeline-configuration", &[]),
            ("pk_short1", &[]),
            ("risk-4f9a0c1b2d3e4f5a6b7c", &[]),
            ("task_4f9a0c1b2d3e4f5a6b7c", &[]),
        ],
    );
    check(
        Kind::Jwt,
        &[
            (
                "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0xx.c2lnbmF0dXJl",
                &["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0xx.c2lnbmF0dXJl"],
            ),
            (
                "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0xx.",
                &["eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0xx."],
            ),
            ("eyJhbGciOiJIUzI1NiJ9", &[]),
            ("eyJhbGciOiJIUzI1NiJ9.short", &[]),
            ("heyJude.andsomethinglong.x", &[]),
        ],
    );
}

#[test]
fn private_keys() {
    let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----";
    let open = "-----BEGIN PRIVATE KEY-----\nMIIEow";
    check(
        Kind::PrivateKey,
        &[
            (&format!("a {key} b {key}"), &[key, key]),
            (
                "-----BEGIN CERTIFICATE-----\nMIIEow\n-----END CERTIFICATE-----",
                &[],
            ),
            ("----- BEGIN -----", &[]),
        ],
    );
    assert_eq!(
        find(&[Kind::PrivateKey], open),
        [format!("private-key={open}")],
        "to the end when it has none"
    );
}

#[test]
fn nothing_is_found_that_is_not_looked_for() {
    let text = "a@b.io, 4111111111111111 078-05-1120 AKIAIOSFODNN7EXAMPLE 192.0.2.1";
    assert_eq!(find(&[Kind::UsSsn], text), ["us-ssn=078-05-1120"]);
    assert_eq!(find(&[], text), Vec::<String>::new());
    assert_eq!(find(&ALL, text).len(), 5);
}

#[test]
fn ordinary_text_is_not_suspected() {
    let scanner = Scanner::new(&Kind::defaults(), Vec::new()).unwrap();
    let ordinary = r#"{"content": [{"type": "text", "text": "Found 3 files:\nsrc/main.rs (12 kB)\n2026-05-09T10:00:00Z"}],
        "structuredContent": {"count": 12345678, "snake_case-name": "JSON, KEY, ASK", "ratio": 0.12345}}"#;
    assert!(!scanner.suspects(ordinary));
    assert!(
        scanner.suspects(r#"{"mail": "a\u0040b.io"}"#),
        "an escape can hide anything"
    );
}

#[test]
fn patterns_of_ones_own() {
    let custom = |json: &str| serde_json::from_str::<Vec<Custom>>(json).unwrap();
    let own = custom(
        r#"[{"name": "ticket", "pattern": "TCK-[0-9]{4,}"}, {"name": "codename", "literal": "Blue Moon"},
            {"name": "host", "pattern": "[a-z]+@[a-z]+"}, {"name": "nothing", "pattern": "x*"}]"#,
    );
    let scanner = Scanner::new(&[Kind::Email], own).unwrap();
    let text = "TCK-12345 of Blue Moon by ann@example.org";
    let found = scanner
        .find(text)
        .into_iter()
        .map(|f| (f.kind, &text[f.start..f.end]));
    let found: Vec<_> = found.collect();
    let want = [
        ("ticket", "TCK-12345"),
        ("codename", "Blue Moon"),
        ("email", "ann@example.org"),
    ];
    assert!(want.iter().all(|w| found.contains(w)), "{found:?}");
    let cases = [
        (r#"[{"name": "a", "pattern": "("}]"#, "custom[0].pattern: "),
        (
            r#"[{"name": "a", "literal": "x"}, {"name": "b"}]"#,
            "custom[1]: needs either",
        ),
        (
            r#"[{"name": "a", "literal": "x", "pattern": "y"}]"#,
            "custom[0]: needs either",
        ),
    ];
    for (json, want) in cases {
        let error = Scanner::new(&[], custom(json)).unwrap_err();
        assert!(error.starts_with(want), "{json}: {error}");
    }
}
