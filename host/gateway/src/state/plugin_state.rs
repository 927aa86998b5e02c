//! Values of one plugin of one tenant, by key, some of them with a time to live.
//!
//! Bounded in keys, in bytes and in the size of one value; where a bound is reached, a write fails and says which.
//! Nothing that is live is ever evicted: a plugin may rely on what it wrote.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;
use thiserror::Error;

use super::meter::{ScopeMeter, gauge};
use super::sweep::{LOOKS_PER_CALL, LOOKS_UNDER_PRESSURE, Sweeper};
use super::{Clock, StateBounds};

/// Why a value is not kept. The text is for the plugin's author, and names the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StateError {
    /// The key alone is too long.
    #[error("state_key_bytes_max: the key has {bytes} bytes, {bytes_max} are allowed")]
    KeyTooLong {
        /// Its length.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// The value alone is too long.
    #[error("state_value_bytes_max: the value has {bytes} bytes, {bytes_max} are allowed")]
    ValueTooLong {
        /// Its length.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// The plugin has as many keys as it may have.
    #[error("state_keys_max: the plugin keeps {keys_max} keys already")]
    KeysUsedUp {
        /// The bound.
        keys_max: usize,
    },
    /// Keys and values together would be too long.
    #[error(
        "state_bytes_max: with this value the plugin would keep {bytes} bytes, {bytes_max} are allowed"
    )]
    BytesUsedUp {
        /// What it would come to.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
}

/// Values of one plugin of one tenant.
pub struct PluginState {
    bounds: StateBounds,
    clock: Clock,
    meter: ScopeMeter,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    map: IndexMap<Box<str>, Entry>,
    bytes: usize,
    sweeper: Sweeper,
}

struct Entry {
    value: Arc<[u8]>,
    expires_at_ns: Option<u64>,
}

impl Entry {
    fn is_expired(&self, now_ns: u64) -> bool {
        self.expires_at_ns.is_some_and(|at| at <= now_ns)
    }
}

impl PluginState {
    pub(super) fn new(bounds: StateBounds, clock: Clock, meter: ScopeMeter) -> Self {
        Self {
            bounds,
            clock,
            meter,
            entries: Mutex::default(),
        }
    }

    /// The value, unless it has expired.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Arc<[u8]>> {
        let now_ns = self.clock.now_ns();
        let entries = self.lock();
        entries
            .map
            .get(key)
            .filter(|entry| !entry.is_expired(now_ns))
            .map(|entry| Arc::clone(&entry.value))
    }

    /// Keeps a value, for `ttl_ms` or until it is deleted. A time to live of 0 deletes.
    ///
    /// # Errors
    /// [`StateError`] with the bound that is reached; an older value stays as it was.
    pub fn set(&self, key: &str, value: Vec<u8>, ttl_ms: Option<u64>) -> Result<(), StateError> {
        if ttl_ms == Some(0) {
            self.delete(key);
            return Ok(());
        }
        self.check_lengths(key, &value)?;
        let now_ns = self.clock.now_ns();
        let expires_at_ns =
            ttl_ms.map(|ttl_ms| now_ns.saturating_add(ttl_ms.saturating_mul(1_000_000)));
        let entry = Entry {
            value: value.into(),
            expires_at_ns,
        };
        let mut entries = self.lock();
        let stored = self.insert(&mut entries, key, entry, now_ns);
        self.show(&entries);
        stored
    }

    /// Lets go of a value; that there is none is fine.
    pub fn delete(&self, key: &str) {
        let mut entries = self.lock();
        if let Some((key, entry)) = entries.map.swap_remove_entry(key) {
            entries.bytes = entries.bytes.saturating_sub(cost_bytes(&key, &entry.value));
        }
        self.show(&entries);
    }

    /// True when every value has expired.
    pub(super) fn is_idle(&self, now_ns: u64) -> bool {
        self.lock()
            .map
            .values()
            .all(|entry| entry.is_expired(now_ns))
    }

    fn check_lengths(&self, key: &str, value: &[u8]) -> Result<(), StateError> {
        let (key_bytes_max, value_bytes_max) = (
            self.bounds.state_key_bytes_max,
            self.bounds.state_value_bytes_max,
        );
        if key.len() > key_bytes_max {
            self.meter.state_key_bytes_refused.inc();
            return Err(StateError::KeyTooLong {
                bytes: key.len(),
                bytes_max: key_bytes_max,
            });
        }
        if value.len() > value_bytes_max {
            self.meter.state_value_bytes_refused.inc();
            return Err(StateError::ValueTooLong {
                bytes: value.len(),
                bytes_max: value_bytes_max,
            });
        }
        Ok(())
    }

    fn insert(
        &self,
        entries: &mut Entries,
        key: &str,
        entry: Entry,
        now_ns: u64,
    ) -> Result<(), StateError> {
        let added_bytes = cost_bytes(key, &entry.value);
        entries.sweep(LOOKS_PER_CALL, now_ns);
        if entries.lacks(&self.bounds, key, added_bytes).is_some() {
            entries.sweep(LOOKS_UNDER_PRESSURE, now_ns);
        }
        if let Some(lack) = entries.lacks(&self.bounds, key, added_bytes) {
            match lack {
                StateError::KeysUsedUp { .. } => self.meter.state_keys_refused.inc(),
                StateError::BytesUsedUp { .. }
                | StateError::KeyTooLong { .. }
                | StateError::ValueTooLong { .. } => {
                    self.meter.state_bytes_refused.inc();
                }
            }
            return Err(lack);
        }
        entries.bytes = entries.bytes_with(key, added_bytes);
        entries.map.insert(key.into(), entry);
        Ok(())
    }

    fn show(&self, entries: &Entries) {
        self.meter.state_keys.set(gauge(entries.map.len()));
        self.meter.state_bytes.set(gauge(entries.bytes));
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    /// All bytes, once `key` costs `added_bytes` instead of what it costs now.
    fn bytes_with(&self, key: &str, added_bytes: usize) -> usize {
        let replaced_bytes = self
            .map
            .get(key)
            .map_or(0, |old| cost_bytes(key, &old.value));
        self.bytes
            .saturating_sub(replaced_bytes)
            .saturating_add(added_bytes)
    }

    fn lacks(&self, bounds: &StateBounds, key: &str, added_bytes: usize) -> Option<StateError> {
        if self.map.len() >= bounds.state_keys_max && !self.map.contains_key(key) {
            return Some(StateError::KeysUsedUp {
                keys_max: bounds.state_keys_max,
            });
        }
        let bytes = self.bytes_with(key, added_bytes);
        (bytes > bounds.state_bytes_max).then_some(StateError::BytesUsedUp {
            bytes,
            bytes_max: bounds.state_bytes_max,
        })
    }

    fn sweep(&mut self, looks: usize, now_ns: u64) {
        let Self {
            map,
            bytes,
            sweeper,
        } = self;
        sweeper.sweep(
            map,
            looks,
            |entry| entry.is_expired(now_ns),
            |key, entry| *bytes = bytes.saturating_sub(cost_bytes(key, &entry.value)),
        );
    }
}

fn cost_bytes(key: &str, value: &[u8]) -> usize {
    key.len().saturating_add(value.len())
}
