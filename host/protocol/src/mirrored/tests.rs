//! Definitions that mark arguments well and badly, and calls whose headers agree and disagree.

use super::*;

fn definition(schema: &str) -> String {
    format!(r#"{{"name":"t","inputSchema":{schema}}}"#)
}

fn mirrored(properties: &str) -> Mirrored {
    let schema = format!(r#"{{"type":"object","properties":{properties}}}"#);
    Mirrored::parse(&definition(&schema)).unwrap()
}

#[test]
fn arguments_are_found_by_the_properties_that_lead_to_them() {
    for (schema, want) in [
        ("{}", &[][..]),
        ("7", &[]),
        (r#"{"properties":{"a":{"type":"string"}}}"#, &[]),
        (
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"Region"}}}"#,
            &[("mcp-param-region", "a")],
        ),
        (
            r#"{"properties":{"a":{"type":"integer","x-mcp-h\u0065ader":"N"}}}"#,
            &[("mcp-param-n", "a")],
        ),
        (
            r#"{"properties":{"a":{"type":"object","properties":{"b.c":{"type":"boolean","x-mcp-header":"x!#$%&'*+-.^_`|~9"}}},
                "d":{"type":"string","x-mcp-header":"D"}}}"#,
            &[
                ("mcp-param-x!#$%&'*+-.^_`|~9", "a/b.c"),
                ("mcp-param-d", "d"),
            ],
        ),
        // A property of that name, and values that only look like schemas.
        (
            r#"{"properties":{"x-mcp-header":{"type":"string","default":{"x-mcp-header":1},"enum":[{"x-mcp-header":1}],
                "const":{"x-mcp-header":""},"examples":[{"x-mcp-header":""}]}}}"#,
            &[],
        ),
    ] {
        let found = Mirrored::parse(&definition(schema)).unwrap();
        let found: Vec<_> = found
            .0
            .iter()
            .map(|argument| (argument.header.to_string(), argument.path.join("/")))
            .collect();
        let want: Vec<_> = want
            .iter()
            .map(|(header, path)| ((*header).to_owned(), (*path).to_owned()))
            .collect();
        assert_eq!(found, want, "{schema}");
    }
    assert!(
        Mirrored::parse(r#"{"name":"x-mcp-header"}"#)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn definitions_that_mark_badly_say_why() {
    let property = |rest: &str| format!(r#"{{"properties":{{"p":{{{rest}}}}}}}"#);
    let mut said = Vec::new();
    for (title, schema) in [
        ("empty", property(r#""type":"string","x-mcp-header":"""#)),
        ("a space", property(r#""type":"string","x-mcp-header":"a b""#)),
        ("a colon", property(r#""type":"string","x-mcp-header":"a:b""#)),
        ("a line break", property(r#""type":"string","x-mcp-header":"a\r\nb""#)),
        ("not ASCII", property(r#""type":"string","x-mcp-header":"Région""#)),
        ("not a string", property(r#""type":"string","x-mcp-header":7"#)),
        ("an object", property(r#""type":"object","x-mcp-header":"P""#)),
        ("an array", property(r#""type":"array","x-mcp-header":"P""#)),
        ("a number", property(r#""type":"number","x-mcp-header":"P""#)),
        ("null", property(r#""type":"null","x-mcp-header":"P""#)),
        ("two types", property(r#""type":["string","null"],"x-mcp-header":"P""#)),
        ("no type", property(r#""x-mcp-header":"P""#)),
        (
            "the same twice",
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"P"},"b":{"type":"string","x-mcp-header":"p"}}}"#.to_owned(),
        ),
        ("on the root", r#"{"x-mcp-header":"P","type":"string"}"#.to_owned()),
        ("in items", property(r#""items":{"type":"string","x-mcp-header":"P"}"#)),
        ("in prefixItems", property(r#""prefixItems":[{"type":"string","x-mcp-header":"P"}]"#)),
        ("in oneOf", r#"{"oneOf":[{"properties":{"a":{"type":"string","x-mcp-header":"P"}}}]}"#.to_owned()),
        ("in not", property(r#""not":{"type":"string","x-mcp-header":"P"}"#)),
        ("in then", r#"{"then":{"properties":{"a":{"type":"string","x-mcp-header":"P"}}}}"#.to_owned()),
        ("in $defs", r#"{"$defs":{"a":{"type":"string","x-mcp-header":"P"}}}"#.to_owned()),
        ("in patternProperties", r#"{"patternProperties":{"a":{"type":"string","x-mcp-header":"P"}}}"#.to_owned()),
        ("in additionalProperties", r#"{"additionalProperties":{"type":"string","x-mcp-header":"P"}}"#.to_owned()),
        ("in a word nobody knows", r#"{"x-more":{"type":"string","x-mcp-header":"P"}}"#.to_owned()),
    ] {
        let error = Mirrored::parse(&definition(&schema)).unwrap_err();
        said.push(format!("{title}: {error}"));
    }
    insta::assert_snapshot!(said.join("\n"), @"
    empty: the `x-mcp-header` of `p` is not a header's name
    a space: the `x-mcp-header` of `p` is not a header's name
    a colon: the `x-mcp-header` of `p` is not a header's name
    a line break: the `x-mcp-header` of `p` is not a header's name
    not ASCII: the `x-mcp-header` of `p` is not a header's name
    not a string: the `x-mcp-header` of `p` is not a header's name
    an object: `p` has an `x-mcp-header` and must be a string, an integer or a boolean
    an array: `p` has an `x-mcp-header` and must be a string, an integer or a boolean
    a number: `p` has an `x-mcp-header` and must be a string, an integer or a boolean
    null: `p` has an `x-mcp-header` and must be a string, an integer or a boolean
    two types: `p` has an `x-mcp-header` and must be a string, an integer or a boolean
    no type: `p` has an `x-mcp-header` and must be a string, an integer or a boolean
    the same twice: the `x-mcp-header` of `b` is that of another property too
    on the root: `x-mcp-header` is only for properties of arguments, not for `inputSchema`
    in items: `x-mcp-header` is only for properties of arguments, not for `p.items`
    in prefixItems: `x-mcp-header` is only for properties of arguments, not for `p.prefixItems`
    in oneOf: `x-mcp-header` is only for properties of arguments, not for `oneOf.a`
    in not: `x-mcp-header` is only for properties of arguments, not for `p.not`
    in then: `x-mcp-header` is only for properties of arguments, not for `then.a`
    in $defs: `x-mcp-header` is only for properties of arguments, not for `a`
    in patternProperties: `x-mcp-header` is only for properties of arguments, not for `a`
    in additionalProperties: `x-mcp-header` is only for properties of arguments, not for `additionalProperties`
    in a word nobody knows: `x-mcp-header` is only for properties of arguments, not for `x-more`
    ");
}

const ARGUMENTS: &str = r#"{"text":{"type":"string","x-mcp-header":"Text"},"count":{"type":"integer","x-mcp-header":"Count"},
    "flag":{"type":"boolean","x-mcp-header":"Flag"},
    "in":{"type":"object","properties":{"ner":{"type":"string","x-mcp-header":"Inner"}}}}"#;

const TEXT: &str = "mcp-param-text";
const COUNT: &str = "mcp-param-count";
const FLAG: &str = "mcp-param-flag";
const INNER: &str = "mcp-param-inner";

/// Arguments, headers, and words of the refusal, if it is one.
type Case = (
    Option<&'static str>,
    &'static [(&'static str, &'static str)],
    Option<&'static str>,
);

const HELD: &[Case] = &[
    (None, &[], None),
    (Some("{}"), &[], None),
    (Some(r#"{"text":null,"count":null,"in":null}"#), &[], None),
    (Some(r#"{"text":"us-west1"}"#), &[(TEXT, "us-west1")], None),
    (
        Some(r#"{"text":"us-west1"}"#),
        &[(TEXT, "=?base64?dXMtd2VzdDE=?=")],
        None,
    ),
    (
        Some(r#"{"text":"Hello, 世界"}"#),
        &[(TEXT, "=?base64?SGVsbG8sIOS4lueVjA==?=")],
        None,
    ),
    (Some(r#"{"text":"a\u0062"}"#), &[(TEXT, "ab")], None),
    (Some(r#"{"text":""}"#), &[(TEXT, "")], None),
    (Some(r#"{"text":"SGVsbG8="}"#), &[(TEXT, "SGVsbG8=")], None),
    (
        Some(r#"{"text":"=?base64?SGVsbG8="}"#),
        &[(TEXT, "=?base64?SGVsbG8=")],
        None,
    ),
    (Some(r#"{"count":42}"#), &[(COUNT, "42")], None),
    (Some(r#"{"count":42}"#), &[(COUNT, "42.0")], None),
    (Some(r#"{"count":4.2e1}"#), &[(COUNT, "42")], None),
    (Some(r#"{"count":-7}"#), &[(COUNT, "-7")], None),
    (
        Some(r#"{"count":12345678901234567890}"#),
        &[(COUNT, "12345678901234567890")],
        None,
    ),
    (Some(r#"{"flag":true}"#), &[(FLAG, "true")], None),
    (Some(r#"{"in":{"ner":"x"}}"#), &[(INNER, "x")], None),
    (Some(r#"{"text":{"an":"object"},"count":[1]}"#), &[], None),
    (
        Some(r#"{"text":"a","more":1}"#),
        &[(TEXT, "a"), ("mcp-param-unknown", "b")],
        None,
    ),
    (Some(r#"{"text":"a"}"#), &[], Some("missing")),
    (Some(r#"{"in":{"ner":"x"}}"#), &[], Some("missing")),
    (
        Some(r#"{"text":"a"}"#),
        &[(TEXT, "b")],
        Some("not say what"),
    ),
    (
        Some(r#"{"text":"a"}"#),
        &[(TEXT, "A")],
        Some("not say what"),
    ),
    (
        Some(r#"{"count":42}"#),
        &[(COUNT, "43")],
        Some("not say what"),
    ),
    (
        Some(r#"{"count":42}"#),
        &[(COUNT, "0x2a")],
        Some("not say what"),
    ),
    (Some(r#"{"count":42}"#), &[(COUNT, " 42 ")], None),
    (
        Some(r#"{"count":9007199254740993}"#),
        &[(COUNT, "9007199254740992")],
        Some("not say what"),
    ),
    (
        Some(r#"{"flag":true}"#),
        &[(FLAG, "True")],
        Some("not say what"),
    ),
    (
        Some(r#"{"flag":true}"#),
        &[(FLAG, "1")],
        Some("not say what"),
    ),
    (None, &[(TEXT, "a")], Some("no argument")),
    (
        Some(r#"{"text":null}"#),
        &[(TEXT, "null")],
        Some("no argument"),
    ),
    (
        Some(r#"{"in":["x"]}"#),
        &[(INNER, "x")],
        Some("no argument"),
    ),
    (
        Some(r#"{"text":"Hello"}"#),
        &[(TEXT, "=?base64?SGVsbG8?=")],
        Some("cannot be read"),
    ),
    (
        Some(r#"{"text":"Hello"}"#),
        &[(TEXT, "=?base64?SGVs!!!bG8=?=")],
        Some("cannot be read"),
    ),
    (
        Some(r#"{"text":"a"}"#),
        &[(TEXT, "\u{1}")],
        Some("cannot be read"),
    ),
    (
        Some(r#"{"text":"a"}"#),
        &[(TEXT, "!")],
        Some("cannot be read"),
    ),
];

#[test]
fn headers_are_held_against_arguments() {
    let tool = mirrored(ARGUMENTS);
    for (arguments, headers, want) in HELD {
        let header = |name: &str| {
            let found = headers.iter().find(|(known, _)| *known == name);
            match found {
                None => Received::Absent,
                Some((_, "!")) => Received::Unreadable,
                Some((_, value)) => Received::Text(value),
            }
        };
        let said = tool.check(*arguments, header);
        match want {
            None => assert_eq!(said, Ok(()), "{arguments:?} {headers:?}"),
            Some(words) => {
                let mismatch = said.unwrap_err();
                let message = mismatch.public_message();
                assert!(
                    message.contains(words),
                    "{arguments:?} {headers:?}: {message}"
                );
                assert_eq!((mismatch.http_status(), mismatch.code()), (400, -32020));
            }
        }
    }
}

#[test]
fn headers_are_written_as_the_specification_says_and_pass_the_check() {
    let tool = mirrored(ARGUMENTS);
    for (arguments, want) in [
        ("{}", &[][..]),
        (
            r#"{"text":" padded ","count":42,"flag":false,"in":{"ner":"=?base64?literal?="}}"#,
            &[
                ("mcp-param-text", "=?base64?IHBhZGRlZCA=?="),
                ("mcp-param-count", "42"),
                ("mcp-param-flag", "false"),
                ("mcp-param-inner", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
            ],
        ),
        (
            r#"{"text":null,"count":4.2e1,"flag":{}}"#,
            &[("mcp-param-count", "42")],
        ),
        (r#"{"count":-0.0}"#, &[("mcp-param-count", "-0")]),
        (r#"{"count":1.5}"#, &[("mcp-param-count", "1.5")]),
        (
            r#"{"count":12345678901234567890123}"#,
            &[("mcp-param-count", "12345678901234567890123")],
        ),
        (
            r#"{"text":"line1\nline2"}"#,
            &[("mcp-param-text", "=?base64?bGluZTEKbGluZTI=?=")],
        ),
    ] {
        let headers: Vec<_> = tool.headers(arguments).collect();
        let shown: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect();
        assert_eq!(shown, want, "{arguments}");
        let header = |name: &str| {
            let found = shown.iter().find(|(known, _)| *known == name);
            found.map_or(Received::Absent, |(_, value)| Received::Text(value))
        };
        assert_eq!(tool.check(Some(arguments), header), Ok(()), "{arguments}");
        assert!(shown.iter().all(|(name, _)| tool.has(name)));
    }
    assert!(!tool.has("mcp-param-other"));
}
