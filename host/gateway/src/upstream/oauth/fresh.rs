//! An access token as it is shown: its header, and when to look for another.

use std::time::{Duration, Instant, SystemTime};

use http::HeaderValue;

use super::token::bearer;
use crate::model::Secret;

/// The longest time before its end that a token is renewed.
const AHEAD_MAX: Duration = Duration::from_secs(300);

/// An access token.
#[derive(Debug)]
pub(in crate::upstream) struct Token {
    header: HeaderValue,
    due: Option<Instant>,
    end: Option<Instant>,
}

impl Token {
    /// A token that is good for `lifetime` from now on, or until it is refused. None where it fits in no header.
    pub(super) fn new(access: &Secret, lifetime: Option<Duration>) -> Option<Self> {
        let now = Instant::now();
        let ahead = |lifetime: Duration| (lifetime / 5).min(AHEAD_MAX);
        Some(Self {
            header: bearer(access)?,
            due: lifetime.map(|lifetime| now + (lifetime - ahead(lifetime))),
            end: lifetime.map(|lifetime| now + lifetime),
        })
    }

    /// The header that presents it.
    pub(in crate::upstream) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// When it ends, in milliseconds since the Unix epoch, where that is known.
    pub(super) fn expires_at_ms(&self) -> Option<u64> {
        self.end
            .map(|end| in_ms(end.saturating_duration_since(Instant::now())))
    }

    /// Whether it is time for another.
    pub(super) fn is_due(&self) -> bool {
        self.due.is_some_and(|due| Instant::now() >= due)
    }

    /// Whether it is good for nothing any more.
    pub(super) fn has_ended(&self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
    }
}

/// A moment that many milliseconds after the Unix epoch, as seen from now; none when it is over.
pub(super) fn until_ms(at_ms: u64) -> Option<Duration> {
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(at_ms);
    at.duration_since(SystemTime::now()).ok()
}

/// Milliseconds since the Unix epoch, that long from now.
pub(super) fn in_ms(from_now: Duration) -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from((since.unwrap_or_default() + from_now).as_millis()).unwrap_or(u64::MAX)
}
