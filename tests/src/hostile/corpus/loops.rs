//! Guests that do not come back: in every hook, and wherever else a host waits for them.

use super::repeat;
use crate::guests::{LOOP, Policy, World};
use crate::hostile::{End, Guest, Request};

const NOW: (&str, &str) = ("clock", "now-ms");
const TARGET: (&str, &str) = ("types", "[method]call.target");

pub(super) fn family() -> Vec<Guest> {
    let mut family = in_hooks();
    family.extend(in_the_lifecycle());
    family.extend(around_a_hook());
    family.extend(one_step_at_a_time());
    family
}

fn in_hooks() -> Vec<Guest> {
    let deadline = End::Call("deadline");
    vec![
        Guest::new(
            "loop-in-authenticate",
            "an endless loop in the hook",
            deadline,
            |name| {
                Policy::new(World::Authenticator, name)
                    .hook(LOOP)
                    .component()
            },
        )
        .first(),
        Guest::new(
            "loop-in-admit",
            "an endless loop in the hook",
            deadline,
            |name| Policy::new(World::Admitter, name).hook(LOOP).component(),
        ),
        Guest::new(
            "loop-in-route",
            "an endless loop in the hook",
            deadline,
            |name| Policy::new(World::Router, name).hook(LOOP).component(),
        ),
        Guest::new(
            "loop-in-transform-call",
            "an endless loop in the hook",
            deadline,
            |name| {
                Policy::new(World::CallTransformer, name)
                    .hook(LOOP)
                    .component()
            },
        ),
        Guest::new(
            "loop-in-transform-reply",
            "an endless loop in the hook",
            deadline,
            |name| {
                Policy::new(World::ReplyTransformer, name)
                    .hook(LOOP)
                    .component()
            },
        ),
        Guest::new(
            "loop-in-transform-listing",
            "an endless loop in the hook",
            deadline,
            |name| {
                Policy::new(World::ListingTransformer, name)
                    .hook(LOOP)
                    .component()
            },
        )
        .asked_for(Request::List),
    ]
}

fn in_the_lifecycle() -> Vec<Guest> {
    let unfit = End::Chain("/bindings/1/plugin");
    vec![
        Guest::new(
            "loop-in-start",
            "an endless loop as soon as it is instantiated",
            End::Upload("describe"),
            |name| {
                let start = format!("(start $begin) (func $begin {LOOP})");
                Policy::new(World::Admitter, name)
                    .fields(&start)
                    .component()
            },
        ),
        Guest::new(
            "loop-in-describe",
            "an endless loop when asked what it is",
            End::Upload("describe"),
            |name| {
                Policy::new(World::Admitter, name)
                    .describe(LOOP)
                    .component()
            },
        ),
        Guest::new(
            "loop-in-configure",
            "an endless loop when it is configured",
            unfit,
            |name| {
                Policy::new(World::Admitter, name)
                    .configure(LOOP)
                    .component()
            },
        ),
        Guest::new(
            "loop-in-realloc",
            "an endless loop when the host asks for room for its configuration",
            unfit,
            |name| Policy::new(World::Admitter, name).realloc(LOOP).component(),
        ),
    ]
}

fn around_a_hook() -> Vec<Guest> {
    let deadline = End::Call("deadline");
    vec![
        Guest::new(
            "loop-in-realloc-of-a-hook",
            "an endless loop when the host answers its question",
            deadline,
            |name| {
                Policy::new(World::Admitter, name)
                .import(TARGET, "target", "(param i32 i32)")
                .fields("(global $armed (mut i32) (i32.const 0))")
                .realloc(&format!("(if (global.get $armed) (then {LOOP}))"))
                .hook("(global.set $armed (i32.const 1)) (call $target (local.get $call) (i32.const 2048))")
                .component()
            },
        ),
        Guest::new(
            "loop-in-post-return",
            "an endless loop after its answer was read",
            deadline,
            |name| {
                Policy::new(World::Admitter, name)
                    .post_return(LOOP)
                    .component()
            },
        ),
        Guest::new(
            "endless-tail-calls",
            "a function that goes over into itself without end",
            deadline,
            |name| {
                Policy::new(World::Admitter, name)
                    .fields("(func $spin (return_call $spin))")
                    .hook("(call $spin)")
                    .component()
            },
        ),
    ]
}

/// Loops whose steps are long, or the host's.
fn one_step_at_a_time() -> Vec<Guest> {
    let deadline = End::Call("deadline");
    vec![
        Guest::new(
            "endless-fill",
            "fills 12 MiB of memory, again and again",
            deadline,
            |name| {
                Policy::new(World::Admitter, name)
                .memory("200")
                .hook("(loop $more (memory.fill (i32.const 65536) (i32.const 1) (i32.const 12582912)) (br $more))")
                .component()
            },
        ),
        Guest::new(
            "endless-copy",
            "moves 6 MiB of memory to and fro",
            deadline,
            |name| {
                Policy::new(World::Admitter, name)
                    .memory("200")
                    .hook(
                        "(loop $more
                       (memory.copy (i32.const 6291456) (i32.const 65536) (i32.const 6000000))
                       (memory.copy (i32.const 65536) (i32.const 6291456) (i32.const 6000000))
                       (br $more))",
                    )
                    .component()
            },
        ),
        Guest::new(
            "endless-questions",
            "asks the host for the time without end",
            End::Call("host-calls"),
            |name| {
                Policy::new(World::Admitter, name)
                    .import(NOW, "now", "(result i64)")
                    .hook("(loop $more (drop (call $now)) (br $more))")
                    .component()
            },
        ),
        Guest::new(
            "flood-of-questions",
            "asks the host twenty thousand times what is called",
            End::Call("host-calls"),
            |name| {
                Policy::new(World::Admitter, name)
                    .import(TARGET, "target", "(param i32 i32)")
                    .hook(&repeat(
                        20_000,
                        "(call $target (local.get $call) (i32.const 33000))",
                    ))
                    .component()
            },
        ),
    ]
}
