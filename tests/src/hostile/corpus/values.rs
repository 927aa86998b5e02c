//! Guests whose answers are no answers: too much, in no encoding, or of no type.
//!
//! An answer lies at 2048. Byte 0 tells success from denial, what is in it begins at byte 8.

use super::repeat;
use crate::guests::{BAD_POINTER, FLOOD, Policy, World};
use crate::hostile::{End, Guest, Request};

const LOG: (&str, &str) = ("logging", "log");

pub(super) fn family() -> Vec<Guest> {
    let mut family = too_much();
    family.extend(no_text());
    family.extend(of_no_type());
    family.extend(not_what_was_asked());
    family
}

fn too_much() -> Vec<Guest> {
    let output = End::Call("output");
    vec![
        Guest::new("answer-of-5-mb", "a denial whose text has five million bytes", output, |name| {
            Policy::new(World::Admitter, name).hook(FLOOD).component()
        }),
        Guest::new("list-of-128-mib", "says that its list of edits has 128 MiB", End::Call("trap"), |name| {
            let edits = "(i32.store (i32.const 2056) (i32.const 4096))
                         (i32.store (i32.const 2060) (i32.const 11184810))";
            Policy::new(World::ListingTransformer, name).hook(edits).component()
        })
        .asked_for(Request::List),
        Guest::new("million-small-strings", "an identity with a million roles of one letter", output, |name| {
            let roles = "(i32.store (local.tee $at (i32.add (i32.const 65536) (i32.shl (local.get $i) (i32.const 3)))) (i32.const 1024))
                         (i32.store offset=4 (local.get $at) (i32.const 1))";
            Policy::new(World::Authenticator, name)
                .memory("140")
                .hook(&format!(
                    "{} (i32.store8 (i32.const 2056) (i32.const 1))
                     (i32.store (i32.const 2084) (i32.const 65536)) (i32.store (i32.const 2088) (i32.const 1000000))",
                    repeat(1_000_000, roles)
                ))
                .component()
        })
        .first(),
        Guest::new("one-text-a-thousand-times", "names 57 kB of text a thousand times in one list", output, |name| {
            let roles = "(i32.store (local.tee $at (i32.add (i32.const 65536) (i32.shl (local.get $i) (i32.const 3)))) (i32.const 73600))
                         (i32.store offset=4 (local.get $at) (i32.const 57000))";
            Policy::new(World::Authenticator, name)
                .memory("2")
                .hook(&format!(
                    "{} (i32.store8 (i32.const 2056) (i32.const 1))
                     (i32.store (i32.const 2084) (i32.const 65536)) (i32.store (i32.const 2088) (i32.const 1000))",
                    repeat(1_000, roles)
                ))
                .component()
        })
        .first(),
    ]
}

/// A denial whose text is at `at` and has `len` bytes.
fn denial(at: u32, len: u32) -> String {
    format!(
        "(i32.store8 (i32.const 2048) (i32.const 1))
         (i32.store (i32.const 2056) (i32.const 1024)) (i32.store (i32.const 2060) (i32.const 1))
         (i32.store (i32.const 2064) (i32.const {at})) (i32.store (i32.const 2068) (i32.const {len}))"
    )
}

fn no_text() -> Vec<Guest> {
    let trap = End::Call("trap");
    vec![
        Guest::new(
            "invalid-utf-8",
            "a text that begins with 0xff",
            trap,
            |name| {
                Policy::new(World::Admitter, name)
                    .fields(r#"(data (i32.const 33000) "\ff\fe")"#)
                    .hook(&denial(33_000, 2))
                    .component()
            },
        ),
        Guest::new(
            "half-a-character",
            "a text that ends within a character",
            trap,
            |name| {
                Policy::new(World::Admitter, name)
                    .fields(r#"(data (i32.const 33000) "ok \f0\9f\92")"#)
                    .hook(&denial(33_000, 6))
                    .component()
            },
        ),
        Guest::new(
            "surrogates",
            "a text with half of a UTF-16 pair",
            trap,
            |name| {
                Policy::new(World::Admitter, name)
                    .fields(r#"(data (i32.const 33000) "\ed\a0\80")"#)
                    .hook(&denial(33_000, 3))
                    .component()
            },
        ),
        Guest::new(
            "text-beyond-its-memory",
            "a text that goes on where memory has ended",
            trap,
            |name| {
                Policy::new(World::Admitter, name)
                    .hook(&denial(65_530, 100))
                    .component()
            },
        ),
        Guest::new(
            "text-around-the-end",
            "a text whose end lies before its beginning",
            trap,
            |name| {
                Policy::new(World::Admitter, name)
                    .hook(&denial(u32::MAX, 2))
                    .component()
            },
        ),
    ]
}

fn of_no_type() -> Vec<Guest> {
    let trap = End::Call("trap");
    vec![
        Guest::new("bad-result-tag", "neither success nor denial", trap, |name| {
            Policy::new(World::Admitter, name)
                .hook("(i32.store8 (i32.const 2048) (i32.const 9))")
                .component()
        }),
        Guest::new("bad-option-tag", "neither something nor nothing", trap, |name| {
            Policy::new(World::CallTransformer, name)
                .hook("(i32.store8 (i32.const 2056) (i32.const 9))")
                .component()
        }),
        Guest::new("bad-variant-tag", "a caller of no known kind", trap, |name| {
            Policy::new(World::Authenticator, name)
                .hook("(i32.store8 (i32.const 2056) (i32.const 1)) (i32.store8 (i32.const 2060) (i32.const 99))")
                .component()
        })
        .first(),
        Guest::new("bad-edit-tag", "an edit of no known kind", trap, |name| {
            Policy::new(World::ListingTransformer, name)
                .fields(r#"(data (i32.const 33000) "\63")"#)
                .hook("(i32.store (i32.const 2056) (i32.const 33000)) (i32.store (i32.const 2060) (i32.const 1))")
                .component()
        })
        .asked_for(Request::List),
        Guest::new("bad-enum", "a log line of level 99", trap, |name| {
            Policy::new(World::Admitter, name)
                .import(LOG, "log", "(param i32 i32 i32)")
                .hook("(call $log (i32.const 99) (i32.const 1024) (i32.const 4))")
                .component()
        }),
        Guest::new("crooked-pointer", "an answer at an odd address", trap, |name| {
            Policy::new(World::Admitter, name)
                .hook("(call $drop (local.get $call)) (return (i32.const 2049))")
                .component()
        }),
        Guest::new("pointer-to-nowhere", "an answer where there is no memory", trap, |name| {
            Policy::new(World::Admitter, name)
                .hook(&format!("(call $drop (local.get $call)) {BAD_POINTER}"))
                .component()
        }),
        Guest::new("room-at-nowhere", "tells the host to write where there is no memory", End::Chain("/bindings/1/plugin"), |name| {
            Policy::new(World::Admitter, name)
                .realloc("(return (i32.const -16))")
                .component()
        }),
    ]
}

fn not_what_was_asked() -> Vec<Guest> {
    let output = End::Call("output");
    vec![
        Guest::new("too-few-edits", "edits fewer tools than it was shown", output, |name| {
            Policy::new(World::ListingTransformer, name).component()
        })
        .asked_for(Request::List),
        Guest::new("too-many-edits", "edits more tools than it was shown", output, |name| {
            Policy::new(World::ListingTransformer, name)
                .hook("(i32.store (i32.const 2056) (i32.const 33000)) (i32.store (i32.const 2060) (i32.const 2000))")
                .component()
        })
        .asked_for(Request::List),
        Guest::new("route-to-nowhere", "chooses an upstream that is not there", output, |name| {
            Policy::new(World::Router, name)
                .hook("(i32.store8 (i32.const 2056) (i32.const 1)) (i32.store (i32.const 2060) (i32.const -1))")
                .component()
        }),
        Guest::new("unknown-caller", "names a caller whom it never handed over", output, |name| {
            Policy::new(World::Authenticator, name)
                .hook(
                    "(i32.store8 (i32.const 2056) (i32.const 1)) (i32.store8 (i32.const 2060) (i32.const 2))
                     (i32.store (i32.const 2064) (i32.const 7))",
                )
                .component()
        })
        .first(),
        Guest::new("caller-beyond-all-numbers", "has a caller kept under the number four billion", output, |name| {
            Policy::new(World::Authenticator, name)
                .hook(
                    "(i32.store8 (i32.const 2056) (i32.const 1)) (i32.store8 (i32.const 2060) (i32.const 1))
                     (i32.store (i32.const 2064) (i32.const -1))",
                )
                .component()
        })
        .first(),
    ]
}
