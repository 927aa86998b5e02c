//! Bodies as they go out, and the headers that go with them.

use super::*;

fn out<'a>(era: Era, params: Option<&'a str>, headers: &'a HeaderMap) -> Outgoing<'a> {
    Outgoing {
        era,
        revision: Revision::newest_of(era),
        id: r#""a\"1""#,
        method: "tools/call",
        params,
        original: None,
        headers,
        capabilities: "{}",
        log_level: None,
        mirrored: None,
    }
}

#[test]
fn bodies_in_every_direction() {
    let headers = HeaderMap::new();
    let plain = r#"{"name":"t","arguments":{"n": 1.10}}"#;
    let token = r#"{"name":"t","_meta":{"progressToken":"p","x":1}}"#;
    let stateless = r#"{"name":"t","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","progressToken":3}}"#;
    let (s, d) = (Era::Session, Era::Stateless);
    let mut seen = String::new();
    for (from, to, params, own) in [
        (s, s, Some(plain), None),
        (s, s, None, None),
        (s, s, Some(token), Some("12")),
        (s, d, Some(plain), None),
        (s, d, None, None),
        (d, s, Some(stateless), Some("12")),
        (d, s, Some(plain), Some("12")),
        (d, d, Some(stateless), None),
    ] {
        let composed = compose(
            &out(from, params, &headers),
            to,
            Revision::newest_of(to),
            own,
        )
        .unwrap();
        let body = String::from_utf8(composed.body.to_vec()).unwrap();
        serde_json::from_str::<serde_json::Value>(&body).unwrap();
        seen.push_str(&format!(
            "{from:?} -> {to:?}: {body}\n    token {:?}\n",
            composed.token
        ));
    }
    let seen = seen.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    insta::assert_snapshot!(seen);
}

#[test]
fn an_original_goes_out_as_it_came_and_only_in_its_own_era() {
    let headers = HeaderMap::new();
    let original = Bytes::from_static(br#"{ "id":1, "method":"tools/call","jsonrpc":"2.0" }"#);
    let mut out = out(Era::Session, None, &headers);
    out.original = Some(original.clone());
    let revision = Revision::newest_of(Era::Session);
    assert_eq!(
        compose(&out, Era::Session, revision, None).unwrap().body,
        original
    );
    assert_ne!(
        compose(&out, Era::Session, revision, Some("7"))
            .unwrap()
            .body,
        original
    );
    assert_ne!(
        compose(&out, Era::Stateless, Revision::newest(), None)
            .unwrap()
            .body,
        original
    );
}

#[test]
fn params_that_cannot_cross_are_refused() {
    let headers = HeaderMap::new();
    for params in ["[]", r#"{"_meta":7}"#] {
        let out = out(Era::Session, Some(params), &headers);
        assert!(
            compose(&out, Era::Stateless, Revision::newest(), None).is_err(),
            "{params}"
        );
    }
}

#[test]
fn odd_methods_stay_json() {
    let body = message(None, "a\"b\\c\n", None);
    let read: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(read["method"], "a\"b\\c\n");
}

#[test]
fn credentials_stay_here() {
    let mut client = HeaderMap::new();
    for name in [
        "authorization",
        "cookie",
        "x-api-key",
        "mcp-session-id",
        "mcp-protocol-version",
        "traceparent",
        "tracestate",
        "baggage",
        "mcp-param-region",
    ] {
        client.insert(name, "value".parse().unwrap());
    }
    let all = ["baggage", "mcp-param-region", "traceparent", "tracestate"];
    let tracing = ["baggage", "traceparent", "tracestate"];
    for (from, to, want) in [
        (Era::Stateless, Era::Stateless, &all[..]),
        (Era::Stateless, Era::Session, &tracing[..]),
        (Era::Session, Era::Stateless, &tracing[..]),
        (Era::Session, Era::Session, &tracing[..]),
    ] {
        let mut headers = HeaderMap::new();
        forward(&out(from, None, &client), to, &mut headers);
        let mut names: Vec<_> = headers.keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, want, "{from:?} -> {to:?}");
    }
}

#[test]
fn headers_of_arguments_are_written_where_the_client_could_not() {
    let definition = r#"{"inputSchema":{"properties":{"region":{"type":"string","x-mcp-header":"Region"},
        "n":{"type":"integer","x-mcp-header":"N"}}}}"#;
    let mirrored = Mirrored::parse(definition).unwrap();
    let mut client = HeaderMap::new();
    client.insert("mcp-param-region", "as sent".parse().unwrap());
    client.insert("mcp-param-other", "as sent".parse().unwrap());
    let params = r#"{"name":"t","arguments":{"region":"J\u00fcri","n":null}}"#;
    let (sent, written) = ("as sent", "=?base64?SsO8cmk=?=");
    for (from, to, mirrored, region, other) in [
        (Era::Stateless, Era::Stateless, None, Some(sent), Some(sent)),
        (
            Era::Stateless,
            Era::Stateless,
            Some(&mirrored),
            Some(written),
            Some(sent),
        ),
        (
            Era::Session,
            Era::Stateless,
            Some(&mirrored),
            Some(written),
            None,
        ),
        (Era::Session, Era::Stateless, None, None, None),
        (Era::Session, Era::Session, Some(&mirrored), None, None),
        (Era::Stateless, Era::Session, Some(&mirrored), None, None),
    ] {
        let mut headers = HeaderMap::new();
        let out = Outgoing {
            mirrored,
            ..out(from, Some(params), &client)
        };
        forward(&out, to, &mut headers);
        let value = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(value("mcp-param-region"), region, "{from:?} -> {to:?}");
        assert_eq!(value("mcp-param-other"), other, "{from:?} -> {to:?}");
        assert_eq!(value("mcp-param-n"), None, "{from:?} -> {to:?}");
        assert!(
            headers
                .keys()
                .all(|name| headers.get_all(name).iter().count() == 1)
        );
    }
}
