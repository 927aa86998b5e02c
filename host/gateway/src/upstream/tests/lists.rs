//! Lists: pages are followed, bounds hold, and the registry gives the same upstream for the same definition.

use portcullis_protocol::listing::{CacheHint, CacheScope, ListKind};

use super::peer::{Peer, discovery, lifecycle, result, rpc_error};
use super::*;

fn page(seen: &super::peer::Seen) -> axum::response::Response {
    match seen.rpc() {
        "tools/list" => match seen.body["params"]["cursor"].as_str() {
            None => result(
                seen,
                &json!({"tools": [{"name": "a", "x": 1}, {"no": "name"}], "nextCursor": "",
                    "ttlMs": 10, "cacheScope": "public"}),
            ),
            Some("") => result(
                seen,
                &json!({"tools": [{"name": "b"}], "nextCursor": "2", "ttlMs": 30, "cacheScope": "private"}),
            ),
            Some(_) => result(
                seen,
                &json!({"tools": [{"name": "c"}], "ttlMs": 20, "cacheScope": "public"}),
            ),
        },
        "resources/list" => result(seen, &json!({"resources": [], "nextCursor": "again"})),
        "resources/templates/list" => result(seen, &json!({"tools": []})),
        _ => rpc_error(200, &seen.body["id"], -32601, "Method not found"),
    }
}

#[tokio::test]
async fn every_page_is_followed_in_either_era() {
    let stateless = Peer::start(|seen| async move {
        discovery(&seen, &["2026-07-28"]).unwrap_or_else(|| page(&seen))
    })
    .await;
    let session =
        Peer::start(|seen| async move { lifecycle(&seen, "s-1").unwrap_or_else(|| page(&seen)) })
            .await;
    let least = CacheHint {
        ttl_ms: 10,
        scope: CacheScope::Private,
    };
    for (peer, cache) in [(&stateless, &Some(least)), (&session, &None)] {
        let bed = Bed::new();
        let upstream = bed.url(&peer.url);
        let tools = upstream.list(ListKind::Tools).await.unwrap();
        let names: Vec<_> = tools
            .entries
            .iter()
            .map(|tool| tool.name.as_str())
            .collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(tools.cache, *cache);
        let none = upstream.list(ListKind::Prompts).await.unwrap();
        assert!(none.entries.is_empty());
        assert_eq!(
            none.cache,
            Some(CacheHint::UNBOUND),
            "what is not there restricts nobody"
        );
        let endless = upstream.list(ListKind::Resources).await.unwrap_err();
        assert!(
            matches!(endless, UpstreamError::ListTooLong { .. }),
            "{endless:?}"
        );
        let odd = upstream
            .list(ListKind::ResourceTemplates)
            .await
            .unwrap_err();
        assert!(matches!(odd, UpstreamError::Listing { .. }), "{odd:?}");
    }
    let ids: Vec<_> = session
        .seen()
        .iter()
        .map(|seen| seen.body["id"].to_string())
        .collect();
    let lists = ids.iter().filter(|id| id.contains("pc-list"));
    assert_eq!(
        lists
            .clone()
            .collect::<std::collections::HashSet<_>>()
            .len(),
        lists.count()
    );
    assert_eq!(
        session.count("initialize"),
        1,
        "the gateway's own session is the one that the probe opened"
    );
}

#[tokio::test]
async fn definitions_share_their_upstream_and_metrics_go_with_the_last() {
    let bed = Bed::new();
    let one = bed.url("http://127.0.0.1:1/mcp");
    assert!(Arc::ptr_eq(&one, &bed.url("http://127.0.0.1:1/mcp")));
    let changed = bed.url("http://127.0.0.1:2/mcp");
    assert!(!Arc::ptr_eq(&one, &changed));
    drop(one);
    let spec = serde_json::from_value(json!({"url": "http://127.0.0.1:3/"})).unwrap();
    let other = bed.upstreams.get("globex", "crm", &spec);
    assert!(
        !Arc::ptr_eq(&other, &bed.url("http://127.0.0.1:3/")),
        "tenants share nothing"
    );
    assert_eq!(bed.metric("portcullis_upstream_healthy"), 2.0);
    drop(changed);
    drop(other);
    let _last = bed.upstreams.get("acme", "new", &spec);
    assert_eq!(bed.metric("portcullis_upstream_healthy"), 1.0);
}

#[tokio::test]
async fn definitions_that_cannot_be_used_say_why() {
    let bed = Bed::new();
    let mut said = Vec::new();
    for spec in [
        json!({"timeout_ms": 1}),
        json!({"url": "http://h/", "command": ["x"]}),
        json!({"url": "ftp://h/"}),
        json!({"url": "not a url"}),
        json!({"url": "http://user:password@h/"}),
        json!({"url": "http://h/", "headers": {"Mcp-Session-Id": "1"}}),
        json!({"url": "http://h/", "headers": {"a b": "1"}}),
        json!({"url": "http://h/", "headers": {"a": "secret\n"}}),
    ] {
        let error = ask(
            &bed.get(spec),
            &Conversation::default(),
            tool(Era::Session, "1", "{}"),
        )
        .await
        .unwrap_err();
        assert_eq!(error.label(), "misconfigured");
        assert!(!error.to_string().contains("secret") && !error.to_string().contains("password"));
        said.push(error.to_string());
    }
    insta::assert_snapshot!(said.join("\n"));
}
