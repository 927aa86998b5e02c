//! Guests that turn against whoever reads what they hand back: parsers, upstreams, clients.

use super::repeat;
use crate::guests::{Policy, World};
use crate::hostile::{Aftermath, End, Guest, Request};

const IS_FROM_UPSTREAM: (&str, &str) = ("types", "[method]call.is-from-upstream");

/// Most of a header that a client is made to read.
const HEADER_BYTES_MAX: usize = 8 << 10;

pub(super) fn family() -> Vec<Guest> {
    let mut family = of_json();
    family.extend(of_headers());
    family.extend(of_streams());
    family
}

/// Hands back the text of `len` bytes at `at`.
fn answer(at: u32, len: u32) -> String {
    format!(
        "(i32.store8 (i32.const 2056) (i32.const 1))
         (i32.store (i32.const 2060) (i32.const {at})) (i32.store (i32.const 2064) (i32.const {len}))"
    )
}

fn of_json() -> Vec<Guest> {
    let output = End::Call("output");
    vec![
        Guest::new("arguments-that-are-no-json", "hands back arguments that do not end", output, |name| {
            Policy::new(World::CallTransformer, name)
                .fields(r#"(data (i32.const 33000) "{\22message\22:")"#)
                .hook(&answer(33_000, 11))
                .component()
        }),
        Guest::new("arguments-that-break-out", "hands back arguments that go on with another tool's name", output, |name| {
            Policy::new(World::CallTransformer, name)
                .fields(r#"(data (i32.const 33000) "{},\22name\22:\22demo__add\22")"#)
                .hook(&answer(33_000, 21))
                .component()
        }),
        Guest::new("result-that-is-no-object", "hands back a list for a result", output, |name| {
            Policy::new(World::ReplyTransformer, name)
                .fields(r#"(data (i32.const 33000) "[1]")"#)
                .hook(&answer(33_000, 3))
                .component()
        }),
        Guest::new("hundred-thousand-brackets", "hands back JSON that is a hundred thousand lists deep", output, |name| {
            Policy::new(World::ReplyTransformer, name)
                .memory("8")
                .fields(r#"(data (i32.const 65536) "{\22a\22:") (data (i32.const 265541) "}")"#)
                .hook(&format!(
                    "(memory.fill (i32.const 65541) (i32.const 0x5b) (i32.const 100000))
                     (memory.fill (i32.const 165541) (i32.const 0x5d) (i32.const 100000)) {}",
                    answer(65_536, 200_006)
                ))
                .component()
        }),
        Guest::new("json-bomb", "a result of a million empty lists, which readers unfold into fifty times as much", End::Served, |name| {
            let list = "(i32.store (i32.add (i32.const 65550) (i32.mul (local.get $i) (i32.const 3))) (i32.const 0x2c5d5b))";
            Policy::new(World::ReplyTransformer, name)
                .memory("64")
                .fields(r#"(data (i32.const 65536) "{\22content\22:[\20 ") "#)
                .hook(&format!(
                    "{} (i32.store (i32.const 3065550) (i32.const 0x7d5d5d5b)) {}",
                    repeat(1_000_000, list),
                    answer(65_536, 3_000_018)
                ))
                .component()
        }),
        Guest::new("result-of-5-mb", "hands back a result of five million bytes", output, |name| {
            Policy::new(World::ReplyTransformer, name)
                .memory("90")
                .hook(&answer(65_536, 5_000_000))
                .component()
        }),
        Guest::new("definition-that-is-no-json", "hands back a tool's definition that is none", output, |name| {
            let edit = "(i32.store8 (local.tee $at (i32.add (i32.const 33000) (i32.mul (local.get $i) (i32.const 12)))) (i32.const 2))
                        (i32.store offset=4 (local.get $at) (i32.const 1024)) (i32.store offset=8 (local.get $at) (i32.const 9))";
            Policy::new(World::ListingTransformer, name)
                .hook(&format!(
                    "{} (i32.store (i32.const 2056) (i32.const 33000)) (i32.store (i32.const 2060) (local.get $len))",
                    repeat(100, edit)
                ))
                .component()
        })
        .asked_for(Request::List),
    ]
}

/// A denial with the code `unauthenticated`, which is at 33000, and the challenge at `at`.
fn challenge(at: u32, len: u32) -> String {
    format!(
        "(i32.store8 (i32.const 2048) (i32.const 1))
         (i32.store (i32.const 2056) (i32.const 33000)) (i32.store (i32.const 2060) (i32.const 15))
         (i32.store (i32.const 2064) (i32.const 1024)) (i32.store (i32.const 2068) (i32.const 1))
         (i32.store8 (i32.const 2088) (i32.const 1))
         (i32.store (i32.const 2092) (i32.const {at})) (i32.store (i32.const 2096) (i32.const {len}))"
    )
}

fn challenges_are_harmless(aftermath: &Aftermath) -> Result<(), String> {
    for reply in &aftermath.replies {
        match reply.header("www-authenticate") {
            None => return Err("a caller is not told how to authenticate".to_owned()),
            Some(header) if header.len() > HEADER_BYTES_MAX => {
                return Err(format!("a header of {} bytes", header.len()));
            }
            Some(_) if reply.header("x-forged").is_some() => {
                return Err("a header of the guest's own".to_owned());
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn of_headers() -> Vec<Guest> {
    const UNAUTHENTICATED: &str = r#"(data (i32.const 33000) "unauthenticated")"#;
    vec![
        Guest::new("header-bomb", "a challenge of three million bytes", End::Denied(401), |name| {
            Policy::new(World::Admitter, name)
                .memory("64")
                .fields(UNAUTHENTICATED)
                .hook(&format!(
                    "(memory.fill (i32.const 65536) (i32.const 0x77) (i32.const 3000000)) {}",
                    challenge(65_536, 3_000_000)
                ))
                .component()
        })
        .proven_by(challenges_are_harmless),
        Guest::new("header-splitting", "a challenge that goes on with another header", End::Denied(401), |name| {
            Policy::new(World::Admitter, name)
                .fields(UNAUTHENTICATED)
                .fields(r#"(data (i32.const 33100) "Bearer\0d\0ax-forged: yes")"#)
                .hook(&challenge(33_100, 21))
                .component()
        })
        .proven_by(challenges_are_harmless),
        Guest::new("waits-for-ever", "tells its callers to come back in half a billion years", End::Denied(429), |name| {
            Policy::new(World::Admitter, name)
                .fields(r#"(data (i32.const 33000) "rate-limited")"#)
                .hook(
                    "(i32.store8 (i32.const 2048) (i32.const 1))
                     (i32.store (i32.const 2056) (i32.const 33000)) (i32.store (i32.const 2060) (i32.const 12))
                     (i32.store8 (i32.const 2072) (i32.const 1)) (i64.store (i32.const 2080) (i64.const -1))",
                )
                .component()
        })
        .proven_by(|aftermath| {
            let told = aftermath.replies.iter().find_map(|reply| reply.header("retry-after"));
            told.map_or(Ok(()), |header| Err(format!("retry-after: {header}")))
        }),
    ]
}

fn of_streams() -> Vec<Guest> {
    vec![
        Guest::new(
            "trap-in-a-stream",
            "gives up at every message of a stream under way",
            End::Served,
            |name| {
                Policy::new(World::Admitter, name)
                    .import(IS_FROM_UPSTREAM, "down", "(param i32) (result i32)")
                    .hook("(if (call $down (local.get $call)) (then (unreachable)))")
                    .component()
            },
        )
        .asked_for(Request::Stream)
        .proven_by(|aftermath| {
            let passed =
                |reply: &crate::mcp::Reply| !reply.notified("notifications/progress").is_empty();
            match aftermath.replies.iter().any(passed) {
                true => Err("a message went past a policy that failed".to_owned()),
                false => Ok(()),
            }
        }),
        Guest::new(
            "trap-at-the-end-of-a-stream",
            "gives up when a stream ends with its result",
            End::Call("trap"),
            |name| {
                Policy::new(World::ReplyTransformer, name)
                    .hook("(unreachable)")
                    .component()
            },
        )
        .asked_for(Request::Stream)
        .proven_by(|aftermath| {
            let passed = |reply: &crate::mcp::Reply| reply.text.contains("Took");
            match aftermath.replies.iter().any(passed) {
                true => Err("a result went past a policy that failed".to_owned()),
                false => Ok(()),
            }
        }),
        Guest::new(
            "trap-in-transform-call",
            "gives up when it is to change arguments",
            End::Call("trap"),
            |name| {
                Policy::new(World::CallTransformer, name)
                    .hook("(unreachable)")
                    .component()
            },
        ),
    ]
}
