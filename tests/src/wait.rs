//! Waiting for conditions.

use std::future::Future;
use std::time::{Duration, Instant};

/// The longest that anything waits. Generous: it only ends tests that would hang.
pub const BOUND: Duration = Duration::from_secs(60);

/// From one look to the next.
pub const PAUSE: Duration = Duration::from_millis(10);

/// Asks `condition` until it gives a value.
///
/// # Panics
/// When it never does; `what` says what was waited for.
pub async fn until<T, F>(what: &str, mut condition: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let give_up = Instant::now() + BOUND;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < give_up, "waited in vain for {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// As [`until`], for a condition that needs no waiting of its own.
///
/// # Panics
/// As [`until`].
pub async fn so(what: &str, mut condition: impl FnMut() -> bool) {
    until(what, || {
        let met = condition().then_some(());
        async move { met }
    })
    .await;
}

/// Lets `work` take [`BOUND`] at most.
///
/// # Panics
/// When it takes longer.
pub async fn at_most<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, work)
        .await
        .unwrap_or_else(|_elapsed| panic!("{what} did not end in {} s", BOUND.as_secs()))
}
