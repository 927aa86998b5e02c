//! Whole texts through the policy, and the promise that nothing else changes, over texts that no one thought of.

use portcullis_sdk::Policy;
use portcullis_sdk::testing::{self, manifest_problems, reply};
use proptest::prelude::*;
use serde_json::Value;

use crate::Redact;

fn policy(config: &str) -> Redact {
    Redact::configure(config).expect("configuration")
}

fn mask(config: &str, text: &str) -> Option<String> {
    let call = testing::Call::tool("t").arguments(text).build();
    let from_call = policy(config).transform_call(&call).expect("arguments");
    let from_reply = policy(config)
        .transform_reply(&call, &reply(text))
        .expect("result");
    assert_eq!(from_call, from_reply);
    from_call
}

#[test]
fn only_what_matches_changes() {
    let cases = [
        (r#"{"a": "nothing here"}"#, None),
        (
            r#"{ "to" : "ann@example.org" , "n":1.0e+2 }"#,
            Some(r#"{ "to" : "[redacted:email]" , "n":1.0e+2 }"#),
        ),
        (
            r#"["é\u00e9 ann@example.org \ud83d\ude00 \/"]"#,
            Some(r#"["é\u00e9 [redacted:email] \ud83d\ude00 \/"]"#),
        ),
        (
            r#"["ann\u0040example.org"]"#,
            Some(r#"["[redacted:email]"]"#),
        ),
        (
            r#"["\n4111 1111 1111 1111\t"]"#,
            Some(r#"["\n[redacted:credit-card]\t"]"#),
        ),
        // Keys and numbers of the message itself stay: they are its shape.
        (r#"{"ann@example.org": 4111111111111111}"#, None),
        (
            r#"["-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----\n"]"#,
            Some(r#"["[redacted:private-key]\n"]"#),
        ),
        (r#""ann@example.org""#, Some(r#""[redacted:email]""#)),
        ("null", None),
    ];
    for (text, want) in cases {
        assert_eq!(mask("{}", text).as_deref(), want, "{text}");
    }
}

#[test]
fn json_in_strings_stays_json() {
    let config = r#"{"keys": ["password"], "replacement": "\"<kind>\""}"#;
    let cases = [
        (
            r#"{"text": "{\"password\": \"x\", \"n\": 1}"}"#,
            r#"{"password": "\"password\"", "n": 1}"#,
        ),
        (
            r#"{"text": "{\"mail\": \"ann\\u0040example.org\"}"}"#,
            r#"{"mail": "\"email\""}"#,
        ),
        (
            r#"{"text": " [4111111111111111, {\"ann@example.org\": true}]"}"#,
            r#" ["\"credit-card\"", {"\"email\"": true}]"#,
        ),
    ];
    for (text, want) in cases {
        let masked = mask(config, text).expect(text);
        let outer: Value = serde_json::from_str(&masked).expect("outer JSON");
        let inner = outer["text"].as_str().expect("a string");
        assert_eq!(inner, want, "{text}");
        serde_json::from_str::<Value>(inner).expect("inner JSON");
    }
    let twice = r#"{"text": "{\"text\": \"{\\\"Password\\\": [1]}\"}"}"#;
    let outer: Value = serde_json::from_str(&mask(config, twice).unwrap()).unwrap();
    let inner: Value = serde_json::from_str(outer["text"].as_str().unwrap()).unwrap();
    assert_eq!(inner["text"], r#"{"Password": "\"password\""}"#);
    let text = r#"{"text": "{ann@example.org}"}"#;
    assert_eq!(
        mask("{}", text).as_deref(),
        Some(r#"{"text": "{[redacted:email]}"}"#),
        "not JSON after all"
    );
}

#[test]
fn keys_mask_whole_values() {
    let config = r#"{"keys": ["password", "ssn"], "patterns": []}"#;
    let cases = [
        (
            r#"{"Password": "x", "b": 1}"#,
            Some(r#"{"Password": "[redacted:password]", "b": 1}"#),
        ),
        (r#"{"ssn": 78051120}"#, Some(r#"{"ssn": "[redacted:ssn]"}"#)),
        (
            r#"{"ssn": {"ssn": [1, {}]}, "b": []}"#,
            Some(r#"{"ssn": "[redacted:ssn]", "b": []}"#),
        ),
        (
            r#"[{"ssn" : [ ] },{"ssn":true}]"#,
            Some(r#"[{"ssn" : "[redacted:ssn]" },{"ssn":"[redacted:ssn]"}]"#),
        ),
        (
            r#"{"pass\u0077ord": "x"}"#,
            Some(r#"{"pass\u0077ord": "[redacted:password]"}"#),
        ),
        (
            r#"{"text": "a\nb {\"x\": 1}", "t": "{\"password\": 1}\n"}"#,
            Some(
                r#"{"text": "a\nb {\"x\": 1}", "t": "{\"password\": \"[redacted:password]\"}\n"}"#,
            ),
        ),
        (r#"{"ssn": null}"#, None),
        (r#"{"ssn": "[redacted:ssn]"}"#, None),
        (r#"{"passwords": "x", "x": "ssn"}"#, None),
    ];
    for (text, want) in cases {
        assert_eq!(mask(config, text).as_deref(), want, "{text}");
    }
}

#[test]
fn keys_are_found_however_they_are_written() {
    let config = r#"{"keys": ["a/b", "é\"", "x"], "patterns": []}"#;
    let cases = [
        (r#"{"a/b": 1}"#, r#"{"a/b": "[redacted:a/b]"}"#),
        (r#"{"a\/b": 1}"#, r#"{"a\/b": "[redacted:a/b]"}"#),
        (
            r#"{"É": 0, "é\"": 1}"#,
            r#"{"É": 0, "é\"": "[redacted:é\"]"}"#,
        ),
    ];
    for (text, want) in cases {
        assert_eq!(mask(config, text).as_deref(), Some(want), "{text}");
    }
    assert_eq!(mask(config, r#"{"a": "/b"}"#), None);
}

#[test]
fn sides_can_be_left_alone() {
    let text = r#"["ann@example.org"]"#;
    let call = testing::Call::tool("t").arguments(text).build();
    let cases = [
        ("{}", true, true),
        (r#"{"arguments": false}"#, false, true),
        (r#"{"results": false}"#, true, false),
        (r#"{"patterns": ["iban"]}"#, false, false),
    ];
    for (config, arguments, results) in cases {
        let policy = policy(config);
        assert_eq!(
            policy.transform_call(&call).unwrap().is_some(),
            arguments,
            "{config}"
        );
        assert_eq!(
            policy
                .transform_reply(&call, &reply(text))
                .unwrap()
                .is_some(),
            results,
            "{config}"
        );
    }
    let bare = testing::Call::message("tools/list").build();
    assert_eq!(policy("{}").transform_call(&bare), Ok(None));
}

#[test]
fn results_have_a_cap() {
    let call = testing::Call::tool("t").build();
    let policy = policy(r#"{"max_result_bytes": 10, "results": false}"#);
    assert_eq!(
        policy.transform_reply(&call, &reply(r#""12345678""#)),
        Ok(None)
    );
    let denial = policy
        .transform_reply(&call, &reply(r#""123456789""#))
        .unwrap_err();
    assert_eq!(denial.code, "too-large");
    assert_eq!(
        denial.message,
        "The result has 11 bytes, and at most 10 may pass. Ask for less."
    );
}

#[test]
fn what_is_not_json_is_refused() {
    let call = testing::Call::tool("t")
        .arguments(r#"{"a": ann@example.org}"#)
        .build();
    assert_eq!(
        policy("{}").transform_call(&call).unwrap_err().code,
        "invalid"
    );
    let back = reply(r#"["ann@example.org""#);
    assert_eq!(
        policy("{}").transform_reply(&call, &back).unwrap_err().code,
        "unavailable"
    );
}

#[test]
fn wrong_configurations_are_named() {
    let cases = [
        (r#"{"pattern": []}"#, "pattern: unknown field"),
        (r#"{"patterns": ["mail"]}"#, "patterns[0]: unknown variant"),
        (r#"{"max_result_bytes": 0}"#, "max_result_bytes: must be"),
        (
            r#"{"custom": [{"name": "a", "pattern": "["}]}"#,
            "custom[0].pattern: ",
        ),
    ];
    for (config, want) in cases {
        let error = Redact::configure(config).unwrap_err();
        assert!(error.starts_with(want), "{config}: {error}");
    }
}

#[test]
fn the_manifest_holds() {
    assert_eq!(manifest_problems::<Redact>(), Vec::<String>::new());
}

/// Strings of which some hold what must go, some look like it, and some are anything at all.
fn strings() -> impl Strategy<Value = String> {
    let telling = prop::sample::select(vec![
        "ann@example.org",
        "4111 1111 1111 1111",
        "4111111111111112",
        "078-05-1120",
        "GB82WEST12345698765432",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0xx.c2ln",
        "-----BEGIN PRIVATE KEY-----\nx",
        "sk-4f9a0c1b2d3e4f5a6b7c",
        "{\"secret\": \"a\\\"b\", \"m\": \"ann@example.org\"}",
        "[1, \"ann\\u0040example.org\"]",
        "\\",
        "\"",
        "😀",
    ]);
    let piece = prop_oneof![2 => telling.prop_map(str::to_owned), 1 => ".{0,8}"];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        strings().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let key = prop_oneof![3 => strings(), 1 => Just("secret".to_owned())];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// The same JSON, written with escapes and spaces that nobody would choose.
fn disguise(text: &str) -> String {
    let escape = |character: char| match character {
        '@' => "\\u0040".to_owned(),
        'J' => "\\u004A".to_owned(),
        other => other.to_string(),
    };
    let mut in_string = false;
    let mut escaped = false;
    let mut out = String::new();
    for character in text.chars() {
        if in_string && !escaped {
            out.push_str(&escape(character));
        } else {
            out.push(character);
        }
        match (in_string, escaped, character) {
            (true, true, _) => escaped = false,
            (true, false, '\\') => escaped = true,
            (_, false, '"') => in_string = !in_string,
            (false, _, ',' | ':') => out.push_str("\n\t "),
            _ => {}
        }
    }
    out
}

/// Everything in `after` is what `before` has, or a string where `before` had a string or a masked value.
fn only_strings_differ(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| only_strings_differ(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let same = |(name, a): (&String, &Value)| {
                b.get(name).is_some_and(|b| match name.as_str() {
                    "secret" => a.is_null() && b.is_null() || b == "[redacted:secret]",
                    _ => only_strings_differ(a, b),
                })
            };
            a.len() == b.len() && a.iter().all(same)
        }
        (Value::String(_), Value::String(_)) => true,
        (a, b) => a == b,
    }
}

fn holds_secret(value: &Value) -> bool {
    match value {
        Value::String(text) => ["ann@example.org", "AKIAIOSFODNN7EXAMPLE"]
            .iter()
            .any(|s| text == s),
        Value::Array(items) => items.iter().any(holds_secret),
        Value::Object(entries) => entries.values().any(holds_secret),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_json_stays_json(value in values()) {
        let config = r#"{"keys": ["secret"], "patterns": ["email", "credit-card", "us-ssn", "iban", "phone", "ip",
            "aws-access-key", "github-token", "api-key", "jwt", "private-key"]}"#;
        let defaults = r#"{"keys": ["secret"]}"#;
        let plain = value.to_string();
        for (config, text) in [
            (config, disguise(&plain)),
            (config, plain.clone()),
            (defaults, disguise(&plain)),
            (defaults, plain),
        ] {
            let before: Value = serde_json::from_str(&text).expect("the test's own JSON");
            let Some(masked) = mask(config, &text) else {
                prop_assert!(!holds_secret(&before), "{}", text);
                continue;
            };
            let after: Value = serde_json::from_str(&masked).expect("JSON");
            prop_assert!(masked != text);
            prop_assert!(only_strings_differ(&before, &after), "{}\n{}", text, masked);
            prop_assert!(!holds_secret(&after), "{}", masked);
            prop_assert_eq!(mask(config, &masked), None, "masking again changes nothing");
        }
    }

    #[test]
    fn what_is_between_matches_is_identical(parts in prop::collection::vec("[a-z \\\\/é{}\\[\\]:,]{0,12}", 1..6)) {
        let encoded: Vec<String> = parts
            .iter()
            .map(|part| Value::from(part.as_str()).to_string())
            .map(|quoted| quoted[1..quoted.len() - 1].to_owned())
            .collect();
        let text = format!("[\"{}\"]", encoded.join(" ann@example.org "));
        let want = format!("[\"{}\"]", encoded.join(" [redacted:email] "));
        let want = (parts.len() > 1).then_some(want);
        prop_assert_eq!(mask("{}", &text), want);
    }

    #[test]
    fn any_text_is_refused_or_stays(text in ".{0,64}") {
        let call = testing::Call::tool("t").arguments(&text).build();
        if let Ok(Some(masked)) = policy("{}").transform_call(&call) {
            prop_assert!(serde_json::from_str::<Value>(&masked).is_ok());
        }
    }
}
