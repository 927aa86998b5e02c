//! The open loop: requests leave at a fixed rate, whether earlier ones were answered or not.
//!
//! Latency counts from the moment at which a request should have left, so a system that stalls cannot hide the
//! requests that waited meanwhile (coordinated omission). The generator's own timer adds up to 0.2 ms.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use portcullis_benches::stats::rounded;
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};
use tokio::task::{JoinSet, LocalSet};

use crate::callers::{self, Caller};
use crate::error::BenchError;
use crate::http::{Connection, Reply};
use crate::target::Target;

/// Requests that may wait for a connection; more of them mean that the rate is beyond the target.
const BACKLOG_MAX: usize = 1 << 16;
const TIMER: Duration = Duration::from_micros(100);
const LATENCY_US_MAX: u64 = 120_000_000;
const DIGITS: u8 = 3;

/// Judges a reply.
pub type Check = fn(&Target, &Reply) -> Result<(), BenchError>;

/// How much is sent.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Connections that carry it.
    pub connections: usize,
    /// Requests a second.
    pub rate: u64,
    /// For how long.
    pub seconds: u64,
}

/// How long replies took, in microseconds.
#[derive(Clone)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// Of nothing yet.
    pub fn new() -> Result<Self, BenchError> {
        Histogram::new_with_bounds(1, LATENCY_US_MAX, DIGITS)
            .map(Self)
            .map_err(|error| BenchError::failed(error.to_string()))
    }

    /// Adds a reply that took this long.
    pub fn record(&mut self, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.0.saturating_record(took_us);
    }

    /// A percentile.
    pub fn percentile_us(&self, percentile: f64) -> u64 {
        self.0.value_at_percentile(percentile)
    }

    /// For the report.
    pub fn report(&self) -> Value {
        json!({
            "requests": self.0.len(), "mean_us": rounded(self.0.mean()), "p50_us": self.percentile_us(50.0),
            "p90_us": self.percentile_us(90.0), "p99_us": self.percentile_us(99.0), "p999_us": self.percentile_us(99.9),
            "max_us": self.0.max(),
        })
    }
}

/// Puts the load on the target. Any reply that `check` refuses ends it.
pub async fn run(target: &Target, load: Load, check: Check) -> Result<Latencies, BenchError> {
    let latencies = Rc::new(RefCell::new(Latencies::new()?));
    let (due, queue) = mpsc::channel(BACKLOG_MAX);
    let queue = Rc::new(Mutex::new(queue));
    let (local, mut workers) = (LocalSet::new(), JoinSet::new());
    for caller in target.callers.iter().take(load.connections) {
        let worker = Worker {
            target: target.clone(),
            caller: caller.clone(),
            connection: Connection::open(target.address).await?,
            queue: Rc::clone(&queue),
            latencies: Rc::clone(&latencies),
            check,
        };
        workers.spawn_local_on(worker.run(), &local);
    }
    let clock = std::thread::spawn(move || tick(load, &due));
    let outcome = local
        .run_until(async {
            while let Some(ended) = workers.join_next().await {
                ended.map_err(|error| {
                    BenchError::failed(format!("a connection gave up: {error}"))
                })??;
            }
            Ok(())
        })
        .await;
    // With its receivers gone the clock ends by itself.
    drop((workers, local, queue));
    let kept_up = clock.join().unwrap_or(false);
    outcome?;
    if !kept_up {
        return Err(BenchError::failed(format!(
            "{} cannot take {} requests a second",
            target.url(),
            load.rate
        )));
    }
    let latencies = latencies.borrow().clone();
    Ok(latencies)
}

/// Says when requests are due, on a thread of its own; false when nobody takes them.
fn tick(load: Load, due: &mpsc::Sender<Instant>) -> bool {
    let (start, total) = (Instant::now(), load.rate * load.seconds);
    let mut sent = 0;
    while sent < total {
        let elapsed_us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let by_now = (elapsed_us.saturating_mul(load.rate) / 1_000_000).min(total);
        while sent < by_now {
            let at = start + Duration::from_nanos(sent * 1_000_000_000 / load.rate.max(1));
            if due.try_send(at).is_err() {
                return false;
            }
            sent += 1;
        }
        std::thread::sleep(TIMER);
    }
    true
}

struct Worker {
    target: Target,
    caller: Caller,
    connection: Connection,
    queue: Rc<Mutex<mpsc::Receiver<Instant>>>,
    latencies: Rc<RefCell<Latencies>>,
    check: Check,
}

impl Worker {
    async fn run(mut self) -> Result<(), BenchError> {
        let mut id = 1_000;
        loop {
            let next = self.queue.lock().await.recv().await;
            let Some(due) = next else { return Ok(()) };
            id += 1;
            let message = callers::call(id, &self.target.tool);
            let reply = self
                .connection
                .send(callers::request(&self.target, &self.caller, &message)?)
                .await?;
            self.latencies.borrow_mut().record(due.elapsed());
            (self.check)(&self.target, &reply)?;
        }
    }
}
