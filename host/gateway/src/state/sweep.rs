//! Expired entries are dropped a few at a time, by the calls that add entries: no thread of its own, no long lock.

use indexmap::IndexMap;

/// Entries that one call looks at when there is no need for room.
pub(super) const LOOKS_PER_CALL: usize = 2;
/// Entries that one call looks at when it needs room.
pub(super) const LOOKS_UNDER_PRESSURE: usize = 64;

/// Walks in circles over a map, from call to call.
#[derive(Debug, Default)]
pub(super) struct Sweeper {
    at: usize,
}

impl Sweeper {
    /// Looks at up to `looks` entries and drops those that `expired` names; each goes to `dropped`.
    pub(super) fn sweep<V, S>(
        &mut self,
        map: &mut IndexMap<Box<str>, V, S>,
        looks: usize,
        expired: impl Fn(&V) -> bool,
        mut dropped: impl FnMut(&str, &V),
    ) {
        for _ in 0..looks.min(map.len()) {
            if self.at >= map.len() {
                self.at = 0;
            }
            match map.get_index(self.at) {
                Some((_, value)) if expired(value) => {
                    // Another entry takes the place, and is looked at next.
                    if let Some((key, value)) = map.swap_remove_index(self.at) {
                        dropped(&key, &value);
                    }
                }
                Some(_) => self.at += 1,
                None => return,
            }
        }
    }
}
