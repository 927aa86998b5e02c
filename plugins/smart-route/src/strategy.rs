//! The four ways to choose. All work on healthy candidates alone.

use std::collections::BTreeMap;

use portcullis_sdk::{Call, Candidate};
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

/// The candidates of a call. Names and labels are the host's, and asked for where a strategy needs them.
pub struct Among<'a> {
    pub call: &'a Call,
    pub candidates: &'a [Candidate],
}

impl<'a> Among<'a> {
    /// Those that may be chosen, each with its place.
    pub fn healthy(&self) -> impl Iterator<Item = (u32, &'a Candidate)> + Clone + use<'a> {
        (0..)
            .zip(self.candidates)
            .filter(|(_, candidate)| candidate.healthy)
    }
}

impl Strategy {
    /// Whether a candidate that is alone may be chosen.
    pub fn allows(&self, among: &Among<'_>, place: u32) -> bool {
        match self {
            Self::LeastInFlight | Self::LatencyWeighted | Self::ConsistentHash => true,
            Self::Weighted { label, weights } => {
                weight(among.call, place, label.as_deref(), weights) > 0
            }
        }
    }

    /// One of several candidates, or none to keep the host's choice.
    pub fn choose(&self, among: &Among<'_>, key: Option<&str>, chance: &Chance) -> Option<u32> {
        match self {
            Self::LeastInFlight => least_in_flight(among, chance),
            Self::LatencyWeighted => latency_weighted(among, chance),
            Self::ConsistentHash => match key {
                Some(key) => rendezvous(among, key),
                None => least_in_flight(among, chance),
            },
            Self::Weighted { label, weights } => {
                let weight = |place| weight(among.call, place, label.as_deref(), weights);
                let shares: Vec<(u32, u64)> = among
                    .healthy()
                    .map(|(place, _)| (place, weight(place)))
                    .collect();
                let at = key.map_or_else(|| chance.next(), hash);
                pick(shares.into_iter(), at)
            }
        }
    }
}

fn weight(call: &Call, place: u32, label: Option<&str>, weights: &BTreeMap<String, u32>) -> u64 {
    let name = match label {
        None => call.candidate(place),
        Some(label) => call.candidate_label(place, label),
    };
    let weight = name.and_then(|name| weights.get(&name));
    weight.copied().map_or(0, u64::from)
}

/// The fewest requests under way; equals take turns.
fn least_in_flight(among: &Among<'_>, chance: &Chance) -> Option<u32> {
    let least = among.healthy().map(|(_, c)| c.in_flight).min()?;
    let share = |(place, c): (u32, &Candidate)| (place, u64::from(c.in_flight == least));
    pick(among.healthy().map(share), chance.next())
}

/// Shares are the inverse of the time that a new request would take behind those under way.
fn latency_weighted(among: &Among<'_>, chance: &Chance) -> Option<u32> {
    const SCALE: u64 = 1 << 40;
    let latencies = among.healthy().map(|(_, c)| c.latency_us);
    let known = latencies.filter(|us| *us > 0);
    // One that has not been measured yet is taken for the fastest, and so gets measured.
    let fastest_us = known.min().unwrap_or(1);
    let share = |(place, candidate): (u32, &Candidate)| {
        let latency_us = match candidate.latency_us {
            0 => fastest_us,
            measured_us => measured_us,
        };
        let wait_us = latency_us.saturating_mul(u64::from(candidate.in_flight) + 1);
        (place, (SCALE / wait_us.max(1)).max(1))
    };
    pick(among.healthy().map(share), chance.next())
}

/// Rendezvous hashing: the upstream that scores highest with the key. When one leaves, only its keys move.
fn rendezvous(among: &Among<'_>, key: &str) -> Option<u32> {
    let key = hash(key);
    let score = |(place, _): &(u32, &Candidate)| {
        mix(key ^ hash(&among.call.candidate(*place).unwrap_or_default()))
    };
    among.healthy().max_by_key(score).map(|(place, _)| place)
}

/// The candidate in whose share a spread number falls.
fn pick(shares: impl Iterator<Item = (u32, u64)> + Clone, spread: u64) -> Option<u32> {
    let total: u128 = shares.clone().map(|(_, share)| u128::from(share)).sum();
    // A multiplication instead of a remainder: no share is favoured.
    let mut at = (u128::from(spread) * total) >> 64;
    for (place, share) in shares {
        let share = u128::from(share);
        if at < share {
            return Some(place);
        }
        at -= share;
    }
    None
}
