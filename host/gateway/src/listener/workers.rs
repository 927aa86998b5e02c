//! The threads that serve connections, one for each processor, each with a runtime of its own.
//!
//! A connection stays on its thread from its first byte to its last, with the upstream connections and the policy
//! instances that serve it: nothing of a call crosses threads, and what one thread frees it has allocated itself.

use std::io;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

/// Running threads; dropping them ends what still runs on them.
pub struct Workers {
    workers: Vec<Worker>,
    stop: CancellationToken,
}

struct Worker {
    runtime: Handle,
    /// The connections that it serves.
    open: TaskTracker,
    thread: Option<JoinHandle<()>>,
}

impl Workers {
    /// Starts `threads` of them; none given means one for each processor.
    ///
    /// # Errors
    /// When the system refuses a thread or what a runtime needs.
    pub fn start(threads: Option<usize>) -> io::Result<Self> {
        let threads = match threads {
            Some(threads) => threads.max(1),
            None => std::thread::available_parallelism().map_or(1, usize::from),
        };
        let mut started = Self {
            workers: Vec::with_capacity(threads),
            stop: CancellationToken::new(),
        };
        for number in 0..threads {
            started.workers.push(Worker::start(number, &started.stop)?);
        }
        Ok(started)
    }

    /// Runs a connection on the thread that has the fewest.
    pub(super) fn spawn(&self, connection: impl Future<Output = ()> + Send + 'static) {
        let quietest = self.workers.iter().min_by_key(|worker| worker.open.len());
        if let Some(worker) = quietest {
            worker.open.spawn_on(connection, &worker.runtime);
        }
    }

    /// Connections that are open.
    pub(super) fn open(&self) -> usize {
        self.workers.iter().map(|worker| worker.open.len()).sum()
    }

    /// Until no connection is open. None may be spawned any more.
    pub(super) async fn drained(&self) {
        for worker in &self.workers {
            worker.open.close();
            worker.open.wait().await;
        }
    }
}

impl Worker {
    fn start(number: usize, stop: &CancellationToken) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (handle, stop) = (runtime.handle().clone(), stop.clone());
        let thread = std::thread::Builder::new()
            .name(format!("portcullis-{number}"))
            .spawn(move || runtime.block_on(stop.cancelled()))?;
        Ok(Self {
            runtime: handle,
            open: TaskTracker::new(),
            thread: Some(thread),
        })
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.cancel();
        for thread in self
            .workers
            .iter_mut()
            .filter_map(|worker| worker.thread.take())
        {
            if thread.join().is_err() {
                warn!("a thread that served connections ended badly");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::future::pending;

    use tokio::sync::{mpsc, oneshot};

    use super::*;

    #[tokio::test]
    async fn each_connection_goes_to_the_thread_with_the_fewest() {
        let workers = Workers::start(Some(2)).unwrap();
        let (sender, mut receiver) = mpsc::channel(6);
        let ends: Vec<oneshot::Sender<()>> = (0..6)
            .map(|_| {
                let (sender, (end, ended)) = (sender.clone(), oneshot::channel());
                workers.spawn(async move {
                    sender.send(std::thread::current().id()).await.unwrap();
                    drop(ended.await);
                });
                end
            })
            .collect();
        let mut served = BTreeMap::new();
        for _ in 0..6 {
            let thread = format!("{:?}", receiver.recv().await.unwrap());
            *served.entry(thread).or_insert(0) += 1;
        }
        assert_eq!(served.into_values().collect::<Vec<_>>(), [3, 3]);
        assert_eq!(workers.open(), 6);
        drop(ends);
        workers.drained().await;
        assert_eq!(workers.open(), 0);
    }

    #[test]
    fn what_still_runs_ends_with_the_threads() {
        let workers = Workers::start(Some(1)).unwrap();
        let (held, mut ended) = oneshot::channel::<()>();
        workers.spawn(async move {
            let _held = held;
            pending::<()>().await;
        });
        drop(workers);
        assert_eq!(ended.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }
}
