//! Limits against a host that counts for real, on a clock of the test's own.

use portcullis_sdk::testing::{self, Host, manifest_problems};
use portcullis_sdk::{Denial, Identity, Policy};

use crate::RateLimit;

fn policy(config: &str) -> RateLimit {
    RateLimit::configure(config).expect("configuration")
}

fn tool(subject: &str, team: &str, tool: &str) -> portcullis_sdk::Call {
    let identity = Identity::new(subject).with_team(team);
    testing::Call::tool(tool).identity(identity).build()
}

fn refusal(result: Result<(), Denial>) -> Denial {
    result.expect_err("a refusal")
}

#[test]
fn a_limit_refuses_and_comes_back() {
    let host = Host::new();
    let policy = policy(
        r#"{"limits": [{"name": "per-subject", "key": ["subject"], "rate": 2, "period_ms": 60000}]}"#,
    );
    let alice = tool("alice", "core", "search");
    assert_eq!(policy.admit(&alice), Ok(()));
    assert_eq!(policy.admit(&alice), Ok(()));
    let denial = refusal(policy.admit(&alice));
    assert_eq!(denial.code, "rate-limited");
    assert_eq!(denial.retry_after_ms, Some(30_000));
    assert_eq!(
        denial.message,
        "Rate limit `per-subject` is used up: 2 per minute. Try again in 30 s."
    );
    assert_eq!(
        policy.admit(&tool("bob", "core", "search")),
        Ok(()),
        "another counter"
    );
    host.advance_ms(30_000);
    assert_eq!(policy.admit(&alice), Ok(()));
}

#[test]
fn several_limits_are_one_take() {
    let host = Host::new();
    let policy = policy(
        r#"{"limits": [
            {"name": "team", "key": ["team"], "rate": 1, "period_ms": 1000},
            {"name": "tool", "key": ["team", "tool"], "rate": 1, "period_ms": 60000}
        ]}"#,
    );
    assert_eq!(policy.admit(&tool("alice", "core", "a")), Ok(()));
    let denial = refusal(policy.admit(&tool("alice", "core", "a")));
    assert!(
        denial.message.contains("`tool`"),
        "the longest wait is named: {}",
        denial.message
    );
    assert_eq!(denial.retry_after_ms, Some(60_000));
    let denial = refusal(policy.admit(&tool("alice", "core", "b")));
    assert!(denial.message.contains("`team`"), "{}", denial.message);
    host.advance_ms(1_000);
    assert_eq!(
        policy.admit(&tool("alice", "core", "b")),
        Ok(()),
        "a refusal took nothing from `tool`"
    );
    assert_eq!(host.quota_requests().len(), 4);
}

#[test]
fn messages_fall_under_limits_by_method_and_tool() {
    let tools = r#"{"limits": [{"name": "l", "rate": 9, "period_ms": 1, "tools": ["db_*"]}]}"#;
    let every = r#"{"limits": [{"name": "l", "rate": 9, "period_ms": 1, "methods": ["*"]}]}"#;
    let plain = r#"{"limits": [{"name": "l", "rate": 9, "period_ms": 1}]}"#;
    let cases = [
        (plain, testing::Call::tool("search"), 1),
        (plain, testing::Call::message("tools/list"), 0),
        (plain, testing::Call::transport(), 0),
        (every, testing::Call::message("tools/list"), 1),
        (every, testing::Call::transport(), 0),
        (tools, testing::Call::tool("db_read"), 1),
        (tools, testing::Call::tool("search"), 0),
    ];
    for (config, call, takes) in cases {
        let host = Host::new();
        let name = format!("{config} {call:?}");
        assert_eq!(policy(config).admit(&call.build()), Ok(()), "{name}");
        assert_eq!(host.quota_requests().len(), takes, "{name}");
    }
}

#[test]
fn tools_have_costs() {
    let host = Host::new();
    let policy = policy(
        r#"{"limits": [{"name": "l", "rate": 10, "period_ms": 1000,
            "costs": {"db_*": 3, "*_write": 5, "db_ping": 0, "report": 10}}]}"#,
    );
    let cases = [
        ("search", Some(1)),
        ("db_read", Some(3)),
        ("db_write", Some(5)),
        ("db_ping", None),
        ("report", Some(10)),
    ];
    for (name, want) in cases {
        host.advance_ms(10_000);
        let before = host.quota_requests().len();
        assert_eq!(policy.admit(&tool("a", "t", name)), Ok(()), "{name}");
        let taken = host.quota_requests().get(before).map(|take| take[0].cost);
        assert_eq!(taken, want, "{name}");
    }
}

#[test]
fn keys_cannot_be_forged() {
    let host = Host::new();
    let policy = policy(
        r#"{"limits": [{"name": "l", "key": ["subject", "tool", "session"], "rate": 9, "period_ms": 1}]}"#,
    );
    let calls = [
        tool("a", "t", "b/1:c"),
        tool("a/5:b", "t", "c"),
        testing::Call::tool("b").build(),
        testing::Call::tool("b")
            .identity(Identity::new("-"))
            .build(),
        testing::Call::tool("b").session("s").build(),
    ];
    for call in &calls {
        assert_eq!(policy.admit(call), Ok(()));
    }
    let mut keys: Vec<String> = host
        .quota_requests()
        .iter()
        .map(|take| take[0].key.clone())
        .collect();
    assert_eq!(keys[0], "l/1:a/5:b/1:c/-");
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), calls.len(), "{keys:?}");
}

#[test]
fn every_part_has_its_value() {
    let host = Host::new();
    let policy = policy(
        r#"{"limits": [{"name": "l", "rate": 9, "period_ms": 1,
            "key": ["tenant", "server", "team", "subject", "session", "peer", "method", "tool"]}]}"#,
    );
    let call = testing::Call::tool("search")
        .tenant("acme")
        .server("main")
        .session("s1")
        .peer("10.0.0.1")
        .identity(Identity::new("alice").with_team("core"));
    assert_eq!(policy.admit(&call.build()), Ok(()));
    assert_eq!(
        host.quota_requests()[0][0].key,
        "l/4:acme/4:main/4:core/5:alice/2:s1/8:10.0.0.1/10:tools/call/6:search"
    );
}

#[test]
fn wrong_configurations_are_named() {
    let cases = [
        (r#"{}"#, "missing field `limits`"),
        (
            r#"{"limits": [{"name": "a", "rate": 1}]}"#,
            "limits[0]: missing field `period_ms`",
        ),
        (
            r#"{"limits": [{"name": "a", "rate": 0, "period_ms": 1}]}"#,
            "limits[0].rate: must be",
        ),
        (
            r#"{"limits": [{"name": "a", "rate": 1, "period_ms": 0}]}"#,
            "limits[0].period_ms: must be",
        ),
        (
            r#"{"limits": [{"name": "a", "rate": 1, "period_ms": 1, "key": ["user"]}]}"#,
            "limits[0].key[0]: unknown variant",
        ),
        (
            r#"{"limits": [{"name": "a", "rate": 1, "period_ms": 1, "costs": {"x": 2}}]}"#,
            "limits[0].costs: `x` costs 2",
        ),
        (
            r#"{"limits": [{"name": "a", "rate": 1, "period_ms": 1}, {"name": "a", "rate": 1, "period_ms": 1}]}"#,
            "limits[1].name: `a` is taken",
        ),
    ];
    for (config, want) in cases {
        let error = RateLimit::configure(config).unwrap_err();
        assert!(error.starts_with(want), "{config}: {error}");
    }
}

#[test]
fn the_manifest_holds() {
    assert_eq!(manifest_problems::<RateLimit>(), Vec::<String>::new());
}
