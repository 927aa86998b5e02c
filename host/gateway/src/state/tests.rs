//! The state room from outside: counters, values, and how long they live.

#![allow(clippy::too_many_lines, reason = "tables of cases")]

mod quotas;
mod values;

use std::time::Duration;

use portcullis_sandbox::{QuotaLimit, QuotaTake};
use prometheus::Registry;

use super::{Clock, StateBounds, StateRoom};

fn room(bounds: StateBounds) -> (StateRoom, Clock, Registry) {
    let (clock, registry) = (Clock::manual(1_700_000_000_000), Registry::new());
    let room = StateRoom::new(bounds, clock.clone(), &registry).unwrap();
    (room, clock, registry)
}

fn request(key: &str, cost: u32, (rate, period_ms, burst): (u32, u64, u32)) -> QuotaTake<'_> {
    QuotaTake {
        key,
        cost,
        limit: QuotaLimit {
            rate,
            period_ms,
            burst,
        },
    }
}

/// One metric's sample as the text format has it, without its name.
fn sample(registry: &Registry, line_start: &str) -> Option<String> {
    let text = prometheus::TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap();
    text.lines()
        .find_map(|line| line.strip_prefix(line_start))
        .map(|rest| rest.trim().to_owned())
}

#[test]
fn a_plugin_keeps_its_counters_from_binding_to_binding() {
    let (room, clock, registry) = room(StateBounds::default());
    let limit = (1, 60_000, 1);
    assert!(
        room.quotas("acme", "rate-limit")
            .take(&[request("alice", 1, limit)])[0]
            .allowed
    );
    room.plugin_state("acme", "rate-limit")
        .set("k", b"v".to_vec(), None)
        .unwrap();

    // Another plugin comes: nothing is held at this moment, and nothing may be lost.
    let _ = room.quotas("acme", "another");
    assert!(
        !room
            .quotas("acme", "rate-limit")
            .take(&[request("alice", 1, limit)])[0]
            .allowed
    );
    assert_eq!(
        room.plugin_state("acme", "rate-limit").get("k").as_deref(),
        Some(&b"v"[..])
    );

    // Scopes are apart.
    for (tenant, plugin) in [("globex", "rate-limit"), ("acme", "another")] {
        assert!(
            room.quotas(tenant, plugin)
                .take(&[request("alice", 1, limit)])[0]
                .allowed,
            "{tenant} {plugin}"
        );
        assert_eq!(
            room.plugin_state(tenant, plugin).get("k"),
            None,
            "{tenant} {plugin}"
        );
    }

    room.forget_tenant("acme");
    assert!(
        room.quotas("acme", "rate-limit")
            .take(&[request("alice", 1, limit)])[0]
            .allowed
    );
    assert_eq!(room.plugin_state("acme", "rate-limit").get("k"), None);
    assert!(
        !room
            .quotas("globex", "rate-limit")
            .take(&[request("alice", 1, limit)])[0]
            .allowed
    );

    // A scope that nobody holds and that has nothing left goes when another one comes.
    let keys = r#"portcullis_quota_keys{plugin="rate-limit",tenant="globex"}"#;
    assert_eq!(sample(&registry, keys).as_deref(), Some("1"));
    clock.advance(Duration::from_secs(60));
    let _ = room.quotas("globex", "another");
    assert_eq!(sample(&registry, keys), None);
}
