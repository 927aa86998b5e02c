//! Takes out of a sample what must not be kept: by the names of headers and members, and by how tokens begin.

use std::collections::BTreeMap;

use http::HeaderMap;
use serde_json::Value;

const REDACTED: &str = "[redacted]";
/// Headers that are kept as they are; of all others only the name is.
const PLAIN_HEADERS: [&str; 10] = [
    "accept",
    "content-type",
    "host",
    "origin",
    "user-agent",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "x-request-id",
    "traceparent",
];
/// Names that have one of these in them, whatever stands between their letters.
const SECRET_NAMES: [&str; 10] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "authorization",
    "credential",
];
/// How tokens begin.
const SECRET_STARTS: [&str; 8] = [
    "Bearer ",
    "Basic ",
    "eyJ",
    "sk-",
    "ghp_",
    "github_pat_",
    "xox",
    "-----BEGIN",
];

pub(super) fn headers(headers: &HeaderMap) -> BTreeMap<String, String> {
    let shown = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        let is_plain = PLAIN_HEADERS.contains(&name.as_str());
        let value = value.to_str().ok().filter(|_| is_plain);
        (
            name.as_str().to_owned(),
            value.unwrap_or(REDACTED).to_owned(),
        )
    };
    headers.iter().map(shown).collect()
}

pub(super) fn value(value: Value) -> Value {
    match value {
        Value::String(text) if is_secret(&text) => Value::from(REDACTED),
        Value::Array(items) => items.into_iter().map(self::value).collect(),
        Value::Object(members) => {
            let kept = |(name, member): (String, Value)| match (is_secret_name(&name), &member) {
                (true, Value::String(_) | Value::Number(_)) => (name, Value::from(REDACTED)),
                (true | false, _) => (name, self::value(member)),
            };
            Value::Object(members.into_iter().map(kept).collect())
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

fn is_secret(text: &str) -> bool {
    let text = text.trim_start();
    SECRET_STARTS.iter().any(|start| text.starts_with(start))
}

fn is_secret_name(name: &str) -> bool {
    let letters: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_lowercase())
        .collect();
    // A progress token is a number of the client's own.
    letters != "progresstoken" && SECRET_NAMES.iter().any(|secret| letters.contains(secret))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_taken_out_by_name_and_by_form() {
        let kept = value(json!({
            "user": "ann",
            "API-Key": "k", "db_password": 7, "tokens": ["eyJhbGciOi", "plain"],
            "nested": [{ "note": "Bearer abc" }, { "privateKey": { "part": "x" } }],
            "_meta": { "progressToken": 5 },
        }));
        assert_eq!(
            kept,
            json!({
                "user": "ann",
                "API-Key": "[redacted]", "db_password": "[redacted]", "tokens": ["[redacted]", "plain"],
                "nested": [{ "note": "[redacted]" }, { "privateKey": { "part": "x" } }],
                "_meta": { "progressToken": 5 },
            })
        );
        let mut sent = HeaderMap::new();
        sent.insert("authorization", "Bearer abc".parse().unwrap());
        sent.insert("user-agent", "probe/1".parse().unwrap());
        sent.insert("x-corp-session", "abc".parse().unwrap());
        let shown: Vec<_> = headers(&sent).into_iter().collect();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            shown,
            [
                pair("authorization", "[redacted]"),
                pair("user-agent", "probe/1"),
                pair("x-corp-session", "[redacted]"),
            ]
        );
    }
}
