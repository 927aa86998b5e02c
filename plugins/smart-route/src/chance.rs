//! Numbers that spread evenly.
//!
//! A component has no source of randomness, so these come from the clock and a counter, mixed well. They are good for
//! spreading load and for nothing that must not be guessed.

use std::cell::Cell;

use portcullis_sdk::clock;

/// A sequence of spread numbers.
#[derive(Debug, Default)]
pub struct Chance {
    state: Cell<u64>,
}

/// The odd constant of SplitMix64: 2^64 over the golden ratio.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Chance {
    /// The next number.
    pub fn next(&self) -> u64 {
        // Replicas and instances count alike; the moment of the first call sets them apart.
        let before = match self.state.get() {
            0 => mix(clock::now_ms()),
            state => state,
        };
        let state = before.wrapping_add(STEP);
        self.state.set(state);
        mix(state)
    }
}

/// SplitMix64's finaliser: every bit of the input reaches every bit of the output.
pub fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// FNV-1a, then mixed: short and alike texts end far apart.
pub fn hash(text: &str) -> u64 {
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    mix(text.bytes().fold(0xcbf2_9ce4_8422_2325, fold))
}
