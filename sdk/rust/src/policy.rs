//! The trait that a policy implements: its lifecycle, and the hooks with the answer of one that has no opinion.

use crate::{Call, Caller, Candidate, Denial, Edit, Entry, Manifest, Reply};

/// One policy, configured.
///
/// A component has one instance of it per binding and replica thread; nothing but the host's `quota` and `state`
/// outlives it. Only the hooks that are named in [`export!`](crate::export) are ever called.
pub trait Policy: Sized + 'static {
    /// What this plugin is. [`manifest!`](crate::manifest) fills it from the package.
    fn manifest() -> Manifest;

    /// Takes the binding's configuration, JSON text that the host has checked against the manifest's schema.
    ///
    /// # Errors
    ///
    /// A sentence for the person who wrote the configuration; it names the field. See [`config`](crate::config).
    fn configure(config: &str) -> Result<Self, String>;

    /// Says who is calling, or leaves the call to the next authenticator with `Ok(None)`. An
    /// [`Identity`](crate::Identity) becomes a [`Caller`] with `into`.
    ///
    /// # Errors
    ///
    /// Credentials that are recognised and do not hold.
    fn authenticate(&self, _call: &Call) -> Result<Option<Caller>, Denial> {
        Ok(None)
    }

    /// Lets a message pass. Runs on every message, and again after a transform changed it.
    ///
    /// # Errors
    ///
    /// Why the message is refused.
    fn admit(&self, _call: &Call) -> Result<(), Denial> {
        Ok(())
    }

    /// Chooses one of the healthy candidates by its place, or keeps the host's choice with `Ok(None)`.
    ///
    /// # Errors
    ///
    /// Why the call can go nowhere.
    fn route(&self, _call: &Call, _candidates: &[Candidate]) -> Result<Option<u32>, Denial> {
        Ok(None)
    }

    /// New arguments as JSON text, or `Ok(None)` to leave them.
    ///
    /// # Errors
    ///
    /// Why the call is refused.
    fn transform_call(&self, _call: &Call) -> Result<Option<String>, Denial> {
        Ok(None)
    }

    /// A new result as JSON text, or `Ok(None)` to leave it.
    ///
    /// # Errors
    ///
    /// Why the caller may not have the result.
    fn transform_reply(&self, _call: &Call, _reply: &Reply) -> Result<Option<String>, Denial> {
        Ok(None)
    }

    /// One edit per entry of a listing, in order. A long listing is handed over in parts, and an entry may be shown twice:
    /// judge each by itself.
    ///
    /// # Errors
    ///
    /// Why the caller may not have the listing at all.
    fn transform_listing(&self, _call: &Call, entries: &[Entry]) -> Result<Vec<Edit>, Denial> {
        Ok(entries.iter().map(|_| Edit::Keep).collect())
    }
}
