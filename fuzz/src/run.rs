//! Drives a target, and watches it from outside: for panics, for inputs that take too long, for memory that stays.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::random::Random;

/// The longest that one input may take: a component may loop in `start`, in `describe` and in `configure`, a second each.
const INPUT_TIME_MAX: Duration = Duration::from_secs(20);
/// Inputs after which memory is looked at first, and what it may have grown by in the end.
const WARM_UP: u64 = 500;
const GROWTH_BYTES_MAX: u64 = 256 << 20;

/// What is fuzzed. It keeps nothing from one input to the next that could make a difference.
pub trait Target {
    /// Its name.
    fn name(&self) -> &'static str;
    /// Tries one input. An error is a finding.
    ///
    /// # Errors
    /// What is wrong.
    fn try_one(&mut self, random: &mut Random) -> Result<Outcome, String>;
}

/// Whether an input was taken or refused: both should happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was good.
    Taken,
    /// It was not.
    Refused,
}

/// How much is tried.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// For how long.
    pub time: Duration,
    /// What inputs are made from.
    pub seed: u64,
    /// The number of the first.
    pub from: u64,
    /// Most of them.
    pub inputs: u64,
}

/// What was tried without a finding.
pub struct Tally {
    name: &'static str,
    taken: u64,
    refused: u64,
    took: Duration,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            taken,
            refused,
            took,
        } = self;
        let inputs = taken + refused;
        write!(
            f,
            "{name}: {inputs} inputs in {:.1} s, {taken} taken and {refused} refused, no finding",
            took.as_secs_f64()
        )
    }
}

/// Tries inputs until time is up.
///
/// # Errors
/// The first finding, with what repeats it.
pub fn run(target: &mut dyn Target, plan: Plan) -> Result<Tally, String> {
    let (name, seed) = (target.name(), plan.seed);
    let again = |number| {
        format!("portcullis-fuzz --target {name} --seed {seed} --from {number} --inputs 1")
    };
    let watch = Watch::start(name, seed);
    let (started, mut before) = (Instant::now(), None);
    let (mut taken, mut refused) = (0, 0);
    for number in plan.from..plan.from.saturating_add(plan.inputs) {
        if started.elapsed() >= plan.time {
            break;
        }
        watch.at.store(number, Ordering::Relaxed);
        let mut random = Random::of(seed, number);
        // A target keeps nothing that an input could leave half done.
        match catch_unwind(AssertUnwindSafe(|| target.try_one(&mut random))) {
            Ok(Ok(Outcome::Taken)) => taken += 1,
            Ok(Ok(Outcome::Refused)) => refused += 1,
            Ok(Err(finding)) => return Err(format!("{finding}\n  again: {}", again(number))),
            Err(_panic) => return Err(format!("a panic\n  again: {}", again(number))),
        }
        if taken + refused == WARM_UP {
            before = resident_bytes();
        }
    }
    if let (Some(before), Some(after)) = (before, resident_bytes())
        && after > before.saturating_add(GROWTH_BYTES_MAX)
    {
        return Err(format!(
            "{name} has grown from {before} to {after} bytes of memory"
        ));
    }
    Ok(Tally {
        name,
        taken,
        refused,
        took: started.elapsed(),
    })
}

/// Ends the program when one input takes too long: nothing else could.
struct Watch {
    at: Arc<AtomicU64>,
    /// Hangs up when the run is over.
    _over: mpsc::Sender<()>,
}

impl Watch {
    fn start(name: &'static str, seed: u64) -> Self {
        let at = Arc::new(AtomicU64::new(u64::MAX));
        let (over, is_over) = mpsc::channel::<()>();
        let watched = Arc::clone(&at);
        thread::spawn(move || {
            let mut last = (u64::MAX, Instant::now());
            while is_over.recv_timeout(Duration::from_millis(200)) == Err(RecvTimeoutError::Timeout)
            {
                let number = watched.load(Ordering::Relaxed);
                if number != last.0 {
                    last = (number, Instant::now());
                } else if number != u64::MAX && last.1.elapsed() > INPUT_TIME_MAX {
                    eprintln!(
                        "portcullis-fuzz: an input takes too long\n  again: portcullis-fuzz --target {name} --seed {seed} --from {number} --inputs 1"
                    );
                    std::process::exit(1);
                }
            }
        });
        Self { at, _over: over }
    }
}

/// Memory of this process that is its own, in bytes.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}
