//! Guests written as WebAssembly text and made into components of the real contract: of bad will, and one that counts.

mod policy;
pub mod prober;
mod waits;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::places;

pub use policy::{Policy, World};
pub use waits::waits_everywhere;

/// A policy that admits every message: what the others are compared with.
pub const HARMLESS: &str = "";
/// Never ends.
pub const LOOP: &str = "(loop $forever (br $forever))";
/// Takes memory, 64 KiB at a time, until it is stopped.
pub const BOMB: &str = "(loop $more (drop (memory.grow (i32.const 1))) (br $more))";
/// Gives up.
pub const TRAP: &str = "(unreachable)";
/// Calls itself until its stack is gone.
pub const RECURSION: &str = "(drop (call $hook (i32.const 0)))";
/// Reads where it has no memory.
pub const OUT_OF_BOUNDS: &str = "(drop (i32.load (i32.const 0x7fffffff)))";
/// Answers with a refusal whose text has five million bytes.
pub const FLOOD: &str = "
    (drop (memory.grow (i32.const 90)))
    (i32.store8 (i32.const 2048) (i32.const 1))
    (i32.store (i32.const 2056) (i32.const 1024)) (i32.store (i32.const 2060) (i32.const 1))
    (i32.store (i32.const 2064) (i32.const 65536)) (i32.store (i32.const 2068) (i32.const 5000000))";
/// Refuses: `forbidden`.
pub const REFUSAL: &str = "
    (i32.store8 (i32.const 2048) (i32.const 1))
    (i32.store (i32.const 2056) (i32.const 1024)) (i32.store (i32.const 2060) (i32.const 1))
    (i32.store (i32.const 2064) (i32.const 1024)) (i32.store (i32.const 2068) (i32.const 1))";
/// Answers with a pointer to nowhere.
pub const BAD_POINTER: &str = "(return (i32.const 0x7ffffff8))";

/// A component that exports `lifecycle` and `admit`, and does `deed` whenever it is asked to admit a message.
///
/// # Panics
/// When `deed` is not WebAssembly text.
#[must_use]
pub fn admitter(name: &str, deed: &str) -> Vec<u8> {
    versioned(name, "1.0.0", deed)
}

/// As [`admitter`], of another version.
///
/// # Panics
/// As [`admitter`].
#[must_use]
pub fn versioned(name: &str, version: &str, deed: &str) -> Vec<u8> {
    Policy::new(World::Admitter, name)
        .version(version)
        .hook(deed)
        .component()
}

/// As [`admitter`], but it misbehaves as soon as it is configured.
///
/// # Panics
/// As [`admitter`].
#[must_use]
pub fn configured(name: &str, deed: &str) -> Vec<u8> {
    Policy::new(World::Admitter, name)
        .configure(deed)
        .component()
}

/// What every policy exports, and what it does there before it answers. Its text is at 1024; `configure` answers with the
/// zeroes at 2048: success.
fn lifecycle((name, version): (&str, &str), (describe, configure): (&str, &str)) -> String {
    assert!(version.len() <= 16, "{version} runs into the schema");
    let (name_len, version_len) = (name.len(), version.len());
    let schema = r#"{\22type\22:\22object\22}"#;
    format!(
        r#"  (data (i32.const 1024) "{name}")
  (data (i32.const 1152) "{version}")
  (data (i32.const 1168) "{schema}")
  (func (export "portcullis:policy/lifecycle@0.1.0#describe") (result i32)
    (i32.store (i32.const 3072) (i32.const 1024)) (i32.store (i32.const 3076) (i32.const {name_len}))
    (i32.store (i32.const 3080) (i32.const 1152)) (i32.store (i32.const 3084) (i32.const {version_len}))
    (i32.store (i32.const 3088) (i32.const 1024)) (i32.store (i32.const 3092) (i32.const {name_len}))
    (i32.store (i32.const 3096) (i32.const 1168)) (i32.store (i32.const 3100) (i32.const 17))
    {describe}
    (i32.const 3072))
  (func (export "portcullis:policy/lifecycle@0.1.0#configure") (param i32 i32) (result i32)
    {configure}
    (i32.const 2048))"#
    )
}

/// A core module: WebAssembly, but no component.
///
/// # Panics
/// Never.
#[must_use]
pub fn core_module() -> Vec<u8> {
    wat::parse_str("(module (func (export \"admit\")))").expect("a module")
}

/// A component that has nothing to do with policies.
///
/// # Panics
/// Never.
#[must_use]
pub fn of_another_world() -> Vec<u8> {
    wat::parse_str("(component (core module $m (func (export \"f\"))) (core instance $i (instantiate $m)) (func (export \"run\") (canon lift (core func $i \"f\"))))")
        .expect("a component")
}

/// A component that wants the network by itself.
///
/// # Panics
/// Never.
#[must_use]
pub fn wants_sockets() -> Vec<u8> {
    wat::parse_str(
        "(component (import \"wasi:http/outgoing-handler@0.2.6\" (instance (export \"handle\" (func)))))",
    )
    .expect("a component")
}

/// A package without a world: those of the contract do.
const NO_WORLDS: &str = "package portcullis:tests;";

/// Encodes a core module as a component of a world, which is the contract's or stands in `worlds`. What the module does
/// not import, the component does not import either.
fn componentize((worlds, world): (&str, &str), text: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let mut resolve = Resolve::default();
    let (contract, _) = resolve.push_dir(places::wit()).expect("the contract");
    let own = resolve.push_str("worlds.wit", worlds).expect("worlds");
    let world = [own, contract]
        .into_iter()
        .find_map(|package| resolve.select_world(&[package], Some(world)).ok())
        .expect("a world");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("metadata");
    let mut encoder = ComponentEncoder::default();
    encoder
        .validate(true)
        .module(&module)
        .unwrap_or_else(|error| panic!("{error:#}\n{text}"))
        .encode()
        .unwrap_or_else(|error| panic!("{error:#}\n{text}"))
}
