//! The identities that an instance has its host keep, so that it hands each over once.

use std::sync::Arc;

use crate::Identity;

/// Numbers that a guest may keep identities under. `wit/hooks.wit` promises it.
const NUMBERS_MAX: usize = 1024;
/// What an identity costs beside its texts.
const ENTRY_BYTES: usize = 128;

/// Kept identities, by number. What they take is counted by the caller.
#[derive(Default)]
pub(crate) struct Callers(Vec<Option<Arc<Identity>>>);

/// The bytes that keeping an identity adds, and those that it frees.
pub(crate) struct Kept {
    pub(crate) added_bytes: usize,
    pub(crate) freed_bytes: usize,
}

impl Callers {
    /// Keeps an identity; none for a number that is too high.
    pub(crate) fn keep(&mut self, number: u32, identity: &Arc<Identity>) -> Option<Kept> {
        let index = usize::try_from(number).ok()?;
        if index >= NUMBERS_MAX {
            return None;
        }
        if self.0.len() <= index {
            self.0.resize(index + 1, None);
        }
        let before = self.0.get_mut(index)?.replace(Arc::clone(identity));
        Some(Kept {
            added_bytes: bytes(identity),
            freed_bytes: before.as_deref().map_or(0, bytes),
        })
    }

    pub(crate) fn kept(&self, number: u32) -> Option<Arc<Identity>> {
        self.0.get(usize::try_from(number).ok()?)?.clone()
    }
}

fn bytes(identity: &Identity) -> usize {
    let lists = identity.roles.iter().chain(&identity.scopes);
    lists
        .map(|text| text.len().saturating_add(size_of::<String>()))
        .fold(ENTRY_BYTES, usize::saturating_add)
        .saturating_add(identity.subject.len())
        .saturating_add(identity.team.as_ref().map_or(0, String::len))
        .saturating_add(identity.claims.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(subject: &str) -> Arc<Identity> {
        Arc::new(Identity {
            subject: subject.into(),
            team: None,
            roles: vec!["reader".into()],
            scopes: Vec::new(),
            claims: "{}".into(),
        })
    }

    #[test]
    fn identities_are_kept_by_number() {
        let mut callers = Callers::default();
        let (alice, bob) = (identity("alice"), identity("bob"));
        let first = callers.keep(7, &alice).unwrap();
        assert!(first.added_bytes > "alicereader{}".len());
        assert_eq!(first.freed_bytes, 0);
        assert_eq!(callers.kept(7).unwrap().subject, "alice");
        let second = callers.keep(7, &bob).unwrap();
        assert_eq!(second.freed_bytes, first.added_bytes);
        assert_eq!(callers.kept(7).unwrap().subject, "bob");
        for number in [0, 6, 8, u32::MAX] {
            assert!(callers.kept(number).is_none(), "{number}");
        }
        assert!(callers.keep(1024, &alice).is_none());
        assert!(callers.keep(1023, &alice).is_some());
    }
}
