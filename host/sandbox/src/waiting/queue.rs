//! Who runs now, who waits for a place, and who is sent away.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

/// A bounded number of places at once, and a bounded number of hooks that wait for one, in the order in which they came.
pub(crate) struct Queue {
    places: Semaphore,
    waiting: AtomicUsize,
    waiting_max: usize,
}

impl Queue {
    pub(super) fn new(places: u32, waiting_max: usize) -> Self {
        Self {
            places: Semaphore::new(usize::try_from(places).unwrap_or(usize::MAX).max(1)),
            waiting: AtomicUsize::new(0),
            waiting_max,
        }
    }

    /// Waits for a place; `None` when too many wait already.
    pub(super) async fn enter(&self) -> Option<SemaphorePermit<'_>> {
        if let Ok(place) = self.places.try_acquire() {
            return Some(place);
        }
        let _waiting = self.wait()?;
        // Nobody closes it.
        self.places.acquire().await.ok()
    }

    fn wait(&self) -> Option<Waiting<'_>> {
        let counted = Waiting(&self.waiting);
        (self.waiting.fetch_add(1, Ordering::AcqRel) < self.waiting_max).then_some(counted)
    }
}

/// Counted for as long as it waits, also when the wait is given up.
struct Waiting<'q>(&'q AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn who_finds_the_queue_full_is_sent_away_and_who_gives_up_makes_room() {
        let queue = Queue::new(1, 1);
        let mut cx = Context::from_waker(Waker::noop());
        let mut first = Box::pin(queue.enter());
        let Poll::Ready(Some(place)) = first.as_mut().poll(&mut cx) else {
            panic!("there is a place");
        };
        let mut second = Box::pin(queue.enter());
        assert!(second.as_mut().poll(&mut cx).is_pending());
        let sent_away = pin!(queue.enter());
        assert!(matches!(sent_away.poll(&mut cx), Poll::Ready(None)));
        drop(second);
        let mut third = Box::pin(queue.enter());
        assert!(third.as_mut().poll(&mut cx).is_pending());
        drop(place);
        assert!(matches!(third.as_mut().poll(&mut cx), Poll::Ready(Some(_))));
    }
}
