//! What metering costs a guest, and how well a deadline is kept. Writes `target/hostile/metering.json`.
//!
//! The tax is the time of the same code compiled with epoch interruption over that without, by the same compiler. The
//! deadline is that of a real binding whose hook never ends, on the clock.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark stops where it is wrong"
)]

#[path = "../tests/guests/mod.rs"]
mod guests;
#[path = "../tests/host/mod.rs"]
mod host;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use guests::{Guest, component, core};
use host::{Call, Recorder};
use portcullis_sandbox::{
    BindingSettings, CallView, Failure, InstanceClass, Sandbox, SandboxSettings, Scope,
};
use serde_json::json;
use wasmtime::{Config, Engine, Instance, Module, OptLevel, Store, TypedFunc};

/// Each returns something that depends on all of its work.
const WORK: &str = r#"(module
  (memory 1)
  ;; FNV-1a over 48 KiB
  (func (export "hash") (result i32) (local $i i32) (local $h i32)
    (local.set $h (i32.const 0x811c9dc5))
    (loop $l
      (local.set $h (i32.mul (i32.xor (local.get $h) (i32.load8_u (local.get $i))) (i32.const 0x01000193)))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 49152))))
    (local.get $h))
  ;; primes below 32768, one byte each
  (func (export "sieve") (result i32) (local $i i32) (local $j i32) (local $n i32)
    (memory.fill (i32.const 0) (i32.const 0) (i32.const 32768))
    (local.set $i (i32.const 2))
    (loop $l
      (if (i32.eqz (i32.load8_u (local.get $i))) (then
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (local.set $j (i32.shl (local.get $i) (i32.const 1)))
        (block $done (loop $m
          (br_if $done (i32.ge_u (local.get $j) (i32.const 32768)))
          (i32.store8 (local.get $j) (i32.const 1))
          (local.set $j (i32.add (local.get $j) (local.get $i)))
          (br $m)))))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 32768))))
    (local.get $n))
  ;; a small recursive function
  (func $fib (param $n i32) (result i32)
    (if (result i32) (i32.lt_u (local.get $n) (i32.const 2))
      (then (local.get $n))
      (else (i32.add (call $fib (i32.sub (local.get $n) (i32.const 1))) (call $fib (i32.sub (local.get $n) (i32.const 2)))))))
  (func (export "calls") (result i32) (call $fib (i32.const 18)))
  ;; looks for a quote through text, as a parser of JSON does: bytes, classes, branches
  (func (export "scan") (result i32) (local $i i32) (local $c i32) (local $n i32) (local $depth i32)
    (loop $l
      (local.set $c (i32.load8_u offset=16 (local.get $i)))
      (if (i32.eq (local.get $c) (i32.const 0x22)) (then (local.set $n (i32.add (local.get $n) (i32.const 1))))
        (else (if (i32.eq (local.get $c) (i32.const 0x5c)) (then (local.set $i (i32.add (local.get $i) (i32.const 1))))
          (else (if (i32.eq (i32.or (local.get $c) (i32.const 0x20)) (i32.const 0x7b))
            (then (local.set $depth (i32.add (local.get $depth) (i32.const 1)))))))))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 49152))))
    (i32.add (local.get $n) (local.get $depth))))"#;
const PARTS: [&str; 4] = ["hash", "sieve", "calls", "scan"];
const ROUNDS: usize = 60;
const RUNS_PER_ROUND: usize = 20;

const DEADLINE_MS: u32 = 10;
/// Length of an epoch, as the sandbox has it.
const EPOCH_MS: f64 = 1.0;
const MISSED: usize = 100;

fn main() {
    let taxes = taxes();
    let tax = geometric_mean(&taxes);
    for (part, tax) in PARTS.iter().zip(&taxes) {
        println!("metering tax: {part:<6} {tax:.3}");
    }
    println!("metering tax: all    {tax:.3}");
    let mut overruns_ms = overruns_ms();
    overruns_ms.sort_by(f64::total_cmp);
    let at = |share: f64| overruns_ms[((overruns_ms.len() - 1) as f64 * share) as usize];
    let within = overruns_ms.iter().filter(|over| **over <= 2.0 * EPOCH_MS);
    let within = within.count() as f64 / overruns_ms.len() as f64;
    println!(
        "deadline of {DEADLINE_MS} ms: over by {:.2} ms (median), {:.2} (p90), {:.2} (max); within two epochs: {within}",
        at(0.5),
        at(0.9),
        at(1.0)
    );
    let parts: serde_json::Map<_, _> = PARTS
        .iter()
        .zip(&taxes)
        .map(|(part, tax)| ((*part).to_owned(), json!(rounded(*tax))))
        .collect();
    let report = json!({
        "tax_ratio": rounded(tax), "tax_ratio_by_part": parts, "deadline_ms": DEADLINE_MS, "epoch_ms": EPOCH_MS,
        "overrun_ms": { "p50": rounded(at(0.5)), "p90": rounded(at(0.9)), "max": rounded(at(1.0)) },
        "within_two_epochs": rounded(within),
    });
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/hostile");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(
        folder.join("metering.json"),
        serde_json::to_vec_pretty(&report).unwrap(),
    )
    .unwrap();
}

fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

fn geometric_mean(values: &[f64]) -> f64 {
    (values.iter().map(|value| value.ln()).sum::<f64>() / values.len() as f64).exp()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The same code twice, in an engine that interrupts and in one that does not.
struct Work {
    store: Store<()>,
    parts: Vec<TypedFunc<(), i32>>,
}

impl Work {
    fn new(interrupts: bool) -> Self {
        let mut config = Config::new();
        config
            .cranelift_opt_level(OptLevel::Speed)
            .epoch_interruption(interrupts);
        let engine = Engine::new(&config).unwrap();
        let module = Module::new(&engine, core(WORK)).unwrap();
        let mut store = Store::new(&engine, ());
        store.set_epoch_deadline(1 << 40);
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let parts = PARTS.map(|part| instance.get_typed_func(&mut store, part).unwrap());
        Self {
            store,
            parts: parts.into(),
        }
    }

    fn seconds(&mut self, part: usize) -> f64 {
        let started = Instant::now();
        for _ in 0..RUNS_PER_ROUND {
            self.parts[part].call(&mut self.store, ()).unwrap();
        }
        started.elapsed().as_secs_f64()
    }
}

/// For each part, the median over rounds in which both take turns.
fn taxes() -> Vec<f64> {
    let (mut metered, mut free) = (Work::new(true), Work::new(false));
    let of = |part| {
        let ratios = (0..ROUNDS).map(|_| metered.seconds(part) / free.seconds(part));
        median(ratios.collect())
    };
    (0..PARTS.len()).map(of).collect()
}

/// By how much a hook that never ends outstays its deadline, in milliseconds.
fn overruns_ms() -> Vec<f64> {
    let sandbox = Sandbox::new(SandboxSettings {
        instances_max: 8,
        ..SandboxSettings::default()
    })
    .unwrap();
    let endless = Guest {
        admit: "(loop $l (br $l)) (unreachable)".into(),
        ..Guest::admits()
    };
    let plugin = sandbox.admit(&component(&endless)).unwrap();
    let call: Arc<dyn CallView> = Arc::new(Call);
    let once = |_| {
        // A binding that has not failed yet is in no quarantine, and its first instance waits for it.
        let binding = plugin.bind(settings()).unwrap();
        let started = Instant::now();
        let failure = binding.admit(&call).unwrap_err();
        let took_ms = started.elapsed().as_secs_f64() * 1e3;
        assert_eq!(
            failure,
            Failure::Deadline {
                deadline_ms: DEADLINE_MS
            }
        );
        took_ms - f64::from(DEADLINE_MS)
    };
    (0..MISSED).map(once).collect()
}

fn settings() -> BindingSettings {
    BindingSettings {
        config: "{}".into(),
        grants: BTreeSet::new(),
        deadline_ms: DEADLINE_MS,
        memory_bytes_max: 1 << 20,
        output_bytes_max: 64 << 10,
        class: InstanceClass::Warm,
        scope: Scope {
            tenant: "acme".into(),
            plugin: "guest".into(),
            binding: "guest".into(),
        },
        services: Arc::new(Recorder::default()),
    }
}
