//! Tests of the envelope: every refusal, and that what is accepted comes through byte for byte.

use proptest::prelude::*;

use super::*;
use crate::arbitrary;

fn refusal(body: &[u8]) -> String {
    match parse(body) {
        Ok(message) => format!("accepted: {message:?}"),
        Err(error) => format!("{} {}", error.code(), error.public_message()),
    }
}

#[test]
fn every_refusal_says_what_to_do() {
    let bodies: &[&[u8]] = &[
        b"",
        b"   ",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\n\"method\":}",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"} x",
        b"{\"jsonrpc\":\"2.0\",\"method\":\"caf\xe9\"}",
        b" [{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]",
        b"[",
        b"7",
        b"\"text\"",
        br#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#,
        br#"{"jsonrpc":"2.0","id":1,"method":"ping","m\u0065thod":"tools/call"}"#,
        br#"{"id":1,"method":"ping"}"#,
        br#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
        br#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#,
        br#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
        br#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
        br#"{"jsonrpc":"2.0","id":1e3,"method":"ping"}"#,
        br#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#,
        br#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#,
        br#"{"jsonrpc":"2.0","id":1,"method":7}"#,
        br#"{"jsonrpc":"2.0","id":1,"method":"\ud800"}"#,
        br#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}"#,
        br#"{"jsonrpc":"2.0","id":1,"method":"ping","params":"x"}"#,
        br#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
        br#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#,
        br#"{"jsonrpc":"2.0","id":1,"method":"ping","error":{}}"#,
        br#"{"jsonrpc":"2.0","id":1}"#,
        br#"{"jsonrpc":"2.0","result":{}}"#,
        br#"{"jsonrpc":"2.0","id":null,"result":{}}"#,
        br#"{"jsonrpc":"2.0","id":0.5,"error":{}}"#,
    ];
    let said: Vec<String> = bodies
        .iter()
        .map(|body| format!("{}\n    {}", String::from_utf8_lossy(body), refusal(body)))
        .collect();
    insta::assert_snapshot!("refusals", said.join("\n"));
}

#[test]
fn each_refusal_is_a_type_of_its_own() {
    assert!(matches!(parse(b"[]"), Err(EnvelopeError::Batch)));
    assert!(matches!(parse(b"\xff"), Err(EnvelopeError::NotUtf8(_))));
    assert!(matches!(
        parse(b"{"),
        Err(EnvelopeError::NotJson {
            line: 1,
            column: 1,
            ..
        })
    ));
    assert!(matches!(parse(b"null"), Err(EnvelopeError::NotAnObject)));
}

#[test]
fn kinds_are_told_apart() {
    let request = parse(br#" {"params":{"name":"add"},"id":"a\u0062","method":"tools\/call","jsonrpc":"2.0","x":[]} "#);
    let Ok(Message::Request(request)) = request else {
        panic!("{request:?}")
    };
    assert_eq!(request.id.get(), r#""a\u0062""#);
    assert_eq!(request.method, "tools/call");
    assert_eq!(request.params.map(RawValue::get), Some(r#"{"name":"add"}"#));

    let plain =
        parse(br#"{"jsonrpc":"2.0","id":-99999999999999999999,"method":"ping","params":null}"#);
    let Ok(Message::Request(plain)) = plain else {
        panic!("{plain:?}")
    };
    assert!(matches!(plain.method, Cow::Borrowed("ping")));
    assert_eq!(plain.id.get(), "-99999999999999999999");
    assert!(plain.params.is_none());

    let notification = parse(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    let notification = notification.unwrap();
    assert!(matches!(notification, Message::Notification(_)));
    assert_eq!(notification.method(), Some("notifications/initialized"));
    assert!(notification.id().is_none());

    let result = parse(br#"{"jsonrpc":"2.0","id":3,"result":{"n":1.10}}"#).unwrap();
    assert_eq!(result.id().map(RawValue::get), Some("3"));
    let Message::Response(Response {
        outcome: Outcome::Result(raw),
        ..
    }) = result
    else {
        panic!("{result:?}")
    };
    assert_eq!(raw.get(), r#"{"n":1.10}"#);

    for anonymous in [
        &br#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}"#[..],
        br#"{"jsonrpc":"2.0","error":{"code":1,"message":""}}"#,
    ] {
        let error = parse(anonymous).unwrap();
        assert!(matches!(
            error,
            Message::Response(Response {
                id: None,
                outcome: Outcome::Error(_)
            })
        ));
    }
}

#[test]
fn refused_messages_keep_their_id_where_it_can_be_read() {
    for (body, id) in [
        (r#"{"id":7,"method":"ping"}"#, Some("7")),
        (
            r#"{"jsonrpc":"2.0","id":"x","method":"ping","params":[]}"#,
            Some("\"x\""),
        ),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, None),
        (r#"{"jsonrpc":"2.0","id":7,"method":"#, None),
        ("[]", None),
    ] {
        assert_eq!(
            id_of_refused(body.as_bytes()).map(RawValue::get),
            id,
            "{body}"
        );
    }
}

#[test]
fn batches_are_bounded() {
    let batch = parse_batch(br#" [ {"jsonrpc":"2.0","method":"a"} , 7 ] "#, 2).unwrap();
    let texts: Vec<_> = batch.iter().map(|raw| raw.get()).collect();
    assert_eq!(texts, [r#"{"jsonrpc":"2.0","method":"a"}"#, "7"]);
    let said: Vec<String> = [&b"[1,2,3]"[..], b"[]", b"{}", b"[1,]", b"[1] 2"]
        .iter()
        .map(|body| match parse_batch(body, 2) {
            Ok(_) => "accepted".to_owned(),
            Err(error) => format!("{} {error}", error.code()),
        })
        .collect();
    insta::assert_snapshot!("batch_refusals", said.join("\n"));
}

#[test]
fn depth_costs_no_stack() {
    let depth = 200_000;
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{{"a":{}{}}}}}"#,
        "[".repeat(depth),
        "]".repeat(depth)
    );
    let message = parse(body.as_bytes()).unwrap();
    let params = message.params().unwrap().get();
    assert_eq!(
        crate::splice::get_pointer(params, "/a/0/0").map(str::len),
        Some(2 * depth - 4)
    );
}

#[test]
fn lone_surrogates_in_params_pass_untouched() {
    let body = br#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":"\ud800"}}"#;
    assert_eq!(
        parse(body).unwrap().params().map(RawValue::get),
        Some(r#"{"a":"\ud800"}"#)
    );
}

#[test]
fn a_frame_is_that_of_one_response() {
    let (id, result) = (Some("1"), Some(r#"{"a": [1.10]}"#));
    for (body, want) in [
        (
            r#"{"jsonrpc":"2.0","id":1,"result":{"a": [1.10]}}"#,
            Some(Frame { id, result }),
        ),
        (
            r#" {"result": {"a": [1.10]} , "id" : 1,"json\u0072pc":"2.0","x":0} "#,
            Some(Frame { id, result }),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"error":{}}"#,
            Some(Frame { id, result: None }),
        ),
        (
            r#"{"jsonrpc":"2.0","error":{}}"#,
            Some(Frame {
                id: None,
                result: None,
            }),
        ),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#, None),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"result":{}}"#, None),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#,
            None,
        ),
        (r#"{"jsonrpc":"1.0","id":1,"result":{}}"#, None),
        (r#"{"jsonrpc":"2.0","id":1,"result":{}} x"#, None),
        (r#"{"jsonrpc":"2.0","id":1,"result":{"a":"b}"#, None),
        (r#"{"jsonrpc":"2.0","id":1}"#, None),
        (r#"[{"jsonrpc":"2.0","id":1,"result":{}}]"#, None),
        ("<html>", None),
        ("", None),
    ] {
        assert_eq!(frame(body.as_bytes()), want, "{body}");
    }
    assert_eq!(
        frame(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"\xff\"}"),
        None
    );
}

proptest! {
    #[test]
    fn a_frame_is_what_the_parser_reads(body in arbitrary::json(), result in arbitrary::object()) {
        let response = format!(r#"{{"result":{result},"id":"x","jsonrpc":"2.0"}}"#);
        for body in [body, response] {
            if let Ok(Message::Response(parsed)) = parse(body.as_bytes()) {
                let result = match parsed.outcome {
                    Outcome::Result(result) => Some(result.get()),
                    Outcome::Error(_) => None,
                };
                let id = parsed.id.map(RawValue::get);
                prop_assert_eq!(frame(body.as_bytes()), Some(Frame { id, result }));
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = frame(&body);
        let _ = parse(&body);
        let _ = parse_batch(&body, 4);
        let _ = id_of_refused(&body);
    }

    #[test]
    fn no_json_makes_it_panic(body in arbitrary::json()) {
        let _ = parse(body.as_bytes());
    }

    #[test]
    fn params_come_through_byte_for_byte(
        params in arbitrary::object(),
        space in arbitrary::space(),
        params_first in any::<bool>(),
    ) {
        let rest = format!(r#""jsonrpc":"2.0",{space}"id":1,"method":"tools/call""#);
        let body = if params_first {
            format!("{space}{{{space}\"params\"{space}:{space}{params}{space},{rest}}}{space}")
        } else {
            format!("{{{rest},\"params\":{params}}}")
        };
        let message = parse(body.as_bytes()).unwrap();
        prop_assert_eq!(message.params().map(RawValue::get), Some(params.as_str()));
    }

    #[test]
    fn results_come_through_byte_for_byte(result in arbitrary::json()) {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
        let message = parse(body.as_bytes()).unwrap();
        let Message::Response(Response { outcome: Outcome::Result(raw), .. }) = message else {
            panic!("{message:?}")
        };
        prop_assert_eq!(raw.get(), result.as_str());
    }
}
