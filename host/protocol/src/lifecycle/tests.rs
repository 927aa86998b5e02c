//! Tests of the opening messages and of merged capabilities.

use super::*;
use crate::envelope;
use crate::revision::Era;

fn raw(text: &str) -> &RawValue {
    serde_json::from_str(text).unwrap()
}

fn gateway() -> Implementation {
    Implementation {
        name: "port\"cullis".to_owned(),
        version: "0.1.0".to_owned(),
        title: None,
    }
}

#[test]
fn messages_look_like_this() {
    let titled = Implementation {
        title: Some("The Gate".to_owned()),
        ..gateway()
    };
    let cache = CacheHint {
        ttl_ms: 300_000,
        scope: CacheScope::Private,
    };
    let discovery = Discovery {
        capabilities: r#"{"tools":{}}"#,
        server_info: &titled,
        instructions: Some("Be\nkind."),
        cache,
    };
    let messages = [
        initialize_request("1", Revision::newest_of(Era::Session), "{}", &gateway()),
        initialize_result(
            Revision::V2025_06_18,
            r#"{"tools":{"listChanged":true}}"#,
            &gateway(),
            None,
        ),
        initialize_result(Revision::V2025_11_25, "{}", &titled, Some("Be kind.")),
        discover_request("\"d\"", Revision::newest(), r#"{"roots":{}}"#, &gateway()),
        discover_result(&discovery),
        INITIALIZED.to_owned(),
    ];
    for message in &messages {
        raw(message);
    }
    insta::assert_snapshot!("messages", messages.join("\n"));
}

#[test]
fn both_sides_of_initialize_are_read() {
    let request = initialize_request("1", Revision::V2025_11_25, r#"{"roots":{}}"#, &gateway());
    let message = envelope::parse_str(&request).unwrap();
    let params = InitializeParams::parse(message.params()).unwrap();
    assert_eq!(params.protocol_version, "2025-11-25");
    assert_eq!(
        params.capabilities.map(RawValue::get),
        Some(r#"{"roots":{}}"#)
    );
    assert_eq!(
        params.client_info.map(RawValue::get),
        Some(gateway().to_raw().as_str())
    );

    let result = initialize_result(Revision::V2025_11_25, "{}", &gateway(), Some("a\\b"));
    let result = InitializeResult::parse(&result).unwrap();
    assert_eq!(result.protocol_version, "2025-11-25");
    assert_eq!(result.instructions.as_deref(), Some("a\\b"));
    assert_eq!(
        result.server_info.map(RawValue::get),
        Some(gateway().to_raw().as_str())
    );
}

#[test]
fn what_cannot_be_read_says_why() {
    let said = [
        InitializeParams::parse(None).unwrap_err(),
        InitializeParams::parse(Some(raw("{}"))).unwrap_err(),
        InitializeParams::parse(Some(raw(r#"{"protocolVersion":7}"#))).unwrap_err(),
        InitializeResult::parse("[]").unwrap_err(),
        DiscoverResult::parse(r#"{"supportedVersions":"2026-07-28"}"#).unwrap_err(),
    ]
    .map(|error| error.to_string());
    insta::assert_snapshot!("refusals", said.join("\n"));
}

#[test]
fn discovery_is_read_back() {
    let cache = CacheHint {
        ttl_ms: 5,
        scope: CacheScope::Public,
    };
    let own = gateway();
    let discovery = Discovery {
        capabilities: r#"{"tools":{}}"#,
        server_info: &own,
        instructions: None,
        cache,
    };
    let text = discover_result(&discovery);
    let result = DiscoverResult::parse(&text).unwrap();
    assert_eq!(result.revision(), Some(Revision::V2026_07_28));
    assert_eq!(result.supported_versions.len(), Revision::ALL.len());
    assert_eq!(
        result.capabilities.map(RawValue::get),
        Some(r#"{"tools":{}}"#)
    );
    assert_eq!(
        result.server_info.map(RawValue::get),
        Some(gateway().to_raw().as_str())
    );
    assert_eq!(result.cache, cache);
    let old =
        DiscoverResult::parse(r#"{"supportedVersions":["2025-11-25","2031-01-01"]}"#).unwrap();
    assert_eq!(old.revision(), None);
}

#[test]
fn capabilities_are_merged_and_filtered() {
    const ALL: &[&str] = &["/*"];
    const TOOLS: &[&str] = &[
        "/tools/listChanged",
        "/completions",
        "/experimental/*",
        "/extensions/io.x~1y",
    ];
    for (upstreams, allowed, want) in [
        (&[][..], ALL, "{}"),
        (
            &["nonsense", "[]", r#"{"tools":{}}"#],
            ALL,
            r#"{"tools":{}}"#,
        ),
        (
            &[
                r#"{"tools":{"listChanged":false}}"#,
                r#"{"tools":{"listChanged":true,"x":1},"prompts":{}}"#,
            ],
            ALL,
            r#"{"prompts":{},"tools":{"listChanged":true,"x":1}}"#,
        ),
        (
            &[
                r#"{"tools":{"listChanged":true}}"#,
                r#"{"tools":{"listChanged":false}}"#,
            ],
            ALL,
            r#"{"tools":{"listChanged":true}}"#,
        ),
        (
            &[r#"{"tasks":true}"#, r#"{"tasks":{"list":{}}}"#],
            ALL,
            r#"{"tasks":{"list":{}}}"#,
        ),
        (
            &[
                r#"{"tools":{"listChanged":true,"more":1},"toolsets":{},"logging":{},"completions":{"a":1},"experimental":{"x":{"y":1}}}"#,
            ],
            TOOLS,
            r#"{"completions":{},"experimental":{"x":{"y":1}},"tools":{"listChanged":true}}"#,
        ),
        (
            &[r#"{"extensions":{"io.x/y":{"a":1},"z":{}}}"#],
            TOOLS,
            r#"{"extensions":{"io.x/y":{}}}"#,
        ),
    ] {
        assert_eq!(merge_capabilities(upstreams.iter().copied(), allowed), want);
    }
}
