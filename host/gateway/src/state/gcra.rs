//! The arithmetic of limits: the generic cell rate algorithm (GCRA), on numbers that guests choose.
//!
//! A key is described by its theoretical arrival time (TAT): the moment at which all that was taken has come back.
//! What is `owed` is the way from now to that moment; a token costs one `interval`, and nothing may owe more than
//! `burst` intervals. All of it is integer arithmetic that saturates towards refusal, rounded so that a limit never
//! lets more through than it says.

/// The wait of a request that no wait helps: its cost is above the burst, or the limit lets nothing through.
pub const NEVER_MS: u64 = u64::MAX;

const NS_PER_MS: u64 = 1_000_000;

/// A limit that lets something through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit {
    /// Time in which one token comes back, rounded up: 10^9 tokens a second is the most that is told apart.
    interval_ns: u64,
    /// What may be owed at once.
    capacity_ns: u64,
}

/// What is remembered of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    /// The theoretical arrival time.
    tat_ns: u64,
    /// The interval that it was counted in, to read it right under another limit.
    interval_ns: u64,
}

/// What a take would come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The key as it stands afterwards.
    Taken(Slot),
    /// How long until the same take succeeds, if nobody else takes.
    Wait { ms: u64 },
}

impl Slot {
    /// A key of which nothing is owed is the same as one that was never seen.
    pub(super) fn is_expired(&self, now_ns: u64) -> bool {
        self.tat_ns <= now_ns
    }
}

impl Limit {
    /// None for a limit that lets nothing through: a rate, period or burst of 0.
    pub(super) fn new(rate: u32, period_ms: u64, burst: u32) -> Option<Self> {
        if rate == 0 || period_ms == 0 || burst == 0 {
            return None;
        }
        let interval_ns = match period_ms.checked_mul(NS_PER_MS) {
            Some(period_ns) => period_ns.div_ceil(u64::from(rate)),
            None => {
                let period_ns = u128::from(period_ms) * u128::from(NS_PER_MS);
                clamp(period_ns.div_ceil(u128::from(rate)))
            }
        };
        Some(Self {
            interval_ns,
            capacity_ns: interval_ns.saturating_mul(u64::from(burst)),
        })
    }

    /// The key, read under this limit.
    ///
    /// When the limit changed since, tokens that were taken stay taken, and come back at the new pace. What is owed
    /// beyond the new burst is let go of: a tightened limit makes nobody wait longer than for a full refill.
    pub(super) fn adopt(&self, slot: Slot, now_ns: u64) -> Slot {
        let mut owed_ns = slot.tat_ns.saturating_sub(now_ns);
        if slot.interval_ns != self.interval_ns {
            let tokens_scaled = u128::from(owed_ns) * u128::from(self.interval_ns);
            owed_ns = clamp(tokens_scaled.div_ceil(u128::from(slot.interval_ns.max(1))));
        }
        self.slot(owed_ns.min(self.capacity_ns), now_ns)
    }

    /// A key of which nothing was taken.
    pub(super) fn untouched(&self, now_ns: u64) -> Slot {
        self.slot(0, now_ns)
    }

    /// Whole tokens that are left.
    pub(super) fn remaining(&self, slot: Slot, now_ns: u64) -> u32 {
        let owed_ns = slot.tat_ns.saturating_sub(now_ns);
        let left = self.capacity_ns.saturating_sub(owed_ns) / self.interval_ns.max(1);
        u32::try_from(left).unwrap_or(u32::MAX)
    }

    /// Takes `cost` tokens, or says how long to wait for them. A cost of 0 only looks, and is always granted.
    pub(super) fn take(&self, slot: Slot, cost: u32, now_ns: u64) -> Outcome {
        let cost_ns = self.interval_ns.saturating_mul(u64::from(cost));
        if cost_ns > self.capacity_ns {
            return Outcome::Wait { ms: NEVER_MS };
        }
        let owed_ns = slot.tat_ns.saturating_sub(now_ns).saturating_add(cost_ns);
        match owed_ns.checked_sub(self.capacity_ns) {
            None | Some(0) => Outcome::Taken(self.slot(owed_ns, now_ns)),
            Some(over_ns) => Outcome::Wait {
                ms: over_ns.div_ceil(NS_PER_MS),
            },
        }
    }

    fn slot(&self, owed_ns: u64, now_ns: u64) -> Slot {
        Slot {
            tat_ns: now_ns.saturating_add(owed_ns),
            interval_ns: self.interval_ns,
        }
    }
}

fn clamp(wide: u128) -> u64 {
    u64::try_from(wide).unwrap_or(u64::MAX)
}
