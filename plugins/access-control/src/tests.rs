//! Rules against callers, messages and listings.

use portcullis_sdk::testing::{self, Host, manifest_problems};
use portcullis_sdk::{Denial, Edit, Entry, Identity, Policy};

use crate::AccessControl;

fn policy(config: &str) -> AccessControl {
    AccessControl::configure(config).expect("configuration")
}

fn alice() -> Identity {
    Identity::new("alice")
        .with_team("core")
        .with_roles(["dev", "oncall"])
        .with_scopes(["read"])
}

fn admit(config: &str, call: testing::Call) -> Result<(), Denial> {
    let _host = Host::new();
    policy(config).admit(&call.build())
}

fn code(result: Result<(), Denial>) -> String {
    result.map_or_else(|denial| denial.code, |()| "ok".to_owned())
}

#[test]
fn conditions_are_any_of_within_and_all_of_across() {
    let cases = [
        (r#"{"effect": "allow"}"#, "ok"),
        (r#"{"effect": "deny"}"#, "forbidden"),
        (r#"{"effect": "allow", "roles": ["admin", "dev"]}"#, "ok"),
        (r#"{"effect": "allow", "roles": ["admin"]}"#, "forbidden"),
        (
            r#"{"effect": "allow", "roles": ["dev"], "teams": ["core", "web"]}"#,
            "ok",
        ),
        (
            r#"{"effect": "allow", "roles": ["dev"], "teams": ["web"]}"#,
            "forbidden",
        ),
        (r#"{"effect": "allow", "subjects": ["bob", "ali*"]}"#, "ok"),
        (r#"{"effect": "allow", "subjects": ["bob"]}"#, "forbidden"),
        (r#"{"effect": "allow", "scopes": ["write", "read"]}"#, "ok"),
        (r#"{"effect": "allow", "scopes": ["write"]}"#, "forbidden"),
        (r#"{"effect": "allow", "servers": ["ma*"]}"#, "ok"),
        (r#"{"effect": "allow", "servers": ["other"]}"#, "forbidden"),
        (r#"{"effect": "allow", "tools": ["db_*", "search"]}"#, "ok"),
        (r#"{"effect": "allow", "tools": ["web_*"]}"#, "forbidden"),
        (r#"{"effect": "allow", "methods": ["tools/*"]}"#, "ok"),
        (
            r#"{"effect": "allow", "methods": ["prompts/get"]}"#,
            "forbidden",
        ),
    ];
    for (rule, want) in cases {
        let config = format!(r#"{{"rules": [{rule}]}}"#);
        let call = testing::Call::tool("db_read").identity(alice());
        assert_eq!(code(admit(&config, call)), want, "{rule}");
    }
}

#[test]
fn the_first_match_wins() {
    let config = r#"{"default": "deny", "rules": [
        {"effect": "deny", "tools": ["db_drop"], "message": "Nobody drops tables here."},
        {"effect": "allow", "tools": ["db_*"]},
        {"effect": "deny", "tools": ["db_read"]}
    ]}"#;
    let denial = admit(config, testing::Call::tool("db_drop")).unwrap_err();
    assert_eq!(denial, Denial::forbidden("Nobody drops tables here."));
    assert_eq!(admit(config, testing::Call::tool("db_read")), Ok(()));
    let denial = admit(config, testing::Call::tool("search")).unwrap_err();
    assert_eq!(denial, Denial::forbidden("You may not call `search`."));
    assert_eq!(
        admit(r#"{"default": "allow"}"#, testing::Call::tool("x")),
        Ok(())
    );
}

#[test]
fn anonymous_callers_match_no_rule_about_callers() {
    for condition in [
        r#""roles": ["dev"]"#,
        r#""teams": ["core"]"#,
        r#""scopes": ["a"]"#,
        r#""subjects": ["*"]"#,
    ] {
        let config = format!(r#"{{"rules": [{{"effect": "allow", {condition}}}]}}"#);
        let denial = admit(&config, testing::Call::tool("search")).expect_err(condition);
        assert_eq!(denial.challenge, None, "{condition}");
    }
}

#[test]
fn other_methods_pass_unless_a_rule_names_them() {
    let silent = r#"{"default": "deny", "rules": [{"effect": "deny"}]}"#;
    let named = r#"{"default": "deny", "rules": [
        {"effect": "allow", "methods": ["prompts/get"], "roles": ["dev"]},
        {"effect": "deny", "methods": ["prompts/*"]}
    ]}"#;
    let cases = [
        (silent, "initialize", "ok"),
        (silent, "tools/list", "ok"),
        (silent, "ping", "ok"),
        (silent, "tools/call", "forbidden"),
        (named, "prompts/list", "forbidden"),
        (named, "prompts/get", "forbidden"),
        (named, "resources/list", "ok"),
    ];
    for (config, method, want) in cases {
        assert_eq!(
            code(admit(config, testing::Call::message(method))),
            want,
            "{config} {method}"
        );
    }
    let call = testing::Call::message("prompts/get")
        .target("p")
        .identity(alice());
    assert_eq!(admit(named, call), Ok(()));
    assert_eq!(admit(silent, testing::Call::transport()), Ok(()));
}

#[test]
fn arguments_have_conditions() {
    let arguments = r#"{"path": "/data/x", "limit": 10, "ratio": 1.0, "on": true, "none": null,
        "deep": {"list": [1, {"a": "b"}]}, "big": 9007199254740993}"#;
    let cases = [
        (r#"{"pointer": "/path", "equals": "/data/x"}"#, true),
        (r#"{"pointer": "/path", "equals": "/data/y"}"#, false),
        (r#"{"pointer": "/path", "glob": "/data/*"}"#, true),
        (r#"{"pointer": "/path", "glob": "/etc/*"}"#, false),
        (r#"{"pointer": "/limit", "glob": "*"}"#, false),
        (r#"{"pointer": "/limit", "max": 10}"#, true),
        (r#"{"pointer": "/limit", "max": 9.5}"#, false),
        (r#"{"pointer": "/limit", "min": 1, "max": 100}"#, true),
        (r#"{"pointer": "/limit", "min": 11}"#, false),
        (r#"{"pointer": "/path", "min": 0}"#, false),
        (r#"{"pointer": "/limit", "one_of": [1, 10.0]}"#, true),
        (r#"{"pointer": "/ratio", "equals": 1}"#, true),
        (r#"{"pointer": "/big", "equals": 9007199254740992}"#, false),
        (r#"{"pointer": "/on", "equals": true}"#, true),
        (r#"{"pointer": "/none", "equals": null}"#, true),
        (
            r#"{"pointer": "/deep", "equals": {"list": [1.0, {"a": "b"}]}}"#,
            true,
        ),
        (
            r#"{"pointer": "/deep/list/1/a", "one_of": ["a", "b"]}"#,
            true,
        ),
        (r#"{"pointer": "/missing", "equals": null}"#, false),
        (r#"{"pointer": "/missing", "present": false}"#, true),
        (r#"{"pointer": "/missing", "present": true}"#, false),
        (r#"{"pointer": "/none", "present": true}"#, true),
        (r#"{"pointer": "/none", "present": false}"#, false),
    ];
    for (condition, want) in cases {
        let config = format!(r#"{{"rules": [{{"effect": "allow", "arguments": [{condition}]}}]}}"#);
        let call = testing::Call::tool("t").arguments(arguments);
        assert_eq!(admit(&config, call).is_ok(), want, "{condition}");
        assert!(
            admit(&config, testing::Call::tool("t")).is_err()
                || condition.contains("\"present\": false")
        );
    }
}

#[test]
fn a_missing_scope_is_named() {
    let config = r#"{"rules": [
        {"effect": "allow", "roles": ["admin"], "scopes": ["root"]},
        {"effect": "allow", "tools": ["db_*"], "scopes": ["db:write", "db:admin"]},
        {"effect": "allow", "tools": ["mail"], "scopes": ["mail"]}
    ]}"#;
    let denial = admit(config, testing::Call::tool("db_read").identity(alice())).unwrap_err();
    assert_eq!(denial.code, "forbidden");
    assert_eq!(
        denial.message,
        "Calling `db_read` needs one of the scopes `db:write`, `db:admin`."
    );
    assert_eq!(
        denial.challenge.as_deref(),
        Some(r#"Bearer error="insufficient_scope", scope="db:write db:admin""#)
    );
    let denial = admit(config, testing::Call::tool("mail").identity(alice())).unwrap_err();
    assert_eq!(denial.message, "Calling `mail` needs the scope `mail`.");
    let denial = admit(config, testing::Call::tool("other").identity(alice())).unwrap_err();
    assert_eq!(denial.challenge, None);
}

fn listing(config: &str, method: &str, names: &[&str]) -> Vec<String> {
    let _host = Host::new();
    let entry = |name: &&str| Entry {
        name: (*name).to_owned(),
        definition: format!(r#"{{"name": "{name}"}}"#),
    };
    let entries: Vec<Entry> = names.iter().map(entry).collect();
    let call = testing::Call::message(method).identity(alice()).build();
    let edits = policy(config).transform_listing(&call, &entries).unwrap();
    assert_eq!(edits.len(), entries.len());
    let kept = names
        .iter()
        .zip(edits)
        .filter(|(_, edit)| *edit == Edit::Keep);
    kept.map(|(name, _)| (*name).to_owned()).collect()
}

#[test]
fn listings_hide_what_no_arguments_could_reach() {
    let tools = ["db_read", "db_write", "db_drop", "search"];
    let cases: [(&str, &[&str]); 7] = [
        (r#"{"default": "allow"}"#, &tools),
        (r#"{"default": "deny"}"#, &[]),
        (
            r#"{"rules": [{"effect": "allow", "roles": ["dev"], "tools": ["db_*"]}]}"#,
            &["db_read", "db_write", "db_drop"],
        ),
        (
            r#"{"rules": [{"effect": "deny", "tools": ["db_drop"]}, {"effect": "allow", "tools": ["db_*"]}]}"#,
            &["db_read", "db_write"],
        ),
        (
            r#"{"rules": [{"effect": "allow", "tools": ["search"], "arguments": [{"pointer": "/q", "present": true}]}]}"#,
            &["search"],
        ),
        (
            r#"{"default": "allow", "rules": [
                {"effect": "deny", "tools": ["db_*"], "arguments": [{"pointer": "/q", "present": true}]}]}"#,
            &tools,
        ),
        (
            r#"{"default": "allow", "rules": [
                {"effect": "deny", "tools": ["db_*"], "arguments": [{"pointer": "/q", "present": true}]},
                {"effect": "deny", "tools": ["*_write"]}]}"#,
            &["db_read", "db_drop", "search"],
        ),
    ];
    for (config, want) in cases {
        assert_eq!(listing(config, "tools/list", &tools), want, "{config}");
    }
}

#[test]
fn other_listings_follow_rules_about_their_methods() {
    let config =
        r#"{"rules": [{"effect": "deny", "methods": ["prompts/get"], "tools": ["secret_*"]}]}"#;
    let names = ["secret_plan", "greeting"];
    let cases: [(&str, &[&str]); 4] = [
        ("prompts/list", &["greeting"]),
        ("resources/list", &names),
        ("resources/templates/list", &names),
        ("tools/list", &[]),
    ];
    for (method, want) in cases {
        assert_eq!(listing(config, method, &names), want, "{method}");
    }
}

#[test]
fn a_listing_never_hides_what_may_be_called() {
    let config = r#"{"rules": [
        {"effect": "deny", "tools": ["a*"], "teams": ["web"]},
        {"effect": "deny", "tools": ["ab"], "arguments": [{"pointer": "/x", "equals": 1}]},
        {"effect": "allow", "tools": ["a*"], "arguments": [{"pointer": "/x", "max": 5}]},
        {"effect": "allow", "tools": ["b"], "scopes": ["read"]},
        {"effect": "allow", "tools": ["c"], "scopes": ["write"]}
    ]}"#;
    let names = ["a", "ab", "abc", "b", "c", "d"];
    let kept = listing(config, "tools/list", &names);
    for name in names {
        let tries = ["{}", r#"{"x": 1}"#, r#"{"x": 2}"#, r#"{"x": 9}"#];
        let callable = tries.iter().any(|arguments| {
            let call = testing::Call::tool(name)
                .identity(alice())
                .arguments(arguments);
            admit(config, call).is_ok()
        });
        assert_eq!(kept.iter().any(|kept| kept == name), callable, "{name}");
    }
}

#[test]
fn wrong_configurations_are_named() {
    let cases = [
        (r#"{"rules": [{}]}"#, "rules[0]: missing field `effect`"),
        (
            r#"{"rules": [{"effect": "permit"}]}"#,
            "rules[0].effect: unknown variant",
        ),
        (
            r#"{"rules": [{"effect": "allow", "role": ["a"]}]}"#,
            "rules[0].role: unknown field",
        ),
        (
            r#"{"rules": [{"effect": "allow", "message": "x"}]}"#,
            "rules[0].message: a rule that allows",
        ),
        (
            r#"{"rules": [{"effect": "allow", "arguments": [{"pointer": "/a"}]}]}"#,
            "rules[0].arguments[0].pointer: says",
        ),
        (
            r#"{"rules": [{"effect": "allow", "arguments": [{"pointer": "a", "min": 1}]}]}"#,
            "rules[0].arguments[0].pointer: `a`",
        ),
        (
            r#"{"rules": [{"effect": "allow", "arguments": [{"pointer": "/a", "present": false, "min": 1}]}]}"#,
            "rules[0].arguments[0].present: an argument",
        ),
    ];
    for (config, want) in cases {
        let error = AccessControl::configure(config).unwrap_err();
        assert!(error.starts_with(want), "{config}: {error}");
    }
}

#[test]
fn the_manifest_holds() {
    assert_eq!(manifest_problems::<AccessControl>(), Vec::<String>::new());
}
