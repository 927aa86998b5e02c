//! Machine code, and how what this gateway made is told from everything else.
//!
//! Before it: the compiler, or the cache. After it: instances. To load machine code is to run it, so there are two ways to
//! come by any: to compile it, or to open what carries the tag of a [`Seal`].

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::Digest;

/// The machine code of a component, made by a compiler of this gateway.
pub(crate) struct MachineCode(Vec<u8>);

impl MachineCode {
    /// Compiles in this very process.
    pub(crate) fn compile(engine: &Engine, component: &[u8]) -> wasmtime::Result<Self> {
        engine.precompile_component(component).map(Self)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Refused when it was made for engines of another kind.
    #[allow(
        unsafe_code,
        reason = "the one place that loads machine code; see SAFETY"
    )]
    pub(crate) fn load(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: a compiler of this gateway made the bytes: this process itself, or one that signed them with a key that
        // only this gateway has.
        unsafe { Component::deserialize(engine, &self.0) }
    }
}

pub(crate) const KEY_BYTES: usize = 32;
pub(crate) const TAG_BYTES: usize = 32;

/// A key for machine code (HMAC-SHA-256, RFC 2104).
pub(crate) struct Seal([u8; KEY_BYTES]);

impl Seal {
    pub(crate) fn new(key: [u8; KEY_BYTES]) -> Self {
        Self(key)
    }

    /// A key that nobody has seen.
    pub(crate) fn random() -> std::io::Result<Self> {
        let mut key = [0; KEY_BYTES];
        match SystemRandom::new().fill(&mut key) {
            Ok(()) => Ok(Self(key)),
            Err(_unspecified) => Err(std::io::Error::other("the system gave no random bytes")),
        }
    }

    pub(crate) fn key(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// The tag of the machine code of one component.
    pub(crate) fn tag(&self, digest: Digest, code: &[u8]) -> impl AsRef<[u8]> + use<> {
        hmac::sign(&self.of(digest), code)
    }

    /// The machine code of that component, from what it is followed by its tag in; `None` when the tag does not hold.
    pub(crate) fn open(&self, digest: Digest, mut tagged: Vec<u8>) -> Option<MachineCode> {
        let tag = tagged.split_off(tagged.len().checked_sub(TAG_BYTES)?);
        hmac::verify(&self.of(digest), &tagged, &tag).ok()?;
        Some(MachineCode(tagged))
    }

    /// Code of one component is no code of another.
    fn of(&self, digest: Digest) -> hmac::Key {
        let root = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        hmac::Key::new(
            hmac::HMAC_SHA256,
            hmac::sign(&root, digest.as_bytes()).as_ref(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_holds_for_one_key_one_component_and_the_whole_code() {
        let (seal, one, other) = (
            Seal::random().unwrap(),
            Digest::of(b"one"),
            Digest::of(b"other"),
        );
        let mut tagged = b"machine code".to_vec();
        tagged.extend_from_slice(seal.tag(one, &tagged).as_ref());
        let opened = |seal: &Seal, digest, bytes: &[u8]| {
            let code = seal.open(digest, bytes.to_vec());
            code.map(|code| code.bytes().to_vec())
        };
        assert_eq!(opened(&seal, one, &tagged), Some(b"machine code".to_vec()));
        assert_eq!(opened(&seal, other, &tagged), None);
        assert_eq!(opened(&Seal::random().unwrap(), one, &tagged), None);
        for cut in 0..tagged.len() {
            assert_eq!(opened(&seal, one, &tagged[..cut]), None, "cut at {cut}");
        }
        for place in 0..tagged.len() {
            let mut changed = tagged.clone();
            changed[place] ^= 1;
            assert_eq!(opened(&seal, one, &changed), None, "changed at {place}");
        }
    }
}
