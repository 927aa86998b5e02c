//! Keeps a catalogue true while nobody asks for it: listens to its upstreams, and asks those anew that have changed.
//!
//! One task for each catalogue that somebody lists or listens to. It ends with the gateway, and when another catalogue
//! has taken the place.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::select_all;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::tenancy::{Registry, Server};

use super::CatalogueCell;

/// How often a catalogue is looked after whose upstreams say nothing: mounts that were dead may be back.
const ROUND: Duration = Duration::from_secs(5);

/// What a keeper works with.
#[derive(Clone)]
pub struct Keeper {
    /// Where the server of today is found.
    pub registry: Arc<Registry>,
    /// Takes its tasks.
    pub tracker: TaskTracker,
    /// Ends them.
    pub stop: CancellationToken,
}

impl Keeper {
    /// Has the server's catalogue looked after, from now on.
    pub fn keep(&self, server: &Arc<Server>) {
        let cell = &server.catalogue;
        if cell.is_kept.load(Ordering::Relaxed) || cell.is_kept.swap(true, Ordering::AcqRel) {
            return;
        }
        let (keeper, name, cell) = (self.clone(), server.name.clone(), Arc::clone(cell));
        self.tracker.spawn(async move {
            let stop = keeper.stop.clone();
            stop.run_until_cancelled(keeper.run(&name, &cell)).await;
            cell.is_kept.store(false, Ordering::Release);
        });
    }

    async fn run(&self, name: &str, cell: &Arc<CatalogueCell>) {
        let Some(server) = self.server(name, cell) else {
            return;
        };
        let mut watched: Vec<(usize, watch::Receiver<u64>)> = Vec::new();
        for (at, mount) in server.mounts.iter().enumerate() {
            watched.extend(mount.replicas.iter().map(|replica| (at, replica.changes())));
        }
        drop(server);
        loop {
            let changed = tokio::time::timeout(ROUND, next_change(&mut watched)).await;
            let Some(server) = self.server(name, cell) else {
                return;
            };
            match changed {
                Ok(at) => cell.ask_again(at, &server, &self.tracker),
                Err(_elapsed) => cell.look_after(&server, &self.tracker),
            }
        }
    }

    /// The server whose catalogue this is, while there is one.
    fn server(&self, name: &str, cell: &Arc<CatalogueCell>) -> Option<Arc<Server>> {
        let server = self.registry.pin(name).ok()?.server;
        Arc::ptr_eq(&server.catalogue, cell).then_some(server)
    }
}

/// The place of the mount that says first that it has changed.
async fn next_change(watched: &mut [(usize, watch::Receiver<u64>)]) -> usize {
    let changes = watched.iter_mut().map(|(at, changes)| {
        Box::pin(async {
            if changes.changed().await.is_err() {
                // Its upstream is gone, and says nothing any more.
                std::future::pending::<()>().await;
            }
            *at
        })
    });
    let changes: Vec<_> = changes.collect();
    if changes.is_empty() {
        return std::future::pending().await;
    }
    select_all(changes).await.0
}
