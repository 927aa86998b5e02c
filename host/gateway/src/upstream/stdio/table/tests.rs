//! What is asked of a process when callers come, wish and go.

use super::*;

const LIMITS: fn() -> UpstreamLimits = || UpstreamLimits {
    conversation_subscriptions_max: 2,
    process_subscriptions_max: 3,
    ..UpstreamLimits::default()
};

fn table(members: &[u64]) -> Table<u64> {
    let mut table = Table::default();
    for uid in members {
        table.join(*uid, || *uid);
    }
    table
}

#[test]
fn a_process_is_told_the_least_severe_level_that_anybody_asked_for() {
    let mut table = table(&[1, 2]);
    assert_eq!(table.level_due(7), None, "nobody asked");
    table.set_level(1, 4);
    assert_eq!(table.level_due(7), Some(4));
    table.set_level(2, 6);
    assert_eq!(table.level_due(7), None, "it sends enough");
    table.set_level(2, 0);
    assert_eq!(table.level_due(7), Some(0));
    assert_eq!(
        table.level_due(8),
        Some(0),
        "the next process knows nothing"
    );
    table.level_refused(8);
    assert_eq!(table.level_due(8), Some(0));
    table.leave(2);
    assert_eq!(table.level_due(8), Some(4));
    table.leave(1);
    assert_eq!(table.level_due(8), None, "nobody is left to want another");
}

#[test]
fn log_messages_go_to_those_who_asked_for_no_more_severe_ones() {
    let mut table = table(&[1, 2, 3]);
    table.set_level(1, 0);
    table.set_level(2, 4);
    for (severity, want) in [(0, vec![1]), (3, vec![1]), (4, vec![1, 2]), (7, vec![1, 2])] {
        let mut hearing: Vec<u64> = table.hearing(severity).copied().collect();
        hearing.sort_unstable();
        assert_eq!(hearing, want, "{severity}");
    }
}

#[test]
fn a_process_is_asked_once_for_all_subscribers_and_told_when_the_last_has_gone() {
    let (mut table, limits) = (table(&[1, 2]), LIMITS());
    assert_eq!(table.subscribe(1, "a:x", 7, &limits), Ok(Need::Ask));
    assert_eq!(
        table.subscribe(2, "a:x", 7, &limits),
        Ok(Need::Ask),
        "the process has not answered yet"
    );
    table.held("a:x", 7);
    assert_eq!(table.subscribe(2, "a:x", 7, &limits), Ok(Need::Nothing));
    assert!(!table.is_due("a:x", 7) && table.is_due("a:x", 8));
    assert_eq!(table.unsubscribe(1, "a:x"), Need::Nothing);
    assert_eq!(table.unsubscribe(1, "a:x"), Need::Nothing, "it has none");
    assert_eq!(table.unsubscribe(2, "a:x"), Need::Ask);
    assert_eq!(table.subscribed("a:x"), Vec::<&u64>::new());
    assert_eq!(table.subscribe(1, "a:x", 7, &limits), Ok(Need::Ask));
}

#[test]
fn updates_go_to_subscribers_of_the_resource_and_of_what_it_is_a_part_of() {
    let (mut table, limits) = (table(&[1, 2]), LIMITS());
    for (uid, uri) in [(1, "f:///a"), (2, "f:///a/b"), (1, "f:///d/")] {
        assert_eq!(table.subscribe(uid, uri, 7, &limits), Ok(Need::Ask));
    }
    for (uri, want) in [
        ("f:///a", vec![&1]),
        ("f:///a/b", vec![&1, &2]),
        ("f:///a#b", vec![&1]),
        ("f:///ab", vec![]),
        ("f:///d/e", vec![&1]),
        ("f://", vec![]),
    ] {
        assert_eq!(table.subscribed(uri), want, "{uri}");
    }
}

#[test]
fn subscriptions_are_bounded_and_go_with_their_caller() {
    let (mut table, limits) = (table(&[1, 2]), LIMITS());
    let full = |subscriptions_max| Err(Full { subscriptions_max });
    assert_eq!(table.subscribe(1, "a", 7, &limits), Ok(Need::Ask));
    assert_eq!(table.subscribe(1, "b", 7, &limits), Ok(Need::Ask));
    assert_eq!(table.subscribe(1, "c", 7, &limits), full(2));
    assert_eq!(
        table.subscribe(1, "b", 7, &limits),
        Ok(Need::Ask),
        "it has that one"
    );
    assert_eq!(table.subscribe(2, "b", 7, &limits), Ok(Need::Ask));
    assert_eq!(table.subscribe(2, "c", 7, &limits), full(3));
    assert_eq!(table.leave(1), [Box::from("a")]);
    assert_eq!(table.topics(), [Box::from("b")]);
    assert_eq!(table.subscribe(2, "c", 7, &limits), Ok(Need::Ask));
    assert_eq!(table.leave(1), Vec::<Box<str>>::new());
}
