//! Plugins that wait: what makes a plugin one of them, and what bounds them.

#![allow(
    clippy::unwrap_used,
    reason = "test code: what fails here fails the test"
)]

mod guests;
mod host;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use guests::{Guest, HTTP, SENDS, component};
use host::{Call, Recorder};
use portcullis_sandbox::{
    AdmitError, BindError, BindingSettings, CallView, Failure, Grant, HttpError, HttpRequest,
    HttpResponse, InstanceClass, LogLevel, Outside, PluginClass, Pooled, Sandbox, SandboxSettings,
    Scope, WaitingBinding, WaitingSettings,
};
use tokio::sync::Semaphore;

fn sandbox(instances_max: u32, queue_len_max: usize) -> Arc<Sandbox> {
    Sandbox::new(SandboxSettings {
        instances_max: 4,
        waiting_instances_max: instances_max,
        waiting_queue_len_max: queue_len_max,
        ..SandboxSettings::default()
    })
    .unwrap()
}

/// Answers as many requests as the test lets it.
struct World {
    asked: Semaphore,
    answers: Semaphore,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            asked: Semaphore::new(0),
            answers: Semaphore::new(0),
        })
    }

    /// Until so many requests have come.
    async fn asked(&self, requests: u32) {
        self.asked.acquire_many(requests).await.unwrap().forget();
    }

    fn answer(&self, requests: usize) {
        self.answers.add_permits(requests);
    }
}

#[async_trait]
impl Outside for World {
    async fn send(&self, _: &Scope, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        assert_eq!(
            (request.method.as_str(), request.url.as_str()),
            ("hostile", "1.0.0")
        );
        self.asked.add_permits(1);
        self.answers.acquire().await.unwrap().forget();
        Ok(HttpResponse {
            status: 200,
            headers: Vec::new(),
            body: Vec::new(),
        })
    }
}

fn settings(deadline_ms: u32, world: &Arc<World>) -> WaitingSettings {
    let outside: Arc<dyn Outside> = Arc::<World>::clone(world);
    WaitingSettings {
        binding: BindingSettings {
            config: "{}".into(),
            grants: BTreeSet::from([Grant::Http]),
            deadline_ms,
            memory_bytes_max: 1 << 20,
            output_bytes_max: 64 << 10,
            class: InstanceClass::Warm,
            scope: Scope {
                tenant: "acme".into(),
                plugin: "guest".into(),
                binding: "guest".into(),
            },
            services: Arc::new(Recorder::default()),
        },
        outside: Some(outside),
        folder: None,
    }
}

async fn bind(
    sandbox: &Arc<Sandbox>,
    body: &str,
    deadline_ms: u32,
    world: &Arc<World>,
) -> WaitingBinding {
    let guest = Guest {
        imports: HTTP,
        ..Guest::admitting(body)
    };
    let plugin = sandbox.admit(&component(&guest)).unwrap();
    let bound = plugin.bind_waiting(settings(deadline_ms, world));
    bound.await.unwrap()
}

async fn admit(binding: &WaitingBinding) -> Result<bool, Failure> {
    let call: Arc<dyn CallView> = Arc::new(Call);
    binding.admit(&call).await.map(|answer| answer.is_ok())
}

#[tokio::test]
async fn imports_make_the_class() {
    let sandbox = sandbox(1, 1);
    let fast = sandbox.admit(&component(&Guest::admits())).unwrap();
    assert_eq!(fast.class(), PluginClass::Fast);
    let waits = Guest {
        imports: HTTP,
        ..Guest::admitting(SENDS)
    };
    let waits = sandbox.admit(&component(&waits)).unwrap();
    assert_eq!(waits.class(), PluginClass::Waiting);
    assert_eq!(waits.grants(), &BTreeSet::from([Grant::Http]));
    let world = World::new();
    let as_fast = waits.bind(settings(1_000, &world).binding).err().unwrap();
    assert_eq!(as_fast, BindError::Class(PluginClass::Waiting));
    let as_waiting = fast.bind_waiting(settings(1_000, &world)).await;
    assert_eq!(
        as_waiting.err().unwrap(),
        BindError::Class(PluginClass::Fast)
    );
    let mut ungranted = settings(1_000, &world);
    ungranted.binding.grants.clear();
    let refused = waits.bind_waiting(ungranted).await.err().unwrap();
    assert_eq!(refused, BindError::Ungranted(Grant::Http));
}

#[tokio::test]
async fn who_waits_holds_up_nobody() {
    let (sandbox, world) = (sandbox(4, 4), World::new());
    let waits = bind(&sandbox, SENDS, 30_000, &world).await;
    let answers = async {
        // Both wait, on this one thread.
        world.asked(2).await;
        world.answer(2);
    };
    let (one, other, ()) = tokio::join!(admit(&waits), admit(&waits), answers);
    assert_eq!((one, other), (Ok(true), Ok(true)));
    assert_eq!(waits.pool_stats().created, 2);
}

#[tokio::test]
async fn who_computes_gives_way_and_ends_at_the_deadline() {
    let (sandbox, world) = (sandbox(4, 4), World::new());
    let loops = bind(
        &sandbox,
        "(loop $forever (br $forever)) (unreachable)",
        300,
        &world,
    )
    .await;
    let passes =
        "(call $drop (local.get 0)) (i32.store8 (i32.const 320) (i32.const 0)) (i32.const 320)";
    let passes = bind(&sandbox, passes, 30_000, &world).await;
    let began = Instant::now();
    let (looped, passed) = tokio::join!(admit(&loops), async {
        let answer = admit(&passes).await;
        (answer, began.elapsed())
    });
    assert_eq!(looped, Err(Failure::Deadline { deadline_ms: 300 }));
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(passed.0, Ok(true));
    assert!(
        passed.1 < began.elapsed(),
        "it had its turn before the other was stopped"
    );
    assert_eq!(loops.pool_stats().failed, 1);
}

#[tokio::test]
async fn the_deadline_counts_what_is_waited_for() {
    let (sandbox, world) = (sandbox(1, 1), World::new());
    let waits = bind(&sandbox, SENDS, 50, &world).await;
    assert_eq!(
        admit(&waits).await,
        Err(Failure::Deadline { deadline_ms: 50 })
    );
    // The instance is gone, and its place is free.
    world.answer(1);
    assert_eq!(admit(&waits).await, Ok(true));
    assert_eq!(waits.pool_stats().created, 2);
}

#[tokio::test]
async fn instances_that_run_out_are_queued_for() {
    let (sandbox, world) = (sandbox(1, 1), World::new());
    let waits = bind(&sandbox, SENDS, 30_000, &world).await;
    let last = async {
        world.asked(1).await;
        // The first waits for its answer, the second for its place.
        let last = admit(&waits).await;
        world.answer(2);
        last
    };
    let (first, second, third) = tokio::join!(admit(&waits), admit(&waits), last);
    assert_eq!((first, second), (Ok(true), Ok(true)), "one after the other");
    assert_eq!(third, Err(Failure::Instances), "the queue has one place");
    assert_eq!(waits.pool_stats().created, 1);
}

#[tokio::test]
async fn bounds_and_failures_are_those_of_every_guest() {
    let (sandbox, world) = (sandbox(2, 2), World::new());
    for (body, want) in [
        ("(unreachable)", "trap"),
        (
            "(loop $more (drop (memory.grow (i32.const 1))) (br $more)) (unreachable)",
            "memory",
        ),
        (
            "(loop $more (drop (call $now)) (br $more)) (unreachable)",
            "host-calls",
        ),
    ] {
        let guest = bind(&sandbox, body, 30_000, &world).await;
        let failures = [admit(&guest).await, admit(&guest).await];
        for failure in failures {
            assert_eq!(failure.unwrap_err().label(), want);
        }
        assert_eq!(guest.pool_stats().failed, 2, "{want}");
    }
}

/// Traps where it finds an environment, arguments or a folder; says hello and complains.
const LOOKS_AROUND: &str = r#"
    (drop (call $environ (i32.const 512) (i32.const 516)))
    (if (i32.load (i32.const 512)) (then (unreachable)))
    (drop (call $args (i32.const 512) (i32.const 516)))
    (if (i32.load (i32.const 512)) (then (unreachable)))
    (if (i32.eqz (call $prestat (i32.const 3) (i32.const 512))) (then (unreachable)))
    (i32.store (i32.const 512) (i32.const 640)) (i32.store (i32.const 516) (i32.const 12))
    (if (call $write (i32.const 1) (i32.const 512) (i32.const 1) (i32.const 528)) (then (unreachable)))
    (if (call $write (i32.const 2) (i32.const 512) (i32.const 1) (i32.const 528)) (then (unreachable)))
    (call $drop (local.get 0)) (i32.store8 (i32.const 320) (i32.const 0)) (i32.const 320)"#;

fn looks_around() -> Guest {
    Guest {
        imports: r#"
            (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "args_sizes_get" (func $args (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))"#,
        realloc: "(call $bump (local.get 2) (local.get 3))",
        pages: 8,
        more: r#"
            (data (i32.const 640) "hello\nagain\n")
            (global $next (mut i32) (i32.const 65536))
            (func $bump (param $align i32) (param $size i32) (result i32) (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $next) (i32.sub (local.get $align) (i32.const 1)))
                    (i32.sub (i32.const 0) (local.get $align))))
                (global.set $next (i32.add (local.get $at) (local.get $size)))
                (local.get $at))"#
            .into(),
        ..Guest::admitting(LOOKS_AROUND)
    }
}

#[tokio::test]
async fn wasi_is_empty_and_its_output_is_the_plugins_log() {
    let (sandbox, world) = (sandbox(1, 1), World::new());
    let plugin = sandbox.admit(&component(&looks_around())).unwrap();
    assert_eq!(plugin.class(), PluginClass::Waiting);
    assert!(plugin.grants().is_empty());
    let recorder = Arc::new(Recorder::default());
    let mut settings = settings(30_000, &world);
    settings.binding.services = Arc::<Recorder>::clone(&recorder);
    let binding = plugin.bind_waiting(settings).await.unwrap();
    assert_eq!(admit(&binding).await, Ok(true));
    let lines = recorder.lines.lock().unwrap().clone();
    let want = [
        (LogLevel::Info, "hello"),
        (LogLevel::Info, "again"),
        (LogLevel::Warn, "hello"),
        (LogLevel::Warn, "again"),
    ];
    assert_eq!(lines, want.map(|(level, line)| (level, line.to_owned())));
}

#[test]
fn what_wasi_does_not_offer_is_refused_by_name() {
    let sandbox = sandbox(1, 1);
    for import in [
        "wasi:http/outgoing-handler@0.2.6",
        "wasi:cli/environment@0.3.0",
    ] {
        let text = format!(r#"(component (import "{import}" (instance (export "f" (func)))))"#);
        let refused = sandbox.admit(&guests::core(&text)).err().unwrap();
        assert_eq!(refused, AdmitError::UnknownImport(import.to_owned()));
    }
}
