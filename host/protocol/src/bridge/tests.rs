//! Tests of crossing eras: what is added can be taken away again without a trace.

use proptest::prelude::*;

use super::*;
use crate::arbitrary;

const SENDER: Sender<'static> = Sender {
    revision: Revision::V2026_07_28,
    client_info: Some(r#"{"name":"c","version":"1"}"#),
    capabilities: r#"{"roots":{}}"#,
    log_level: None,
};

fn raw(text: &str) -> &RawValue {
    serde_json::from_str(text).unwrap()
}

#[test]
fn params_cross_in_both_directions() {
    let crossed = [
        to_stateless_params(None, &SENDER),
        to_stateless_params(
            Some(r#"{"name":"add", "arguments":{"n":1.10}}"#),
            &Sender {
                log_level: Some("info"),
                ..SENDER
            },
        ),
        to_stateless_params(
            Some(r#"{"_meta":{"progressToken":7},"name":"add"}"#),
            &Sender {
                client_info: None,
                ..SENDER
            },
        ),
        to_stateless_params(Some(r#"{"_meta":7}"#), &SENDER),
    ]
    .map(|crossed| crossed.unwrap_or_else(|error| error.to_string()));
    insta::assert_snapshot!("to_stateless_params", crossed.join("\n"));
    for (params, want) in [
        (crossed[0].as_str(), "{}"),
        (&crossed[1], r#"{"name":"add", "arguments":{"n":1.10}}"#),
        (&crossed[2], r#"{"_meta":{"progressToken":7},"name":"add"}"#),
        (r#"{"_meta":{},"a":1}"#, r#"{"_meta":{},"a":1}"#),
    ] {
        assert_eq!(to_session_params(params).as_deref(), Ok(want));
    }
}

#[test]
fn headers_mirror_the_request() {
    let of = |method, params| stateless_headers(Revision::newest(), method, Some(raw(params)));
    let plain = of("tools/call", r#"{"name":"add"}"#);
    assert_eq!(
        (plain.protocol_version, plain.method, plain.name.as_deref()),
        ("2026-07-28", "tools/call", Some("add"))
    );
    let encoded = of("resources/read", r#"{"uri":"test://é"}"#);
    assert_eq!(encoded.name.as_deref(), Some("=?base64?dGVzdDovL8Op?="));
    assert_eq!(of("tools/list", "{}").name, None);
    assert_eq!(
        of(
            "completion/complete",
            r#"{"ref":{"type":"ref/prompt","name":"p"}}"#
        )
        .name,
        None
    );
}

#[test]
fn results_cross_in_both_directions() {
    for (method, session, stateless) in [
        (
            "tools/call",
            r#"{"content":[]}"#,
            r#"{"content":[],"resultType":"complete"}"#,
        ),
        (
            "tools/list",
            r#"{"tools":[]}"#,
            r#"{"tools":[],"resultType":"complete","ttlMs":0,"cacheScope":"private"}"#,
        ),
        ("ping", "{}", r#"{"resultType":"complete"}"#),
    ] {
        assert_eq!(
            to_stateless_result(method, session).as_deref(),
            Ok(stateless)
        );
        assert_eq!(to_session_result(method, stateless).as_deref(), Ok(session));
        assert_eq!(
            to_stateless_result(method, stateless).as_deref(),
            Ok(stateless)
        );
        assert!(
            matches!(to_session_result(method, session), Ok(Cow::Borrowed(same)) if same == session)
        );
    }
    let signed = r#"{"a":1,"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s"}},"resultType":"complete"}"#;
    assert_eq!(
        to_session_result("tools/call", signed).as_deref(),
        Ok(r#"{"a":1}"#)
    );
}

#[test]
fn what_cannot_cross_says_why() {
    let said = [
        to_session_result("tools/call", r#"{"resultType":"input_required"}"#)
            .unwrap_err()
            .to_string(),
        to_session_result("tools/call", r#"{"resultType":7}"#)
            .unwrap_err()
            .to_string(),
        to_stateless_result("tools/call", "7")
            .unwrap_err()
            .to_string(),
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
    the result is `input_required`, which a session-era client does not know
    the result is ``, which a session-era client does not know
    `` is not a JSON object
    ");
}

#[test]
fn codes_change_for_missing_resources_only() {
    let newest = Revision::newest();
    for (revision, method, code, want) in [
        (newest, "resources/read", -32002, -32602),
        (newest, "tools/call", -32002, -32002),
        (newest, "resources/read", -32603, -32603),
        (Revision::V2025_11_25, "resources/read", -32002, -32002),
        (Revision::V2025_11_25, "resources/read", -32602, -32602),
    ] {
        assert_eq!(
            error_code_for(revision, method, code),
            want,
            "{revision} {method} {code}"
        );
    }
}

proptest! {
    #[test]
    fn crossing_there_and_back_changes_no_byte(arguments in arbitrary::json()) {
        let params = format!(r#"{{"name": "t" ,"arguments":{arguments}}}"#);
        let there = to_stateless_params(Some(&params), &SENDER).unwrap();
        prop_assert_eq!(splice::get_member(&there, "arguments"), Some(arguments.as_str()));
        prop_assert_eq!(to_session_params(&there), Ok(params));

        let result = format!(r#"{{"structuredContent": {arguments} ,"content":[]}}"#);
        let there = to_stateless_result("tools/call", &result).unwrap();
        let back = to_session_result("tools/call", &there).unwrap();
        prop_assert_eq!(&*back, result.as_str());
    }
}
