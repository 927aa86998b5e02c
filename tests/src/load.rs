//! Traffic: clients that call a tool again and again, bounded in number and in time, and check every answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use serde_json::json;
use tokio::task::JoinSet;

use crate::mcp::{Era, Peer};
use crate::wait::{self, BOUND};

/// Most calls of one client.
const CALLS_MAX: u64 = 100_000;
/// Failures kept in words; all are counted.
const FAILURES_SHOWN_MAX: usize = 5;

/// What became of the calls.
#[derive(Debug, Default)]
pub struct Tally {
    /// Calls that were sent.
    pub sent: u64,
    /// Calls that came back with the right answer.
    pub answered: u64,
    /// The first others, in words.
    pub failures: Vec<String>,
}

/// Traffic under way. Dropping it ends it.
pub struct Load {
    clients: JoinSet<Tally>,
    answered: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Load {
    /// Starts `clients` clients, half of them of each era, that call a tool which returns its argument `message`.
    pub async fn start(clients: usize, url: &str, bearer: &str, echo: &'static str) -> Self {
        let (answered, stop) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let mut set = JoinSet::new();
        for client in 0..clients {
            let era = if client % 2 == 0 {
                Era::Session
            } else {
                Era::Stateless
            };
            let peer = Peer::connect(era, url, bearer).await;
            let (answered, stop) = (Arc::clone(&answered), Arc::clone(&stop));
            set.spawn(async move { run(&peer, (client, echo), &answered, &stop).await });
        }
        Self {
            clients: set,
            answered,
            stop,
        }
    }

    /// Waits until this many more calls were answered, so that what was done before has met traffic.
    ///
    /// # Panics
    /// When traffic has ended.
    pub async fn answers(&self, more: u64) {
        let enough = self.answered.load(Ordering::Relaxed) + more;
        wait::so("calls to be answered", || {
            self.answered.load(Ordering::Relaxed) >= enough
        })
        .await;
    }

    /// Ends the traffic: every call that was sent is waited for.
    ///
    /// # Panics
    /// When a client panicked.
    pub async fn end(mut self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Tally::default();
        while let Some(tally) = self.clients.join_next().await {
            let tally = tally.expect("a client");
            all.sent += tally.sent;
            all.answered += tally.answered;
            all.failures.extend(tally.failures);
        }
        all.failures.truncate(FAILURES_SHOWN_MAX);
        all
    }
}

async fn run(
    peer: &Peer,
    (client, echo): (usize, &str),
    answered: &AtomicU64,
    stop: &AtomicBool,
) -> Tally {
    let give_up = Instant::now() + BOUND;
    let mut tally = Tally::default();
    while !stop.load(Ordering::Relaxed) && tally.sent < CALLS_MAX && Instant::now() < give_up {
        let message = format!("{client}/{}", tally.sent);
        tally.sent += 1;
        match outcome(peer, echo, &message).await {
            Ok(()) => {
                tally.answered += 1;
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Err(failure) if tally.failures.len() < FAILURES_SHOWN_MAX => {
                tally.failures.push(failure)
            }
            Err(_) => {}
        }
    }
    tally
}

async fn outcome(peer: &Peer, echo: &str, message: &str) -> Result<(), String> {
    let request = peer.build(
        "tools/call",
        json!({ "name": echo, "arguments": { "message": message } }),
    );
    let response = request
        .send()
        .await
        .map_err(|error| format!("{message}: {error:?}"))?;
    let status = response.status();
    let text = response
        .text()
        .await
        .map_err(|error| format!("{message}: {status}, then {error:?}"))?;
    if status.is_success() && text.contains(&format!("\"{message}\"")) {
        Ok(())
    } else {
        Err(format!("{message}: {status} {text}"))
    }
}
