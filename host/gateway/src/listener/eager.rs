//! A connection's task, polled again at once when it woke itself.
//!
//! Inside one connection, halves wake each other: a body that is read wakes the parser, which wakes the reader. Each
//! such wake would send the task through the scheduler's queue, behind every other connection of the thread.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Polls in a row before the scheduler gets its turn.
const POLLS_MAX: usize = 16;

const IDLE: u8 = 0;
const POLLING: u8 = 1;
const WOKEN: u8 = 2;

/// A future that answers its own wakes.
pub(super) struct Eager<F> {
    future: Pin<Box<F>>,
    relay: Arc<Relay>,
    waker: Waker,
}

/// Passes a wake on to the task, unless the task is being polled at the moment.
struct Relay {
    state: AtomicU8,
    task: AtomicWaker,
}

impl<F: Future> Eager<F> {
    pub(super) fn new(future: F) -> Self {
        let relay = Arc::new(Relay {
            state: AtomicU8::new(IDLE),
            task: AtomicWaker::new(),
        });
        Self {
            future: Box::pin(future),
            waker: Waker::from(Arc::clone(&relay)),
            relay,
        }
    }
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let polled =
            self.state
                .compare_exchange(POLLING, WOKEN, Ordering::AcqRel, Ordering::Acquire);
        if polled == Err(IDLE) {
            self.task.wake();
        }
    }
}

impl<F: Future> Future for Eager<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        this.relay.task.register(cx.waker());
        let mut inner = Context::from_waker(&this.waker);
        for _ in 0..POLLS_MAX {
            this.relay.state.store(POLLING, Ordering::Release);
            if let Poll::Ready(output) = this.future.as_mut().poll(&mut inner) {
                return Poll::Ready(output);
            }
            let settled = this.relay.state.compare_exchange(
                POLLING,
                IDLE,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            if settled.is_ok() {
                return Poll::Pending;
            }
        }
        this.relay.state.store(IDLE, Ordering::Release);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Counts the wakes that reach the scheduler.
    #[derive(Default)]
    struct Scheduler(AtomicUsize);

    impl Wake for Scheduler {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn poll(future: impl Future<Output = usize>) -> (Poll<usize>, usize) {
        let scheduler = Arc::new(Scheduler::default());
        let waker = Waker::from(Arc::clone(&scheduler));
        let polled = Pin::new(&mut Eager::new(future)).poll(&mut Context::from_waker(&waker));
        (polled, scheduler.0.load(Ordering::Relaxed))
    }

    /// Wakes itself until it was polled often enough.
    fn wakes_itself(polls: usize) -> impl Future<Output = usize> {
        let mut seen = 0;
        std::future::poll_fn(move |cx| {
            seen += 1;
            if seen == polls {
                return Poll::Ready(seen);
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }

    #[test]
    fn a_future_that_wakes_itself_needs_no_scheduler() {
        assert_eq!(poll(wakes_itself(POLLS_MAX)), (Poll::Ready(POLLS_MAX), 0));
    }

    #[test]
    fn a_future_that_never_rests_gives_way() {
        assert_eq!(poll(wakes_itself(POLLS_MAX + 1)), (Poll::Pending, 1));
    }

    #[tokio::test]
    async fn a_wake_from_elsewhere_arrives() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let waiting = tokio_util::task::TaskTracker::new().spawn(Eager::new(receiver));
        tokio::task::yield_now().await;
        sender.send(7).unwrap();
        assert_eq!(waiting.await.unwrap().unwrap(), 7);
    }
}
