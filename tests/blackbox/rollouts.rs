//! Candidates beside the live chain: what a shadow sees and leaves alone, whom a canary serves, and how rollouts end.

use portcullis_tests::admin::{Tenant, binding};
use portcullis_tests::cli;
use portcullis_tests::gateway::Gateway;
use portcullis_tests::guests;
use portcullis_tests::load::Load;
use portcullis_tests::mcp::{Era, Peer};
use portcullis_tests::shared::Shared;
use portcullis_tests::show::Answer;
use portcullis_tests::stage::Stage;
use portcullis_tests::wait;
use reqwest::Method;
use serde_json::{Value, json};

static STAGE: Shared<Stage> = Shared::new();

/// Starts a rollout; its number.
async fn start(stage: &Stage, tenant: &Tenant, rest: &[Value], plan: Value) -> u64 {
    let answer = try_start(stage, tenant, rest, plan).await;
    assert_eq!(answer.status, 201, "{}", answer.shown());
    answer.json()["id"].as_u64().unwrap()
}

async fn try_start(stage: &Stage, tenant: &Tenant, rest: &[Value], plan: Value) -> Answer {
    let mut bindings = vec![stage.by_key()];
    bindings.extend(rest.iter().cloned());
    let mut spec = plan;
    spec["policies"] = json!({ "bindings": bindings });
    stage.admin().post(&tenant.path("/rollouts"), &spec).await
}

async fn show(stage: &Stage, tenant: &Tenant, id: u64) -> Value {
    let answer = stage
        .admin()
        .get(&tenant.path(&format!("/rollouts/{id}")))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.shown());
    answer.json()
}

async fn live(stage: &Stage, tenant: &Tenant) -> u64 {
    let newest = stage.admin().get(&tenant.path("/policies")).await;
    newest
        .header("etag")
        .unwrap()
        .trim_matches('"')
        .parse()
        .unwrap()
}

async fn echo(peer: &Peer) -> u16 {
    peer.call("demo__echo", json!({ "message": "x" }))
        .await
        .status
}

/// A chain that refuses the tool.
async fn refusing(stage: &Stage) -> Value {
    let access = stage.admin().push("access-control").await;
    let rules =
        json!({ "default": "allow", "rules": [{ "effect": "deny", "tools": ["demo__echo"] }] });
    binding(&access, &[], rules)
}

#[tokio::test]
async fn a_shadow_says_what_it_would_have_done_and_does_nothing() {
    let stage = STAGE.get(Stage::set).await;
    let (tenant, alice) = stage.guest_tenant("shadowed").await;
    let url = stage.gateway.mcp("shadowed-tools");
    let (redact, limit) = (
        stage.admin().push("redact").await,
        stage.admin().push("rate-limit").await,
    );
    // A call that was changed is admitted again: it takes two.
    let once = json!({ "limits": [{ "name": "calls", "key": ["subject"], "rate": 2, "period_ms": 3_600_000 }] });
    let candidate = [
        binding(&redact, &[], json!({})),
        binding(&limit, &["quota"], once),
    ];
    let never = json!({ "strategy": "shadow", "bounds": { "failures_percent_max": 100 } });
    let id = start(&stage, &tenant, &candidate, never).await;
    let peer = Peer::connect(Era::Session, &url, &alice).await;
    let secret = "mail to ann@example.com";
    for _ in 0..3 {
        let reply = peer.call("demo__echo", json!({ "message": secret })).await;
        assert_eq!(
            (reply.status, reply.text_content().as_str()),
            (200, secret),
            "the live chain serves"
        );
    }
    let seen = wait::until("the calls to be compared", async || {
        let shown = show(&stage, &tenant, id).await;
        let compared = shown["figures"]["compared"].as_u64().unwrap();
        // `initialize`, its notification, and the three calls.
        (compared >= 5).then_some(shown)
    })
    .await;
    let differences = seen["figures"]["differences"].as_array().unwrap();
    let said: Vec<_> = differences
        .iter()
        .map(|difference| {
            let field = |name: &str| difference[name].as_str().unwrap();
            (field("what"), field("live"), field("candidate"))
        })
        .collect();
    // Newest first: two were over the shadow's own limit, the first would have been changed.
    assert_eq!(
        said,
        [
            ("verdict", "passed", "refused: rate-limited"),
            ("verdict", "passed", "refused: rate-limited"),
            ("arguments", "left as it was", "changed at /message"),
        ]
    );
    assert!(
        !seen.to_string().contains("ann@example.com"),
        "no value of a call is shown"
    );
    assert_eq!(seen["figures"]["candidate"]["denied"], 2);
    assert_eq!(seen["state"], "running");

    // Promoted, it starts with counters of its own: what the shadow took is not missing.
    let promoted = stage
        .admin()
        .post(&tenant.path(&format!("/rollouts/{id}/promote")), &json!({}))
        .await;
    assert_eq!(promoted.json()["state"], "promoted", "{}", promoted.shown());
    assert_eq!(
        live(&stage, &tenant).await,
        seen["revision"].as_u64().unwrap()
    );
    let reply = peer.call("demo__echo", json!({ "message": secret })).await;
    assert_eq!(reply.text_content(), "mail to [redacted:email]");
    assert_eq!(echo(&peer).await, 429);
}

#[tokio::test]
async fn a_canary_keeps_its_sessions_and_grows() {
    let stage = STAGE.get(Stage::set).await;
    let (tenant, alice) = stage.guest_tenant("canary").await;
    let url = stage.gateway.mcp("canary-tools");
    let deny = refusing(&stage).await;
    let plan = json!({ "strategy": "canary", "percent": 50 });
    let id = start(&stage, &tenant, &[deny], plan).await;
    let mut served = Vec::new();
    for _ in 0..24 {
        let peer = Peer::connect(Era::Session, &url, &alice).await;
        let first = echo(&peer).await;
        served.push((peer, first));
    }
    let by_candidate =
        |served: &[(Peer, u16)]| served.iter().filter(|(_, status)| *status == 403).count();
    let share = by_candidate(&served);
    assert!((1..24).contains(&share), "{share} of 24 sessions");
    for (peer, first) in &served {
        assert_eq!(echo(peer).await, *first, "a session stays where it is");
    }
    // More of them; who was served by the candidate still is.
    let more = stage
        .admin()
        .request(Method::PATCH, &tenant.path(&format!("/rollouts/{id}")))
        .json(&json!({ "percent": 100 }));
    assert_eq!(more.send().await.unwrap().status(), 200);
    for (peer, _) in &served {
        assert_eq!(echo(peer).await, 403);
    }
    let figures = show(&stage, &tenant, id).await;
    assert!(figures["figures"]["candidate"]["denied"].as_u64().unwrap() >= 24);

    // Taken back by hand, for a reason that is kept.
    let why = json!({ "reason": "too strict" });
    let path = tenant.path(&format!("/rollouts/{id}/rollback"));
    let back = stage.admin().post(&path, &why).await.json();
    assert_eq!(
        (&back["state"], &back["reason"]),
        (&json!("rolled-back"), &json!("too strict"))
    );
    for (peer, _) in &served {
        assert_eq!(echo(peer).await, 200);
    }
    let again = stage.admin().post(&path, &why).await;
    assert_eq!(
        (again.status, again.json()["type"].as_str()),
        (409, Some("no-rollout"))
    );
}

/// Fails every twentieth time, in each of its instances.
const RARELY: &str = "
    (i32.store (i32.const 512) (i32.add (i32.load (i32.const 512)) (i32.const 1)))
    (if (i32.eqz (i32.rem_u (i32.load (i32.const 512)) (i32.const 20))) (then unreachable))";

#[tokio::test]
async fn a_canary_that_fails_is_taken_back_by_itself() {
    let stage = STAGE.get(Stage::set).await;
    let rarely = stage
        .admin()
        .admit(guests::admitter("rarely", RARELY))
        .await;
    for (on_failure, name) in [("open", "failing-open"), ("closed", "failing-closed")] {
        let (tenant, alice) = stage.guest_tenant(name).await;
        let before = live(&stage, &tenant).await;
        let url = stage.gateway.mcp(&format!("{name}-tools"));
        let mut trapping = binding(&rarely, &[], json!({}));
        trapping["on_failure"] = json!(on_failure);
        let plan = json!({ "strategy": "canary", "percent": 50 });
        let id = start(&stage, &tenant, &[trapping], plan).await;
        let load = Load::start(16, &url, &alice, "demo__echo").await;
        let ended = wait::until("the rollout to end", async || {
            let shown = show(&stage, &tenant, id).await;
            (shown["state"] != "running").then_some(shown)
        })
        .await;
        load.answers(50).await;
        let tally = load.end().await;
        assert_eq!(ended["state"], "rolled-back");
        let reason = ended["reason"].as_str().unwrap();
        assert!(reason.contains("hooks failed on"), "{reason}");
        assert_eq!(live(&stage, &tenant).await, before);
        match on_failure {
            "open" => assert_eq!(tally.failures, [] as [String; 0], "no caller saw it"),
            _ => {
                assert!(
                    tally
                        .failures
                        .iter()
                        .all(|failure| failure.contains("trap")),
                    "{:?}",
                    tally.failures
                );
                assert!(tally.answered > 0);
            }
        }
    }
}

#[tokio::test]
async fn a_candidate_that_proves_itself_is_promoted_by_itself() {
    let stage = STAGE.get(Stage::set).await;
    let (tenant, alice) = stage.guest_tenant("proven").await;
    let deny = refusing(&stage).await;
    let plan = json!({ "strategy": "shadow", "promote_after": { "calls": 10, "seconds": 0 } });
    let id = start(&stage, &tenant, &[deny], plan).await;
    let peer = Peer::stateless(&stage.gateway.mcp("proven-tools"), &alice);
    for _ in 0..10 {
        assert_eq!(echo(&peer).await, 200);
    }
    wait::until("it to be promoted", async || {
        let shown = show(&stage, &tenant, id).await;
        (shown["state"] == "promoted").then_some(())
    })
    .await;
    assert_eq!(echo(&peer).await, 403);
}

#[tokio::test]
async fn revisions_are_compared_and_gone_back_to() {
    let stage = STAGE.get(Stage::set).await;
    let (tenant, alice) = stage.guest_tenant("revised").await;
    let peer = Peer::stateless(&stage.gateway.mcp("revised-tools"), &alice);
    let first = live(&stage, &tenant).await;
    let deny = refusing(&stage).await;
    let second = stage.chain(&tenant, std::slice::from_ref(&deny)).await;
    assert_eq!(echo(&peer).await, 403);

    // While a candidate is out, its number is taken; a chain that is put ends it.
    let id = start(&stage, &tenant, &[], json!({ "strategy": "shadow" })).await;
    let busy = try_start(&stage, &tenant, &[], json!({ "strategy": "shadow" })).await;
    assert_eq!(
        (busy.status, busy.json()["type"].as_str()),
        (409, Some("rollout-running"))
    );
    let admin = stage.admin();
    let back = admin
        .post(
            &tenant.path("/policies/rollback"),
            &json!({ "revision": first }),
        )
        .await;
    assert_eq!(
        back.json(),
        json!({ "revision": second + 2 }),
        "{}",
        back.shown()
    );
    assert_eq!(show(&stage, &tenant, id).await["state"], "superseded");
    assert_eq!(echo(&peer).await, 200);

    let stage = &stage;
    let diff = |query: String| async move {
        let answer = stage.admin().get(&tenant_path(&query)).await;
        assert_eq!(answer.status, 200, "{}", answer.shown());
        answer.json()["changes"].clone()
    };
    assert_eq!(
        diff(format!("from={first}")).await,
        json!([]),
        "the same chain again"
    );
    let changes = diff(format!("from={first}&to={second}")).await;
    let pointers: Vec<_> = changes
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(pointers, ["/bindings/access-control", "/order"]);
    let unknown = admin
        .post(
            &tenant.path("/policies/rollback"),
            &json!({ "revision": 99 }),
        )
        .await;
    assert_eq!(unknown.status, 404, "{}", unknown.shown());
}

fn tenant_path(query: &str) -> String {
    format!("/api/v1/tenants/revised/policies/diff?{query}")
}

#[tokio::test]
async fn a_rollout_that_makes_no_sense_is_refused() {
    let stage = STAGE.get(Stage::set).await;
    let (tenant, _) = stage.guest_tenant("senseless").await;
    let mut seen = Vec::new();
    for spec in [
        json!({ "strategy": "canary", "policies": { "bindings": [] } }),
        json!({ "strategy": "canary", "percent": 101, "policies": { "bindings": [] } }),
        json!({ "strategy": "shadow", "percent": 5, "policies": { "bindings": [] } }),
        json!({ "strategy": "shadow" }),
        json!({ "strategy": "shadow", "revision": 1, "policies": { "bindings": [] } }),
        json!({ "strategy": "shadow", "policies": { "bindings": [{ "plugin": "nobody@1.0.0" }] } }),
        json!({ "strategy": "shadow", "bounds": { "failures_percent_max": -1 }, "revision": 1 }),
        json!({ "strategy": "sideways", "revision": 1 }),
        json!({ "strategy": "shadow", "revision": 1, "percentage": 5 }),
        json!({ "strategy": "shadow", "revision": 99 }),
    ] {
        let answer = stage.admin().post(&tenant.path("/rollouts"), &spec).await;
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
}

#[tokio::test]
async fn a_rollout_outlives_a_restart_and_is_led_from_the_command_line() {
    let mut gateway = Gateway::start().await;
    let folder = gateway.data_dir();
    let admin = gateway.admin();
    let tenant = admin.tenant("acme").await;
    let harmless = admin
        .admit(guests::admitter("harmless", guests::HARMLESS))
        .await;
    let trap = admin.admit(guests::admitter("trap", guests::TRAP)).await;
    tenant
        .open_chain(&[binding(&harmless, &[], json!({}))])
        .await;
    tenant
        .upstream("demo", json!({ "url": "http://127.0.0.1:9/mcp" }))
        .await;
    tenant.server("tools", &["demo"]).await;
    let file = folder.join("candidate.yaml");
    std::fs::write(
        &file,
        format!("anonymous: true\nbindings:\n  - plugin: {trap}\n"),
    )
    .unwrap();

    let url = gateway.admin_url().to_owned();
    let data_dir = folder.to_str().unwrap().to_owned();
    let run = |url: String, arguments: Vec<&'static str>, file: Option<String>| {
        let (folder, data_dir) = (folder.clone(), data_dir.clone());
        async move {
            let mut all = arguments;
            let rest = ["--tenant", "acme", "--admin", &url, "--data-dir", &data_dir];
            all.extend(["--output", "json"]);
            let mut all: Vec<&str> = all;
            all.extend(rest);
            all.extend(file.as_deref());
            cli::portcullis(&folder, &all).await
        }
    };
    let path = Some(file.to_str().unwrap().to_owned());
    let begun = run(
        url,
        vec!["rollout", "start", "--strategy", "canary", "--percent", "0"],
        path,
    )
    .await;
    assert_eq!(begun.json()["state"], "running", "{}", begun.shown());
    // What a candidate is made of cannot be deleted.
    let held = admin.delete(&format!("/api/v1/plugins/{trap}")).await;
    assert_eq!(held.status, 409, "{}", held.shown());

    gateway.restart().await;
    let url = gateway.admin_url().to_owned();
    let shown = run(url.clone(), vec!["rollout", "show"], None).await.json();
    assert_eq!(
        (&shown["state"], &shown["percent"]),
        (&json!("running"), &json!(0.0))
    );
    assert_eq!(shown["figures"]["candidate"]["calls"], 0);
    let grown = run(url.clone(), vec!["rollout", "percent", "100"], None)
        .await
        .json();
    assert_eq!(grown["percent"], json!(100.0));
    let refused = Peer::stateless(&gateway.mcp("tools"), "")
        .request("tools/list", json!({}))
        .await;
    assert_eq!(refused.refusal(), (503, -32050), "the candidate serves");
    let back = run(
        url.clone(),
        vec!["rollout", "rollback", "--reason", "it traps"],
        None,
    )
    .await
    .json();
    assert_eq!(back["reason"], "it traps");
    let list = run(url, vec!["rollout", "list"], None).await.json();
    assert_eq!(list.as_array().map(Vec::len), Some(1));
    let gone = gateway
        .admin()
        .delete(&format!("/api/v1/plugins/{trap}"))
        .await;
    assert_eq!(gone.status, 204, "{}", gone.shown());
}
