//! Strategies for property tests: JSON as people and programs really write it.
//!
//! Text, not trees: what matters is what a tree would lose, such as `1.10`, integers beyond 64 bits, escapes, order,
//! duplicate keys and whitespace.

use proptest::prelude::*;

const SCALARS: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1.10",
    "1.0",
    "1e3",
    "1E400",
    "-2.50E-3",
    "12345678901234567890123",
    "0.1000000000000000055511151231257827",
    r#""""#,
    r#""plain""#,
    r#""\u00e9\n\"\\\/""#,
    r#""\ud83d\ude00 and 😀""#,
    r#""\ud800 is half of a character""#,
    r#""{[,:]}""#,
];

const KEYS: &[&str] = &[
    r#""a""#,
    r#""b""#,
    r#""\u0061""#,
    r#""a/b""#,
    r#""~""#,
    r#""""#,
    r#""name""#,
    r#""_meta""#,
    r#""é😀""#,
    r#""q\"k""#,
];

/// Whitespace that JSON allows between tokens.
pub fn space() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "", "", " ", "\n  ", "\t", "\r\n"])
}

/// A member, or an element when the key is dropped.
fn spaced(text: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (space(), text, space()).prop_map(|(before, text, after)| format!("{before}{text}{after}"))
}

/// An object of values from `value`; keys may repeat, also under another spelling.
fn object_of(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let key = prop::sample::select(KEYS);
    let member = (spaced(key.prop_map(str::to_owned)), spaced(value))
        .prop_map(|(key, value)| format!("{key}:{value}"));
    (prop::collection::vec(member, 0..6), space()).prop_map(|(members, empty)| {
        let inner = if members.is_empty() {
            empty.to_owned()
        } else {
            members.join(",")
        };
        format!("{{{inner}}}")
    })
}

/// Any JSON value.
pub fn json() -> impl Strategy<Value = String> {
    let scalar = prop::sample::select(SCALARS).prop_map(str::to_owned);
    scalar.prop_recursive(4, 48, 6, |inner| {
        let array = prop::collection::vec(spaced(inner.clone()), 0..5)
            .prop_map(|elements| format!("[{}]", elements.join(",")));
        prop_oneof![array, object_of(inner)]
    })
}

/// Any JSON object.
pub fn object() -> impl Strategy<Value = String> {
    object_of(json())
}

/// A key as it is after unescaping.
pub fn key() -> impl Strategy<Value = String> {
    prop::sample::select(KEYS).prop_map(|raw| serde_json::from_str(raw).unwrap())
}
