//! How many processes the callers of one upstream may have to themselves, and who could do without one.
//!
//! A session keeps its process to its end, since the process may hold state for it. A caller without sessions keeps
//! none of its own; its process is only there to be used again, and makes room when another is wanted and no call waits.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::keeper::Keeper;
use crate::upstream::error::UpstreamError;

/// Leave to run a process; it counts until everybody has let go of it.
pub(super) type Claim = Arc<OwnedSemaphorePermit>;

/// All claims of one upstream.
#[derive(Debug)]
pub(super) struct Claims {
    upstream: Arc<str>,
    processes_max: usize,
    free: Arc<Semaphore>,
    /// Those whose process may be taken away, the oldest first.
    pooled: Mutex<VecDeque<Weak<Keeper>>>,
}

impl Claims {
    pub(super) fn new(upstream: &Arc<str>, processes_max: usize) -> Self {
        let processes_max = processes_max.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            upstream: Arc::clone(upstream),
            processes_max,
            free: Arc::new(Semaphore::new(processes_max)),
            pooled: Mutex::default(),
        }
    }

    /// The process of this one may be taken away while it is idle.
    pub(super) fn pool(&self, keeper: &Arc<Keeper>) {
        let mut pooled = self.pooled.lock().unwrap_or_else(PoisonError::into_inner);
        pooled.retain(|known| known.strong_count() > 0);
        pooled.push_back(Arc::downgrade(keeper));
    }

    /// Leave to run one more process. May wait for an idle one to end.
    pub(super) async fn claim(&self) -> Result<Claim, UpstreamError> {
        let free = Arc::clone(&self.free);
        let permit = match Arc::clone(&free).try_acquire_owned() {
            Ok(permit) => Ok(permit),
            Err(_) if self.make_room() => free.acquire_owned().await,
            Err(_) => return Err(self.full()),
        };
        // The semaphore is never closed.
        permit.map(Arc::new).map_err(|_closed| self.full())
    }

    /// Ends the process of one who has no need of it now.
    fn make_room(&self) -> bool {
        let pooled = self.pooled.lock().unwrap_or_else(PoisonError::into_inner);
        pooled
            .iter()
            .filter_map(Weak::upgrade)
            .any(|keeper| keeper.retire())
    }

    fn full(&self) -> UpstreamError {
        UpstreamError::ProcessesFull {
            upstream: Arc::clone(&self.upstream),
            processes_max: self.processes_max,
        }
    }
}
