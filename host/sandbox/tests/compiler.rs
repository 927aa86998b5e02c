//! The compiler in its child: what it is given comes back compiled, and what would cost too much costs its upload.
//!
//! It has a `main` of its own, because a program can be its own compiler only from there.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops where it is wrong"
)]

mod guests;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use guests::{Guest, component};
use portcullis_sandbox::{AdmitError, CompileLimits, Sandbox, SandboxSettings, compile_if_asked};

const TESTS: [(&str, fn()); 7] = [
    (
        "a_component_is_compiled_in_a_child",
        a_component_is_compiled_in_a_child,
    ),
    (
        "what_does_not_validate_is_refused_with_the_compilers_words",
        what_does_not_validate_is_refused,
    ),
    (
        "a_compile_that_takes_too_long_is_ended",
        a_compile_that_takes_too_long_is_ended,
    ),
    (
        "a_compile_that_takes_too_much_memory_is_ended",
        a_compile_that_takes_too_much_memory_is_ended,
    ),
    ("machine_code_has_a_bound", machine_code_has_a_bound),
    (
        "too_many_compiles_are_sent_away",
        too_many_compiles_are_sent_away,
    ),
    (
        "what_lies_in_the_cache_is_loaded_only_with_the_gateways_tag",
        the_cache_is_the_gateways_own,
    ),
];

fn main() -> ExitCode {
    if let Some(code) = compile_if_asked() {
        return code;
    }
    let wanted = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    for (name, test) in TESTS {
        if wanted.as_deref().is_none_or(|wanted| name.contains(wanted)) {
            test();
            println!("test {name} ... ok");
        }
        assert_eq!(children(), 0, "{name} left a child");
    }
    ExitCode::SUCCESS
}

fn sandbox(compile: CompileLimits) -> Arc<Sandbox> {
    Sandbox::new(SandboxSettings {
        instances_max: 4,
        compile,
        ..SandboxSettings::default()
    })
    .unwrap()
}

fn refused(compile: CompileLimits, bytes: &[u8]) -> AdmitError {
    sandbox(compile).admit(bytes).err().unwrap()
}

/// Children of this process, living or dead, that nobody has waited for.
fn children() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let of = |task: fs::DirEntry| fs::read_to_string(task.path().join("children"));
    let lists = tasks.filter_map(|task| of(task.ok()?).ok());
    lists.map(|list| list.split_whitespace().count()).sum()
}

/// A component whose hooks do nothing, beside functions with this many instructions in all.
fn bulky(functions: usize, instructions: usize) -> Vec<u8> {
    let body =
        "local.get 0 i32.const 3 i32.mul i32.const 7 i32.xor local.set 0 ".repeat(instructions / 6);
    let function = format!("(func (param i32) (result i32) {body} local.get 0)");
    let mut guest = Guest::admits();
    guest.more = function.repeat(functions);
    component(&guest)
}

fn a_component_is_compiled_in_a_child() {
    let sandbox = sandbox(CompileLimits::default());
    let plugin = sandbox.admit(&component(&Guest::admits())).unwrap();
    assert_eq!(plugin.manifest().name, "hostile");
    // Of children that were waited for: in this process nothing else starts any.
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let minor_faults_of_children: u64 = fields.get(8).unwrap().parse().unwrap();
    assert!(minor_faults_of_children > 0, "no child did any work");
}

fn what_does_not_validate_is_refused() {
    let mut bytes = component(&Guest::admits());
    bytes.truncate(bytes.len() - 9);
    let AdmitError::Compile(message) = refused(CompileLimits::default(), &bytes) else {
        panic!("a truncated component is not the compiler's fault");
    };
    assert!(message.contains("unexpected end"), "{message}");
}

fn a_compile_that_takes_too_long_is_ended() {
    let limits = CompileLimits {
        time_s_max: 1,
        ..CompileLimits::default()
    };
    let error = refused(limits, &bulky(400, 30_000));
    assert_eq!(error, AdmitError::CompileTime { time_s_max: 1 });
}

fn a_compile_that_takes_too_much_memory_is_ended() {
    let memory_bytes_max = 200 << 20;
    let limits = CompileLimits {
        memory_bytes_max,
        ..CompileLimits::default()
    };
    let error = refused(limits, &bulky(1, 1_000_000));
    assert_eq!(error, AdmitError::CompileMemory { memory_bytes_max });
    // A component of ordinary size has room enough.
    sandbox(limits).admit(&component(&Guest::admits())).unwrap();
}

fn machine_code_has_a_bound() {
    let output_bytes_max = 64 << 10;
    let limits = CompileLimits {
        output_bytes_max,
        ..CompileLimits::default()
    };
    let error = refused(limits, &bulky(20, 6_000));
    assert_eq!(error, AdmitError::CompileOutput { output_bytes_max });
}

fn too_many_compiles_are_sent_away() {
    let sandbox = sandbox(CompileLimits {
        queued_max: 1,
        ..CompileLimits::default()
    });
    let slow = bulky(20, 30_000);
    let outcomes: Vec<_> = thread::scope(|scope| {
        let uploads: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| sandbox.admit(&slow)))
            .collect();
        uploads
            .into_iter()
            .map(|upload| upload.join().unwrap())
            .collect()
    });
    let (taken, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert!(!taken.is_empty());
    assert!(!refused.is_empty());
    for error in refused.into_iter().filter_map(Result::err) {
        assert_eq!(error, AdmitError::Busy { queued_max: 1 });
    }
}

fn the_cache_is_the_gateways_own() {
    let folder = tempfile::tempdir().unwrap();
    let settings = || SandboxSettings {
        cache_dir: Some(folder.path().to_owned()),
        instances_max: 4,
        ..SandboxSettings::default()
    };
    let admit = |guest: &Guest| {
        Sandbox::new(settings())
            .unwrap()
            .admit(&component(guest))
            .unwrap()
    };
    let (mut one, other) = (Guest::admits(), Guest::admits());
    one.more = "(func)".into();
    let digests = [admit(&one).digest(), admit(&other).digest()]
        .map(|digest| digest.to_string().replace(':', "-"));
    let of_engine = fs::read_dir(folder.path()).unwrap();
    let of_engine = of_engine
        .map(|entry| entry.unwrap().path())
        .find(|path| path.is_dir())
        .unwrap();
    let [first, second] = digests.map(|name| of_engine.join(name));
    let whole = fs::read(&first).unwrap();

    // Another component's code, however well made, is not this one's.
    fs::copy(&second, &first).unwrap();
    admit(&one);
    assert_eq!(fs::read(&first).unwrap().len(), whole.len());
    let tag_of = |code: &[u8]| code.last_chunk::<32>().copied();
    assert_eq!(tag_of(&fs::read(&first).unwrap()), tag_of(&whole));

    // Nor is anything made under another key, or without one.
    fs::remove_file(folder.path().join("key")).unwrap();
    admit(&one);
    assert_ne!(tag_of(&fs::read(&first).unwrap()), tag_of(&whole));
    let mut rotten = fs::read(&first).unwrap();
    let middle = rotten.len() / 2;
    *rotten.get_mut(middle).unwrap() ^= 1;
    for bytes in [&rotten[..], b"no code", b""] {
        fs::write(&first, bytes).unwrap();
        admit(&one);
        assert_eq!(fs::read(&first).unwrap().len(), whole.len());
    }

    // What of it others may read: nothing.
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(folder.path()), mode(&of_engine)), (0o700, 0o700));
    assert_eq!(mode(&folder.path().join("key")), 0o600);
}
