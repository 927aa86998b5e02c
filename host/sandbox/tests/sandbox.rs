//! The sandbox against guests that mean well and guests that do not.
//!
//! Guests are written in WAT, so that each does exactly one thing, and are made into components against `wit/`.

#![allow(
    clippy::unwrap_used,
    reason = "test code: what fails here fails the test"
)]

mod guests;
mod host;

use std::collections::BTreeSet;
use std::sync::Arc;

use guests::{Guest, component, core};
use host::{Call, Recorder};
use portcullis_sandbox::{
    AdmitError, BindError, Binding, BindingSettings, CallView, Failure, Grant, InstanceClass,
    Pooled, Sandbox, SandboxSettings, Scope,
};

fn sandbox() -> Arc<Sandbox> {
    Sandbox::new(SandboxSettings {
        instances_max: 50,
        host_calls_max: 100,
        uses_max: 3,
        ..SandboxSettings::default()
    })
    .unwrap()
}

fn settings(class: InstanceClass) -> BindingSettings {
    BindingSettings {
        config: "{}".into(),
        grants: BTreeSet::from([Grant::Quota]),
        deadline_ms: 20,
        memory_bytes_max: 1 << 20,
        output_bytes_max: 64 << 10,
        class,
        scope: Scope {
            tenant: "acme".into(),
            plugin: "guest".into(),
            binding: "guest".into(),
        },
        services: Arc::new(Recorder::default()),
    }
}

fn bind(sandbox: &Arc<Sandbox>, guest: &Guest) -> Binding {
    sandbox
        .admit(&component(guest))
        .unwrap()
        .bind(settings(InstanceClass::Warm))
        .unwrap()
}

fn call() -> Arc<dyn CallView> {
    Arc::new(Call)
}

#[test]
fn a_guest_that_admits_admits() {
    let sandbox = sandbox();
    for class in [InstanceClass::Warm, InstanceClass::Fresh] {
        let binding = sandbox
            .admit(&component(&Guest::admits()))
            .unwrap()
            .bind(settings(class))
            .unwrap();
        for _ in 0..10 {
            assert_eq!(
                binding.admit(&call()).map(|answer| answer.is_ok()),
                Ok(true),
                "{class:?}"
            );
        }
        assert!(
            binding.pool_stats().retired >= 3,
            "{class:?}: {:?}",
            binding.pool_stats()
        );
    }
}

/// Says whether a failure is the one meant.
type Expected = fn(&Failure) -> bool;

#[test]
fn every_way_to_fail_has_its_type() {
    let cases: [(&str, &str, Expected); 8] = [
        ("loop", "(loop $l (br $l)) (unreachable)", |f| *f == Failure::Deadline { deadline_ms: 20 }),
        ("trap", "(unreachable)", |f| matches!(f, Failure::Trap(_))),
        ("memory", "(drop (memory.grow (i32.const 100))) (unreachable)", |f| *f == Failure::Memory { bytes_max: 1 << 20 }),
        ("fill", "(memory.fill (i32.const 0) (i32.const 1) (i32.const 70000)) (unreachable)", |f| matches!(f, Failure::Trap(_))),
        ("recursion", "(drop (call $admit (i32.const 0))) (unreachable)", |f| matches!(f, Failure::Trap(_))),
        ("leak", "(i32.const 320)", |f| matches!(f, Failure::Trap(_))),
        (
            "output",
            // A denial whose message is longer than the binding allows, overlapping itself in memory.
            "(call $drop (local.get 0)) (drop (memory.grow (i32.const 3)))
             (i32.store8 (i32.const 512) (i32.const 1))
             (i32.store (i32.const 520) (i32.const 16)) (i32.store (i32.const 524) (i32.const 7))
             (i32.store (i32.const 528) (i32.const 1024)) (i32.store (i32.const 532) (i32.const 200000))
             (i32.const 512)",
            |f| matches!(f, Failure::Output(_)),
        ),
        ("utf-8", "(call $drop (local.get 0)) (i32.store8 (i32.const 16) (i32.const 255))
             (i32.store8 (i32.const 512) (i32.const 1))
             (i32.store (i32.const 520) (i32.const 16)) (i32.store (i32.const 524) (i32.const 7))
             (i32.const 512)", |f| matches!(f, Failure::Trap(_))),
    ];
    let sandbox = sandbox();
    for (name, body, expected) in cases {
        let binding = bind(&sandbox, &Guest::admitting(body));
        let failure = binding.admit(&call()).unwrap_err();
        assert!(expected(&failure), "{name}: {failure:?}");
        assert_eq!(binding.pool_stats().failed, 1, "{name}");
    }
    // And nobody else noticed.
    assert!(
        bind(&sandbox, &Guest::admits())
            .admit(&call())
            .unwrap()
            .is_ok()
    );
}

#[test]
fn host_calls_are_counted() {
    let flood = "(local $i i32)
        (loop $l (drop (call $now)) (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000))))
        (unreachable)";
    let binding = bind(&sandbox(), &Guest::admitting(flood));
    assert_eq!(
        binding.admit(&call()).unwrap_err(),
        Failure::HostCalls { calls_max: 100 }
    );
}

#[test]
fn a_binding_that_keeps_failing_is_quarantined() {
    let binding = bind(&sandbox(), &Guest::admitting("(unreachable)"));
    for _ in 0..5 {
        assert!(matches!(
            binding.admit(&call()).unwrap_err(),
            Failure::Trap(_)
        ));
    }
    assert!(matches!(
        binding.admit(&call()).unwrap_err(),
        Failure::Quarantined { .. }
    ));
    assert_eq!(
        binding.pool_stats().failed,
        5,
        "a quarantined guest is not run"
    );
}

#[test]
fn what_is_no_policy_is_refused_by_name() {
    let sandbox = sandbox();
    let refused = |bytes: &[u8]| sandbox.admit(bytes).unwrap_err();
    assert_eq!(refused(b"").code(), "not-wasm");
    assert_eq!(refused(b"\x7fELF....").code(), "not-wasm");
    assert_eq!(refused(&core("(module)")), AdmitError::CoreModule);
    assert_eq!(
        refused(&wat::parse_str("(component)").unwrap()).code(),
        "wrong-world"
    );
    let foreign = r#"(component (import "wasi:http/types@0.2.0" (instance)))"#;
    assert_eq!(
        refused(&wat::parse_str(foreign).unwrap()),
        AdmitError::UnknownImport("wasi:http/types@0.2.0".into())
    );
    let mut truncated = component(&Guest::admits());
    truncated.truncate(truncated.len() / 2);
    assert_eq!(refused(&truncated).code(), "compile");
    let endless = Guest {
        describe: "(loop $l (br $l)) (unreachable)".into(),
        ..Guest::admits()
    };
    let err = refused(&component(&endless));
    assert_eq!(
        (err.code(), err.to_string().contains("deadline")),
        ("describe", true),
        "{err}"
    );
}

#[test]
fn an_ungranted_import_and_a_refused_configuration_are_named() {
    let sandbox = sandbox();
    let plugin = sandbox
        .admit(&component(&Guest {
            imports: guests::QUOTA,
            ..Guest::admits()
        }))
        .unwrap();
    assert_eq!(plugin.grants(), &BTreeSet::from([Grant::Quota]));
    let ungranted = BindingSettings {
        grants: BTreeSet::new(),
        ..settings(InstanceClass::Warm)
    };
    let err = plugin.bind(ungranted).err().unwrap();
    assert_eq!(err, BindError::Ungranted(Grant::Quota));
    assert!(err.to_string().contains("portcullis:policy/quota@0.1.0"));
    let picky = Guest {
        configure: "(i32.store8 (i32.const 320) (i32.const 1)) (i32.store (i32.const 324) (i32.const 16)) (i32.store (i32.const 328) (i32.const 7)) (i32.const 320)".into(),
        ..Guest::admits()
    };
    let err = sandbox
        .admit(&component(&picky))
        .unwrap()
        .bind(settings(InstanceClass::Warm))
        .err()
        .unwrap();
    assert_eq!(err, BindError::Config("hostile".into()));
}

#[test]
fn idle_instances_make_room_for_another_tenants() {
    let sandbox = Sandbox::new(SandboxSettings {
        instances_max: 3,
        ..SandboxSettings::default()
    })
    .unwrap();
    let bindings: Vec<Binding> = (0..10).map(|_| bind(&sandbox, &Guest::admits())).collect();
    for binding in bindings.iter().chain(&bindings) {
        assert!(binding.admit(&call()).unwrap().is_ok());
    }
}
