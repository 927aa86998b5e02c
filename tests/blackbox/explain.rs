//! One call, explained hook by hook and replayed: by hand or as it was captured, and without a trace.

use std::collections::BTreeMap;

use portcullis_tests::admin::{Tenant, binding};
use portcullis_tests::cli;
use portcullis_tests::mcp::Peer;
use portcullis_tests::shared::Shared;
use portcullis_tests::stage::Stage;
use portcullis_tests::wait;
use serde_json::{Value, json};

static STAGE: Shared<Stage> = Shared::new();

async fn explain(stage: &Stage, tenant: &Tenant, question: Value) -> Value {
    let answer = stage
        .admin()
        .post(&tenant.path("/explain"), &question)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.shown());
    answer.json()
}

/// `hook policy verdict` of every step.
fn steps(explained: &Value) -> Vec<String> {
    let of = |step: &Value, field: &str| step[field].as_str().unwrap().to_owned();
    let steps = explained["steps"].as_array().unwrap().iter();
    steps
        .map(|step| {
            format!(
                "{} {} {}",
                of(step, "hook"),
                of(step, "policy"),
                of(step, "verdict")
            )
        })
        .collect()
}

/// A limit of one call, and redaction.
async fn chain(stage: &Stage, tenant: &Tenant) {
    let (limit, redact, access) = (
        stage.admin().push("rate-limit").await,
        stage.admin().push("redact").await,
        stage.admin().push("access-control").await,
    );
    let once = json!({ "limits": [{ "name": "calls", "key": ["subject"], "rate": 1, "period_ms": 3_600_000 }] });
    let rules = json!({ "default": "allow", "rules": [{ "effect": "deny", "tools": ["demo__delete_*"], "message": "Ask an administrator." }] });
    let mut selective = binding(&access, &[], rules);
    selective["select"] = json!({ "methods": ["tools/*"] });
    let chain = [
        selective,
        binding(&limit, &["quota"], once),
        binding(&redact, &[], json!({})),
    ];
    stage.chain(tenant, &chain).await;
}

#[tokio::test]
async fn every_hook_says_what_it_makes_of_a_call_and_nothing_is_left_behind() {
    let stage = STAGE.get(Stage::set).await;
    let (tenant, alice) = stage.guest_tenant("explained").await;
    chain(&stage, &tenant).await;
    let peer = Peer::stateless(&stage.gateway.mcp("explained-tools"), &alice);
    assert!(peer.tools().await.contains(&"demo__echo".to_owned()));

    let call = |message: &str| json!({ "name": "demo__echo", "arguments": { "message": message } });
    let header = json!({ "authorization": format!("Bearer {alice}") });
    let asked = json!({ "params": call("hello"), "headers": header, "result": { "content": [{ "type": "text", "text": "ann@example.com" }] } });
    for _ in 0..3 {
        let explained = explain(&stage, &tenant, asked.clone()).await;
        assert_eq!(
            steps(&explained),
            [
                "authenticate api-key-auth recognised",
                "admit access-control passed",
                "admit rate-limit passed",
                "transform-call redact passed",
                "transform-reply redact changed",
            ],
            "{explained}"
        );
        assert_eq!(
            (&explained["verdict"], &explained["subject"]),
            (&json!("passed"), &json!("alice"))
        );
        assert_eq!(
            explained["result"]["content"][0]["text"],
            "[redacted:email]"
        );
    }
    // The one call that the limit allows is still there, and then it is not.
    let echo = async || {
        peer.call("demo__echo", json!({ "message": "x" }))
            .await
            .status
    };
    assert_eq!([echo().await, echo().await], [200, 429]);
    let over = explain(&stage, &tenant, asked).await;
    assert_eq!(over["refused_with"], "rate-limited");
    assert_eq!(steps(&over).last().unwrap(), "admit rate-limit denied");

    // Without asking authenticators; and by a chain that is not put yet.
    let bob = json!({ "subject": "bob", "roles": ["admin"] });
    let denied = explain(
        &stage,
        &tenant,
        json!({ "params": { "name": "demo__delete_customer" }, "identity": bob }),
    )
    .await;
    assert_eq!(steps(&denied), ["admit access-control denied"]);
    assert_eq!(denied["steps"][0]["detail"], "Ask an administrator.");
    let open = json!({ "bindings": [], "anonymous": true });
    let passed = explain(
        &stage,
        &tenant,
        json!({ "params": { "name": "demo__delete_customer" }, "policies": open }),
    )
    .await;
    assert_eq!(
        (&passed["verdict"], &passed["revision"]),
        (&json!("passed"), &Value::Null)
    );
    // A changed call is admitted again, and a selector that lets nothing through is said.
    let twice = explain(
        &stage,
        &tenant,
        json!({ "params": call("ann@example.com"), "identity": { "subject": "carol" } }),
    )
    .await;
    assert_eq!(
        steps(&twice),
        [
            "admit access-control passed",
            "admit rate-limit passed",
            "transform-call redact changed",
            "admit access-control passed",
            "admit rate-limit passed",
        ]
    );
    assert_eq!(twice["arguments"]["message"], "[redacted:email]");
    let other = explain(
        &stage,
        &tenant,
        json!({ "method": "resources/list", "identity": { "subject": "carol" } }),
    )
    .await;
    assert_eq!(
        steps(&other).first().unwrap(),
        "admit access-control not-selected"
    );
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_refused() {
    let stage = STAGE.get(Stage::set).await;
    let (tenant, _) = stage.guest_tenant("puzzled").await;
    let mut seen = Vec::new();
    for question in [
        json!({ "server": "nobody" }),
        json!({ "revision": 99 }),
        json!({ "revision": 1, "policies": { "bindings": [] } }),
        json!({ "policies": { "bindings": [{ "plugin": "nobody@1.0.0" }] } }),
        json!({ "sample": "none" }),
        json!({ "headers": { "no header": "x" } }),
        json!({ "peer": "nowhere" }),
    ] {
        let answer = stage
            .admin()
            .post(&tenant.path("/explain"), &question)
            .await;
        let problem = answer.json();
        let text = |field: &str| problem[field].as_str().unwrap_or_default().to_owned();
        seen.push(format!(
            "{} {} {}",
            answer.status,
            text("pointer"),
            text("detail")
        ));
    }
    insta::assert_snapshot!(seen.join("\n"));
    let wrong = stage
        .admin()
        .put(&tenant.path(""), &json!({ "capture": { "percent": 101 } }))
        .await;
    assert_eq!(
        (wrong.status, wrong.json()["pointer"].as_str()),
        (422, Some("/capture/percent"))
    );
}

#[tokio::test]
async fn captured_calls_are_explained_and_replayed_without_their_secrets() {
    let stage = STAGE.get(Stage::set).await;
    let (tenant, alice) = stage.guest_tenant("captured").await;
    let admin = stage.admin();
    chain(&stage, &tenant).await;
    let url = stage.gateway.mcp("captured-tools");
    let peer = Peer::stateless(&url, &alice);
    let echo = async |message: &str| {
        let arguments = json!({ "message": message, "password": "hunter2" });
        peer.call("demo__echo", arguments).await.status
    };
    assert_eq!(echo("before captures").await, 200);
    let on = json!({ "capture": { "percent": 100, "samples_max": 3 } });
    let put = admin.put(&tenant.path(""), &on).await;
    assert_eq!(put.status, 200, "{}", put.shown());
    assert_eq!([echo("a").await, echo("b").await], [429, 429]);
    peer.call("demo__delete_customer", json!({ "id": "C-1" }))
        .await;
    peer.request("tools/list", json!({})).await;
    let samples = wait::until("samples", async || {
        let samples = admin.get(&tenant.path("/samples")).await.json()["items"].clone();
        (samples.as_array().map(Vec::len) == Some(3)).then_some(samples)
    })
    .await;
    let text = samples.to_string();
    assert!(
        !text.contains(&alice) && !text.contains("hunter2"),
        "{text}"
    );
    let verdicts: Vec<_> = samples
        .as_array()
        .unwrap()
        .iter()
        .map(|sample| {
            let refused = &sample["refused"];
            (
                sample["method"].as_str().unwrap(),
                refused["policy"].as_str(),
                refused["code"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        verdicts,
        [
            ("tools/list", None, None),
            ("tools/call", Some("access-control"), Some("forbidden")),
            ("tools/call", Some("rate-limit"), Some("rate-limited")),
        ],
        "the newest three"
    );

    // A sample knows who called, so a chain that would let it through can be tried on it.
    let id = samples[1]["id"].as_str().unwrap();
    let open = json!({ "bindings": [], "anonymous": false });
    let explained = explain(&stage, &tenant, json!({ "sample": id, "policies": open })).await;
    assert_eq!(
        (&explained["verdict"], &explained["subject"]),
        (&json!("passed"), &json!("alice"))
    );

    // And a component on this machine, in the place of the binding of its name.
    let folder = tempfile::tempdir().unwrap();
    let replay = async |plugin: &str, config: &str| {
        let file = portcullis_tests::places::plugin(plugin);
        let arguments = [
            "plugin",
            "replay",
            file.to_str().unwrap(),
            "--tenant",
            "captured",
            "--config",
            config,
            "--admin",
            stage.gateway.admin_url(),
            "--admin-token",
            stage.gateway.admin_token(),
            "--output",
            "json",
        ];
        let run = cli::portcullis(folder.path(), &arguments).await;
        let replayed = run.json();
        let calls = replayed["calls"]
            .as_array()
            .unwrap_or_else(|| panic!("{}", run.shown()));
        let would = calls.iter().map(|call| {
            (
                call["sample"].to_string(),
                call["would"].as_str().map(str::to_owned),
            )
        });
        would
            .collect::<BTreeMap<_, _>>()
            .into_values()
            .collect::<Vec<_>>()
    };
    let would = replay("access-control", r#"{"default": "deny"}"#).await;
    let refused = would
        .iter()
        .filter(|would| would.as_deref() == Some("be refused: forbidden"))
        .count();
    assert_eq!(
        refused, 1,
        "of the two calls, one was refused by this policy before: {would:?}"
    );
    let would = replay("access-control", r#"{"default": "allow"}"#).await;
    assert_eq!(would.iter().flatten().collect::<Vec<_>>(), ["pass"]);

    let shown = cli::portcullis(
        folder.path(),
        &[
            "samples",
            "list",
            "--tenant",
            "captured",
            "--admin",
            stage.gateway.admin_url(),
            "--admin-token",
            stage.gateway.admin_token(),
        ],
    )
    .await;
    assert!(
        shown.shown().contains("refused: forbidden"),
        "{}",
        shown.shown()
    );
    let gone = admin.delete(&tenant.path("/samples")).await;
    assert_eq!(gone.status, 204);
    let left = admin.get(&tenant.path("/samples")).await.json();
    assert_eq!(left, json!({ "items": [] }));
}
