//! Questions, answers, and what happens without one.

use portcullis_sdk::http::Error;
use portcullis_sdk::testing::{self, Host, manifest_problems};
use portcullis_sdk::{Denial, Identity, Policy};
use serde_json::{Value, json};

use crate::PolicyDecision;

const URL: &str = "http://opa:8181/v1/data/mcp/allow";

fn policy(more: Value) -> PolicyDecision {
    let mut config = json!({ "url": URL });
    if let (Some(config), Value::Object(more)) = (config.as_object_mut(), more) {
        config.extend(more);
    }
    PolicyDecision::configure(&config.to_string()).expect("configuration")
}

fn search() -> testing::Call {
    let alice = Identity::new("alice").with_team("core").with_roles(["dev"]);
    testing::Call::tool("search")
        .tenant("acme")
        .identity(alice.with_claims(r#"{"amr": ["pwd"]}"#))
        .header("X-Device", "phone")
        .arguments(r#"{"query": 1.10}"#)
}

fn admit(policy: &PolicyDecision, call: testing::Call) -> Result<(), Denial> {
    policy.admit(&call.build())
}

fn questions(host: &Host) -> Vec<Value> {
    let sent = host.sent().into_iter();
    let bodies = sent.map(|request| request.body.unwrap_or_default());
    bodies
        .map(|body| serde_json::from_slice(&body).expect("JSON"))
        .collect()
}

#[test]
fn the_manifest_is_sound() {
    assert_eq!(manifest_problems::<PolicyDecision>(), Vec::<String>::new());
}

#[test]
fn a_yes_lets_pass_and_everything_else_does_not() {
    for (status, body, want) in [
        (200, r#"{"result": true}"#, "ok"),
        (
            200,
            r#"{"result": {"allow": true, "reason": "why not"}}"#,
            "ok",
        ),
        (
            200,
            r#"{"result": false}"#,
            "forbidden: This is not allowed.",
        ),
        (
            200,
            r#"{"result": {"allow": false}}"#,
            "forbidden: This is not allowed.",
        ),
        (
            200,
            r#"{"result": {"allow": false, "reason": "Not on Sundays."}}"#,
            "forbidden: Not on Sundays.",
        ),
        (
            200,
            r#"{"result": {"allow": false, "message": "No."}}"#,
            "forbidden: No.",
        ),
        // Undefined.
        (200, "{}", "forbidden: This is not allowed."),
        (200, r#"{"result": "true"}"#, "unavailable"),
        (200, r#"{"result": {"allowed": true}}"#, "unavailable"),
        (200, "true", "unavailable"),
        (200, "", "unavailable"),
        (500, r#"{"result": true}"#, "unavailable"),
        (302, r#"{"result": true}"#, "unavailable"),
    ] {
        let _host = Host::new().respond_json(status, body);
        let said = match admit(&policy(json!({})), search()) {
            Ok(()) => "ok".to_owned(),
            Err(denial) => format!("{}: {}", denial.code, denial.message),
        };
        assert!(said.starts_with(want), "{status} {body}: {said}");
    }
}

#[test]
fn the_question_holds_what_was_chosen() {
    let host = Host::new()
        .respond_json(200, r#"{"result": true}"#)
        .respond_json(200, r#"{"result": true}"#);
    admit(
        &policy(json!({ "headers": { "Authorization": "Bearer x" } })),
        search(),
    )
    .unwrap();
    let chosen = json!({ "input": ["claims", "method"], "input_headers": ["X-Device", "x-none"] });
    admit(&policy(chosen), search()).unwrap();
    let request = &host.sent()[0];
    assert_eq!(
        (request.method.as_str(), request.url.as_str()),
        ("POST", URL)
    );
    assert!(
        request
            .headers
            .contains(&("Authorization".to_owned(), "Bearer x".to_owned()))
    );
    let [usual, chosen] = &questions(&host)[..] else {
        panic!("two questions");
    };
    assert_eq!(
        usual,
        &json!({ "input": {
            "from_upstream": false, "tenant": "acme", "server": "main", "method": "tools/call", "target": "search",
            "identity": { "subject": "alice", "team": "core", "roles": ["dev"], "scopes": [] },
            "arguments": { "query": 1.10 },
        } })
    );
    assert_eq!(
        chosen,
        &json!({ "input": {
            "from_upstream": false, "method": "tools/call", "claims": { "amr": ["pwd"] },
            "headers": { "x-device": "phone", "x-none": null },
        } })
    );
}

#[test]
fn decisions_are_remembered_by_everything_that_was_asked() {
    let host = Host::new()
        .respond_json(200, r#"{"result": true}"#)
        .respond_json(200, r#"{"result": {"allow": false, "reason": "no"}}"#)
        .respond_json(200, r#"{"result": false}"#);
    let policy = policy(json!({ "cache_ms": 100 }));
    let bob = || search().identity(Identity::new("bob"));
    for _ in 0..3 {
        assert_eq!(admit(&policy, search()), Ok(()));
        assert_eq!(admit(&policy, bob()), Err(Denial::forbidden("no")));
    }
    assert_eq!(host.sent().len(), 2);
    host.advance_ms(100);
    assert!(admit(&policy, search()).is_err());
    assert_eq!(host.sent().len(), 3);
}

#[test]
fn without_a_decision_the_configuration_decides_and_nothing_is_remembered() {
    let host = Host::new()
        .respond(Err(Error::Timeout))
        .respond(Err(Error::Denied("no grant".to_owned())))
        .respond_json(200, r#"{"result": true}"#);
    let closed = policy(json!({}));
    assert_eq!(admit(&closed, search()).unwrap_err().code, "unavailable");
    assert_eq!(
        admit(&policy(json!({ "on_error": "allow" })), search()),
        Ok(())
    );
    assert_eq!(admit(&closed, search()), Ok(()));
    let logs = host.logs();
    assert!(
        logs[0].1.contains("Timeout") && logs[1].1.contains("no grant"),
        "{logs:?}"
    );
}

#[test]
fn only_what_was_chosen_is_asked_about() {
    let host = Host::new();
    let policy =
        policy(json!({ "methods": ["tools/*", "resources/read"], "tools": ["sea*", "file://*"] }));
    for (call, want) in [
        (testing::Call::message("ping"), 0),
        (testing::Call::message("tools/list"), 0),
        (testing::Call::tool("other"), 0),
        (testing::Call::tool("search"), 1),
    ] {
        let before = host.sent().len();
        drop(admit(&policy, call));
        assert_eq!(host.sent().len() - before, want);
    }
}

#[test]
fn configurations_that_make_no_sense_are_refused() {
    for (config, want) in [
        (json!({}), "missing field `url`"),
        (json!({ "url": "opa:8181" }), "url: must begin with"),
        (
            json!({ "url": URL, "input": ["secrets"] }),
            "input[0]: unknown variant",
        ),
        (
            json!({ "url": URL, "on_error": "maybe" }),
            "on_error: unknown variant",
        ),
        (json!({ "url": URL, "uri": "x" }), "uri: unknown field"),
    ] {
        let said = PolicyDecision::configure(&config.to_string()).expect_err("refused");
        assert!(said.contains(want), "{config}: {said}");
    }
}
