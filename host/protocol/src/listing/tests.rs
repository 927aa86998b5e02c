//! Tests of lists: read, renamed and assembled without touching what is in an entry.

use super::*;

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

#[test]
fn pages_are_read_and_entries_stay_text() {
    let result = r#"{"tools":[{"name":"a","inputSchema":{"maximum":1.10,"maximum":2}}, {"title":"nameless"},7, {"x":0,"name":"b\u0062"}],
        "nextCursor":"","ttlMs":300000,"cacheScope":"public","_meta":{}}"#;
    let page = parse(ListKind::Tools, result, 10).unwrap();
    let names: Vec<_> = page
        .entries
        .iter()
        .map(|entry| entry.name.as_str())
        .collect();
    assert_eq!(names, ["a", "bb"]);
    assert_eq!(
        page.entries[0].raw.get(),
        r#"{"name":"a","inputSchema":{"maximum":1.10,"maximum":2}}"#
    );
    assert_eq!(page.next_cursor.as_deref(), Some(""));
    assert_eq!(page.skipped_len, 2);
    assert_eq!(
        page.cache,
        CacheHint {
            ttl_ms: 300_000,
            scope: CacheScope::Public
        }
    );

    let last = parse(
        ListKind::Tools,
        r#"{"tools":[],"nextCursor":null,"ttlMs":-1}"#,
        0,
    )
    .unwrap();
    assert_eq!((last.next_cursor, last.cache), (None, CacheHint::NONE));
}

#[test]
fn each_kind_has_its_member_and_key() {
    for (method, result, name) in [
        ("tools/list", r#"{"tools":[{"name":"t"}]}"#, "t"),
        ("prompts/list", r#"{"prompts":[{"name":"p"}]}"#, "p"),
        (
            "resources/list",
            r#"{"resources":[{"name":"n","uri":"test://x"}]}"#,
            "test://x",
        ),
        (
            "resources/templates/list",
            r#"{"resourceTemplates":[{"uriTemplate":"t://{x}"}]}"#,
            "t://{x}",
        ),
    ] {
        let kind = ListKind::of_method(method).unwrap();
        let page = parse(kind, result, 1).unwrap();
        assert_eq!(page.entries[0].name, name);
        let entries = page.entries.iter().map(|entry| &*entry.raw);
        assert_eq!(assemble(kind, entries, None, None), result);
        let renamed = rename(kind, &page.entries[0], "new\"").unwrap();
        assert_eq!(
            splice::get_member(renamed.raw.get(), kind.key()),
            Some(r#""new\"""#)
        );
    }
    assert_eq!(ListKind::of_method("tools/call"), None);
}

#[test]
fn what_is_no_list_is_refused() {
    let said: Vec<_> = ["[]", "{}", r#"{"tools":{}}"#, r#"{"tools":[1,2,3]}"#]
        .iter()
        .map(|result| parse(ListKind::Tools, result, 2).unwrap_err().to_string())
        .collect();
    insta::assert_snapshot!(said.join("\n"), @r"
    the result has no array `tools`
    the result has no array `tools`
    the result has no array `tools`
    the result lists more than 2 entries
    ");
}

#[test]
fn lists_are_assembled_for_both_eras() {
    let entries = [raw(r#"{ "name":"a" }"#), raw(r#"{"name":"b","n":1.10}"#)];
    let refs = || entries.iter().map(|entry| &**entry);
    let hint = CacheHint {
        ttl_ms: 5,
        scope: CacheScope::Public,
    };
    let lists = [
        assemble(ListKind::Tools, refs(), None, None),
        assemble(ListKind::Tools, refs(), Some("c\""), Some(hint)),
        assemble(
            ListKind::ResourceTemplates,
            std::iter::empty(),
            None,
            Some(CacheHint::NONE),
        ),
    ];
    insta::assert_snapshot!(lists.join("\n"), @r#"
    {"tools":[{ "name":"a" },{"name":"b","n":1.10}]}
    {"tools":[{ "name":"a" },{"name":"b","n":1.10}],"nextCursor":"c\"","resultType":"complete","ttlMs":5,"cacheScope":"public"}
    {"resourceTemplates":[],"resultType":"complete","ttlMs":0,"cacheScope":"private"}
    "#);
}

#[test]
fn hints_combine_to_the_stricter() {
    let public = CacheHint {
        ttl_ms: 10,
        scope: CacheScope::Public,
    };
    let private = CacheHint {
        ttl_ms: 20,
        scope: CacheScope::Private,
    };
    assert_eq!(
        public.and(private),
        CacheHint {
            ttl_ms: 10,
            scope: CacheScope::Private
        }
    );
    assert_eq!(public.and(public), public);
    assert_eq!(public.and(CacheHint::NONE), CacheHint::NONE);
}

#[test]
fn tool_names_are_bounded() {
    let long = "n".repeat(129);
    for (name, good) in [
        ("a", true),
        ("up__get-it.v2_X", true),
        (&long[..128], true),
        (&long, false),
        ("", false),
        ("a b", false),
        ("a/b", false),
        ("é", false),
    ] {
        assert_eq!(is_tool_name(name), good, "{name}");
    }
}
