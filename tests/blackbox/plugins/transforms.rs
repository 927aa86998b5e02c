//! Where a call goes, and what it carries: `smart-route` and `redact`.

use std::collections::BTreeSet;

use portcullis_tests::mcp::Peer;
use portcullis_tests::stage::Stage;
use portcullis_tests::upstreams::Upstream;
use serde_json::{Value, json};

use super::{ERAS, STAGE, with_plugin};

#[tokio::test]
async fn smart_route_chooses_among_replicas() {
    let stage = STAGE.get(Stage::set).await;
    let (east, west) = (
        Upstream::example("east").await,
        Upstream::example("west").await,
    );
    let strategies = [
        (
            "weighted",
            json!({ "strategy": "weighted", "label": "zone", "weights": { "w": 1 } }),
            vec!["west"],
        ),
        (
            "hashed",
            json!({ "strategy": "consistent-hash", "key": "subject" }),
            vec![],
        ),
        ("least", json!({ "strategy": "least-in-flight" }), vec![]),
        ("latency", json!({ "strategy": "latency-weighted" }), vec![]),
    ];
    for (name, config, want) in strategies {
        let (tenant, [alice, _]) = with_plugin(&stage, name, "smart-route", &[], config).await;
        for (replica, upstream, zone) in [("east", &east, "e"), ("west", &west, "w")] {
            tenant
                .upstream(
                    replica,
                    json!({ "url": upstream.url(), "labels": { "zone": zone } }),
                )
                .await;
        }
        let mounts = json!({ "upstreams": [{ "name": "pair", "replicas": ["east", "west"] }] });
        tenant.server_spec(&format!("{name}-tools"), mounts).await;
        let mut answered = BTreeSet::new();
        for _ in 0..8 {
            let reply = alice.call("pair__whoami", json!({})).await.result();
            answered.insert(
                reply["structuredContent"]["name"]
                    .as_str()
                    .expect("a name")
                    .to_owned(),
            );
        }
        match name {
            "hashed" => assert_eq!(
                answered.len(),
                1,
                "one caller stays on one replica: {answered:?}"
            ),
            _ if want.is_empty() => assert!(!answered.is_empty()),
            _ => assert_eq!(answered.into_iter().collect::<Vec<_>>(), want, "{name}"),
        }
    }
}

#[tokio::test]
async fn redact_masks_results_and_arguments_and_keeps_the_json() {
    let stage = STAGE.get(Stage::set).await;
    let (tenant, [peer, _]) = with_plugin(
        &stage,
        "redacted",
        "redact",
        &[],
        json!({ "keys": ["phone"] }),
    )
    .await;
    let url = stage.gateway.mcp("redacted-tools");
    let key = tenant.key("carol").await;
    for era in ERAS {
        let carol = Peer::connect(era, &url, &key).await;
        let result = carol
            .call("demo__customer_lookup", json!({ "id": "C-7" }))
            .await
            .result();
        for secret in [
            "ada@example.com",
            "078-05-1120",
            "4111 1111 1111 1111",
            "202-555-0143",
        ] {
            assert!(
                !result.to_string().contains(secret),
                "{era:?} shows {secret}: {result}"
            );
        }
        let customer = &result["structuredContent"];
        assert_eq!(
            (&customer["id"], &customer["email"]),
            (&json!("C-7"), &json!("[redacted:email]")),
            "{era:?}"
        );
        assert_eq!(
            customer["balance_cents"], 1_250,
            "{era:?}: numbers are left alone"
        );
        let text: Value =
            serde_json::from_str(result["content"][0]["text"].as_str().expect("a text"))
                .expect("JSON in a text");
        assert_eq!(&text, customer, "{era:?}");
    }
    let echoed = peer
        .call(
            "demo__echo",
            json!({ "message": "write to bob@example.com \"now\"\n" }),
        )
        .await;
    assert_eq!(
        echoed.text_content(),
        "write to [redacted:email] \"now\"\n",
        "the upstream never saw the address"
    );
}

#[tokio::test]
async fn redact_refuses_results_over_its_cap() {
    let stage = STAGE.get(Stage::set).await;
    let (_, [alice, _]) = with_plugin(
        &stage,
        "capped",
        "redact",
        &[],
        json!({ "max_result_bytes": 10_000 }),
    )
    .await;
    assert_eq!(
        alice
            .call("demo__big", json!({ "bytes": 5_000 }))
            .await
            .text_content()
            .len(),
        5_000
    );
    let (_, message) = alice
        .call("demo__big", json!({ "bytes": 20_000 }))
        .await
        .error();
    assert!(
        message.contains("10000") || message.contains("10,000"),
        "{message}"
    );
}
