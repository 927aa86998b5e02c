//! What mounts offer, merged, and what is left of it when one does not answer.

use std::time::{Duration, Instant};

use portcullis_protocol::listing::CacheScope;

use super::stock::{Answer, Listed};
use super::*;
use crate::upstream::UpstreamError;

fn offer(mount: usize, name: &str) -> Arc<Offer> {
    Arc::new(Offer {
        name: name.to_owned(),
        mount,
        upstream_name: name.to_owned(),
        definition: None,
        mirrored: Mirrored::default(),
    })
}

fn failure() -> UpstreamError {
    UpstreamError::Timeout {
        upstream: Arc::from("u"),
        timeout_ms: 1,
    }
}

/// An answer with these tools and templates; `!` in their place is a list that is not known.
fn answer(mount: usize, tools: &str, templates: &str) -> Answer {
    let listed = |names: &str| match names {
        "!" => Err(failure()),
        names => Ok(Listed {
            offers: names
                .split_whitespace()
                .map(|name| offer(mount, name))
                .collect(),
            freshness: Freshness::UNBOUND,
        }),
    };
    Ok([listed(tools), listed(""), listed(""), listed(templates)])
}

fn timing(grace_s: u64) -> CatalogueTiming {
    CatalogueTiming {
        refresh: Duration::from_secs(300),
        wait: Duration::ZERO,
        grace: Duration::from_secs(grace_s),
    }
}

/// A mount that has answered like this.
fn heard(answer: Answer, now: Instant) -> Standing {
    let mut standing = Standing::default();
    standing.learn(answer, (now, now), timing(0));
    standing
}

fn merged(answers: impl IntoIterator<Item = Answer>) -> Catalogue {
    let now = Instant::now();
    let standings: Vec<_> = answers
        .into_iter()
        .map(|answer| heard(answer, now))
        .collect();
    Catalogue::of(&standings, now)
}

fn shown(offers: &[Arc<Offer>]) -> String {
    let shown: Vec<_> = offers
        .iter()
        .map(|offer| format!("{}@{}", offer.name, offer.mount))
        .collect();
    shown.join(" ")
}

#[test]
fn offers_are_sorted_and_a_name_stays_with_the_first_mount() {
    for (first, second, want) in [
        ("", "", ""),
        ("b a", "", "a@0 b@0"),
        ("c a", "d b", "a@0 b@1 c@0 d@1"),
        ("b", "b a", "a@1 b@0"),
        ("a a", "", "a@0"),
    ] {
        let merged = merged([answer(0, first, ""), answer(1, second, "")]);
        assert_eq!(
            shown(merged.offers(ListKind::Tools)),
            want,
            "{first} + {second}"
        );
        for offer in merged.offers(ListKind::Tools) {
            let found = merged.find(ListKind::Tools, &offer.name).unwrap();
            assert!(Arc::ptr_eq(found, offer), "{}", offer.name);
        }
        assert!(merged.find(ListKind::Tools, "z").is_none());
        assert!(merged.find(ListKind::Prompts, "a").is_none());
    }
}

#[test]
fn a_page_begins_after_a_name_that_need_not_be_there() {
    let merged = merged([answer(0, "b d f", "")]);
    for (after, want) in [
        (None, "b@0 d@0 f@0"),
        (Some(""), "b@0 d@0 f@0"),
        (Some("a"), "b@0 d@0 f@0"),
        (Some("b"), "d@0 f@0"),
        (Some("c"), "d@0 f@0"),
        (Some("f"), ""),
        (Some("z"), ""),
    ] {
        let left = merged.offers_after(ListKind::Tools, after);
        assert_eq!(shown(left), want, "{after:?}");
    }
}

#[test]
fn a_uri_is_asked_of_the_first_mount_whose_template_fits() {
    let merged = merged([
        answer(0, "", "z://{id}"),
        answer(1, "", "{+all} z://{id}/more"),
    ]);
    for (uri, want) in [
        ("z://7", Some(("z://{id}", 0))),
        ("z://7/more", Some(("z://{id}/more", 1))),
        ("{+all}", Some(("{+all}", 1))),
    ] {
        let found = merged.find(ListKind::Resources, uri);
        let found = found.map(|offer| (offer.name.as_str(), offer.mount));
        assert_eq!(found, want, "{uri}");
    }
}

/// After so many seconds an answer of tools and templates, where there is one, and what is left of both.
type Round = (u64, Option<[&'static str; 2]>, Option<[&'static str; 2]>);

const ROUNDS: [(&str, &[Round]); 6] = [
    ("never there", &[(0, None, None), (99, None, None)]),
    (
        "always there",
        &[
            (0, Some(["a", "t"]), Some(["a@0", "t@0"])),
            (300, Some(["b", "t"]), Some(["b@0", "t@0"])),
        ],
    ),
    (
        "away for long",
        &[
            (0, Some(["a", "t"]), Some(["a@0", "t@0"])),
            (300, None, Some(["a@0", "t@0"])),
            (309, None, Some(["a@0", "t@0"])),
            (310, None, None),
            (311, Some(["a", "t"]), Some(["a@0", "t@0"])),
        ],
    ),
    (
        "away twice for a while",
        &[
            (0, Some(["a", ""]), Some(["a@0", ""])),
            (300, None, Some(["a@0", ""])),
            (308, Some(["a", ""]), Some(["a@0", ""])),
            (608, None, Some(["a@0", ""])),
            (617, None, Some(["a@0", ""])),
        ],
    ),
    (
        "without templates for long",
        &[
            (0, Some(["a", "t"]), Some(["a@0", "t@0"])),
            (300, Some(["a b", "!"]), Some(["a@0 b@0", "t@0"])),
            (310, Some(["a", "!"]), Some(["a@0", ""])),
            (320, Some(["a", "t"]), Some(["a@0", "t@0"])),
        ],
    ),
    (
        "nothing to offer any more",
        &[
            (0, Some(["a", ""]), Some(["a@0", ""])),
            (300, Some(["", ""]), Some(["", ""])),
        ],
    ),
];

#[test]
fn what_a_mount_offered_stays_for_the_grace_period() {
    let started = Instant::now();
    for (title, rounds) in ROUNDS {
        let mut standing = Standing::default();
        for (after_s, answered, want) in rounds {
            let now = started + Duration::from_secs(*after_s);
            let answered = match answered {
                Some([tools, templates]) => answer(0, tools, templates),
                None => Err(failure()),
            };
            let is_whole = answered
                .as_ref()
                .is_ok_and(|lists| lists.iter().all(Result::is_ok));
            standing.learn(answered, (now, now), timing(10));
            let left = standing.stock.as_ref().map(|_| {
                let kinds = [ListKind::Tools, ListKind::ResourceTemplates];
                kinds.map(|kind| shown(standing.offers(kind)))
            });
            let want = want.map(|want| want.map(str::to_owned));
            assert_eq!(left, want, "{title} after {after_s} s");
            let pause = Duration::from_secs(if is_whole { 300 } else { 5 });
            assert_eq!(standing.due, Some(now + pause), "{title} after {after_s} s");
        }
    }
}

#[test]
fn a_mount_that_moves_takes_along_what_it_offers() {
    let now = Instant::now();
    let mut standing = heard(answer(0, "a b", ""), now);
    for (at, want) in [(0, "a@0 b@0"), (2, "a@2 b@2")] {
        let moved = standing.moved(at);
        assert_eq!(shown(moved.offers(ListKind::Tools)), want);
        assert_eq!(moved.due, standing.due);
    }
    standing.is_asking = true;
    let moved = standing.moved(1);
    assert!(
        !moved.is_asking && moved.is_due(now),
        "who was being asked is asked again"
    );
}

/// Of the tools: what their upstream said, what clients are told after so many seconds, and when it is asked again.
#[test]
fn a_list_is_as_fresh_as_its_upstream_says_and_asked_for_again_in_time() {
    use CacheScope::{Private, Public};
    for (said, want, stale_s) in [
        (Some((60_000, Public)), (50_000, Public), 60),
        (Some((900_000, Public)), (290_000, Public), 300),
        (Some((11_000, Private)), (1_000, Private), 11),
        (Some((3_000, Public)), (0, Public), 5),
        (Some((0, Public)), (0, Public), 5),
        (None, (5_000, Private), 300),
    ] {
        let now = Instant::now();
        let said = said.map(|(ttl_ms, scope)| CacheHint { ttl_ms, scope });
        let mut answer = answer(0, "a", "").unwrap();
        answer[0].as_mut().unwrap().freshness = Freshness::said(said, now);
        let standing = heard(Ok(answer), now);
        assert_eq!(
            standing.stale,
            Some(now + Duration::from_secs(stale_s)),
            "{said:?}"
        );
        let whole = standing.freshness(ListKind::Tools, now);
        let told = whole.hint(now + Duration::from_secs(10));
        let (ttl_ms, scope) = want;
        assert_eq!(told, CacheHint { ttl_ms, scope }, "{said:?}");
    }
    let now = Instant::now();
    let unheard = Standing::default().freshness(ListKind::Tools, now);
    assert_eq!(
        unheard.hint(now).ttl_ms,
        0,
        "who has not answered may do so at any time"
    );
}
