//! What a caller may do, and how often: `rate-limit` and `access-control`.

use portcullis_tests::stage::Stage;
use serde_json::json;

use super::{STAGE, echo, with_plugin};

#[tokio::test]
async fn rate_limit_says_when_to_come_back() {
    let stage = STAGE.get(Stage::set).await;
    let limit = json!({ "limits": [{ "name": "calls", "key": ["subject"], "rate": 2, "period_ms": 3_600_000 }] });
    let (_, [alice, bob]) = with_plugin(&stage, "limited", "rate-limit", &["quota"], limit).await;
    assert_eq!(
        [echo(&alice, "1").await, echo(&alice, "2").await],
        [200, 200]
    );
    let refused = alice.call("demo__echo", json!({ "message": "3" })).await;
    assert_eq!(refused.refusal(), (429, -32029));
    let after_s: u64 = refused
        .header("retry-after")
        .expect("Retry-After")
        .parse()
        .expect("seconds");
    assert!((1..=1_800).contains(&after_s), "{after_s}");
    assert!(
        refused.json()["error"]["data"]["retryAfterMs"]
            .as_u64()
            .is_some_and(|ms| ms <= after_s * 1_000),
        "{}",
        refused.shown()
    );
    assert_eq!(echo(&bob, "1").await, 200, "bob is counted apart");
    assert!(!alice.tools().await.is_empty(), "only calls are counted");
}

#[tokio::test]
async fn rate_limit_holds_several_limits_and_costs() {
    let stage = STAGE.get(Stage::set).await;
    let hour = 3_600_000;
    let limits = json!({ "limits": [
        { "name": "team", "key": ["team"], "rate": 10, "period_ms": hour, "costs": { "demo__customer_*": 6, "demo__stats": 0 } },
        { "name": "tool", "key": ["subject", "tool"], "rate": 3, "period_ms": hour },
    ] });
    let (_, [alice, bob]) = with_plugin(&stage, "costs", "rate-limit", &["quota"], limits).await;
    let lookup = || alice.call("demo__customer_lookup", json!({ "id": "C-1" }));
    assert_eq!(
        [lookup().await.status, lookup().await.status],
        [200, 429],
        "6 of the team's 10 are gone, and 6 more do not fit"
    );
    for want in [200, 200, 200, 429] {
        assert_eq!(
            echo(&alice, "x").await,
            want,
            "alice may use this tool three times"
        );
    }
    assert_eq!(
        [echo(&bob, "x").await, echo(&bob, "x").await],
        [200, 429],
        "one token of the team was left for bob"
    );
    for want in [200, 200, 200, 429] {
        assert_eq!(
            bob.call("demo__stats", json!({})).await.status,
            want,
            "it is free for the team, not for the tool"
        );
    }
}

#[tokio::test]
async fn access_control_refuses_calls_and_hides_what_cannot_be_called() {
    let stage = STAGE.get(Stage::set).await;
    let rules = json!({ "default": "allow", "rules": [
        { "effect": "allow", "tools": ["demo__delete_customer"], "roles": ["admin"] },
        { "effect": "deny", "tools": ["demo__delete_*"], "message": "Ask an administrator." },
        { "effect": "deny", "tools": ["demo__slow"], "arguments": [{ "pointer": "/ms", "min": 100 }] },
    ] });
    let (_, [alice, bob]) = with_plugin(&stage, "rules", "access-control", &[], rules).await;
    let has = |tools: &[String]| tools.contains(&"demo__delete_customer".to_owned());
    assert!(has(&alice.tools().await) && !has(&bob.tools().await));
    assert_eq!(
        alice
            .call("demo__delete_customer", json!({ "id": "C-1" }))
            .await
            .text_content(),
        "Customer C-1 deleted."
    );
    let refused = bob
        .call("demo__delete_customer", json!({ "id": "C-1" }))
        .await;
    assert_eq!(
        (refused.status, refused.error()),
        (403, (-32003, "Ask an administrator.".to_owned()))
    );
    assert!(
        bob.tools().await.contains(&"demo__slow".to_owned()),
        "some arguments are allowed, so the tool is shown"
    );
    assert_eq!(bob.call("demo__slow", json!({ "ms": 1 })).await.status, 200);
    assert_eq!(
        bob.call("demo__slow", json!({ "ms": 100 })).await.refusal(),
        (403, -32003)
    );
}

#[tokio::test]
async fn access_control_names_the_scope_that_is_missing() {
    let stage = STAGE.get(Stage::set).await;
    let rules = json!({ "rules": [{ "effect": "allow", "scopes": ["tools:call"] }] });
    let (_, [alice, _]) = with_plugin(&stage, "scoped", "access-control", &[], rules).await;
    let refused = alice.call("demo__echo", json!({ "message": "x" })).await;
    assert_eq!(refused.refusal(), (403, -32003));
    let challenge = refused.header("www-authenticate").unwrap_or_default();
    assert!(
        challenge.contains("insufficient_scope") && challenge.contains("tools:call"),
        "{challenge}"
    );
}
