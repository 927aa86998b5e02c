//! Tests of the era check: one table of what is accepted, one of what is refused and how.

use super::*;
use crate::envelope;
use crate::error::{INVALID_PARAMS, METHOD_NOT_FOUND, UNSUPPORTED_VERSION};

/// A message as a client sends it: what it shows, its headers, its method (empty for what is no request), its params
/// or whole body. `@D`, `@C` and `@X` stand for the `_meta` of the newest, an older and an unknown revision.
struct Case(&'static str, Headers, &'static str, &'static str);

/// Version, `Mcp-Method`, `Mcp-Name`, session id; empty for absent.
type Headers = [&'static str; 4];

const D: &str = "2026-07-28";
const C: &str = "2025-11-25";
const X: &str = "1999-01-01";

impl Case {
    fn decide(&self) -> Result<Era, Refusal> {
        let Case(_, headers, method, params) = self;
        let [protocol_version, header_method, name, session_id] =
            headers.map(|value| Some(value).filter(|value| !value.is_empty()));
        let params = params
            .replace("@D", &meta(D))
            .replace("@C", &meta(C))
            .replace("@X", &meta(X));
        let body = if method.is_empty() {
            params
        } else {
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}}}}}"#)
        };
        let headers = RequestHeaders {
            protocol_version,
            method: header_method,
            name,
            session_id,
        };
        classify(&headers, &envelope::parse_str(&body).unwrap())
    }
}

fn meta(version: &str) -> String {
    format!(
        r#""_meta":{{"{META_PROTOCOL_VERSION}":"{version}","{META_CLIENT_CAPABILITIES}":{{}}}}"#
    )
}

const NOTIFICATION: &str = r#"{"jsonrpc":"2.0","method":"notifications/x"}"#;
const RESPONSE: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
const PROMPT: &str = r#""ref":{"type":"ref/prompt","name":"p"},@D"#;

const SESSION: &[Case] = &[
    Case("plain initialize", ["", "", "", ""], "initialize", ""),
    Case(
        "hopeful initialize",
        [D, "initialize", "", ""],
        "initialize",
        r#""protocolVersion":"2026-07-28""#,
    ),
    Case(
        "initialize of the future",
        ["2031-01-01", "", "", ""],
        "initialize",
        "",
    ),
    Case("no version", ["", "", "", ""], "tools/list", ""),
    Case(
        "older version",
        ["2025-06-18", "", "", "s"],
        "tools/list",
        "",
    ),
    Case(
        "in a session",
        [C, "", "", "s"],
        "tools/call",
        r#""name":"add""#,
    ),
    Case(
        "session with routing headers",
        ["", "x", "y", "s"],
        "ping",
        "",
    ),
    Case(
        "older version in _meta",
        [C, "", "", "s"],
        "tools/list",
        "@C",
    ),
    Case("notification", [C, "", "", "s"], "", NOTIFICATION),
    Case("response", [C, "", "", "s"], "", RESPONSE),
];

const STATELESS: &[Case] = &[
    Case("list", [D, "tools/list", "", ""], "tools/list", "@D"),
    Case(
        "call",
        [D, "tools/call", "add", ""],
        "tools/call",
        r#""name":"add",@D"#,
    ),
    Case(
        "encoded name",
        [D, "tools/call", "=?base64?YWRk?=", ""],
        "tools/call",
        r#""name":"add",@D"#,
    ),
    Case(
        "read",
        [D, "resources/read", "test://x", ""],
        "resources/read",
        r#""uri":"test://x",@D"#,
    ),
    Case(
        "session id left over",
        [D, "tools/list", "", "s"],
        "tools/list",
        "@D",
    ),
    Case(
        "no name in the body",
        [D, "tools/call", "", ""],
        "tools/call",
        "@D",
    ),
    Case(
        "completion has no name",
        [D, "completion/complete", "", ""],
        "completion/complete",
        PROMPT,
    ),
    Case(
        "discover",
        [D, "server/discover", "", ""],
        "server/discover",
        "@D",
    ),
    Case("notification", [D, "", "", ""], "", NOTIFICATION),
];

const REFUSED: &[Case] = &[
    Case(
        "unknown version in a session",
        [X, "", "", "s"],
        "tools/list",
        "",
    ),
    Case(
        "unknown version outside a session",
        [X, "", "", ""],
        "tools/list",
        "",
    ),
    Case(
        "unknown version in both",
        [X, "tools/list", "", ""],
        "tools/list",
        "@X",
    ),
    Case(
        "discover in an older version",
        [C, "server/discover", "", ""],
        "server/discover",
        "@C",
    ),
    Case(
        "no version header",
        ["", "tools/list", "", ""],
        "tools/list",
        "@D",
    ),
    Case(
        "nothing but a method header",
        ["", "tools/list", "", ""],
        "tools/list",
        "",
    ),
    Case(
        "older version header",
        [C, "tools/list", "", ""],
        "tools/list",
        "@D",
    ),
    Case(
        "older version in _meta",
        [D, "tools/list", "", ""],
        "tools/list",
        "@C",
    ),
    Case("no _meta", [D, "tools/list", "", ""], "tools/list", ""),
    Case(
        "no capabilities",
        [D, "tools/list", "", ""],
        "tools/list",
        r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#,
    ),
    Case("no method header", [D, "", "", ""], "tools/list", "@D"),
    Case(
        "other method header",
        [D, "tools/call", "", ""],
        "tools/list",
        "@D",
    ),
    Case(
        "method header in other case",
        [D, "Tools/List", "", ""],
        "tools/list",
        "@D",
    ),
    Case(
        "no name header",
        [D, "tools/call", "", ""],
        "tools/call",
        r#""name":"add",@D"#,
    ),
    Case(
        "other name header",
        [D, "tools/call", "sub", ""],
        "tools/call",
        r#""name":"add",@D"#,
    ),
    Case(
        "undecodable name header",
        [D, "tools/call", "=?base64?!?=", ""],
        "tools/call",
        r#""name":"add",@D"#,
    ),
    Case(
        "no name header for a task",
        [D, "tasks/get", "", ""],
        "tasks/get",
        r#""taskId":"t",@D"#,
    ),
    Case("response", [D, "", "", ""], "", RESPONSE),
    Case(
        "notification without version",
        ["", "notifications/x", "", ""],
        "",
        NOTIFICATION,
    ),
    Case(
        "unknown version on a notification",
        [X, "", "", ""],
        "",
        NOTIFICATION,
    ),
    Case("initialize", [D, "initialize", "", ""], "initialize", "@D"),
    Case("ping", [D, "ping", "", ""], "ping", "@D"),
    Case(
        "logging/setLevel",
        [D, "logging/setLevel", "", ""],
        "logging/setLevel",
        "@D",
    ),
    Case(
        "resources/subscribe",
        [D, "resources/subscribe", "", ""],
        "resources/subscribe",
        "@D",
    ),
    Case(
        "resources/unsubscribe",
        [D, "resources/unsubscribe", "", ""],
        "resources/unsubscribe",
        "@D",
    ),
    Case("unknown method", [D, "no/such", "", ""], "no/such", "@D"),
];

#[test]
fn eras_are_told_apart() {
    for (cases, era) in [(SESSION, Era::Session), (STATELESS, Era::Stateless)] {
        for case in cases {
            assert_eq!(case.decide(), Ok(era), "{}", case.0);
        }
    }
}

#[test]
fn every_refusal_has_its_status_code_and_words() {
    let said: Vec<String> = REFUSED
        .iter()
        .map(|case| {
            let refusal = case.decide().expect_err(case.0);
            let wire = String::from_utf8(refusal.body(None)).unwrap();
            format!("{}\n    {} {wire}", case.0, refusal.http_status())
        })
        .collect();
    insta::assert_snapshot!("refusals", said.join("\n"));
}

#[test]
fn what_callers_send_is_repeated_within_bounds() {
    let long = "x".repeat(10_000);
    let headers = RequestHeaders {
        protocol_version: Some(&long),
        ..RequestHeaders::default()
    };
    let list = envelope::parse_str(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).unwrap();
    let refusal = classify(&headers, &list).unwrap_err();
    assert!(refusal.public_message().len() < 400);
}

#[test]
fn the_body_of_a_frame_says_everything() {
    let request = |method: &str, params: &str| {
        let params = params
            .replace("@D", &meta(D))
            .replace("@C", &meta(C))
            .replace("@X", &meta(X));
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}}}}}"#)
    };
    let no_capabilities = format!(r#""_meta":{{"{META_PROTOCOL_VERSION}":"{D}"}}"#);
    for (message, in_session, want) in [
        (request("tools/list", "@D"), true, Ok(Era::Stateless)),
        (request("tools/list", "@D"), false, Ok(Era::Stateless)),
        (request("tools/list", ""), false, Ok(Era::Session)),
        (request("tools/list", "@C"), true, Ok(Era::Session)),
        (request("initialize", "@C"), false, Ok(Era::Session)),
        (request("initialize", "@X"), false, Ok(Era::Session)),
        (request("initialize", "@D"), false, Err(METHOD_NOT_FOUND)),
        (request("ping", "@D"), true, Err(METHOD_NOT_FOUND)),
        (request("tools/list", "@X"), true, Err(UNSUPPORTED_VERSION)),
        (request("server/discover", ""), true, Err(INVALID_PARAMS)),
        (
            request("tools/list", &no_capabilities),
            false,
            Err(INVALID_PARAMS),
        ),
        (NOTIFICATION.to_owned(), false, Ok(Era::Stateless)),
        (NOTIFICATION.to_owned(), true, Ok(Era::Session)),
        (RESPONSE.to_owned(), false, Ok(Era::Session)),
        (RESPONSE.to_owned(), true, Ok(Era::Session)),
    ] {
        let decided = classify_frame(&envelope::parse_str(&message).unwrap(), in_session);
        let decided = decided.map_err(|refusal| refusal.code());
        assert_eq!(decided, want, "{message}");
    }
}
