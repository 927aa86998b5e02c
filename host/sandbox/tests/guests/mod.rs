//! Guests in WAT, made into components of `portcullis:policy`.

#![allow(
    clippy::unwrap_used,
    reason = "test code: a guest that is not made is a failed test"
)]

use std::path::Path;

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Takes from counters.
#[allow(dead_code, reason = "each test binary uses some of these")]
pub const QUOTA: &str =
    r#"(import "portcullis:policy/quota@0.1.0" "take" (func $take (param i32 i32 i32)))"#;
/// Sends a request: method, URL, headers, body, timeout, and where the response goes.
#[allow(dead_code, reason = "each test binary uses some of these")]
pub const HTTP: &str = r#"(import "portcullis:policy/http@0.1.0" "send"
    (func $send (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))"#;
/// Passes what got a response and traps otherwise.
#[allow(dead_code, reason = "each test binary uses some of these")]
pub const SENDS: &str = r#"(call $send (i32.const 16) (i32.const 7) (i32.const 32) (i32.const 5)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
        (i32.const 512))
    (if (i32.load8_u (i32.const 512)) (then (unreachable)))
    (call $drop (local.get 0)) (i32.store8 (i32.const 320) (i32.const 0)) (i32.const 320)"#;

/// A guest that exports `lifecycle` and `admit`; each body is WAT.
pub struct Guest {
    /// Leaves a pointer to a manifest.
    pub describe: String,
    /// Leaves a pointer to a `result<_, string>`.
    pub configure: String,
    /// Gets the call's handle as local 0, leaves a pointer to a `result<_, denial>`.
    pub admit: String,
    /// What it imports beside `types` and `clock`.
    pub imports: &'static str,
    /// Gets align and size of what the host hands over as locals 2 and 3, leaves where it goes.
    pub realloc: &'static str,
    /// Pages of memory to begin with.
    pub pages: u32,
    /// Further fields of the module.
    pub more: String,
}

impl Guest {
    /// One that lets everything pass.
    pub fn admits() -> Self {
        Self::admitting(
            "(call $drop (local.get 0)) (i32.store8 (i32.const 320) (i32.const 0)) (i32.const 320)",
        )
    }

    /// One with this body of `admit`.
    pub fn admitting(body: &str) -> Self {
        Self {
            describe: "(call $text (i32.const 256) (i32.const 16) (i32.const 7))
                (call $text (i32.const 264) (i32.const 32) (i32.const 5))
                (call $text (i32.const 272) (i32.const 16) (i32.const 7))
                (call $text (i32.const 280) (i32.const 48) (i32.const 2))
                (i32.const 256)"
                .into(),
            configure: "(i32.store8 (i32.const 320) (i32.const 0)) (i32.const 320)".into(),
            admit: body.into(),
            imports: "",
            realloc: "(i32.const 4096)",
            pages: 1,
            more: String::new(),
        }
    }

    fn wat(&self) -> String {
        let Self {
            describe,
            configure,
            admit,
            imports,
            realloc,
            pages,
            more,
        } = self;
        format!(
            r#"(module
                (import "portcullis:policy/types@0.1.0" "[resource-drop]call" (func $drop (param i32)))
                (import "portcullis:policy/clock@0.1.0" "now-ms" (func $now (result i64)))
                {imports}
                (memory (export "memory") {pages})
                (data (i32.const 16) "hostile") (data (i32.const 32) "1.0.0") (data (i32.const 48) "{{}}")
                (func $text (param i32 i32 i32)
                    (i32.store (local.get 0) (local.get 1)) (i32.store offset=4 (local.get 0) (local.get 2)))
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {realloc})
                (func (export "portcullis:policy/lifecycle@0.1.0#describe") (result i32) {describe})
                (func (export "portcullis:policy/lifecycle@0.1.0#configure") (param i32 i32) (result i32) {configure})
                (func $admit (export "portcullis:policy/admit@0.1.0#admit") (param i32) (result i32) {admit})
                {more})"#
        )
    }
}

/// A core module's bytes.
pub fn core(wat: &str) -> Vec<u8> {
    wat::parse_str(wat).unwrap()
}

/// A component's bytes. What it imports of WASI 0.1 it has of WASI 0.2, as from most toolchains.
pub fn component(guest: &Guest) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    let (package, _) = resolve.push_path(wit).unwrap();
    let world = resolve.select_world(&[package], Some("admitter")).unwrap();
    let mut module = core(&guest.wat());
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default()
        .module(&module)
        .unwrap()
        .adapter(
            WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME,
            WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
        )
        .unwrap()
        .validate(true)
        .encode()
        .unwrap()
}
