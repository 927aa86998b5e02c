//! Each plugin that ships, through the gateway: from its configuration to what a caller sees.

mod admission;
mod callers;
mod transforms;

use portcullis_tests::admin::{Tenant, binding};
use portcullis_tests::mcp::{Era, Peer};
use portcullis_tests::shared::Shared;
use portcullis_tests::stage::Stage;
use serde_json::{Value, json};

static STAGE: Shared<Stage> = Shared::new();

const ERAS: [Era; 2] = [Era::Session, Era::Stateless];

/// A tenant whose chain is `api-key-auth` and one more plugin; alice and bob are its callers.
async fn with_plugin(
    stage: &Stage,
    tenant: &str,
    plugin: &str,
    grants: &[&str],
    config: Value,
) -> (Tenant, [Peer; 2]) {
    let reference = stage.admin().push(plugin).await;
    let (tenant_made, alice) = stage.guest_tenant(tenant).await;
    let bob = tenant_made
        .key_spec(json!({ "name": "b", "subject": "bob", "team": "search" }))
        .await;
    stage
        .chain(&tenant_made, &[binding(&reference, grants, config)])
        .await;
    let url = stage.gateway.mcp(&format!("{tenant}-tools"));
    (
        tenant_made,
        [Peer::stateless(&url, &alice), Peer::stateless(&url, &bob)],
    )
}

async fn echo(peer: &Peer, message: &str) -> u16 {
    peer.call("demo__echo", json!({ "message": message }))
        .await
        .status
}

#[tokio::test]
async fn all_kinds_of_hook_work_in_one_chain() {
    let stage = STAGE.get(Stage::set).await;
    let admin = stage.admin();
    let (tenant, alice) = stage.guest_tenant("whole").await;
    let hour = 3_600_000;
    let chain = [
        binding(
            &admin.push("rate-limit").await,
            &["quota"],
            json!({ "limits": [{ "name": "calls", "key": ["subject"], "rate": 5, "period_ms": hour }] }),
        ),
        binding(
            &admin.push("access-control").await,
            &[],
            json!({ "default": "allow", "rules": [{ "effect": "deny", "tools": ["demo__delete_*"] }] }),
        ),
        binding(
            &admin.push("smart-route").await,
            &[],
            json!({ "strategy": "least-in-flight" }),
        ),
        binding(
            &admin.push("redact").await,
            &[],
            json!({ "arguments": false }),
        ),
    ];
    stage.chain(&tenant, &chain).await;
    for (era, want) in [
        (Era::Session, [200, 403, 200]),
        (Era::Stateless, [200, 403, 429]),
    ] {
        let peer = Peer::connect(era, &stage.gateway.mcp("whole-tools"), &alice).await;
        let seen = [
            echo(&peer, "x").await,
            peer.call("demo__delete_customer", json!({ "id": "C-1" }))
                .await
                .status,
            peer.call("demo__customer_lookup", json!({ "id": "C-1" }))
                .await
                .status,
        ];
        // What is refused further down the chain has been counted: three of five tokens a round.
        assert_eq!(seen, want, "{era:?}");
    }
}
