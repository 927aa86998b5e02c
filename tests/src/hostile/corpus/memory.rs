//! Guests that take what there is: memories, tables, stack, and what the host keeps for them.

use super::repeat;
use crate::guests::{BOMB, OUT_OF_BOUNDS, Policy, RECURSION, World};
use crate::hostile::{End, Guest};

const SEVERAL_MEMORIES: &str = include_str!("several_memories.wat");
const VERIFIER: (&str, &str) = ("jwt", "[constructor]verifier");

pub(super) fn family() -> Vec<Guest> {
    let mut family = that_grow();
    family.extend(born_too_large());
    family.extend(that_overstep());
    family
}

fn that_grow() -> Vec<Guest> {
    let memory = End::Call("memory");
    vec![
        Guest::new("grows-a-memory", "takes memory until it is stopped", memory, |name| {
            Policy::new(World::Admitter, name).hook(BOMB).component()
        }),
        Guest::new("grows-three-memories", "takes memory in several memories at once", memory, |name| {
            let text = SEVERAL_MEMORIES
                .replace("{name_bytes}", &format!("\\{:02x}", name.len()))
                .replace("{name}", name);
            wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
        }),
        Guest::new("grows-a-table", "makes its table larger until it is stopped", memory, |name| {
            Policy::new(World::Admitter, name)
                .fields("(table $t 0 funcref)")
                .hook("(loop $more (drop (table.grow $t (ref.null func) (i32.const 100000))) (br $more))")
                .component()
        }),
        Guest::new("grows-at-start", "takes memory as soon as it is instantiated", End::Upload("describe"), |name| {
            let start = format!("(start $begin) (func $begin {BOMB})");
            Policy::new(World::Admitter, name).fields(&start).component()
        }),
        Guest::new("grows-in-configure", "takes memory when it is configured", End::Chain("/bindings/1/plugin"), |name| {
            Policy::new(World::Admitter, name).configure(BOMB).component()
        }),
        Guest::new("hoards-verifiers", "has the host keep 1.5 MB for each of sixteen handles", memory, |name| {
            let hoard = "(drop (call $verifier (i32.const 32768) (i32.const 1) (i32.const 0) (i32.const 0)))";
            Policy::new(World::Admitter, name)
                .memory("32")
                .import(VERIFIER, "verifier", "(param i32 i32 i32 i32) (result i32)")
                .hook(&format!(
                    "(i32.store (i32.const 32768) (i32.const 65536)) (i32.store (i32.const 32772) (i32.const 1500000))
                     {}",
                    repeat(16, hoard)
                ))
                .component()
        })
        .granted(&["jwt"]),
    ]
}

fn born_too_large() -> Vec<Guest> {
    let compile = End::Upload("compile");
    vec![
        Guest::new(
            "born-with-two-memories",
            "has two memories in one module",
            compile,
            |name| {
                Policy::new(World::Admitter, name)
                    .fields("(memory 1)")
                    .component()
            },
        ),
        Guest::new(
            "born-larger-than-its-binding",
            "has 25 MiB of memory to begin with",
            End::Chain("/bindings/1/plugin"),
            |name| Policy::new(World::Admitter, name).memory("400").component(),
        ),
        Guest::new(
            "born-larger-than-anyone",
            "has 125 MiB of memory to begin with",
            compile,
            |name| {
                Policy::new(World::Admitter, name)
                    .memory("2000")
                    .component()
            },
        ),
        Guest::new(
            "born-with-a-large-table",
            "has a table of a hundred thousand places",
            compile,
            |name| {
                Policy::new(World::Admitter, name)
                    .fields("(table 100000 funcref)")
                    .component()
            },
        ),
        Guest::new(
            "born-with-many-tables",
            "has forty tables",
            compile,
            |name| {
                Policy::new(World::Admitter, name)
                    .fields(&"(table 1 funcref)".repeat(40))
                    .component()
            },
        ),
        Guest::new(
            "born-with-many-memories",
            "has twenty memories",
            compile,
            |name| {
                Policy::new(World::Admitter, name)
                    .fields(&"(memory 1)".repeat(20))
                    .component()
            },
        ),
    ]
}

fn that_overstep() -> Vec<Guest> {
    let trap = End::Call("trap");
    vec![
        Guest::new(
            "recursion",
            "calls itself until its stack is gone",
            trap,
            |name| {
                Policy::new(World::Admitter, name)
                    .hook(RECURSION)
                    .component()
            },
        ),
        Guest::new(
            "recursion-of-two",
            "two functions call each other through a table until the stack is gone",
            trap,
            |name| {
                Policy::new(World::Admitter, name)
                    .fields(
                        "(type $f (func)) (table $t 2 funcref) (elem (i32.const 0) $ping $pong)
                     (func $ping (call_indirect $t (type $f) (i32.const 1)))
                     (func $pong (call_indirect $t (type $f) (i32.const 0)))",
                    )
                    .hook("(call $ping)")
                    .component()
            },
        ),
        Guest::new(
            "reads-elsewhere",
            "reads where it has no memory",
            trap,
            |name| {
                Policy::new(World::Admitter, name)
                    .hook(OUT_OF_BOUNDS)
                    .component()
            },
        ),
        Guest::new("huge-fill", "fills 4 GiB at once", trap, |name| {
            Policy::new(World::Admitter, name)
                .hook("(memory.fill (i32.const 0) (i32.const 255) (i32.const -1))")
                .component()
        }),
        Guest::new(
            "calls-nowhere",
            "calls through a place of its table that is empty",
            trap,
            |name| {
                Policy::new(World::Admitter, name)
                    .fields("(type $f (func)) (table $t 1 funcref)")
                    .hook("(call_indirect $t (type $f) (i32.const 0))")
                    .component()
            },
        ),
    ]
}
