//! Bends bytes: a little, in the places that formats care about.

use crate::random::Random;

/// Numbers at which parsers go wrong.
const BYTES: [u8; 9] = [0, 1, 0x7f, 0x80, 0xff, 0x40, 0x60, 0x0b, 0x22];
const WORDS: [u32; 8] = [0, 1, 0x7f, 0x80, 0xffff, 0x7fff_ffff, 0x8000_0000, u32::MAX];
/// Most bytes that one change moves.
const SPAN_MAX: usize = 64;
const CHANGES_MAX: usize = 3;

/// Changes some of `bytes`; parts of `others` may come in.
pub fn mutate(random: &mut Random, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
    for _ in 0..=random.below(CHANGES_MAX) {
        change(random, bytes, others);
    }
}

fn change(random: &mut Random, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
    let at = random.below(bytes.len());
    let end = (at + 1 + random.below(SPAN_MAX)).min(bytes.len());
    match random.below(8) {
        0 => flip(random, bytes, at),
        1 => set(
            bytes,
            at,
            &[random.pick(&BYTES).copied().unwrap_or_default()],
        ),
        2 => set(
            bytes,
            at,
            &random
                .pick(&WORDS)
                .copied()
                .unwrap_or_default()
                .to_le_bytes(),
        ),
        3 => drop(bytes.drain(at..end)),
        4 => {
            let again = bytes.get(at..end).unwrap_or_default().to_vec();
            insert(bytes, random.below(bytes.len()), &again);
        }
        5 => {
            let other = random.pick(others).map_or(&[][..], Vec::as_slice);
            let from = random.below(other.len());
            let to = (from + 1 + random.below(SPAN_MAX)).min(other.len());
            insert(bytes, at, other.get(from..to).unwrap_or_default());
        }
        6 => nudge(random, bytes, at),
        _ => bytes.truncate(if random.one_in(8) { at } else { bytes.len() }),
    }
}

fn flip(random: &mut Random, bytes: &mut [u8], at: usize) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << random.below(8);
    }
}

/// Lengths and indices are mostly small: one more or one less is what a careless author writes.
fn nudge(random: &mut Random, bytes: &mut [u8], at: usize) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte = if random.one_in(2) {
            byte.wrapping_add(1)
        } else {
            byte.wrapping_sub(1)
        };
    }
}

fn set(bytes: &mut [u8], at: usize, value: &[u8]) {
    for (byte, new) in bytes.iter_mut().skip(at).zip(value) {
        *byte = *new;
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    let at = at.min(bytes.len());
    drop(bytes.splice(at..at, piece.iter().copied()));
}
