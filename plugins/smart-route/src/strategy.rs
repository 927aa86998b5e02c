//! The four ways to choose. All work on healthy candidates alone.

use std::collections::BTreeMap;

use portcullis_sdk::Candidate;
use serde::Deserialize;

use crate::chance::{Chance, hash, mix};

/// The configuration as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings<K> {
    strategy: Name,
    #[serde(default = "none")]
    pub key: Option<K>,
    label: Option<String>,
    weights: Option<BTreeMap<String, u32>>,
}

fn none<K>() -> Option<K> {
    None
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Name {
    LeastInFlight,
    LatencyWeighted,
    ConsistentHash,
    Weighted,
}

/// A strategy with its settings.
#[derive(Debug)]
pub enum Strategy {
    LeastInFlight,
    LatencyWeighted,
    ConsistentHash,
    Weighted {
        label: Option<String>,
        weights: BTreeMap<String, u32>,
    },
}

impl<K> Settings<K> {
    /// Checks what belongs together.
    pub fn strategy(self, has_key: bool) -> Result<Strategy, String> {
        let weighted = matches!(self.strategy, Name::Weighted);
        if !weighted && self.weights.is_some() {
            return Err("weights: belong to the strategy `weighted`".to_owned());
        }
        if !weighted && self.label.is_some() {
            return Err("label: belongs to the strategy `weighted`".to_owned());
        }
        match self.strategy {
            Name::LeastInFlight => Ok(Strategy::LeastInFlight),
            Name::LatencyWeighted => Ok(Strategy::LatencyWeighted),
            Name::ConsistentHash if !has_key => {
                Err("key: consistent-hash needs to know what stays together".to_owned())
            }
            Name::ConsistentHash => Ok(Strategy::ConsistentHash),
            Name::Weighted => {
                let weights = self.weights.unwrap_or_default();
                if weights.values().all(|weight| *weight == 0) {
                    return Err("weights: at least one must be more than 0".to_owned());
                }
                let label = self.label;
                Ok(Strategy::Weighted { label, weights })
            }
        }
    }
}

impl Strategy {
    /// Whether a candidate that is alone may be chosen.
    pub fn allows(&self, candidate: &Candidate) -> bool {
        match self {
            Self::LeastInFlight | Self::LatencyWeighted | Self::ConsistentHash => true,
            Self::Weighted { .. } => self.weight(candidate) > 0,
        }
    }

    /// One of several candidates, or none to keep the host's choice.
    pub fn choose<'c>(
        &self,
        candidates: &[&'c Candidate],
        key: Option<&str>,
        chance: &Chance,
    ) -> Option<&'c Candidate> {
        match self {
            Self::LeastInFlight => least_in_flight(candidates, chance),
            Self::LatencyWeighted => latency_weighted(candidates, chance),
            Self::ConsistentHash => match key {
                Some(key) => rendezvous(candidates, key),
                None => least_in_flight(candidates, chance),
            },
            Self::Weighted { .. } => {
                let shares: Vec<u64> = candidates.iter().map(|c| self.weight(c)).collect();
                let at = key.map_or_else(|| chance.next(), hash);
                pick(candidates, &shares, at)
            }
        }
    }

    fn weight(&self, candidate: &Candidate) -> u64 {
        let Self::Weighted { label, weights } = self else {
            return 1;
        };
        let name = match label {
            None => Some(&candidate.upstream),
            Some(label) => {
                let mut labels = candidate.labels.iter();
                labels
                    .find(|(name, _)| name == label)
                    .map(|(_, value)| value)
            }
        };
        let weight = name.and_then(|name| weights.get(name));
        weight.copied().map_or(0, u64::from)
    }
}

/// The fewest requests under way; equals take turns.
fn least_in_flight<'c>(candidates: &[&'c Candidate], chance: &Chance) -> Option<&'c Candidate> {
    let least = candidates.iter().map(|c| c.in_flight).min()?;
    let shares: Vec<u64> = candidates
        .iter()
        .map(|candidate| u64::from(candidate.in_flight == least))
        .collect();
    pick(candidates, &shares, chance.next())
}

/// Shares are the inverse of the time that a new request would take behind those under way.
fn latency_weighted<'c>(candidates: &[&'c Candidate], chance: &Chance) -> Option<&'c Candidate> {
    const SCALE: u64 = 1 << 40;
    let known = candidates.iter().map(|c| c.latency_us).filter(|us| *us > 0);
    // One that has not been measured yet is taken for the fastest, and so gets measured.
    let fastest_us = known.min().unwrap_or(1);
    let share = |candidate: &&Candidate| {
        let latency_us = match candidate.latency_us {
            0 => fastest_us,
            measured_us => measured_us,
        };
        let wait_us = latency_us.saturating_mul(u64::from(candidate.in_flight) + 1);
        (SCALE / wait_us.max(1)).max(1)
    };
    let shares: Vec<u64> = candidates.iter().map(share).collect();
    pick(candidates, &shares, chance.next())
}

/// Rendezvous hashing: the upstream that scores highest with the key. When one leaves, only its keys move.
fn rendezvous<'c>(candidates: &[&'c Candidate], key: &str) -> Option<&'c Candidate> {
    let key = hash(key);
    let score = |candidate: &&&Candidate| mix(key ^ hash(&candidate.upstream));
    candidates.iter().max_by_key(score).copied()
}

/// The candidate in whose share a spread number falls.
fn pick<'c>(candidates: &[&'c Candidate], shares: &[u64], spread: u64) -> Option<&'c Candidate> {
    let total: u128 = shares.iter().map(|share| u128::from(*share)).sum();
    // A multiplication instead of a remainder: no share is favoured.
    let mut at = (u128::from(spread) * total) >> 64;
    for (candidate, share) in candidates.iter().zip(shares) {
        let share = u128::from(*share);
        if at < share {
            return Some(candidate);
        }
        at -= share;
    }
    None
}
