//! Counters of one plugin of one tenant: takes from every key or from none.
//!
//! One small lock per scope makes a take of several keys atomic among its callers. Requests are guests' own words:
//! long lists and more keys than there is room for are refused, and a limit of nothing lets nothing through.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;
use indexmap::IndexMap;
use portcullis_sandbox::{QuotaTake, QuotaVerdict};
use sha2::{Digest, Sha256};

use super::gcra::{Limit, NEVER_MS, Outcome, Slot};
use super::meter::{ScopeMeter, gauge};
use super::sweep::{LOOKS_PER_CALL, LOOKS_UNDER_PRESSURE, Sweeper};
use super::{Clock, StateBounds};

/// A longer key is kept as its SHA-256, so that a caller with a long name costs no more memory than others.
const KEY_BYTES_MAX: usize = 128;
/// Below this many counters, expired ones are left where they are: most of them are about to be used again.
const SWEEP_FROM_KEYS: usize = 64;
/// A plugin that is out of room for counters waits this long before it asks again.
const FULL_RETRY_MS: u64 = 1_000;

/// Counters of one plugin of one tenant.
pub struct QuotaScope {
    bounds: StateBounds,
    clock: Clock,
    meter: ScopeMeter,
    counters: Mutex<Counters>,
}

#[derive(Default)]
struct Counters {
    slots: IndexMap<Box<str>, Slot, RandomState>,
    /// As it was last shown.
    shown_len: usize,
    sweeper: Sweeper,
}

/// One request's answer, and what undoes it.
struct Step {
    verdict: QuotaVerdict,
    remaining_before: u32,
    undo: Undo,
}

enum Undo {
    Nothing,
    Restore {
        index: usize,
        slot: Slot,
    },
    /// The entry was the last one added.
    Pop,
}

impl QuotaScope {
    pub(super) fn new(bounds: StateBounds, clock: Clock, meter: ScopeMeter) -> Self {
        Self {
            bounds,
            clock,
            meter,
            counters: Mutex::default(),
        }
    }

    /// [`QuotaScope::take_all`], now.
    pub fn take(&self, requests: &[QuotaTake<'_>]) -> Vec<QuotaVerdict> {
        self.take_all(requests, self.clock.now_ns())
    }

    /// Takes from every key or from none; one verdict per request, in order. `now_ns` is the room's clock's.
    ///
    /// Where one request is refused, nothing is taken, and the verdicts of the others say what they would have been:
    /// `allowed`, with what is left untouched. A key that occurs twice is counted twice. A key is one counter
    /// whatever limits it is asked with: limits that are to be counted apart need keys of their own.
    ///
    /// [`NEVER_MS`] (`u64::MAX`) as `retry_after_ms` says that no wait helps: the cost is above the burst, the
    /// limit lets nothing through (a rate, period or burst of 0), or the list of requests is too long.
    pub fn take_all(&self, requests: &[QuotaTake<'_>], now_ns: u64) -> Vec<QuotaVerdict> {
        self.answer((requests, now_ns), true)
    }

    /// What a take would come to now. Nothing is taken.
    pub fn look(&self, requests: &[QuotaTake<'_>]) -> Vec<QuotaVerdict> {
        self.answer((requests, self.clock.now_ns()), false)
    }

    fn answer(
        &self,
        (requests, now_ns): (&[QuotaTake<'_>], u64),
        takes: bool,
    ) -> Vec<QuotaVerdict> {
        if requests.len() > self.bounds.quota_requests_max {
            self.meter.quota_requests_refused.inc();
            return requests.iter().map(|_| refusal(0, NEVER_MS)).collect();
        }
        let mut counters = self.lock();
        self.make_room(&mut counters, requests.len(), now_ns);
        let mut steps = Vec::with_capacity(requests.len());
        for request in requests {
            steps.push(self.step(&mut counters, request, now_ns));
        }
        let refused = steps.iter().any(|step| !step.verdict.allowed);
        if refused || !takes {
            for step in steps.iter_mut().rev() {
                counters.undo(step, refused);
            }
        }
        // Shown to all threads, so written only when it changes.
        if counters.shown_len != counters.slots.len() {
            counters.shown_len = counters.slots.len();
            self.meter.quota_keys.set(gauge(counters.shown_len));
        }
        drop(counters);
        steps.into_iter().map(|step| step.verdict).collect()
    }

    /// True when every counter is full again.
    pub(super) fn is_idle(&self, now_ns: u64) -> bool {
        self.lock()
            .slots
            .values()
            .all(|slot| slot.is_expired(now_ns))
    }

    fn make_room(&self, counters: &mut Counters, coming: usize, now_ns: u64) {
        let Counters { slots, sweeper, .. } = counters;
        let looks = if slots.len().saturating_add(coming) > self.bounds.quota_keys_max {
            LOOKS_UNDER_PRESSURE
        } else if slots.len() >= SWEEP_FROM_KEYS {
            LOOKS_PER_CALL
        } else {
            return;
        };
        sweeper.sweep(slots, looks, |slot| slot.is_expired(now_ns), |_, _| {});
    }

    /// Answers one request, as if those before it were granted. Adds at the end of the map and removes nothing,
    /// so that indices stay what they are until the call is over.
    fn step(&self, counters: &mut Counters, request: &QuotaTake<'_>, now_ns: u64) -> Step {
        let QuotaTake { key, cost, limit } = request;
        let Some(limit) = Limit::new(limit.rate, limit.period_ms, limit.burst) else {
            return Step::refused(0, NEVER_MS);
        };
        let key = stored_key(key);
        let known = counters
            .slots
            .get_full_mut(key.as_ref())
            .map(|(index, _, slot)| {
                *slot = limit.adopt(*slot, now_ns);
                (index, *slot)
            });
        let before = known.map_or_else(|| limit.untouched(now_ns), |(_, slot)| slot);
        let remaining_before = limit.remaining(before, now_ns);
        let after = match limit.take(before, *cost, now_ns) {
            Outcome::Taken(after) => after,
            Outcome::Wait { ms } => return Step::refused(remaining_before, ms),
        };
        let undo = match known {
            Some((index, slot)) => {
                if let Some((_, place)) = counters.slots.get_index_mut(index) {
                    *place = after;
                }
                Undo::Restore { index, slot }
            }
            None if after.is_expired(now_ns) => Undo::Nothing,
            None if counters.slots.len() >= self.bounds.quota_keys_max => {
                self.meter.quota_keys_refused.inc();
                return Step::refused(0, FULL_RETRY_MS);
            }
            None => {
                counters.slots.insert(key.into(), after);
                Undo::Pop
            }
        };
        let verdict = QuotaVerdict {
            allowed: true,
            remaining: limit.remaining(after, now_ns),
            retry_after_ms: 0,
        };
        Step {
            verdict,
            remaining_before,
            undo,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counters {
    fn undo(&mut self, step: &mut Step, refused: bool) {
        if refused {
            step.verdict.remaining = step.remaining_before;
        }
        match step.undo {
            Undo::Nothing => {}
            Undo::Restore { index, slot } => {
                if let Some((_, place)) = self.slots.get_index_mut(index) {
                    *place = slot;
                }
            }
            Undo::Pop => {
                self.slots.pop();
            }
        }
    }
}

impl Step {
    fn refused(remaining: u32, retry_after_ms: u64) -> Self {
        Self {
            verdict: refusal(remaining, retry_after_ms),
            remaining_before: remaining,
            undo: Undo::Nothing,
        }
    }
}

fn refusal(remaining: u32, retry_after_ms: u64) -> QuotaVerdict {
    QuotaVerdict {
        allowed: false,
        remaining,
        retry_after_ms,
    }
}

fn stored_key(key: &str) -> Cow<'_, str> {
    if key.len() <= KEY_BYTES_MAX {
        return Cow::Borrowed(key);
    }
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(key) {
        let _ = write!(text, "{byte:02x}");
    }
    Cow::Owned(text)
}
