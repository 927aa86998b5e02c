//! What the gateway says of itself when a client connects: what its upstreams can do together, and how they like to be used.

use portcullis_tests::fakes::{self, Answer, Asked, Fake};
use portcullis_tests::mcp::{
    Era, Peer, Reply, SESSION_REVISION, STATELESS_REVISION, Wire, initialize,
};
use portcullis_tests::shared::Shared;
use portcullis_tests::show::listing;
use portcullis_tests::stage::Stage;
use portcullis_tests::upstreams::free_port;
use serde_json::{Value, json};

static STAGE: Shared<Stage> = Shared::new();

const ERAS: [Era; 2] = [Era::Session, Era::Stateless];

/// What a new client is told.
async fn told(era: Era, url: &str, key: &str) -> Value {
    let reply: Reply = match era {
        Era::Session => {
            Wire::new(url, key)
                .send(initialize().to_string(), &[])
                .await
        }
        Era::Stateless => {
            Peer::stateless(url, key)
                .request("server/discover", json!({}))
                .await
        }
    };
    reply.result()
}

/// An upstream of either era with one tool, which says this of itself.
async fn saying(era: Era, capabilities: Value, instructions: Option<&'static str>) -> Fake {
    let mut said = match era {
        Era::Session => json!({
            "protocolVersion": SESSION_REVISION, "capabilities": capabilities,
            "serverInfo": { "name": "fake", "version": "1" },
        }),
        Era::Stateless => json!({
            "resultType": "complete", "supportedVersions": [STATELESS_REVISION],
            "capabilities": capabilities, "ttlMs": 40_000, "cacheScope": "public",
        }),
    };
    if let Some(instructions) = instructions {
        said["instructions"] = json!(instructions);
    }
    let says = move |asked: &Asked| {
        Answer::json(&json!({ "jsonrpc": "2.0", "id": asked.message["id"], "result": said }))
    };
    match era {
        Era::Session => {
            let rest = fakes::server(&["greet"], |asked| fakes::says(asked, "hello"));
            Fake::start(move |asked| match asked.message["method"].as_str() {
                Some("initialize") => says(asked),
                _ => rest(asked),
            })
            .await
        }
        Era::Stateless => {
            let rest = fakes::stateless(|asked| {
                (asked.message["method"] == "tools/list").then(|| {
                    json!({ "tools": [{ "name": "greet", "inputSchema": { "type": "object" } }],
                        "resultType": "complete", "ttlMs": 0, "cacheScope": "private" })
                })
            });
            Fake::start(move |asked| match asked.message["method"].as_str() {
                Some("server/discover") => says(asked),
                _ => rest(asked),
            })
            .await
        }
    }
}

#[tokio::test]
async fn before_and_after_an_upstream_has_said_what_it_can_do() {
    let stage = STAGE.get(Stage::set).await;
    let fake = saying(
        Era::Session,
        json!({ "tools": {}, "logging": {} }),
        Some("Greet kindly."),
    )
    .await;
    let mut shown = Vec::new();
    for (era, name) in ERAS.into_iter().zip(["said-session", "said-stateless"]) {
        let (tenant, key) = stage.guest_tenant(name).await;
        tenant.upstream("fake", fake.spec()).await;
        tenant.server("said", &["fake"]).await;
        let url = stage.gateway.mcp("said");
        for title in ["before", "after"] {
            let said = told(era, &url, &key).await;
            shown.push((title, serde_json::to_string(&said).expect("JSON")));
            assert_eq!(
                Peer::connect(era, &url, &key).await.tools().await,
                ["fake__greet"]
            );
        }
        stage
            .admin()
            .delete(&tenant.path("/servers/said"))
            .await
            .ok();
    }
    insta::assert_snapshot!(listing(&shown), @r#"
    before
        {"protocolVersion":"2025-11-25","capabilities":{"completions":{},"logging":{},"prompts":{"listChanged":true},"resources":{"listChanged":true,"subscribe":true},"tools":{"listChanged":true}},"serverInfo":{"name":"portcullis/said","version":"0.1.0"}}
    after
        {"protocolVersion":"2025-11-25","capabilities":{"logging":{},"tools":{"listChanged":true}},"serverInfo":{"name":"portcullis/said","version":"0.1.0"},"instructions":"Greet kindly."}
    before
        {"resultType":"complete","supportedVersions":["2026-07-28","2025-11-25","2025-06-18","2025-03-26","2024-11-05"],"capabilities":{"completions":{},"logging":{},"prompts":{"listChanged":true},"resources":{"listChanged":true,"subscribe":true},"tools":{"listChanged":true}},"ttlMs":5000,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"portcullis/said","version":"0.1.0"}}}
    after
        {"resultType":"complete","supportedVersions":["2026-07-28","2025-11-25","2025-06-18","2025-03-26","2024-11-05"],"capabilities":{"logging":{},"tools":{"listChanged":true}},"instructions":"Greet kindly.","ttlMs":60000,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"portcullis/said","version":"0.1.0"}}}
    "#);
}

#[tokio::test]
async fn upstreams_are_joined_and_what_is_not_served_is_hidden() {
    let stage = STAGE.get(Stage::set).await;
    let crm = saying(
        Era::Session,
        json!({ "tools": {}, "experimental": { "x": {} }, "unheard-of": true }),
        Some("Ask politely.\n"),
    )
    .await;
    let files = saying(
        Era::Stateless,
        json!({ "resources": {}, "completions": {}, "extensions": { "com.example/x": {} } }),
        Some("Paths begin with a slash."),
    )
    .await;
    let mute = saying(Era::Session, json!({}), None).await;
    let (tenant, key) = stage.guest_tenant("joined").await;
    for (name, fake) in [("crm", &crm), ("files", &files), ("mute", &mute)] {
        tenant.upstream(name, fake.spec()).await;
    }
    let dead = json!({ "url": format!("http://127.0.0.1:{}/mcp", free_port()) });
    tenant.upstream("dead", dead).await;
    for (server, mounts, members, words) in [
        (
            "joined-all",
            &["crm", "dead", "mute", "files"][..],
            &["completions", "resources", "tools"][..],
            Some("## crm\n\nAsk politely.\n\n## files\n\nPaths begin with a slash."),
        ),
        ("joined-one", &["crm"], &["tools"], Some("Ask politely.\n")),
        // It declares nothing, and yet it has a tool.
        ("joined-mute", &["mute"], &["tools"], None),
    ] {
        tenant.server(server, mounts).await;
        let url = stage.gateway.mcp(server);
        Peer::stateless(&url, &key).tools().await;
        for era in ERAS {
            let said = told(era, &url, &key).await;
            let promised = said["capabilities"].as_object().expect("capabilities");
            let promised: Vec<_> = promised.keys().map(String::as_str).collect();
            assert_eq!(promised, members, "{era:?} {server}");
            assert_eq!(said["instructions"].as_str(), words, "{era:?} {server}");
        }
    }
}

#[tokio::test]
async fn how_long_it_may_be_reused_is_for_upstreams_and_policies_to_say() {
    let stage = STAGE.get(Stage::set).await;
    let (public, silent) = (
        saying(Era::Stateless, json!({ "tools": {} }), None).await,
        saying(Era::Session, json!({ "tools": {} }), None).await,
    );
    let (tenant, key) = stage.guest_tenant("reused").await;
    tenant.upstream("public", public.spec()).await;
    tenant.upstream("silent", silent.spec()).await;
    for (mounts, is_open, want) in [
        (&["public"][..], true, (40_000, "public")),
        (&["public", "silent"], true, (40_000, "private")),
        (&["silent"], true, (60_000, "private")),
        (&["public"], false, (40_000, "private")),
    ] {
        match is_open {
            true => tenant.open_chain(&[]).await,
            false => drop(tenant.chain(&[stage.by_key()]).await),
        }
        tenant.server("reused", mounts).await;
        let url = stage.gateway.mcp("reused");
        Peer::stateless(&url, &key).tools().await;
        let said = told(Era::Stateless, &url, &key).await;
        let hint = (
            said["ttlMs"].as_u64().unwrap_or_default(),
            said["cacheScope"].as_str().unwrap_or_default(),
        );
        assert_eq!(hint, want, "{mounts:?} {is_open}");
    }
}
