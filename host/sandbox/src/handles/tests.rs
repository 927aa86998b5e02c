//! Keys of counters, and the form of tokens.

use std::borrow::Cow;

use super::*;
use crate::{Identity, QuotaLimit};

#[derive(Default)]
struct Call {
    identity: Option<Identity>,
    session: Option<&'static str>,
    target: Option<&'static str>,
}

impl CallView for Call {
    fn tenant(&self) -> &str {
        "acme"
    }
    fn server(&self) -> &str {
        "main"
    }
    fn method(&self) -> Option<&str> {
        Some("tools/call")
    }
    fn target(&self) -> Option<Cow<'_, str>> {
        self.target.map(Into::into)
    }
    fn header(&self, _: &str) -> Option<&str> {
        None
    }
    fn peer(&self) -> Cow<'_, str> {
        "10.0.0.1".into()
    }
    fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }
    fn session(&self) -> Option<&str> {
        self.session
    }
    fn arguments(&self) -> Option<&str> {
        None
    }
    fn argument(&self, _: &str) -> Option<&str> {
        None
    }
    fn definition(&self) -> Option<&str> {
        None
    }
    fn candidate(&self, _: usize) -> Option<&str> {
        None
    }
    fn candidate_label(&self, _: usize, _: &str) -> Option<&str> {
        None
    }
}

fn by(subject: &str, target: &'static str) -> Call {
    let identity = Identity {
        subject: subject.into(),
        team: Some("core".into()),
        roles: Vec::new(),
        scopes: Vec::new(),
        claims: "{}".into(),
    };
    Call {
        identity: Some(identity),
        target: Some(target),
        ..Call::default()
    }
}

fn limiter(parts: &[&[Part]]) -> Limiter {
    let rule = |parts: &&[Part]| Rule {
        name: "l".into(),
        parts: parts.to_vec(),
        limit: QuotaLimit {
            rate: 1,
            period_ms: 1,
            burst: 1,
        },
    };
    Limiter::new(parts.iter().map(rule).collect()).unwrap()
}

fn keys(limiter: &mut Limiter, call: &Call, costs: &[u32]) -> Vec<(String, u32)> {
    let takes = limiter.takes(call, costs).unwrap_or_default();
    takes
        .iter()
        .map(|take| (take.key.to_owned(), take.cost))
        .collect()
}

#[test]
fn every_part_has_its_value() {
    let all: &[Part] = &[
        Part::Tenant,
        Part::Server,
        Part::Team,
        Part::Subject,
        Part::Session,
        Part::Peer,
        Part::Method,
        Part::Target,
    ];
    let call = Call {
        session: Some("s1"),
        ..by("alice", "search")
    };
    let mut limiter = limiter(&[all, &[], &[Part::Target]]);
    let want = "l/4:acme/4:main/4:core/5:alice/2:s1/8:10.0.0.1/10:tools/call/6:search";
    assert_eq!(
        keys(&mut limiter, &call, &[3, 0, 1]),
        [(want.to_owned(), 3), ("l/6:search".to_owned(), 1)]
    );
    assert_eq!(
        keys(&mut limiter, &call, &[0, 2, 0]),
        [("l".to_owned(), 2)],
        "a rule without a cost takes no part"
    );
    assert!(limiter.takes(&call, &[1, 1]).is_none(), "one cost per rule");
    let mut long = |byte: &str| {
        let call = by(&byte.repeat(100_000), "t");
        keys(&mut limiter, &call, &[1, 0, 0])[0].0.clone()
    };
    let (one, other) = (long("x"), long("y"));
    assert!(one.contains("/100000:sha256:") && one.len() < 200, "{one}");
    assert_ne!(one, other);
}

#[test]
fn limiters_have_bounds() {
    let rules = |count: usize, name: usize, parts: usize| {
        let rule = Rule {
            name: "n".repeat(name),
            parts: vec![Part::Team; parts],
            limit: QuotaLimit {
                rate: 1,
                period_ms: 1,
                burst: 1,
            },
        };
        vec![rule; count]
    };
    for (count, name, parts, want) in [
        (0, 0, 0, true),
        (256, 256, 8, true),
        (257, 1, 1, false),
        (1, 257, 1, false),
        (1, 1, 9, false),
    ] {
        let limiter = Limiter::new(rules(count, name, parts));
        assert_eq!(limiter.is_some(), want, "{count} {name} {parts}");
    }
}

#[test]
fn keys_cannot_be_forged() {
    let parts: &[Part] = &[Part::Subject, Part::Target, Part::Session];
    let calls = [
        by("a", "b/1:c"),
        by("a/5:b", "c"),
        by("-", "b"),
        Call {
            target: Some("b"),
            ..Call::default()
        },
        Call {
            target: Some("b"),
            session: Some("s"),
            ..Call::default()
        },
    ];
    let mut found: Vec<String> = calls
        .iter()
        .map(|call| keys(&mut limiter(&[parts]), call, &[1])[0].0.clone())
        .collect();
    assert_eq!(found[0], "l/1:a/5:b/1:c/-");
    found.sort();
    found.dedup();
    assert_eq!(found.len(), calls.len(), "{found:?}");
}

#[test]
fn tokens_have_a_form() {
    let cases = [
        ("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2ln", true),
        ("a.b.c", true),
        ("a.b.", true),
        ("a..c", false),
        (".b.c", false),
        ("a.b", false),
        ("a.b.c.d", false),
        ("a.b.c=", false),
        ("", false),
    ];
    for (token, want) in cases {
        assert_eq!(is_jwt(token), want, "{token}");
    }
}
