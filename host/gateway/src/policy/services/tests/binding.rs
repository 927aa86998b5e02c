//! Services as a guest reaches them, through its binding.

use std::time::Duration;

use portcullis_sandbox::{LogLevel, QuotaLimit, QuotaTake, Scope};
use sha2::{Digest, Sha256};

use super::{Bench, JwksTiming, NOW_S};
use crate::model::{KeyRecord, KeySpec};

fn scope(tenant: &str, plugin: &str) -> Scope {
    Scope {
        tenant: tenant.to_owned(),
        plugin: plugin.to_owned(),
        binding: "first".to_owned(),
    }
}

fn key(id: &str, presented: &str, expires_at_ms: Option<u64>) -> KeyRecord {
    let spec = KeySpec {
        name: format!("{id}'s \"key\""),
        subject: id.to_owned(),
        team: Some("tools".to_owned()),
        roles: vec!["reader".to_owned()],
        scopes: Vec::new(),
        expires_at_ms,
    };
    KeyRecord {
        id: id.to_owned(),
        spec,
        sha256: Sha256::digest(presented).into(),
        created_at_ms: 0,
    }
}

#[tokio::test]
async fn keys_speak_for_an_identity_until_they_expire() {
    let bench = Bench::new(JwksTiming::default());
    let keys = [
        key("alice", "key-a", None),
        key("bob", "key-b", Some(NOW_S * 1_000 + 1)),
    ];
    let tenant = bench
        .shared
        .tenant("acme", &Default::default(), &keys)
        .unwrap();
    let services = bench
        .shared
        .for_binding(&tenant, &scope("acme", "api-key-auth"));
    let lookup = |presented: &str| {
        services
            .key_lookup(&scope("acme", "api-key-auth"), presented)
            .map(|identity| identity.subject)
    };
    for (presented, want) in [
        ("key-a", Some("alice")),
        ("key-b", Some("bob")),
        ("key-A", None),
        ("", None),
        (&"x".repeat(100_000), None),
    ] {
        assert_eq!(lookup(presented).as_deref(), want, "{presented:.10}");
    }
    bench.clock.advance(Duration::from_millis(1));
    assert_eq!(lookup("key-b"), None);

    let identity = services
        .key_lookup(&scope("acme", "api-key-auth"), "key-a")
        .unwrap();
    assert_eq!(
        (identity.team.as_deref(), identity.roles.as_slice()),
        (Some("tools"), &["reader".to_owned()][..])
    );
    assert_eq!(
        identity.claims,
        r#"{"key":"alice","name":"alice's \"key\""}"#
    );
}

#[tokio::test]
async fn a_hot_swap_keeps_counters_and_values() {
    let bench = Bench::new(JwksTiming::default());
    let here = scope("acme", "rate-limit");
    let request = QuotaTake {
        key: "alice",
        cost: 1,
        limit: QuotaLimit {
            rate: 1,
            period_ms: 60_000,
            burst: 1,
        },
    };
    let bind = |tenant: &str, scope: &Scope| {
        let tenant = bench
            .shared
            .tenant(tenant, &Default::default(), &[])
            .unwrap();
        bench.shared.for_binding(&tenant, scope)
    };
    let before = bind("acme", &here);
    assert!(before.quota_take(&here, std::slice::from_ref(&request))[0].allowed);
    before
        .state_set(&here, "k".to_owned(), b"v".to_vec(), None)
        .unwrap();
    drop(before);

    let after = bind("acme", &here);
    assert!(!after.quota_take(&here, std::slice::from_ref(&request))[0].allowed);
    assert_eq!(after.state_get(&here, "k").as_deref(), Some(&b"v"[..]));
    let error = after
        .state_set(&here, "k".repeat(600), Vec::new(), None)
        .unwrap_err();
    assert!(error.starts_with("state_key_bytes_max: "), "{error}");
    after.state_delete(&here, "k");
    assert_eq!(after.state_get(&here, "k"), None);
    assert_eq!(after.now_ms(), NOW_S * 1_000);
    after.log(&here, LogLevel::Info, "done");

    bench.shared.forget_tenant("acme");
    assert!(bind("acme", &here).quota_take(&here, std::slice::from_ref(&request))[0].allowed);
}

#[tokio::test]
async fn guests_metrics_are_bounded_and_apart() {
    let bench = Bench::new(JwksTiming::default());
    let tenant = bench
        .shared
        .tenant("acme", &Default::default(), &[])
        .unwrap();
    let (one, two) = (scope("acme", "one"), scope("acme", "two"));
    let (first, second) = (
        bench.shared.for_binding(&tenant, &one),
        bench.shared.for_binding(&tenant, &two),
    );
    let labels = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };

    first.metric_count(&one, "hits", 2, &labels(&[("tool", "a"), ("kind", "x")]));
    first.metric_count(&one, "hits", 3, &labels(&[("kind", "x"), ("tool", "a")]));
    first.metric_count(&one, "hits", 1, &labels(&[("tool", "a")]));
    first.metric_count(&one, "", 1, &[]);
    first.metric_observe(&one, "wait", f64::NAN, &[]);
    first.metric_observe(&one, "wait", 0.7, &[]);
    first.metric_observe(&one, "wait", 1e9, &[]);
    first.metric_count(&one, "twice", 1, &labels(&[("a", "1"), ("a", "2")]));
    // The same names in another plugin, with other labels and as another kind.
    second.metric_count(&two, "hits", 7, &[]);
    second.metric_count(&two, "wait", 1, &[]);
    for value in 0..200 {
        second.metric_count(&two, "wide", 1, &labels(&[("value", &value.to_string())]));
        second.metric_count(&two, &format!("name {value}"), 1, &[]);
    }

    let text = prometheus::TextEncoder::new()
        .encode_to_string(&bench.registry.gather())
        .unwrap();
    let dropped = |plugin: &str, reason: &str, count: u32| {
        format!(
            r#"portcullis_guest_samples_dropped_total{{plugin="{plugin}",reason="{reason}",tenant="acme"}} {count}"#
        )
    };
    for want in [
        r#"portcullis_guest_hits_total{tenant="acme",plugin="one",kind="x",tool="a"} 5"#,
        r#"portcullis_guest_hits_total{tenant="acme",plugin="two"} 7"#,
        r#"portcullis_guest_wait_bucket{tenant="acme",plugin="one",le="0.5"} 0"#,
        r#"portcullis_guest_wait_bucket{tenant="acme",plugin="one",le="1"} 1"#,
        r#"portcullis_guest_wait_bucket{tenant="acme",plugin="one",le="+Inf"} 2"#,
        r#"portcullis_guest_wait_total{tenant="acme",plugin="two"} 1"#,
        r#"portcullis_guest_wide_total{tenant="acme",plugin="two",value="49"} 1"#,
        r#"portcullis_guest_wide_total{tenant="acme",plugin="two",value="other"} 150"#,
        &dropped("one", "labels", 2),
        &dropped("one", "name", 1),
        &dropped("one", "value", 1),
        &dropped("two", "bound", 171),
    ] {
        assert!(
            text.lines().any(|line| line == want),
            "{want} is not in\n{text}"
        );
    }
    assert_eq!(
        text.matches("# TYPE portcullis_guest_hits_total counter")
            .count(),
        1
    );
    assert_eq!(
        text.matches("# TYPE portcullis_guest_wait histogram")
            .count(),
        1
    );

    bench.shared.forget_tenant("acme");
    let text = prometheus::TextEncoder::new()
        .encode_to_string(&bench.registry.gather())
        .unwrap();
    assert!(!text.contains("portcullis_guest_"), "{text}");
}
