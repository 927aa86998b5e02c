//! Threads by number, for what each of them has of its own: connections, metrics.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static NUMBER: Cell<usize> = Cell::new(THREADS.fetch_add(1, Ordering::Relaxed));
}

/// The number of this thread: from 0 up, in the order in which threads first asked, and never another one's.
pub(crate) fn number() -> usize {
    NUMBER.get()
}
