//! What stateless clients are told about reusing results: never more than every upstream allows, and never more than the
//! policies in front of them do.

use portcullis_tests::admin::binding;
use portcullis_tests::fakes::{self, Fake};
use portcullis_tests::mcp::{Era, Peer};
use portcullis_tests::shared::Shared;
use portcullis_tests::stage::Stage;
use serde_json::{Value, json};

static STAGE: Shared<Stage> = Shared::new();

/// A stateless upstream with one tool and one resource, which says this of how they may be reused.
async fn saying(ttl_ms: i64, scope: &'static str) -> Fake {
    Fake::start(fakes::stateless(move |asked| {
        let mut result = match asked.message["method"].as_str()? {
            "tools/list" => {
                json!({ "tools": [{ "name": "greet", "inputSchema": { "type": "object" } }] })
            }
            "resources/list" => json!({ "resources": [{ "uri": "a://b", "name": "b" }] }),
            "resources/read" => json!({ "contents": [{ "uri": "a://b", "text": "1.10" }] }),
            _ => return None,
        };
        result["resultType"] = json!("complete");
        result["ttlMs"] = json!(ttl_ms);
        result["cacheScope"] = json!(scope);
        Some(result)
    }))
    .await
}

/// An upstream of the session era with one tool, which can say nothing of the kind.
async fn silent() -> Fake {
    Fake::start(fakes::server(&["greet"], |asked| {
        fakes::says(asked, "hello")
    }))
    .await
}

/// What a result says of its reuse.
fn hint(result: &Value) -> (u64, &str) {
    let ttl_ms = result["ttlMs"].as_u64().expect("a time to live");
    (ttl_ms, result["cacheScope"].as_str().expect("a scope"))
}

#[tokio::test]
async fn a_list_takes_the_least_time_and_the_strictest_scope_of_its_upstreams() {
    let stage = STAGE.get(Stage::set).await;
    let upstreams = [
        ("long", saying(120_000, "public").await),
        ("short", saying(60_000, "public").await),
        ("secret", saying(90_000, "private").await),
        ("never", saying(0, "public").await),
        ("odd", saying(-5, "anybody").await),
        ("silent", silent().await),
    ];
    let (tenant, _) = stage.guest_tenant("hints").await;
    tenant.open_chain(&[]).await;
    for (name, fake) in &upstreams {
        tenant.upstream(name, fake.spec()).await;
    }
    // Time goes by between the upstream's word and the gateway's.
    for (at, (mounts, at_least_ms, at_most_ms, scope)) in [
        (&["long"][..], 60_001, 120_000, "public"),
        (&["long", "short"], 30_000, 60_000, "public"),
        (&["long", "secret"], 60_001, 90_000, "private"),
        (&["long", "never"], 0, 0, "public"),
        (&["long", "odd"], 0, 0, "private"),
        (&["long", "silent"], 5_000, 5_000, "private"),
        (&["silent"], 5_000, 5_000, "private"),
    ]
    .into_iter()
    .enumerate()
    {
        let server = format!("hints-{at}");
        tenant.server(&server, mounts).await;
        let url = stage.gateway.mcp(&server);
        let listed = Peer::stateless(&url, "nobody")
            .request("tools/list", json!({}))
            .await
            .result();
        let (ttl_ms, said) = hint(&listed);
        assert_eq!(said, scope, "{mounts:?}");
        assert!(
            (at_least_ms..=at_most_ms).contains(&ttl_ms),
            "{mounts:?}: {ttl_ms}"
        );
        let session = Peer::session(&url, "nobody").await;
        let listed = session.request("tools/list", json!({})).await.result();
        assert_eq!(
            listed.as_object().map(|members| members.len()),
            Some(1),
            "{listed}"
        );
    }
}

#[tokio::test]
async fn an_upstream_that_has_nothing_of_a_kind_does_not_restrict_it() {
    let stage = STAGE.get(Stage::set).await;
    let (fake, silent) = (saying(120_000, "public").await, silent().await);
    let (tenant, _) = stage.guest_tenant("absent").await;
    tenant.open_chain(&[]).await;
    tenant.upstream("fake", fake.spec()).await;
    tenant.upstream("silent", silent.spec()).await;
    tenant.server("absent-both", &["fake", "silent"]).await;
    let peer = Peer::stateless(&stage.gateway.mcp("absent-both"), "nobody");
    let listed = peer.request("resources/list", json!({})).await.result();
    let (ttl_ms, scope) = hint(&listed);
    assert!(ttl_ms > 60_000 && scope == "public", "{listed}");
}

#[tokio::test]
async fn what_policies_guard_is_private_whatever_its_upstream_says() {
    let stage = STAGE.get(Stage::set).await;
    let fake = saying(120_000, "public").await;
    let admin = stage.admin();
    let (access, redact, limit) = (
        binding(
            &admin.push("access-control").await,
            &[],
            json!({ "default": "allow" }),
        ),
        binding(&admin.push("redact").await, &[], json!({})),
        binding(
            &admin.push("rate-limit").await,
            &["quota"],
            json!({ "limits": [{ "name": "all", "key": ["subject"], "rate": 1_000, "period_ms": 60_000 }] }),
        ),
    );
    let elsewhere = {
        let mut elsewhere = access.clone();
        elsewhere["select"] = json!({ "methods": ["prompts/*"] });
        elsewhere
    };
    let (tenant, alice) = stage.guest_tenant("guarded").await;
    tenant.upstream("fake", fake.spec()).await;
    tenant.server("guarded-fake", &["fake"]).await;
    let url = stage.gateway.mcp("guarded-fake");
    for (title, bindings, is_open, want) in [
        ("nobody", vec![], true, "public"),
        (
            "who looks at other messages",
            vec![elsewhere],
            true,
            "public",
        ),
        ("access-control", vec![access], true, "private"),
        ("rate-limit", vec![limit], true, "private"),
        ("redact", vec![redact], true, "private"),
        ("an authenticator", vec![stage.by_key()], true, "private"),
        ("only known callers", vec![stage.by_key()], false, "private"),
    ] {
        match is_open {
            true => tenant.open_chain(&bindings).await,
            false => drop(tenant.chain(&bindings).await),
        }
        let peer = Peer::stateless(&url, &alice);
        for (method, params) in [
            ("tools/list", json!({})),
            ("resources/list", json!({})),
            ("resources/read", json!({ "uri": "a://b" })),
        ] {
            let result = peer.request(method, params).await.result();
            let (ttl_ms, scope) = hint(&result);
            assert_eq!(scope, want, "{title}: {method}");
            assert!(ttl_ms > 60_000, "{title}: {method} {ttl_ms}");
        }
        let read = peer
            .request("resources/read", json!({ "uri": "a://b" }))
            .await;
        assert_eq!(
            hint(&read.result()).0,
            120_000,
            "{title}: a result keeps its own time"
        );
    }
}

#[tokio::test]
async fn a_read_of_an_upstream_without_hints_is_not_to_be_reused() {
    let stage = STAGE.get(Stage::set).await;
    let everything = portcullis_tests::upstreams::everything_command();
    let (tenant, _) = stage.guest_tenant("hintless").await;
    tenant.open_chain(&[]).await;
    tenant.upstream("everything", everything).await;
    tenant.server("hintless-everything", &["everything"]).await;
    let peer = Peer::connect(
        Era::Stateless,
        &stage.gateway.mcp("hintless-everything"),
        "nobody",
    )
    .await;
    let listed = peer.request("resources/list", json!({})).await.result();
    let uri = listed["resources"][0]["uri"].clone();
    let read = peer
        .request("resources/read", json!({ "uri": uri }))
        .await
        .result();
    assert_eq!(hint(&read), (0, "private"), "{read}");
}
