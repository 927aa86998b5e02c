//! The other tenant: callers who want nothing but their answers, and time each of them.
//!
//! Each sends its next request when it has the answer to the last. They go on all the time; what is reported is a window.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use portcullis_tests::mcp::Peer;
use serde_json::json;
use tokio::task::JoinSet;

const CALLERS: usize = 4;
const PAUSE: Duration = Duration::from_millis(2);

/// What was seen in a window.
#[derive(Debug, Default, Clone)]
pub struct Window {
    took_us: Vec<u64>,
    /// Calls that had no answer, or not the right one.
    pub failed: usize,
    seconds: f64,
}

impl Window {
    /// 99th percentile, in microseconds.
    pub fn p99_us(&self) -> u64 {
        let mut sorted = self.took_us.clone();
        sorted.sort_unstable();
        sorted
            .get(sorted.len() * 99 / 100)
            .copied()
            .unwrap_or(u64::MAX)
    }

    /// Answers in a second.
    #[allow(
        clippy::cast_precision_loss,
        reason = "a count of seconds, far below 2^52"
    )]
    pub fn rps(&self) -> f64 {
        self.took_us.len() as f64 / self.seconds.max(f64::MIN_POSITIVE)
    }
}

/// Callers under way. Dropping it ends them.
pub struct Bystander {
    seen: Arc<Mutex<Window>>,
    resting: Arc<AtomicBool>,
    _callers: JoinSet<()>,
}

impl Bystander {
    /// Starts callers of a server whose tool `demo__echo` gives its argument back.
    pub fn start(url: &str, key: &str) -> Self {
        let (seen, resting) = (
            Arc::<Mutex<Window>>::default(),
            Arc::<AtomicBool>::default(),
        );
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let peer = Peer::stateless(url, key);
            let (seen, resting) = (Arc::clone(&seen), Arc::clone(&resting));
            callers.spawn(async move { call_on(&peer, &seen, &resting).await });
        }
        Self {
            seen,
            resting,
            _callers: callers,
        }
    }

    /// Lets callers rest, or go on.
    pub fn rest(&self, rests: bool) {
        self.resting.store(rests, Ordering::Relaxed);
    }

    /// What callers see from now on, for this long.
    pub async fn window(&self, length: Duration) -> Window {
        let take =
            || std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        drop(take());
        let started = Instant::now();
        tokio::time::sleep(length).await;
        let mut window = take();
        window.seconds = started.elapsed().as_secs_f64();
        window
    }
}

async fn call_on(peer: &Peer, seen: &Mutex<Window>, resting: &AtomicBool) {
    for number in 0_u64.. {
        while resting.load(Ordering::Relaxed) {
            tokio::time::sleep(PAUSE).await;
        }
        let message = format!("m{number}");
        let call = json!({ "name": "demo__echo", "arguments": { "message": message } });
        let request = peer.build("tools/call", call);
        let started = Instant::now();
        let answer = async { request.send().await?.text().await };
        let is_right = answer
            .await
            .is_ok_and(|text| text.contains(&format!("\"{message}\"")));
        let took_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.took_us.push(took_us);
        seen.failed += usize::from(!is_right);
    }
}
