//! One gateway on some processors, with a bystander: every guest is let loose in it, once to be timed and once to go on
//! for as long as the bystander is watched.

use std::process::{Command, Stdio};
use std::time::Duration;

use portcullis_tests::gateway::Gateway;
use portcullis_tests::hostile::{End, Guest, SETTINGS, Stand};
use portcullis_tests::stage::Stage;
use portcullis_tests::wait;

use crate::bystander::{Bystander, Window};
use crate::options::Processors;

/// From one misdeed to the next.
const PACE: Duration = Duration::from_millis(50);
const GROWTH_MAX: f64 = 1.05;

/// What became of one guest.
pub struct Meeting {
    /// In the words of [`End`].
    pub actual: String,
    /// From the request to the guest's end, in milliseconds.
    pub contained_ms: f64,
    /// What the bystander saw before it.
    pub alone: Window,
    /// What the bystander saw beside it.
    pub beside: Window,
}

/// What became of all, on these processors.
pub struct Course {
    /// Where the gateway ran.
    pub processors: Processors,
    /// One for each guest, in the corpus's order.
    pub meetings: Vec<Meeting>,
    /// The bystander's last window, when every guest was gone.
    pub last: Window,
    /// The gateway's memory before and after, in bytes.
    pub resident_bytes: [u64; 2],
}

/// Lets the guests loose, one after the other.
pub async fn run(processors: &Processors, guests: &[Guest], window: Duration) -> Course {
    // On one processor the gateway has it for itself, as far as this program and the upstream go.
    let ours = if processors.count == 1 && processors.list != "1" {
        "1"
    } else {
        "0,1"
    };
    stay_on(ours);
    let gateway = Gateway::on_processors(&processors.list, SETTINGS).await;
    let mut stage = Stage::on(gateway).await;
    let bystander = Bystander::start(&stage.url(), &stage.alice);
    // What the allocator keeps of a first pass it keeps for good; a second must leave nothing.
    for guest in guests.iter().filter(|guest| !guest.is_bomb()) {
        let mut stand = Stand::set(&stage, guest).await;
        stand.meet().await;
        stand.clear().await;
    }
    bystander.window(window * 4).await;
    let before = stage.gateway.process().memory_bytes();
    let mut meetings = Vec::with_capacity(guests.len());
    for guest in guests {
        meetings.push(meet(&stage, guest, (&bystander, window)).await);
    }
    let last = bystander.window(window).await;
    drop(bystander);
    let after = settled(&mut stage, before).await;
    Course {
        processors: processors.clone(),
        meetings,
        last,
        resident_bytes: [before, after],
    }
}

async fn meet(
    stage: &Stage,
    guest: &Guest,
    (bystander, window): (&Bystander, Duration),
) -> Meeting {
    let mut stand = Stand::set(stage, guest).await;
    let alone = bystander.window(window).await;
    bystander.rest(true);
    let outcome = stand.meet().await;
    bystander.rest(false);
    let beside = tokio::select! {
        beside = bystander.window(window) => beside,
        () = misbehave(&stand, guest) => Window::default(),
    };
    stand.clear().await;
    println!(
        "{:<28} {:<34} {:>9.1} ms",
        guest.name, outcome.actual, outcome.contained_ms
    );
    Meeting {
        actual: outcome.actual,
        contained_ms: outcome.contained_ms,
        alone,
        beside,
    }
}

/// The guest's own deed, again and again.
async fn misbehave(stand: &Stand<'_>, guest: &Guest) {
    let caller = stand.caller();
    let mut pace = tokio::time::interval(PACE);
    loop {
        pace.tick().await;
        match guest.end {
            End::Upload(_) => drop(stand.upload().await),
            End::Chain(_) => drop(stand.bind().await),
            End::Call(_) | End::Denied(_) | End::Served => drop(stand.request(&caller).await),
        }
    }
}

/// The gateway's memory, when it has had time to give back what it took.
async fn settled(stage: &mut Stage, before: u64) -> u64 {
    let process = stage.gateway.process();
    let mut least = u64::MAX;
    for _ in 0..50 {
        least = least.min(process.memory_bytes());
        if !has_grown(before, least) {
            break;
        }
        tokio::time::sleep(wait::PAUSE).await;
    }
    least
}

/// Whether more memory is taken than a gateway may keep.
#[allow(
    clippy::cast_precision_loss,
    reason = "bytes of a process, far below 2^52"
)]
pub fn has_grown(before: u64, after: u64) -> bool {
    after as f64 > before as f64 * GROWTH_MAX
}

/// Keeps this program, and what it starts without saying otherwise, on some processors.
fn stay_on(processors: &str) {
    let moved = Command::new("taskset")
        .args(["--all-tasks", "--cpu-list", "--pid", processors])
        .arg(std::process::id().to_string())
        .stdout(Stdio::null())
        .status();
    assert!(
        moved.is_ok_and(|status| status.success()),
        "taskset (of util-linux) cannot put a process on the processors {processors}"
    );
}
