use std::time::Duration;

use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TextEncoder,
};

use super::{SHARDS_LEN, TimedOpts, TimedVec};

const OPTS: TimedOpts = TimedOpts {
    total: ["things_total", "Things by how they ended."],
    seconds: ["things_seconds", "How long they took."],
    labels: &["tenant", "hook"],
    outcomes: &["ok", "denied", "other"],
    outcomes_shown: 1,
    buckets_s: &[0.000_001, 0.25, 1.0],
};

fn text(registry: &Registry) -> String {
    let mut text = Vec::new();
    TextEncoder::new()
        .encode(&registry.gather(), &mut text)
        .unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn what_is_scraped_is_what_prometheus_would_have_counted() {
    let (ours, theirs) = (Registry::new(), Registry::new());
    let timed = TimedVec::new(OPTS).unwrap();
    ours.register(Box::new(timed.clone())).unwrap();
    let [name, help] = OPTS.total;
    let totals = IntCounterVec::new(Opts::new(name, help), &["tenant", "hook", "outcome"]).unwrap();
    let [name, help] = OPTS.seconds;
    let opts = HistogramOpts::new(name, help).buckets(OPTS.buckets_s.to_vec());
    let seconds = HistogramVec::new(opts, OPTS.labels).unwrap();
    theirs.register(Box::new(totals.clone())).unwrap();
    theirs.register(Box::new(seconds.clone())).unwrap();

    for (tenant, outcome, took_ns) in [
        ("b", "ok", 1_000),
        ("b", "ok", 1_001),
        ("b", "denied", 250_000_000),
        ("a", "ok", 500_000_000),
        ("a", "never heard of", 2_000_000_000),
    ] {
        let took = Duration::from_nanos(took_ns);
        timed.of(&[tenant, "admit"]).record(outcome, took);
        seconds
            .with_label_values(&[tenant, "admit"])
            .observe(took.as_secs_f64());
        let outcome = if OPTS.outcomes.contains(&outcome) {
            outcome
        } else {
            "other"
        };
        totals.with_label_values(&[tenant, "admit", outcome]).inc();
    }
    timed.of(&["a", "admit"]).count("denied");
    totals.with_label_values(&["a", "admit", "denied"]).inc();
    assert_eq!(text(&ours), text(&theirs));
}

#[test]
fn series_begin_with_the_outcomes_that_are_always_shown() {
    let registry = Registry::new();
    let timed = TimedVec::new(OPTS).unwrap();
    registry.register(Box::new(timed.clone())).unwrap();
    assert_eq!(text(&registry), "");
    let series = timed.of(&["a", "admit"]);
    let shown = text(&registry);
    assert!(
        shown.contains("things_total{hook=\"admit\",outcome=\"ok\",tenant=\"a\"} 0\n"),
        "{shown}"
    );
    assert!(
        shown.contains("things_seconds_count{hook=\"admit\",tenant=\"a\"} 0\n"),
        "{shown}"
    );
    assert!(!shown.contains("denied"), "{shown}");

    series.record("denied", Duration::ZERO);
    timed.of(&["a", "admit"]).record("denied", Duration::ZERO);
    assert!(text(&registry).contains("outcome=\"denied\",tenant=\"a\"} 2\n"));
    timed.of(&["b", "admit"]).count("ok");
    timed.remove(&["a", "admit"]);
    let shown = text(&registry);
    assert!(
        !shown.contains("tenant=\"a\"") && shown.contains("tenant=\"b\""),
        "{shown}"
    );

    let quiet = TimedVec::new(TimedOpts {
        outcomes_shown: 0,
        ..OPTS
    })
    .unwrap();
    let registry = Registry::new();
    registry.register(Box::new(quiet.clone())).unwrap();
    let series = quiet.of(&["a", "admit"]);
    assert_eq!(text(&registry), "");
    series.count("ok");
    assert!(text(&registry).contains("outcome=\"ok\",tenant=\"a\"} 1\n"));
}

/// More threads than shards, so that some share one.
#[test]
fn nothing_is_lost_between_threads() {
    const EACH: u64 = 10_000;
    let threads = u64::try_from(SHARDS_LEN).unwrap() + 3;
    let timed = TimedVec::new(OPTS).unwrap();
    let series = timed.of(&["a", "admit"]);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let series = &series;
            scope.spawn(move || {
                for turn in 0..EACH {
                    let outcome = if turn % 4 == 0 { "denied" } else { "ok" };
                    series.record(outcome, Duration::from_nanos(thread * 1_000));
                }
            });
        }
    });
    let sums = series.sums();
    assert_eq!(
        sums.outcomes,
        [threads * EACH / 4 * 3, threads * EACH / 4, 0]
    );
    assert_eq!(sums.buckets, [2 * EACH, (threads - 2) * EACH, 0, 0]);
    assert_eq!(sums.ns, (0..threads).sum::<u64>() * 1_000 * EACH);
}
