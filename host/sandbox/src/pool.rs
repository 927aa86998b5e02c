//! The warm instances of one binding, and the binding's standing: how it fared lately.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Instant;

use crate::guest::Guest;
use crate::{Failure, Scope};

/// Failures in a row after which a binding is quarantined.
const STRIKES_MAX: u32 = 5;
const BACK_OFF_MS_MIN: u64 = 1_000;
const BACK_OFF_MS_MAX: u64 = 60_000;
/// Threads beyond this number share their instances with another.
const SHARDS_LEN: usize = 16;
/// Idle instances that one thread keeps; more run at once only while more threads do.
const IDLE_MAX: usize = 64;

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SHARD: Cell<usize> = Cell::new(THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS_LEN);
}

/// The instances of the threads that share a number. The one that was used last is taken and put back under the
/// same lock, which a hook holds for as long as it runs: nobody waits for it.
#[derive(Default)]
struct Shard {
    last: Mutex<Option<Box<Guest>>>,
    others: Mutex<Others>,
}

/// The box moves in and out on every call, and the instance stays where it is.
#[allow(clippy::vec_box, reason = "what moves is a pointer")]
type Others = Vec<Box<Guest>>;

fn lock(others: &Mutex<Others>) -> MutexGuard<'_, Others> {
    others.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    /// The place of the instance that was used last, unless a hook runs in it.
    fn last(&self) -> Option<MutexGuard<'_, Option<Box<Guest>>>> {
        match self.last.try_lock() {
            Ok(last) => Some(last),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn idle(&self) -> usize {
        let last = self.last().is_some_and(|last| last.is_some());
        usize::from(last) + lock(&self.others).len()
    }
}

/// Where one hook takes its instance from, and where it puts it back.
pub(crate) struct Seat<'p> {
    last: Option<MutexGuard<'p, Option<Box<Guest>>>>,
    others: &'p Mutex<Others>,
}

impl Seat<'_> {
    /// The instance that was used last.
    pub(crate) fn take(&mut self) -> Option<Box<Guest>> {
        let last = self.last.as_mut().and_then(|last| last.take());
        last.or_else(|| lock(self.others).pop())
    }

    pub(crate) fn put(mut self, guest: Box<Guest>) {
        match &mut self.last {
            Some(last) if last.is_none() => **last = Some(guest),
            Some(_) | None => {
                let mut others = lock(self.others);
                if others.len() < IDLE_MAX {
                    others.push(guest);
                }
            }
        }
    }
}

/// Counters of one binding's pool since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Instances waiting for a call.
    pub idle: u64,
    /// Instances made.
    pub created: u64,
    /// Instances dropped after a number of uses or at the memory mark.
    pub retired: u64,
    /// Instances dropped after a failure.
    pub failed: u64,
}

/// Whose instances are counted.
pub trait Pooled: Send + Sync {
    /// Whose they are.
    fn scope(&self) -> &Scope;
    /// Counters of them.
    fn pool_stats(&self) -> PoolStats;
}

/// Idle instances, by the thread that used them last: an instance that stays on its thread stays in its caches.
/// Last in first out, so that a quiet binding keeps few of them warm.
pub(crate) struct Pool {
    idle: [Shard; SHARDS_LEN],
    pub(crate) created: AtomicU64,
    pub(crate) retired: AtomicU64,
    pub(crate) failed: AtomicU64,
    standing: Standing,
}

impl Pool {
    pub(crate) fn new() -> Self {
        Self {
            idle: Default::default(),
            created: AtomicU64::new(0),
            retired: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            standing: Standing::new(),
        }
    }

    /// Among the instances of this thread.
    pub(crate) fn seat(&self) -> Seat<'_> {
        let [first, ..] = &self.idle;
        let shard = self.idle.get(SHARD.get()).unwrap_or(first);
        Seat {
            last: shard.last(),
            others: &shard.others,
        }
    }

    pub(crate) fn clear(&self) {
        for shard in &self.idle {
            let last = shard.last().and_then(|mut last| last.take());
            let others = std::mem::take(&mut *lock(&shard.others));
            drop((last, others));
        }
    }

    pub(crate) fn standing(&self) -> &Standing {
        &self.standing
    }

    pub(crate) fn stats(&self) -> PoolStats {
        let idle = self.idle.iter().map(Shard::idle).sum::<usize>();
        PoolStats {
            idle: u64::try_from(idle).unwrap_or(u64::MAX),
            created: self.created.load(Ordering::Relaxed),
            retired: self.retired.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }
}

/// Quarantine with doubling back-off. After each back-off one call tries again.
pub(crate) struct Standing {
    since: Instant,
    strikes: AtomicU32,
    /// End of the quarantine in milliseconds since `since`; 0 for none.
    until_ms: AtomicU64,
}

impl Standing {
    pub(crate) fn new() -> Self {
        Self {
            since: Instant::now(),
            strikes: AtomicU32::new(0),
            until_ms: AtomicU64::new(0),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Lets a call through, or says for how long none is.
    pub(crate) fn enter(&self) -> Result<(), Failure> {
        let until_ms = self.until_ms.load(Ordering::Acquire);
        if until_ms == 0 {
            return Ok(());
        }
        let now_ms = self.now_ms();
        if now_ms < until_ms {
            return Err(Failure::Quarantined {
                retry_after_ms: until_ms - now_ms,
            });
        }
        // One caller wins the right to try; the others wait for its outcome.
        let next_ms = now_ms + BACK_OFF_MS_MIN;
        match self
            .until_ms
            .compare_exchange(until_ms, next_ms, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => Ok(()),
            Err(_) => Err(Failure::Quarantined {
                retry_after_ms: BACK_OFF_MS_MIN,
            }),
        }
    }

    pub(crate) fn succeeded(&self) {
        if self.strikes.load(Ordering::Relaxed) != 0 {
            self.strikes.store(0, Ordering::Relaxed);
            self.until_ms.store(0, Ordering::Release);
        }
    }

    pub(crate) fn failed(&self) {
        let strikes = self
            .strikes
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1);
        if let Some(over) = strikes.checked_sub(STRIKES_MAX) {
            let back_off_ms = BACK_OFF_MS_MIN
                .checked_shl(over.min(16))
                .unwrap_or(BACK_OFF_MS_MAX)
                .min(BACK_OFF_MS_MAX);
            self.until_ms
                .store(self.now_ms() + back_off_ms, Ordering::Release);
        }
    }
}
