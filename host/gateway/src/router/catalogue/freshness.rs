//! How long a list may be reused, and by whom, as its upstreams said and as it ages here.

use std::time::{Duration, Instant};

use portcullis_protocol::listing::{CacheHint, CacheScope};

/// What holds for a list of an upstream whose era has no words for it.
const UNSAID: CacheHint = CacheHint {
    ttl_ms: 5_000,
    scope: CacheScope::Private,
};

/// Of one list, or of a list made of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Freshness {
    /// When the first of its parts is stale; none where nothing says so.
    until: Option<Instant>,
    /// The longest that may be promised, however fresh it is.
    ttl_ms_max: u64,
    scope: CacheScope,
}

impl Freshness {
    /// Of nothing: where [`Freshness::and`] begins.
    pub(super) const UNBOUND: Self = Self {
        until: None,
        ttl_ms_max: CacheHint::UNBOUND.ttl_ms,
        scope: CacheHint::UNBOUND.scope,
    };

    /// Of what an upstream said at that time.
    pub(super) fn said(hint: Option<CacheHint>, at: Instant) -> Self {
        match hint {
            Some(CacheHint { ttl_ms, scope }) => Self {
                until: at.checked_add(Duration::from_millis(ttl_ms)),
                scope,
                ..Self::UNBOUND
            },
            None => Self {
                ttl_ms_max: UNSAID.ttl_ms,
                scope: UNSAID.scope,
                ..Self::UNBOUND
            },
        }
    }

    /// Of what anybody may reuse until then.
    pub(super) fn until(time: Instant) -> Self {
        Self {
            until: Some(time),
            ..Self::UNBOUND
        }
    }

    /// Of a list made of both.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            until: self.until.into_iter().chain(other.until).min(),
            ttl_ms_max: self.ttl_ms_max.min(other.ttl_ms_max),
            scope: self.scope.max(other.scope),
        }
    }

    /// When it is stale, where its upstreams said so.
    pub(super) fn ends(self) -> Option<Instant> {
        self.until
    }

    /// What a client is told.
    pub(super) fn hint(self, now: Instant) -> CacheHint {
        let left = self.until.map(|until| until.saturating_duration_since(now));
        let left_ms = left.map_or(u64::MAX, |left| {
            u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
        });
        CacheHint {
            ttl_ms: left_ms.min(self.ttl_ms_max),
            scope: self.scope,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn hint(ttl_ms: u64, scope: CacheScope) -> Option<CacheHint> {
        Some(CacheHint { ttl_ms, scope })
    }

    #[test]
    fn a_list_is_as_fresh_as_its_stalest_part_and_as_private_as_its_most_private() {
        use CacheScope::{Private, Public};
        let started = Instant::now();
        for (parts, after_ms, want) in [
            (&[][..], 0, CacheHint::UNBOUND),
            (
                &[hint(9_000, Public)],
                0,
                CacheHint {
                    ttl_ms: 9_000,
                    scope: Public,
                },
            ),
            (
                &[hint(9_000, Public)],
                2_000,
                CacheHint {
                    ttl_ms: 7_000,
                    scope: Public,
                },
            ),
            (
                &[hint(9_000, Public)],
                10_000,
                CacheHint {
                    ttl_ms: 0,
                    scope: Public,
                },
            ),
            (
                &[hint(9_000, Public), hint(8_000, Private)],
                0,
                CacheHint {
                    ttl_ms: 8_000,
                    scope: Private,
                },
            ),
            (
                &[hint(9_000, Public), None],
                0,
                CacheHint {
                    ttl_ms: 5_000,
                    scope: Private,
                },
            ),
            (
                &[None],
                3_600_000,
                CacheHint {
                    ttl_ms: 5_000,
                    scope: Private,
                },
            ),
            (&[hint(u64::MAX, Public)], 0, CacheHint::UNBOUND),
            (
                &[hint(0, Public), None],
                0,
                CacheHint {
                    ttl_ms: 0,
                    scope: Private,
                },
            ),
        ] {
            let parts_said = parts.iter().map(|part| Freshness::said(*part, started));
            let whole = parts_said.fold(Freshness::UNBOUND, Freshness::and);
            let now = started + Duration::from_millis(after_ms);
            assert_eq!(whole.hint(now), want, "{parts:?} after {after_ms} ms");
        }
    }
}
