//! The child: takes a component, answers with machine code, and ends.
//!
//! It binds itself before it looks at a single byte of the component.

use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use rustix::io::Result as SystemResult;
use rustix::process::{Resource, Rlimit, Signal, nice, set_parent_process_death_signal, setrlimit};
use wasmtime::Engine;

use super::{ANSWERS, ARGUMENT};
use crate::Digest;
use crate::machine_code::{KEY_BYTES, MachineCode, Seal};
use crate::sandbox::compiler_config;

/// Lets a program be its own compiler: the first thing in its `main`. Where the sandbox started it to compile one
/// component, it does so, and the program ends with what is returned; anywhere else it returns `None` at once.
#[must_use]
pub fn compile_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(ARGUMENT) {
        ANSWERS.store(true, Ordering::Relaxed);
        return None;
    }
    let mut bound = || arguments.next()?.parse().ok();
    let outcome = match (bound(), bound()) {
        (Some(memory_bytes_max), Some(time_s_max)) => confine(memory_bytes_max, time_s_max)
            .map_err(|error| format!("the compiler cannot be confined: {error}"))
            .and_then(|()| compile()),
        _ => Err(format!("{ARGUMENT} is for the gateway itself to call")),
    };
    Some(match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // The parent reads it, unless it is gone.
            drop(writeln!(io::stderr(), "{message}"));
            ExitCode::FAILURE
        }
    })
}

/// Bounds on this process, for good.
fn confine(memory_bytes_max: u64, time_s_max: u64) -> SystemResult<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    nice(19)?;
    let limits = [
        (Resource::As, memory_bytes_max),
        (Resource::Cpu, time_s_max),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
        // The three pipes, and no other file.
        (Resource::Nofile, 3),
    ];
    for (resource, max) in limits {
        let (current, maximum) = (Some(max), Some(max));
        setrlimit(resource, Rlimit { current, maximum })?;
    }
    Ok(())
}

fn compile() -> Result<(), String> {
    let engine = Engine::new(&compiler_config()).map_err(|error| format!("{error:#}"))?;
    let (mut key, mut component) = ([0; KEY_BYTES], Vec::new());
    let mut input = io::stdin().lock();
    input
        .read_exact(&mut key)
        .and_then(|()| input.read_to_end(&mut component))
        .map_err(|error| format!("the component cannot be read: {error}"))?;
    let code = MachineCode::compile(&engine, &component).map_err(|error| format!("{error:#}"))?;
    let tag = Seal::new(key).tag(Digest::of(&component), code.bytes());
    let mut output = io::stdout().lock();
    output
        .write_all(code.bytes())
        .and_then(|()| output.write_all(tag.as_ref()))
        .and_then(|()| output.flush())
        .map_err(|error| format!("the machine code cannot be handed over: {error}"))
}
