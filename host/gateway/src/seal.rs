//! Sealed text: what a client is given to bring back, and can neither read nor change.
//!
//! Listings seal where their next page begins. Whoever seals says what the text is for and whom it is bound to; it opens
//! for nothing and nobody else, and not after its lifetime. The key is the process's own, or comes from the settings so
//! that replicas open what another has sealed. Nothing is remembered here: a text may be opened as often as it is brought.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::hmac;
use thiserror::Error;

use crate::model::Secret;
use crate::state::Clock;

/// First byte of what is sealed today; another form will have another.
const FORM: u8 = 1;
const SALT_LEN: usize = 16;
const EXPIRY_LEN: usize = 8;
/// Bytes of a mark: 128 bits, as much as anybody could guess.
const MARK_LEN: usize = 16;

/// What a sealed text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Where the next page of a listing begins.
    Cursor,
    /// Which upstream a task runs on.
    Task,
    /// Which call of the caller's waits for the answers that it brings.
    Round,
}

impl Purpose {
    /// Separates the keys of purposes; never changes.
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Cursor => b"portcullis cursor",
            Self::Task => b"portcullis task",
            Self::Round => b"portcullis round",
        }
    }
}

/// Why a text was not sealed, or does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SealError {
    /// Changed, sealed with another key, for another purpose, or bound to somebody else. Which of these, nobody can tell.
    #[error("it was not sealed for this")]
    Foreign,
    /// Its lifetime is over.
    #[error("it has expired")]
    Expired,
    /// Larger than the cipher takes, which is 64 GiB.
    #[error("it is too large to be sealed")]
    TooLarge,
}

/// Seals and opens.
pub struct Seal {
    secret: Box<[u8]>,
    clock: Clock,
}

impl Seal {
    /// With the key of the settings; without one, with a key that ends with this process.
    #[must_use]
    pub fn new(key: Option<&Secret>) -> Self {
        let secret = match key {
            Some(key) => Box::from(key.expose().as_bytes()),
            None => Box::from(rand::random::<[u8; 32]>()),
        };
        Self {
            secret,
            clock: Clock::system(),
        }
    }

    /// Seals `text` for a lifetime, as visible ASCII. `binding` names whom and what it is for, from the widest to the narrowest.
    ///
    /// # Errors
    /// [`SealError::TooLarge`].
    pub fn seal(
        &self,
        purpose: Purpose,
        binding: &[&str],
        text: &[u8],
        lifetime: Duration,
    ) -> Result<String, SealError> {
        let lifetime_ms = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        let expires_ms = self.clock.now_ms().saturating_add(lifetime_ms);
        let salt = rand::random::<[u8; SALT_LEN]>();
        let mut sealed = Vec::with_capacity(EXPIRY_LEN + text.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&expires_ms.to_be_bytes());
        sealed.extend_from_slice(text);
        self.key(purpose, &salt)?
            .seal_in_place_append_tag(once(), Aad::from(bound(binding)), &mut sealed)
            .map_err(|_unspecified| SealError::TooLarge)?;
        let whole = [&[FORM], &salt[..], &sealed].concat();
        Ok(BASE64_URL_SAFE_NO_PAD.encode(whole))
    }

    /// Opens what [`Seal::seal`] gave out for the same purpose and binding.
    ///
    /// # Errors
    /// [`SealError`]
    pub fn open(
        &self,
        purpose: Purpose,
        binding: &[&str],
        sealed: &str,
    ) -> Result<Vec<u8>, SealError> {
        let whole = BASE64_URL_SAFE_NO_PAD
            .decode(sealed)
            .map_err(|_not_base64| SealError::Foreign)?;
        let (salt, sealed) = match whole.split_first() {
            Some((&FORM, rest)) => rest.split_first_chunk::<SALT_LEN>(),
            Some(_) | None => None,
        }
        .ok_or(SealError::Foreign)?;
        let mut sealed = sealed.to_vec();
        let opened = self
            .key(purpose, salt)?
            .open_in_place(once(), Aad::from(bound(binding)), &mut sealed)
            .map_err(|_unspecified| SealError::Foreign)?;
        let (expires_ms, text) = opened
            .split_first_chunk::<EXPIRY_LEN>()
            .ok_or(SealError::Foreign)?;
        if u64::from_be_bytes(*expires_ms) <= self.clock.now_ms() {
            return Err(SealError::Expired);
        }
        Ok(text.to_vec())
    }

    /// Marks `text` as given out for this binding. What is marked is always the same, can be read by anybody, and has no
    /// end: for names that a client keeps.
    #[must_use]
    pub fn mark(&self, purpose: Purpose, binding: &[&str], text: &str) -> String {
        let tag = hmac::sign(&self.marker(purpose, binding), text.as_bytes());
        let tag = tag.as_ref().get(..MARK_LEN).unwrap_or_default();
        BASE64_URL_SAFE_NO_PAD.encode([tag, text.as_bytes()].concat())
    }

    /// Reads what [`Seal::mark`] gave out for the same purpose and binding.
    ///
    /// # Errors
    /// [`SealError::Foreign`]
    pub fn marked(
        &self,
        purpose: Purpose,
        binding: &[&str],
        marked: &str,
    ) -> Result<String, SealError> {
        let whole = BASE64_URL_SAFE_NO_PAD
            .decode(marked)
            .map_err(|_not_base64| SealError::Foreign)?;
        let (_, text) = whole
            .split_first_chunk::<MARK_LEN>()
            .ok_or(SealError::Foreign)?;
        let text = String::from_utf8(text.to_vec()).map_err(|_not_text| SealError::Foreign)?;
        // Both sides are keyed again, so that how long the comparison takes tells nothing.
        let once = hmac::Key::new(hmac::HMAC_SHA256, &rand::random::<[u8; 32]>());
        let ours = hmac::sign(&once, self.mark(purpose, binding, &text).as_bytes());
        match hmac::verify(&once, marked.as_bytes(), ours.as_ref()) {
            Ok(()) => Ok(text),
            Err(_unequal) => Err(SealError::Foreign),
        }
    }

    fn marker(&self, purpose: Purpose, binding: &[&str]) -> hmac::Key {
        let named = [purpose.label(), &bound(binding)].concat();
        let key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.secret), &named);
        hmac::Key::new(hmac::HMAC_SHA256, key.as_ref())
    }

    /// The key of one text (RFC 5869). A key that is used once needs no care about nonces, whose 96 random bits alone
    /// would bound how much may be sealed under a secret that replicas share for years.
    fn key(&self, purpose: Purpose, salt: &[u8]) -> Result<LessSafeKey, SealError> {
        let extracted = Salt::new(HKDF_SHA256, salt).extract(&self.secret);
        let label = [purpose.label()];
        let expanded = extracted.expand(&label, &AES_256_GCM);
        let key = expanded.map_err(|_unspecified| SealError::TooLarge)?;
        Ok(LessSafeKey::new(UnboundKey::from(key)))
    }
}

fn once() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

/// The names one after the other, each with its length, so that no two bindings look alike.
fn bound(binding: &[&str]) -> Vec<u8> {
    let mut bound = Vec::new();
    for name in binding {
        bound.extend_from_slice(&(name.len() as u64).to_be_bytes());
        bound.extend_from_slice(name.as_bytes());
    }
    bound
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);
    const BINDING: &[&str] = &["acme", "tools", "alice"];

    fn at(now_ms: u64) -> (Seal, Clock) {
        let clock = Clock::manual(now_ms);
        let seal = Seal {
            clock: clock.clone(),
            ..Seal::new(None)
        };
        (seal, clock)
    }

    fn sealed(seal: &Seal) -> String {
        seal.seal(Purpose::Cursor, BINDING, b"crm__lookup", HOUR)
            .unwrap()
    }

    #[test]
    fn what_is_sealed_opens_for_the_same_binding_alone() {
        let (seal, _) = at(0);
        let text = sealed(&seal);
        for (binding, opens) in [
            (BINDING, true),
            (&["acme", "tools", "bob"], false),
            (&["globex", "tools", "alice"], false),
            (&["acme", "toolsalice"], false),
            (&["acmetools", "alice"], false),
            (&["acme", "tools", "alice", ""], false),
            (&[], false),
        ] {
            let opened = seal.open(Purpose::Cursor, binding, &text);
            let want = if opens {
                Ok(b"crm__lookup".to_vec())
            } else {
                Err(SealError::Foreign)
            };
            assert_eq!(opened, want, "{binding:?}");
        }
    }

    #[test]
    fn a_text_expires() {
        let (seal, clock) = at(1_000);
        let text = sealed(&seal);
        for (wait, want) in [
            (HOUR - Duration::from_millis(1), Ok(b"crm__lookup".to_vec())),
            (Duration::from_millis(1), Err(SealError::Expired)),
        ] {
            clock.advance(wait);
            assert_eq!(seal.open(Purpose::Cursor, BINDING, &text), want);
        }
    }

    #[test]
    fn who_has_the_key_opens_and_nobody_else() {
        let key = Secret::new("a key of thirty-two letters, or more");
        let text = sealed(&Seal::new(Some(&key)));
        for (other, opens) in [
            (Seal::new(Some(&key)), true),
            (Seal::new(Some(&Secret::new("another key"))), false),
            (Seal::new(None), false),
        ] {
            let opened = other.open(Purpose::Cursor, BINDING, &text);
            assert_eq!(opened.is_ok(), opens, "{opened:?}");
        }
    }

    #[test]
    fn the_text_does_not_show_and_is_never_the_same() {
        let (seal, _) = at(0);
        let (one, two) = (sealed(&seal), sealed(&seal));
        assert_ne!(one, two);
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&one).unwrap();
        assert!(!bytes.windows(3).any(|part| part == b"crm"));
    }

    #[test]
    fn a_mark_is_for_its_binding_and_stays_the_same() {
        let (seal, _) = at(0);
        let marked = seal.mark(Purpose::Task, BINDING, "crm 17");
        assert_eq!(marked, seal.mark(Purpose::Task, BINDING, "crm 17"));
        assert_eq!(
            seal.marked(Purpose::Task, BINDING, &marked),
            Ok("crm 17".to_owned())
        );
        let other = seal.mark(Purpose::Task, &["acme", "tools", "bob"], "crm 17");
        for foreign in [other.as_str(), "", "AAAA", &marked[1..]] {
            let read = seal.marked(Purpose::Task, BINDING, foreign);
            assert_eq!(read, Err(SealError::Foreign), "{foreign}");
        }
        assert!(seal.marked(Purpose::Cursor, BINDING, &marked).is_err());
    }

    proptest! {
        #[test]
        fn one_changed_bit_is_noticed(at_byte in 0..64_usize, bit in 0..8_u8) {
            let (seal, _) = at(0);
            let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(sealed(&seal)).unwrap();
            let place = at_byte % bytes.len();
            bytes[place] ^= 1 << bit;
            let text = BASE64_URL_SAFE_NO_PAD.encode(bytes);
            prop_assert_eq!(seal.open(Purpose::Cursor, BINDING, &text), Err(SealError::Foreign));
        }

        #[test]
        fn anything_else_is_foreign(text in "\\PC{0,120}") {
            let (seal, _) = at(0);
            prop_assert_eq!(seal.open(Purpose::Cursor, BINDING, &text), Err(SealError::Foreign));
        }
    }
}
