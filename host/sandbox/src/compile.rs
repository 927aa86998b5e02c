//! From a component to machine code, in a process of its own.
//!
//! Before it: admission, which has seen a component's preamble. After it: the cache, and loading. A compiler works on
//! bytes of strangers, so it runs in a child: with bounds on time, memory and output, without environment, files or
//! privileges, behind everything else for the processor. What it makes comes back under a key that was made for this one
//! compile, so that nothing else, and no part of it, is ever taken for its answer.

mod child;
mod queue;

use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use wasmtime::Engine;

use crate::machine_code::{MachineCode, Seal, TAG_BYTES};
use crate::{AdmitError, Digest};

pub use child::compile_if_asked;
use queue::Queue;

/// What the child is asked by: its first argument.
const ARGUMENT: &str = "compile-component";
/// The running program, also when its file was replaced meanwhile.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// A compiler stands behind everything else for the processor: on a busy machine it may take so many times longer.
const PATIENCE: u32 = 4;
/// More than any message of the compiler; the rest of a longer one is not read.
const MESSAGE_BYTES_MAX: u64 = 8 << 10;

/// Whether this program answers to [`ARGUMENT`].
static ANSWERS: AtomicBool = AtomicBool::new(false);

/// Bounds of one compile.
#[derive(Debug, Clone, Copy)]
pub struct CompileLimits {
    /// Longest time on the processor, in seconds.
    pub time_s_max: u64,
    /// Most address space of the compiler, in bytes.
    pub memory_bytes_max: u64,
    /// Most machine code, in bytes.
    pub output_bytes_max: u64,
    /// Compiles at once.
    pub concurrent_max: usize,
    /// Compiles that may wait for their turn.
    pub queued_max: usize,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self {
            time_s_max: 30,
            memory_bytes_max: 1 << 30,
            output_bytes_max: 128 << 20,
            concurrent_max: 1,
            queued_max: 64,
        }
    }
}

/// Where components are compiled.
pub(crate) struct Compiler {
    limits: CompileLimits,
    queue: Queue,
}

impl Compiler {
    pub(crate) fn new(limits: CompileLimits) -> Self {
        Self {
            limits,
            queue: Queue::new(limits.concurrent_max, limits.queued_max),
        }
    }

    /// The machine code of a component, for engines such as this one. Blocks until it is there.
    ///
    /// A program that does not call [`compile_if_asked`] has no child to ask, and compiles by itself: tools and tests.
    pub(crate) fn compile(
        &self,
        engine: &Engine,
        (digest, component): (Digest, &[u8]),
    ) -> Result<MachineCode, AdmitError> {
        let _turn = self.queue.enter().ok_or(AdmitError::Busy {
            queued_max: self.limits.queued_max,
        })?;
        if ANSWERS.load(Ordering::Relaxed) {
            self.in_child(digest, component)
        } else {
            MachineCode::compile(engine, component)
                .map_err(|error| AdmitError::Compile(format!("{error:#}")))
        }
    }

    fn in_child(&self, digest: Digest, component: &[u8]) -> Result<MachineCode, AdmitError> {
        let seal = Seal::random().map_err(|error| AdmitError::Compiler(error.to_string()))?;
        let answer = self
            .spawn()
            .and_then(|child| self.converse(child, &seal, component))
            .map_err(|error| AdmitError::Compiler(error.to_string()))?;
        match answer.end {
            End::Late => Err(self.took_too_long()),
            End::Excessive => Err(AdmitError::CompileOutput {
                output_bytes_max: self.limits.output_bytes_max,
            }),
            End::Exited(status) if !status.success() => Err(self.reason(status, &answer.message)),
            End::Exited(_) => seal
                .open(digest, answer.output)
                .ok_or_else(|| AdmitError::Compiler("its answer is not its own".into())),
        }
    }

    fn spawn(&self) -> io::Result<Child> {
        Command::new(THIS_PROGRAM)
            .arg(ARGUMENT)
            .arg(self.limits.memory_bytes_max.to_string())
            .arg(self.limits.time_s_max.to_string())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    }

    /// Gives the child its work and takes what it makes, within the bounds. The child has ended when this returns.
    fn converse(&self, mut child: Child, seal: &Seal, component: &[u8]) -> io::Result<Answer> {
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let bytes_max = self
            .limits
            .output_bytes_max
            .saturating_add(u64::try_from(TAG_BYTES).unwrap_or(u64::MAX));
        let until = Instant::now() + Duration::from_secs(self.limits.time_s_max) * PATIENCE;
        let (done, over) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| give(stdin, seal, component));
            let message = scope.spawn(|| take(stderr, MESSAGE_BYTES_MAX));
            let output = scope.spawn(move || {
                let output = take(stdout, bytes_max.saturating_add(1));
                // Nobody waits any more for one that was late.
                let _ = done.send(());
                output
            });
            let is_late = over.recv_timeout(time_until(until)) == Err(RecvTimeoutError::Timeout);
            let status = match is_late {
                true => None,
                false => exit(&mut child, until)?,
            };
            if status.is_none() {
                child.kill()?;
                child.wait()?;
            }
            let output = output.join().unwrap_or_default();
            let is_excessive = u64::try_from(output.len()).is_ok_and(|bytes| bytes > bytes_max);
            let end = match status {
                _ if is_excessive => End::Excessive,
                Some(status) => End::Exited(status),
                None => End::Late,
            };
            let message = message.join().unwrap_or_default();
            let message = String::from_utf8_lossy(&message).trim().to_owned();
            Ok(Answer {
                end,
                output,
                message,
            })
        })
    }

    /// Why a child ended without an answer.
    fn reason(&self, status: ExitStatus, message: &str) -> AdmitError {
        let out_of_memory = ["memory allocation of", "Cannot allocate memory"];
        if out_of_memory.iter().any(|words| message.contains(words)) {
            return AdmitError::CompileMemory {
                memory_bytes_max: self.limits.memory_bytes_max,
            };
        }
        match status.signal() {
            // The processor's clock runs out with the one, and the other if it goes on.
            Some(signal) if [Signal::XCPU.as_raw(), Signal::KILL.as_raw()].contains(&signal) => {
                self.took_too_long()
            }
            Some(signal) => {
                AdmitError::Compile(format!("the compiler crashed with signal {signal}"))
            }
            None => AdmitError::Compile(message.to_owned()),
        }
    }

    fn took_too_long(&self) -> AdmitError {
        AdmitError::CompileTime {
            time_s_max: self.limits.time_s_max,
        }
    }
}

/// What came of a child.
struct Answer {
    end: End,
    output: Vec<u8>,
    message: String,
}

enum End {
    Late,
    Excessive,
    Exited(ExitStatus),
}

/// Writes everything; a child that reads no more says by its end why.
fn give(mut stdin: ChildStdin, seal: &Seal, component: &[u8]) {
    drop(
        stdin
            .write_all(seal.key())
            .and_then(|()| stdin.write_all(component)),
    );
}

fn take(from: impl Read, bytes_max: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What a broken pipe cuts off does not carry its tag.
    drop(from.take(bytes_max).read_to_end(&mut bytes));
    bytes
}

/// How a child ended that has nothing more to say; `None` when it does not end.
fn exit(child: &mut Child, until: Instant) -> io::Result<Option<ExitStatus>> {
    const PAUSE: Duration = Duration::from_millis(1);
    loop {
        match child.try_wait()? {
            Some(status) => return Ok(Some(status)),
            None if time_until(until).is_zero() => return Ok(None),
            None => thread::sleep(PAUSE),
        }
    }
}

fn time_until(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}
