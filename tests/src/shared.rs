//! Things that several tests of a topic share: made by the first, gone after the last.

use std::future::Future;
use std::sync::{Arc, Weak};

use tokio::sync::Mutex;

/// A thing that lives for as long as any test holds it. What it holds must not belong to one test's runtime: processes
/// and addresses do not, HTTP clients do.
pub struct Shared<T>(Mutex<Weak<T>>);

impl<T> Shared<T> {
    /// Nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::const_new(Weak::new()))
    }

    /// The thing, made by `make` if nobody holds one.
    pub async fn get<F: Future<Output = T>>(&self, make: impl FnOnce() -> F) -> Arc<T> {
        let mut held = self.0.lock().await;
        if let Some(thing) = held.upgrade() {
            return thing;
        }
        let thing = Arc::new(make().await);
        *held = Arc::downgrade(&thing);
        thing
    }
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self::new()
    }
}
