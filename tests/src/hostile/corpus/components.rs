//! Components that are not what they should be, or cost too much to find out.
//!
//! How much is too much is in [`crate::hostile::SETTINGS`].

use wat::parse_str;

use crate::guests::{self, Policy, World};
use crate::hostile::{End, Guest};

/// How every component begins.
const PREAMBLE: &[u8] = b"\0asm\x0d\0\x01\0";

pub(super) fn family() -> Vec<Guest> {
    let mut family = of_another_kind();
    family.extend(of_another_world());
    family.extend(misshapen());
    family.extend(bombs());
    family
}

fn of_another_kind() -> Vec<Guest> {
    vec![
        Guest::new("no-bytes", "is empty", End::Upload("not-wasm"), |_| {
            Vec::new()
        }),
        Guest::new("no-wasm", "is a script", End::Upload("not-wasm"), |_| {
            b"#!/bin/sh\nreboot\n".to_vec()
        }),
        Guest::new(
            "core-module",
            "is no component",
            End::Upload("core-module"),
            |_| guests::core_module(),
        ),
        Guest::new(
            "machine-code",
            "is compiled already",
            End::Upload("not-wasm"),
            |_| b"\x7fELF\x02\x01\x01\0wasmtime".to_vec(),
        ),
    ]
}

fn of_another_world() -> Vec<Guest> {
    vec![
        Guest::new(
            "another-world",
            "has nothing to do with policies",
            End::Upload("wrong-world"),
            |_| guests::of_another_world(),
        ),
        Guest::new(
            "newer-world",
            "exports what a later contract wants",
            End::Upload("wrong-world"),
            |_| {
                component(
                    r#"(component
                     (import "portcullis:policy/types@0.2.0" (instance (export "call" (type (sub resource)))))
                     (instance $none)
                     (export "portcullis:policy/lifecycle@0.2.0" (instance $none))
                     (export "portcullis:policy/admit@0.2.0" (instance $none)))"#,
                )
            },
        ),
        Guest::new(
            "newer-interface",
            "imports an interface of a later contract",
            End::Upload("unknown-import"),
            |_| {
                component(
                    r#"(component (import "portcullis:policy/vault@0.2.0" (instance (export "open" (func)))))"#,
                )
            },
        ),
        Guest::new(
            "wants-files",
            "imports files of a later WASI",
            End::Upload("unknown-import"),
            |_| {
                component(
                    r#"(component (import "wasi:filesystem/types@0.3.0" (instance (export "open" (func)))))"#,
                )
            },
        ),
        Guest::new(
            "wants-a-network",
            "imports the network, past its host",
            End::Upload("unknown-import"),
            |_| guests::wants_sockets(),
        ),
        Guest::new(
            "folder-not-granted",
            "imports a folder that its binding does not grant",
            End::Chain("/bindings/1/grants"),
            |name| {
                Policy::new(World::Admitter, name)
                    .import(("fs", "read"), "read", "(param i32 i32 i32)")
                    .hook("(call $read (i32.const 1024) (i32.const 4) (i32.const 33000))")
                    .component()
            },
        ),
        Guest::new(
            "not-granted",
            "imports counters that its binding does not grant",
            End::Chain("/bindings/1/grants"),
            |name| {
                Policy::new(World::Admitter, name)
                    .import(("quota", "take"), "take", "(param i32 i32 i32)")
                    .hook("(call $take (i32.const 0) (i32.const 0) (i32.const 33000))")
                    .component()
            },
        ),
    ]
}

fn component(text: &str) -> Vec<u8> {
    parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn misshapen() -> Vec<Guest> {
    let compile = End::Upload("compile");
    vec![
        Guest::new("cut-off", "ends before its end", compile, |name| {
            let mut bytes = Policy::new(World::Admitter, name).component();
            bytes.truncate(bytes.len() - 9);
            bytes
        }),
        Guest::new(
            "too-large",
            "has 33 MiB",
            End::Upload("too-large"),
            |name| {
                let mut bytes = Policy::new(World::Admitter, name).component();
                // A custom section with an empty name.
                section(&mut bytes, 0, &vec![0; 33 << 20]);
                bytes
            },
        ),
        Guest::new(
            "nested",
            "five hundred components within each other",
            End::Upload("wrong-world"),
            |_| {
                (0..500).fold(PREAMBLE.to_vec(), |inner, _| {
                    let mut outer = PREAMBLE.to_vec();
                    section(&mut outer, 4, &inner);
                    outer
                })
            },
        ),
        Guest::new(
            "folded-types",
            "a type that unfolds into a million million parts",
            compile,
            |_| {
                let double =
                    (1..40).map(|level| format!("(type $t{level} (tuple $t{0} $t{0}))", level - 1));
                let types: String = double.collect();
                component(&format!("(component (type $t0 (tuple u32 u32)) {types})"))
            },
        ),
        Guest::new(
            "shared-memory",
            "wants memory that threads share",
            compile,
            |_| component("(component (core module (memory 1 1 shared)))"),
        ),
        Guest::new(
            "many-instances",
            "instantiates five hundred modules",
            compile,
            |_| {
                let instances = "(core instance (instantiate $m))".repeat(500);
                component(&format!(
                    "(component (core module $m (memory 1)) {instances})"
                ))
            },
        ),
    ]
}

fn bombs() -> Vec<Guest> {
    vec![
        Guest::new(
            "bomb-of-functions",
            "thousands of functions to compile",
            End::Upload("compile-output"),
            |_| bomb(15_000, 4),
        ),
        Guest::new(
            "bomb-of-one-body",
            "one function of four million instructions",
            End::Upload("compile-memory"),
            |_| bomb(1, 700_000),
        ),
        Guest::new(
            "bomb-of-bodies",
            "two hundred functions of sixty thousand instructions",
            End::Upload("compile-time"),
            |_| bomb(200, 10_000),
        ),
    ]
}

/// A component of one module with this many functions, each of as many steps of six instructions. It is put together by
/// hand, because text would be ten times as large.
fn bomb(functions: usize, steps: usize) -> Vec<u8> {
    // local.get 0, i32.const 3, i32.mul, i32.const 7, i32.xor, local.set 0
    const STEP: [u8; 10] = [0x20, 0, 0x41, 3, 0x6c, 0x41, 7, 0x73, 0x21, 0];
    let mut body = vec![0];
    body.extend(STEP.repeat(steps));
    body.extend([0x20, 0, 0x0b]);
    let mut code = number(functions);
    code.extend(sized(&body).repeat(functions));
    let mut declared = number(functions);
    declared.resize(declared.len() + functions, 0);
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    // One type, from a number to a number.
    section(&mut module, 1, &[1, 0x60, 1, 0x7f, 1, 0x7f]);
    section(&mut module, 3, &declared);
    section(&mut module, 10, &code);
    let mut component = PREAMBLE.to_vec();
    section(&mut component, 1, &module);
    component
}

fn section(to: &mut Vec<u8>, id: u8, content: &[u8]) {
    to.push(id);
    to.extend(sized(content));
}

fn sized(content: &[u8]) -> Vec<u8> {
    let mut sized = number(content.len());
    sized.extend(content);
    sized
}

/// LEB128, as WebAssembly writes numbers.
fn number(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
