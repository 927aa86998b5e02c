//! A name for one request, in logs and in the reply's `x-request-id`.
//!
//! A hook runs on one thread at a time, so a thread-local tells a guest's log line which request it belongs to without a
//! lock or an allocation.

use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

static NEXT: AtomicU64 = AtomicU64::new(1);
static PROCESS: OnceLock<u32> = OnceLock::new();

thread_local! {
    static CURRENT: Cell<u64> = const { Cell::new(0) };
}

/// Unique in this process; printed with a random prefix of the process, so that replicas do not collide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(u64);

impl RequestId {
    /// The next id.
    #[must_use]
    pub fn next() -> Self {
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Runs `hook` with this id as the thread's current one.
    pub fn scope<T>(self, hook: impl FnOnce() -> T) -> T {
        let before = CURRENT.replace(self.0);
        let value = hook();
        CURRENT.set(before);
        value
    }

    /// The same for a hook that may be set aside, and go on on another thread.
    pub async fn follow<T>(self, mut hook: Pin<Box<dyn Future<Output = T> + Send + '_>>) -> T {
        std::future::poll_fn(|cx| self.scope(|| hook.as_mut().poll(cx))).await
    }

    /// The request that this thread runs a hook for.
    #[must_use]
    pub fn current() -> Option<Self> {
        match CURRENT.get() {
            0 => None,
            id => Some(Self(id)),
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let process = PROCESS.get_or_init(rand::random);
        write!(f, "{process:08x}-{:x}", self.0)
    }
}
