//! Guests that leak, forge and misuse handles.

use super::repeat;
use crate::guests::{Policy, World};
use crate::hostile::{End, Guest};

const TARGET: (&str, &str) = ("types", "[method]call.target");
const LIMITER: (&str, &str) = ("quota", "[constructor]limiter");
const TAKE: (&str, &str) = ("quota", "[method]limiter.take");
const DROP: (&str, &str) = ("quota", "[resource-drop]limiter");

pub(super) fn family() -> Vec<Guest> {
    let mut family = of_the_call();
    family.extend(of_its_own());
    family
}

fn of_the_call() -> Vec<Guest> {
    let trap = End::Call("trap");
    vec![
        Guest::new(
            "keeps-its-call",
            "does not give back the call that it was lent",
            trap,
            |name| {
                Policy::new(World::Admitter, name)
                    .hook("(return (i32.const 2048))")
                    .component()
            },
        ),
        Guest::new(
            "drops-twice",
            "gives a handle back that it has given back",
            trap,
            |name| {
                Policy::new(World::Admitter, name)
                    .hook("(call $drop (local.get $call))")
                    .component()
            },
        ),
        Guest::new(
            "uses-after-drop",
            "asks a call that it has given back",
            trap,
            |name| {
                Policy::new(World::Admitter, name)
                .import(TARGET, "target", "(param i32 i32)")
                .hook("(call $drop (local.get $call)) (call $target (local.get $call) (i32.const 33000))")
                .component()
            },
        ),
        Guest::new(
            "forges-a-handle",
            "asks a call that nobody gave it",
            trap,
            |name| {
                Policy::new(World::Admitter, name)
                    .import(TARGET, "target", "(param i32 i32)")
                    .hook("(call $target (i32.const 12345) (i32.const 33000))")
                    .component()
            },
        ),
        Guest::new(
            "tries-every-handle",
            "asks calls by all numbers until one of them is",
            trap,
            |name| {
                Policy::new(World::Admitter, name)
                    .import(TARGET, "target", "(param i32 i32)")
                    .hook(&repeat(
                        100_000,
                        "(call $target (local.get $i) (i32.const 33000))",
                    ))
                    .component()
            },
        ),
    ]
}

fn of_its_own() -> Vec<Guest> {
    let trap = End::Call("trap");
    vec![
        Guest::new(
            "passes-off-a-handle",
            "gives a call back as a limiter",
            trap,
            |name| {
                Policy::new(World::Admitter, name)
                    .import(DROP, "drop_limiter", "(param i32)")
                    .hook("(call $drop_limiter (local.get $call))")
                    .component()
            },
        )
        .granted(&["quota"]),
        Guest::new(
            "makes-handles-without-end",
            "makes limiters until it is stopped",
            trap,
            |name| {
                Policy::new(World::Admitter, name)
                .import(LIMITER, "limiter", "(param i32 i32) (result i32)")
                .hook("(loop $more (drop (call $limiter (i32.const 0) (i32.const 0))) (br $more))")
                .component()
            },
        )
        .granted(&["quota"]),
        Guest::new(
            "limiter-of-too-many-rules",
            "makes a limiter of 257 rules",
            trap,
            |name| {
                Policy::new(World::Admitter, name)
                    .import(LIMITER, "limiter", "(param i32 i32) (result i32)")
                    .hook("(drop (call $limiter (i32.const 33000) (i32.const 257)))")
                    .component()
            },
        )
        .granted(&["quota"]),
        Guest::new(
            "limiter-at-no-cost",
            "takes from a limiter without saying what",
            trap,
            |name| {
                Policy::new(World::Admitter, name)
                .import(LIMITER, "limiter", "(param i32 i32) (result i32)")
                .import(TAKE, "take", "(param i32 i32 i32 i32 i32)")
                .hook(
                    "(call $take (call $limiter (i32.const 33000) (i32.const 1)) (local.get $call)
                       (i32.const 0) (i32.const 0) (i32.const 34000))",
                )
                .component()
            },
        )
        .granted(&["quota"]),
    ]
}
