//! Guests that lie about what they are, or do not say it.
//!
//! A manifest lies at 3072: name, version, description and schema, each an address and a length.

use crate::guests::{Policy, World};
use crate::hostile::{End, Guest};

/// One of the manifest's texts is at 33000, with this many bytes.
fn says(text: u32, len: usize) -> String {
    let at = 3072 + text * 8;
    format!(
        "(i32.store (i32.const {at}) (i32.const 33000)) (i32.store (i32.const {}) (i32.const {len}))",
        at + 4
    )
}

const NAME: u32 = 0;
const VERSION: u32 = 1;
const SCHEMA: u32 = 3;

/// A policy with one text of the manifest replaced; `text` is without characters that WebAssembly text escapes.
fn posing(name: &str, which: u32, text: &str) -> Vec<u8> {
    let escaped = text.replace('\\', "\\5c").replace('"', "\\22");
    Policy::new(World::Admitter, name)
        .fields(&format!(r#"(data (i32.const 33000) "{escaped}")"#))
        .describe(&says(which, text.len()))
        .component()
}

pub(super) fn family() -> Vec<Guest> {
    let mut family = that_lie();
    family.extend(that_fail());
    family
}

fn that_lie() -> Vec<Guest> {
    let describe = End::Upload("describe");
    vec![
        Guest::new(
            "name-of-a-path",
            "calls itself ../../etc/passwd",
            describe,
            |name| posing(name, NAME, "../../etc/passwd"),
        ),
        Guest::new("name-of-nothing", "has an empty name", describe, |name| {
            posing(name, NAME, "")
        }),
        Guest::new(
            "version-of-a-script",
            "has a script for a version",
            describe,
            |name| posing(name, VERSION, "<script>alert(1)</script>"),
        ),
        Guest::new(
            "schema-of-brackets",
            "its schema is ten thousand lists deep",
            describe,
            |name| {
                let schema = format!("{{\"enum\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
                posing(name, SCHEMA, &schema)
            },
        ),
        Guest::new(
            "schema-from-elsewhere",
            "its schema refers to an address of the host's own network",
            describe,
            |name| posing(name, SCHEMA, r#"{"$ref":"http://127.0.0.1:1/schema.json"}"#),
        ),
        Guest::new(
            "schema-of-a-file",
            "its schema refers to a file of the host",
            describe,
            |name| posing(name, SCHEMA, r#"{"$ref":"file:///etc/passwd"}"#),
        ),
    ]
}

fn that_fail() -> Vec<Guest> {
    let describe = End::Upload("describe");
    vec![
        Guest::new(
            "schema-of-4-mb",
            "its schema has four million bytes",
            describe,
            |name| {
                Policy::new(World::Admitter, name)
                .memory("64")
                .describe(&format!(
                    "{} (i32.store (i32.const 3096) (i32.const 65536)) (memory.fill (i32.const 65536) (i32.const 0x20) (i32.const 4000000))",
                    says(SCHEMA, 4_000_000)
                ))
                .component()
            },
        ),
        Guest::new(
            "trap-in-describe",
            "gives up when asked what it is",
            describe,
            |name| {
                Policy::new(World::Admitter, name)
                    .describe("(unreachable)")
                    .component()
            },
        ),
        Guest::new(
            "trap-at-start",
            "gives up as soon as it is instantiated",
            describe,
            |name| {
                Policy::new(World::Admitter, name)
                    .fields("(start $begin) (func $begin (unreachable))")
                    .component()
            },
        ),
        Guest::new(
            "trap-in-configure",
            "gives up when it is configured",
            End::Chain("/bindings/1/plugin"),
            |name| {
                Policy::new(World::Admitter, name)
                    .configure("(unreachable)")
                    .component()
            },
        ),
    ]
}
