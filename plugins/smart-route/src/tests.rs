//! Choices over many calls: shares, stickiness, and what is never chosen.

use std::collections::BTreeMap;

use portcullis_sdk::testing::{self, Host, manifest_problems};
use portcullis_sdk::{Identity, Policy};

use crate::SmartRoute;

const CALLS: u32 = 4_000;

/// A candidate and its name.
#[derive(Clone, Debug)]
struct Candidate {
    upstream: &'static str,
    healthy: bool,
    in_flight: u32,
    latency_us: u64,
}

fn candidate(upstream: &'static str, in_flight: u32, latency_us: u64) -> Candidate {
    Candidate {
        upstream,
        healthy: true,
        in_flight,
        latency_us,
    }
}

fn choose(policy: &SmartRoute, subject: &str, candidates: &[Candidate]) -> Option<String> {
    let mut call = testing::Call::tool("search")
        .identity(Identity::new(subject))
        .arguments(&format!(r#"{{"customer": "{subject}"}}"#));
    let mut seen = Vec::new();
    for one in candidates {
        let zone = format!("zone-{}", one.upstream);
        call = call.candidate(one.upstream, &[("zone", &zone)]);
        seen.push(portcullis_sdk::Candidate {
            healthy: one.healthy,
            in_flight: one.in_flight,
            latency_us: one.latency_us,
        });
    }
    let place = policy.route(&call.build(), &seen).expect("no denial")?;
    candidates
        .get(place as usize)
        .map(|one| one.upstream.to_owned())
}

/// Share of each upstream in percent, over many callers.
fn shares(config: &str, candidates: &[Candidate]) -> BTreeMap<String, u32> {
    let host = Host::new().at_ms(1_700_000_000_000);
    let policy = SmartRoute::configure(config).expect("configuration");
    let mut counts = BTreeMap::new();
    for n in 0..CALLS {
        host.advance_ms(u64::from(n % 3 == 0));
        let chosen = choose(&policy, &format!("user-{n}"), candidates);
        *counts.entry(chosen.unwrap_or_default()).or_insert(0) += 1;
    }
    counts
        .values_mut()
        .for_each(|count| *count = *count * 100 / CALLS);
    counts
}

/// A configuration, the candidates, and the expected percent of each.
type Case<'a> = (&'a str, &'a [Candidate], &'a [(&'a str, u32)]);

fn check_shares(cases: &[Case<'_>]) {
    for (config, candidates, want) in cases {
        let got = shares(config, candidates);
        let close = want.iter().all(|(name, percent)| {
            got.get(*name)
                .is_some_and(|share| share.abs_diff(*percent) <= 4)
        });
        let whole = got.len() == want.len();
        assert!(close && whole, "{config}: {got:?}, want {want:?}");
    }
}

#[test]
fn shares_follow_load() {
    let least = r#"{"strategy": "least-in-flight"}"#;
    let fast = r#"{"strategy": "latency-weighted"}"#;
    let even = [candidate("a", 0, 0), candidate("b", 0, 0)];
    let busy = [
        candidate("a", 9, 0),
        candidate("b", 2, 0),
        candidate("c", 2, 0),
    ];
    let slow = [candidate("a", 0, 1_000), candidate("b", 0, 3_000)];
    let queued = [candidate("a", 3, 1_000), candidate("b", 0, 1_000)];
    let fresh = [candidate("a", 0, 1_000), candidate("b", 0, 0)];
    check_shares(&[
        (least, &even, &[("a", 50), ("b", 50)]),
        (least, &busy, &[("b", 50), ("c", 50)]),
        (fast, &slow, &[("a", 75), ("b", 25)]),
        (fast, &queued, &[("a", 20), ("b", 80)]),
        (fast, &fresh, &[("a", 50), ("b", 50)]),
    ]);
}

#[test]
fn shares_follow_keys_and_weights() {
    let by_subject = r#"{"strategy": "consistent-hash", "key": "subject"}"#;
    let by_argument = r#"{"strategy": "consistent-hash", "key": "/customer"}"#;
    let most = r#"{"strategy": "weighted", "weights": {"a": 9, "b": 1}}"#;
    let only = r#"{"strategy": "weighted", "weights": {"b": 1}}"#;
    let label = r#"{"strategy": "weighted", "label": "zone",
        "weights": {"zone-a": 1, "zone-b": 3}, "key": "subject"}"#;
    let even = [candidate("a", 0, 0), candidate("b", 0, 0)];
    check_shares(&[
        (by_subject, &even, &[("a", 50), ("b", 50)]),
        (by_argument, &even, &[("a", 50), ("b", 50)]),
        (most, &even, &[("a", 90), ("b", 10)]),
        (only, &even, &[("b", 100)]),
        (label, &even, &[("a", 25), ("b", 75)]),
    ]);
}

#[test]
fn a_key_stays_where_it_is() {
    let _host = Host::new();
    let three = [
        candidate("a", 0, 0),
        candidate("b", 5, 0),
        candidate("c", 9, 9),
    ];
    let two = [three[0].clone(), three[1].clone()];
    let configs = [
        r#"{"strategy": "consistent-hash", "key": "subject"}"#,
        r#"{"strategy": "consistent-hash", "key": "/customer"}"#,
    ];
    for config in configs {
        let policy = SmartRoute::configure(config).unwrap();
        for n in 0..200 {
            let subject = format!("user-{n}");
            let before = choose(&policy, &subject, &three).unwrap();
            assert_eq!(choose(&policy, &subject, &three).as_ref(), Some(&before));
            let after = choose(&policy, &subject, &two).unwrap();
            assert!(
                before == "c" || before == after,
                "{subject} moved from {before} to {after}"
            );
        }
    }
}

#[test]
fn a_weighted_key_keeps_its_share() {
    let _host = Host::new();
    let config = r#"{"strategy": "weighted", "weights": {"a": 1, "b": 1}, "key": "subject"}"#;
    let policy = SmartRoute::configure(config).unwrap();
    let even = [candidate("a", 0, 0), candidate("b", 0, 0)];
    for n in 0..50 {
        let subject = format!("user-{n}");
        assert_eq!(
            choose(&policy, &subject, &even),
            choose(&policy, &subject, &even)
        );
    }
}

#[test]
fn the_unhealthy_are_never_chosen() {
    let _host = Host::new();
    let ill = |upstream| Candidate {
        healthy: false,
        ..candidate(upstream, 0, 1)
    };
    let configs = [
        r#"{"strategy": "least-in-flight"}"#,
        r#"{"strategy": "latency-weighted"}"#,
        r#"{"strategy": "consistent-hash", "key": "subject"}"#,
        r#"{"strategy": "consistent-hash", "key": "team"}"#,
        r#"{"strategy": "weighted", "weights": {"a": 1000, "b": 1, "c": 1}}"#,
    ];
    for config in configs {
        let policy = SmartRoute::configure(config).unwrap();
        let candidates = [ill("a"), candidate("b", 9, 9_000), candidate("c", 9, 9_000)];
        for n in 0..200 {
            let chosen = choose(&policy, &format!("user-{n}"), &candidates).unwrap();
            assert_ne!(chosen, "a", "{config}");
        }
        assert_eq!(
            choose(&policy, "x", &[ill("a"), candidate("b", 0, 0)]).as_deref(),
            Some("b")
        );
        assert_eq!(
            choose(&policy, "x", &[ill("a"), ill("b")]),
            None,
            "{config}"
        );
        assert_eq!(choose(&policy, "x", &[]), None, "{config}");
    }
}

#[test]
fn what_has_no_weight_is_left_to_the_host() {
    let _host = Host::new();
    let policy = SmartRoute::configure(r#"{"strategy": "weighted", "weights": {"z": 1}}"#).unwrap();
    let even = [candidate("a", 0, 0), candidate("b", 0, 0)];
    assert_eq!(choose(&policy, "x", &even), None);
    assert_eq!(choose(&policy, "x", &even[..1]), None);
}

#[test]
fn wrong_configurations_are_named() {
    let cases = [
        ("{}", "missing field `strategy`"),
        (r#"{"strategy": "random"}"#, "strategy: unknown variant"),
        (
            r#"{"strategy": "consistent-hash"}"#,
            "key: consistent-hash needs",
        ),
        (
            r#"{"strategy": "consistent-hash", "key": "user"}"#,
            "key: `user` is none of",
        ),
        (r#"{"strategy": "weighted"}"#, "weights: at least one"),
        (
            r#"{"strategy": "weighted", "weights": {"a": 0}}"#,
            "weights: at least one",
        ),
        (
            r#"{"strategy": "weighted", "weights": {"a": -1}}"#,
            "weights.a: invalid value",
        ),
        (
            r#"{"strategy": "least-in-flight", "weights": {"a": 1}}"#,
            "weights: belong",
        ),
        (
            r#"{"strategy": "least-in-flight", "label": "zone"}"#,
            "label: belongs",
        ),
    ];
    for (config, want) in cases {
        let error = SmartRoute::configure(config).unwrap_err();
        assert!(error.starts_with(want), "{config}: {error}");
    }
}

#[test]
fn the_manifest_holds() {
    assert_eq!(manifest_problems::<SmartRoute>(), Vec::<String>::new());
}
