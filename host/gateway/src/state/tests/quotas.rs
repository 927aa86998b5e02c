//! Counters: what a take comes to, alone and among many, under limits that change and limits that make no sense.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use portcullis_sandbox::QuotaVerdict;
use proptest::prelude::*;

use super::{request, room, sample};
use crate::state::{NEVER_MS, StateBounds};

/// Allowed, remaining, retry_after_ms.
type Want = (bool, u32, u64);

fn plain(verdicts: &[QuotaVerdict]) -> Vec<Want> {
    verdicts
        .iter()
        .map(|verdict| (verdict.allowed, verdict.remaining, verdict.retry_after_ms))
        .collect()
}

#[test]
fn takes_follow_the_limit() {
    // Two tokens a second, three at once: one every 500 ms.
    let limit = (2, 1_000, 3);
    let (room, clock, _) = room(StateBounds::default());
    let quotas = room.quotas("acme", "rate-limit");
    // Wait in ms before the take, cost, what is wanted.
    let cases: [(u64, u32, Want); 12] = [
        (0, 0, (true, 3, 0)),
        (0, 1, (true, 2, 0)),
        (0, 2, (true, 0, 0)),
        (0, 1, (false, 0, 500)),
        (0, 0, (true, 0, 0)),
        (499, 1, (false, 0, 1)),
        (1, 1, (true, 0, 0)),
        (600, 2, (false, 1, 400)),
        (400, 2, (true, 0, 0)),
        (0, 4, (false, 0, NEVER_MS)),
        (60_000, 3, (true, 0, 0)),
        (0, u32::MAX, (false, 0, NEVER_MS)),
    ];
    for (at, (wait_ms, cost, want)) in cases.into_iter().enumerate() {
        clock.advance(Duration::from_millis(wait_ms));
        let verdicts = quotas.take(&[request("alice", cost, limit)]);
        assert_eq!(plain(&verdicts), [want], "case {at}");
    }
}

#[test]
fn hostile_numbers_are_refused_or_saturate() {
    let (max32, max64) = (u32::MAX, u64::MAX);
    // Rate, period in ms, burst; cost; what is wanted on a key of its own.
    let cases = [
        ((0, 1_000, 5), 1, (false, 0, NEVER_MS)),
        ((5, 0, 5), 1, (false, 0, NEVER_MS)),
        ((5, 1_000, 0), 1, (false, 0, NEVER_MS)),
        ((5, 1_000, 0), 0, (false, 0, NEVER_MS)),
        ((0, 0, 0), max32, (false, 0, NEVER_MS)),
        // So slow that nothing ever comes back: one take uses it all up.
        ((1, max64, max32), 1, (true, 0, 0)),
        // Faster than a token in a nanosecond.
        ((max32, 1, max32), max32, (true, 0, 0)),
        // More than 64 bits of nanoseconds: the burst shrinks to what they hold.
        ((max32, max64, max32), 1, (true, 4_293, 0)),
        ((1, 1, max32), max32, (true, 0, 0)),
    ];
    let (room, clock, _) = room(StateBounds::default());
    let quotas = room.quotas("acme", "rate-limit");
    clock.advance(Duration::from_secs(1));
    for (at, (limit, cost, want)) in cases.into_iter().enumerate() {
        let verdicts = quotas.take(&[request(&format!("key {at}"), cost, limit)]);
        assert_eq!(plain(&verdicts), [want], "case {at}");
    }
    // And at the end of time.
    let verdicts = quotas.take_all(&[request("late", 1, (1, 1_000, 1))], u64::MAX);
    assert_eq!(verdicts.len(), 1);
}

#[test]
fn one_refusal_takes_from_none() {
    let (room, _, _) = room(StateBounds::default());
    let quotas = room.quotas("acme", "rate-limit");
    let (roomy, tight) = ((10, 1_000, 10), (1, 1_000, 1));
    quotas.take(&[request("known", 1, roomy), request("tight", 1, tight)]);

    let verdicts = quotas.take(&[
        request("known", 4, roomy),
        request("tight", 1, tight),
        request("new", 4, roomy),
        request("known", 2, roomy),
        request("known", 5, roomy),
    ]);
    // The last one is refused because those of the same key before it count; what is left is what is left.
    let want = [
        (true, 9, 0),
        (false, 0, 1_000),
        (true, 10, 0),
        (true, 5, 0),
        (false, 3, 200),
    ];
    assert_eq!(plain(&verdicts), want);

    let verdicts = quotas.take(&[request("known", 9, roomy), request("new", 10, roomy)]);
    assert_eq!(
        plain(&verdicts),
        [(true, 0, 0), (true, 0, 0)],
        "nothing was taken before"
    );
}

#[test]
fn a_key_twice_in_one_take_counts_twice() {
    let (room, _, _) = room(StateBounds::default());
    let quotas = room.quotas("acme", "rate-limit");
    let limit = (1, 1_000, 3);
    let verdicts = quotas.take(&[request("a", 1, limit), request("a", 2, limit)]);
    assert_eq!(plain(&verdicts), [(true, 2, 0), (true, 0, 0)]);
}

#[test]
fn a_changed_limit_keeps_what_was_taken() {
    // Before, cost; after, cost; what is wanted of the second take.
    let cases = [
        (
            "the same",
            (10, 1_000, 10),
            6,
            (10, 1_000, 10),
            1,
            (true, 3, 0),
        ),
        (
            "ten times faster",
            (1, 1_000, 10),
            6,
            (10, 1_000, 10),
            5,
            (false, 4, 100),
        ),
        (
            "a larger burst",
            (1, 1_000, 10),
            10,
            (1, 1_000, 20),
            10,
            (true, 0, 0),
        ),
        (
            "a smaller burst",
            (1, 1_000, 10),
            8,
            (1, 1_000, 4),
            1,
            (false, 0, 1_000),
        ),
        (
            "slower and tighter",
            (100, 1_000, 1_000),
            1_000,
            (1, 1_000, 5),
            1,
            (false, 0, 1_000),
        ),
        (
            "far slower to fast",
            (1, 3_600_000, 100),
            100,
            (100, 1_000, 100),
            1,
            (false, 0, 10),
        ),
    ];
    for (name, before, taken, after, cost, want) in cases {
        let (room, _, _) = room(StateBounds::default());
        let quotas = room.quotas("acme", "rate-limit");
        assert!(
            quotas.take(&[request("alice", taken, before)])[0].allowed,
            "{name}"
        );
        assert_eq!(
            plain(&quotas.take(&[request("alice", cost, after)])),
            [want],
            "{name}"
        );
    }
}

#[test]
fn a_full_room_refuses_new_keys_alone_until_one_is_free() {
    let bounds = StateBounds {
        quota_keys_max: 3,
        quota_requests_max: 4,
        ..StateBounds::default()
    };
    let (room, clock, registry) = room(bounds);
    let quotas = room.quotas("acme", "rate-limit");
    let limit = (1, 1_000, 2);
    for key in ["a", "b", "c"] {
        assert!(quotas.take(&[request(key, 1, limit)])[0].allowed, "{key}");
    }
    assert!(
        !quotas.take(&[request("d", 1, limit)])[0].allowed,
        "there is no room"
    );
    assert!(
        !quotas.take(&[request("a", 1, limit), request("d", 1, limit)])[1].allowed,
        "nor in company"
    );
    let refused = |bound: &str| {
        let name = r#"portcullis_state_refused_total{bound=""#;
        sample(
            &registry,
            &format!(r#"{name}{bound}",plugin="rate-limit",tenant="acme"}}"#),
        )
    };
    assert_eq!(refused("quota_keys").as_deref(), Some("2"));
    assert!(
        quotas.take(&[request("a", 1, limit)])[0].allowed,
        "known keys go on"
    );

    clock.advance(Duration::from_secs(1));
    assert!(
        quotas.take(&[request("d", 1, limit)])[0].allowed,
        "b and c are full again"
    );

    let many = ["0", "1", "2", "3", "4"].map(|key| request(key, 1, limit));
    assert!(
        quotas
            .take(&many)
            .iter()
            .all(|verdict| !verdict.allowed && verdict.retry_after_ms == NEVER_MS)
    );
    assert_eq!(refused("quota_requests").as_deref(), Some("1"));
}

#[test]
fn expired_keys_make_room_for_any_number_of_new_ones() {
    let bounds = StateBounds {
        quota_keys_max: 1_000,
        ..StateBounds::default()
    };
    let (room, clock, registry) = room(bounds);
    let quotas = room.quotas("acme", "rate-limit");
    for key in 0..10_000 {
        clock.advance(Duration::from_millis(2));
        assert!(
            quotas.take(&[request(&format!("key {key}"), 1, (1, 1_000, 1))])[0].allowed,
            "{key}"
        );
    }
    let keys = sample(
        &registry,
        r#"portcullis_quota_keys{plugin="rate-limit",tenant="acme"}"#,
    )
    .unwrap();
    assert!(keys.parse::<u32>().unwrap() <= 1_000, "{keys}");
}

#[test]
fn long_keys_are_told_apart() {
    let (room, _, _) = room(StateBounds::default());
    let quotas = room.quotas("acme", "rate-limit");
    let long = "x".repeat(100_000);
    let limit = (1, 1_000, 1);
    assert!(quotas.take(&[request(&long, 1, limit)])[0].allowed);
    assert!(!quotas.take(&[request(&long, 1, limit)])[0].allowed);
    assert!(quotas.take(&[request(&format!("{long}y"), 1, limit)])[0].allowed);
}

#[test]
fn threads_together_never_take_more_than_the_burst() {
    let (room, clock, _) = room(StateBounds::default());
    let (burst_a, burst_b) = (500, 300);
    let (taken, both) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|threads| {
        for thread in 0..8_u32 {
            let (quotas, taken, both) = (room.quotas("acme", "rate-limit"), &taken, &both);
            threads.spawn(move || {
                let a = request("a", 1, (1, 3_600_000, burst_a));
                let b = request("b", 1, (1, 3_600_000, burst_b));
                for _ in 0..200 {
                    // Half of the threads need both, the other half one: what is refused for both costs neither.
                    let requests = if thread % 2 == 0 { vec![a, b] } else { vec![a] };
                    if quotas.take(&requests).iter().all(|verdict| verdict.allowed) {
                        taken.fetch_add(1, Ordering::Relaxed);
                        both.fetch_add(u32::from(requests.len() == 2), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(
        taken.load(Ordering::Relaxed),
        burst_a,
        "1,600 tries for 500 tokens"
    );
    let both = both.load(Ordering::Relaxed);
    assert!(both <= burst_b, "{both}");
    let left = room
        .quotas("acme", "rate-limit")
        .take_all(&[request("b", 0, (1, 3_600_000, burst_b))], clock.now_ns());
    assert_eq!(
        left[0].remaining,
        burst_b - both,
        "what was refused took nothing"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Over any time, no more is granted than the burst and what came back in that time.
    #[test]
    fn never_more_than_burst_and_rate(
        rate in 1..2_000_u32,
        period_ms in 1..100_000_u64,
        burst in 1..50_u32,
        steps in prop::collection::vec((0..5_000_000_000_u64, 0..8_u32), 1..200),
    ) {
        let (room, _, _) = room(StateBounds::default());
        let quotas = room.quotas("acme", "rate-limit");
        let (mut now_ns, mut granted) = (0_u64, 0_u128);
        for (wait_ns, cost) in steps {
            now_ns += wait_ns;
            let verdict = &quotas.take_all(&[request("k", cost, (rate, period_ms, burst))], now_ns)[0];
            if verdict.allowed {
                granted += u128::from(cost);
                prop_assert!(verdict.remaining <= burst);
                prop_assert_eq!(verdict.retry_after_ms, 0);
            } else if cost <= burst {
                // The wait that is named is enough.
                let later_ns = now_ns + verdict.retry_after_ms * 1_000_000;
                let look = room.quotas("acme", "rate-limit");
                let before = look.take_all(&[request("k", 0, (rate, period_ms, burst))], later_ns)[0].remaining;
                prop_assert!(before >= cost, "{} left for {}", before, cost);
            } else {
                prop_assert_eq!(verdict.retry_after_ms, NEVER_MS);
            }
            let came_back = u128::from(now_ns) * u128::from(rate) / (u128::from(period_ms) * 1_000_000);
            prop_assert!(granted <= u128::from(burst) + came_back);
        }
    }

    /// Whatever a guest asks, in whatever order: an answer for each, and never a panic.
    #[test]
    fn any_numbers_have_an_answer(
        requests in prop::collection::vec((0..4_u8, any::<u32>(), any::<u32>(), any::<u64>(), any::<u32>()), 0..80),
        times in prop::collection::vec(any::<u64>(), 1..5),
    ) {
        let (room, _, _) = room(StateBounds { quota_keys_max: 2, ..StateBounds::default() });
        let quotas = room.quotas("acme", "rate-limit");
        const KEYS: [&str; 4] = ["0", "1", "2", "3"];
        let requests: Vec<_> = requests
            .into_iter()
            .map(|(key, cost, rate, period_ms, burst)| request(KEYS[usize::from(key)], cost, (rate, period_ms, burst)))
            .collect();
        for now_ns in times {
            prop_assert_eq!(quotas.take_all(&requests, now_ns).len(), requests.len());
        }
    }
}
