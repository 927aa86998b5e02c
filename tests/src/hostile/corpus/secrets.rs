//! Guests that leave something behind for whoever comes next, and look for what others have left.
//!
//! One that finds anything refuses the call as `found`, which is an end that no row has.

use super::repeat;
use crate::guests::{Policy, World};
use crate::hostile::{End, Guest};

/// Refuses the call: at 33000 stands `found`.
const FOUND: &str = "
    (i32.store8 (i32.const 2048) (i32.const 1))
    (i32.store (i32.const 2056) (i32.const 33000)) (i32.store (i32.const 2060) (i32.const 5))
    (call $drop (local.get $call)) (return (i32.const 2048))";
const TEXT: &str = r#"(data (i32.const 33000) "found")"#;

/// Looks through memory from 65536 on, eight bytes at a time, and fills it.
fn seek(bytes: u32) -> String {
    let look = format!(
        "(if (i64.ne (i64.load (i32.add (i32.const 65536) (i32.shl (local.get $i) (i32.const 3)))) (i64.const 0))
           (then {FOUND}))"
    );
    format!(
        "{} (memory.fill (i32.const 65536) (i32.const 0x5e) (i32.const {bytes}))",
        repeat(bytes / 8, &look)
    )
}

pub(super) fn family() -> Vec<Guest> {
    vec![
        Guest::new("secret-in-memory", "leaves a megabyte of secrets, and looks for it at the next call", End::Served, |name| {
            Policy::new(World::Admitter, name)
                .memory("17")
                .fields(TEXT)
                .hook(&seek(1 << 20))
                .component()
        })
        .fresh(),
        Guest::new("secret-in-grown-memory", "the same with memory that it takes in its hook", End::Served, |name| {
            Policy::new(World::Admitter, name)
                .fields(TEXT)
                .hook(&format!("(drop (memory.grow (i32.const 64))) {}", seek(4 << 20)))
                .component()
        })
        .fresh(),
        Guest::new("secret-in-a-global", "the same with a global and a place of a table", End::Served, |name| {
            Policy::new(World::Admitter, name)
                .fields(TEXT)
                .fields(
                    "(global $secret (mut i64) (i64.const 0)) (table $t 8 funcref)
                     (func $any) (elem declare func $any)",
                )
                .hook(&format!(
                    "(if (i32.or (i64.ne (global.get $secret) (i64.const 0))
                                 (i32.eqz (ref.is_null (table.get $t (i32.const 3)))))
                       (then {FOUND}))
                     (global.set $secret (i64.const 42)) (table.set $t (i32.const 3) (ref.func $any))"
                ))
                .component()
        })
        .fresh(),
        Guest::new("secret-after-a-trap", "leaves secrets and gives up, and looks for them in its successor", End::Call("trap"), |name| {
            Policy::new(World::Admitter, name)
                .memory("17")
                .fields(TEXT)
                .hook(&format!("{} (unreachable)", seek(1 << 20)))
                .component()
        }),
    ]
}
