//! Tests of the edits: examples, and that no byte changes but the edited ones.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::arbitrary;

#[test]
fn members_are_set_removed_and_found() {
    const OBJECT: &str = r#"{ "a" : 1.10 ,"b":{"c":[10, 20,{"d":null}]}, "é":"x" }"#;
    for (key, raw, want) in [
        (
            "a",
            "2",
            r#"{ "a" : 2 ,"b":{"c":[10, 20,{"d":null}]}, "é":"x" }"#,
        ),
        ("b", "[]", r#"{ "a" : 1.10 ,"b":[], "é":"x" }"#),
        (
            "new\"",
            "0",
            r#"{ "a" : 1.10 ,"b":{"c":[10, 20,{"d":null}]}, "é":"x","new\"":0 }"#,
        ),
    ] {
        assert_eq!(set_member(OBJECT, key, raw).as_deref(), Ok(want));
    }
    for (key, want) in [
        ("a", r#"{ "b":{"c":[10, 20,{"d":null}]}, "é":"x" }"#),
        ("b", r#"{ "a" : 1.10 ,"é":"x" }"#),
        ("é", r#"{ "a" : 1.10 ,"b":{"c":[10, 20,{"d":null}]} }"#),
        ("nope", OBJECT),
    ] {
        assert_eq!(remove_member(OBJECT, key).as_deref(), Ok(want));
    }
    for (pointer, want) in [
        ("", Some(OBJECT)),
        ("/a", Some("1.10")),
        ("/b/c/1", Some("20")),
        ("/b/c/2/d", Some("null")),
        ("/b/c/3", None),
        ("/b/c/01", None),
        ("/b/c/-", None),
        ("/b/c/+1", None),
        ("/b/c/", None),
        ("/a/x", None),
        ("/~2", None),
        ("a", None),
        ("/é", Some(r#""x""#)),
    ] {
        assert_eq!(get_pointer(OBJECT, pointer), want, "{pointer}");
    }
    assert_eq!(set_member("{ }", "a", "1").as_deref(), Ok(r#"{"a":1 }"#));
    assert_eq!(remove_member(r#"{ "a":1 }"#, "a").as_deref(), Ok("{  }"));
    assert_eq!(get_pointer(r#"{"~a/b":{"":[7]}}"#, "/~0a~1b//0"), Some("7"));
}

#[test]
fn a_write_leaves_no_second_meaning() {
    const TWICE: &str = r#"{"name":"a","x":1,"n\u0061me":"b","name":"c","y":2}"#;
    assert_eq!(get_member(TWICE, "name"), Some(r#""c""#));
    assert_eq!(
        set_member(TWICE, "name", r#""d""#).as_deref(),
        Ok(r#"{"x":1,"name":"d","y":2}"#)
    );
    assert_eq!(
        remove_member(TWICE, "name").as_deref(),
        Ok(r#"{"x":1,"y":2}"#)
    );
    assert_eq!(
        set_path(r#"{"p":{"n":1},"p":{"n":2,"n":3},"q":0}"#, &["p", "n"], "4").as_deref(),
        Ok(r#"{"p":{"n":4},"q":0}"#)
    );
    assert_eq!(remove_member(r#"{"a":1,"a":2}"#, "a").as_deref(), Ok("{}"));
    assert_eq!(
        remove_member(r#"{"b":0,"a":1,"a":2}"#, "a").as_deref(),
        Ok(r#"{"b":0}"#)
    );
}

#[test]
fn paths_lead_through_objects_and_make_missing_ones() {
    for (object, path, want) in [
        (
            r#"{"params":{"name":"a","n":1.10}}"#,
            &["params", "name"][..],
            r#"{"params":{"name":0,"n":1.10}}"#,
        ),
        (
            r#"{"params":{}}"#,
            &["params", "_meta", "k"],
            r#"{"params":{"_meta":{"k":0}}}"#,
        ),
        ("{}", &["a/b", "c"], r#"{"a/b":{"c":0}}"#),
        ("{}", &[], "0"),
    ] {
        assert_eq!(set_path(object, path, "0").as_deref(), Ok(want));
    }
    assert_eq!(
        remove_path(r#"{"p":{"a":1,"b":2}}"#, &["p", "a"]).as_deref(),
        Ok(r#"{"p":{"b":2}}"#)
    );
    assert_eq!(
        remove_path(r#"{"p":1}"#, &["q", "a"]).as_deref(),
        Ok(r#"{"p":1}"#)
    );
}

#[test]
fn what_is_not_an_object_is_named() {
    let said = [
        set_member("[]", "a", "1").unwrap_err(),
        set_path(r#"{"a/b":{"c":1}}"#, &["a/b", "c", "d"], "1").unwrap_err(),
        remove_path(r#"{"a":"x"}"#, &["a", "b"]).unwrap_err(),
        set_member(r#"{"a":1"#, "a", "1").unwrap_err(),
    ]
    .map(|error| error.to_string());
    insta::assert_snapshot!(said.join("\n"), @r"
    `` is not a JSON object
    `/a~1b/c` is not a JSON object
    `/a` is not a JSON object
    `` is not a JSON object
    ");
}

/// The members that readers of the text can tell apart, in order, as text.
fn others(object: &str, key: &str) -> Vec<(String, String)> {
    let found = text::members(object).unwrap();
    let others = found
        .members
        .iter()
        .filter(|member| !member.is(object, key));
    others
        .map(|member| {
            (
                object[member.key.clone()].to_owned(),
                object[member.value.clone()].to_owned(),
            )
        })
        .collect()
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(raw in "[\\[\\]{}:,\"\\\\a0 é-]{0,40}", pointer in "[/~01a]{0,8}") {
        let _ = set_path(&raw, &["a", "a"], "1");
        let _ = remove_path(&raw, &["a", "a"]);
        let _ = remove_member(&raw, "a");
        let _ = get_pointer(&raw, &pointer);
    }

    #[test]
    fn setting_changes_one_member_and_no_other_byte(
        object in arbitrary::object(),
        key in arbitrary::key(),
        value in arbitrary::json(),
    ) {
        let set = set_member(&object, &key, &value).unwrap();
        prop_assert!(serde_json::from_str::<&serde_json::value::RawValue>(&set).is_ok());
        prop_assert_eq!(get_member(&set, &key), Some(value.as_str()));
        prop_assert_eq!(others(&set, &key), others(&object, &key));
        let found = text::members(&set).unwrap();
        prop_assert_eq!(found.members.iter().filter(|member| member.is(&set, &key)).count(), 1);
        prop_assert_eq!(set_member(&set, &key, &value), Ok(set.clone()));
    }

    #[test]
    fn removing_removes_one_member_and_no_other_byte(object in arbitrary::object(), key in arbitrary::key()) {
        let removed = remove_member(&object, &key).unwrap();
        prop_assert!(serde_json::from_str::<&serde_json::value::RawValue>(&removed).is_ok());
        prop_assert_eq!(get_member(&removed, &key), None);
        prop_assert_eq!(others(&removed, &key), others(&object, &key));
        if get_member(&object, &key).is_none() {
            prop_assert_eq!(removed, object);
        }
    }

    #[test]
    fn a_new_member_can_be_taken_back(object in arbitrary::object(), value in arbitrary::json()) {
        let set = set_path(&object, &["unheard of", "x"], &value).unwrap();
        prop_assert_eq!(get_pointer(&set, "/unheard of/x"), Some(value.as_str()));
        prop_assert_eq!(remove_member(&set, "unheard of"), Ok(object));
    }

    #[test]
    fn pointers_find_what_a_tree_would(
        raw in arbitrary::json(),
        tokens in prop::collection::vec(prop_oneof![
            arbitrary::key().prop_map(|key| key.replace('~', "~0").replace('/', "~1")),
            Just("0".to_owned()),
            Just("1".to_owned()),
        ], 0..4),
    ) {
        let pointer: String = tokens.iter().map(|token| format!("/{token}")).collect();
        // A tree has no room for every number that JSON has.
        let tree = serde_json::from_str::<Value>(&raw);
        prop_assume!(tree.is_ok());
        let tree = tree.unwrap();
        let found = get_pointer(&raw, &pointer).map(|text| serde_json::from_str(text).unwrap());
        prop_assert_eq!(found.as_ref(), tree.pointer(&pointer), "{}", pointer);
    }
}
