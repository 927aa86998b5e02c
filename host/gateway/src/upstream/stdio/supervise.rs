//! A process's life: started with an environment of its own, read, written to, and ended with all that it started.
//!
//! One task per process. Whatever happens, callers are let go first, and the process group is gone at the end.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;

use super::keeper::Order;
use super::process::{Ending, Process};
use super::{inbound, stderr};

/// How long the rest of a dead process's output is read, and its exit status waited for.
const LAST_WORDS_MS: u64 = 100;

/// Starts the command and the task that looks after it.
pub(super) fn spawn(order: &Order) -> io::Result<Arc<Process>> {
    let setup = &order.setup;
    let child = Command::new(&setup.program)
        .args(&setup.args)
        .env_clear()
        .envs(setup.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .process_group(0)
        .spawn()?;
    let (outbox, inbox) = mpsc::channel(setup.limits.process_queue_len_max.max(1));
    let process = Process::new(order, outbox);
    tracing::debug!(upstream = %setup.name, pid = child.id(), "process started");
    let (supervised, claim) = (Arc::clone(&process), order.claim.clone());
    setup.processes.spawn(async move {
        let meters = Arc::clone(&supervised.setup.meters);
        meters.processes.inc();
        supervise(supervised, child, inbox).await;
        meters.processes.dec();
        drop(claim);
    });
    Ok(process)
}

/// The processes that a child has started, and itself.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // It may be gone already, which is what was wanted.
            kill_process_group(group, signal).ok();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

async fn supervise(process: Arc<Process>, mut child: Child, inbox: mpsc::Receiver<Bytes>) {
    let group = Group::of(&child);
    let status = converse(&process, &mut child, inbox).await;
    let ending = match (&status, process.stop.is_cancelled()) {
        (_, true) => Ending::Stopped,
        (Some(status), false) => Ending::Exited(status.to_string()),
        (None, false) => Ending::Exited("it closed its output".to_owned()),
    };
    if let Ending::Exited(ending) = &ending {
        tracing::warn!(upstream = %process.setup.name, %ending, "process ended");
    }
    process.end(ending);
    if status.is_none() {
        end(&mut child, &group, process.setup.limits.process_stop()).await;
    }
}

/// Reads and writes until the process ends or is to be stopped; its input is closed afterwards.
async fn converse(
    process: &Arc<Process>,
    child: &mut Child,
    inbox: mpsc::Receiver<Bytes>,
) -> Option<ExitStatus> {
    let (stdin, stdout, errors) = (
        child.stdin.take()?,
        child.stdout.take()?,
        child.stderr.take()?,
    );
    let limits = &process.setup.limits;
    let writing = write(stdin, inbox);
    let reading = inbound::read(process, stdout);
    let logging = stderr::log(&process.setup.name, errors, limits);
    tokio::pin!(writing, reading, logging);
    let (mut writes, mut logs) = (true, true);
    loop {
        tokio::select! {
            () = &mut reading => break,
            status = child.wait() => {
                // What it said before it ended still counts, unless a child of its own keeps the pipe open.
                let last_words = async { tokio::join!(&mut reading, async { if logs { (&mut logging).await } }) };
                tokio::time::timeout(Duration::from_millis(LAST_WORDS_MS), last_words).await.ok();
                return status.ok();
            }
            () = process.stop.cancelled() => return None,
            () = &mut writing, if writes => writes = false,
            () = &mut logging, if logs => logs = false,
        }
    }
    let status = tokio::time::timeout(Duration::from_millis(LAST_WORDS_MS), child.wait()).await;
    status.ok()?.ok()
}

async fn write(mut stdin: ChildStdin, mut inbox: mpsc::Receiver<Bytes>) {
    while let Some(line) = inbox.recv().await {
        if stdin.write_all(&line).await.is_err() {
            // The process is ending; `converse` sees it by its output.
            return;
        }
    }
}

/// Ends a process whose input is closed: it may go by itself, then it is asked, then it is made to.
async fn end(child: &mut Child, group: &Group, patience: Duration) {
    if tokio::time::timeout(patience, child.wait()).await.is_ok() {
        return;
    }
    group.signal(Signal::TERM);
    if tokio::time::timeout(patience, child.wait()).await.is_ok() {
        return;
    }
    group.signal(Signal::KILL);
    child.wait().await.ok();
}
