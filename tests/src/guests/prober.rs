//! A guest of good will that takes part in every hook, changes nothing, and counts what it is asked.
//!
//! Its counter is `portcullis_guest_fired_total`, by hook, method and direction. It needs the grant `metrics`.

use super::{componentize, lifecycle};

/// What it is called.
pub const NAME: &str = "prober";
/// A world with all hooks, which the contract leaves to whoever wants several.
const WORLD: &str = "package portcullis:tests;
world prober {
  include portcullis:policy/authenticator@0.1.0;
  include portcullis:policy/admitter@0.1.0;
  include portcullis:policy/router@0.1.0;
  include portcullis:policy/call-transformer@0.1.0;
  include portcullis:policy/reply-transformer@0.1.0;
  include portcullis:policy/listing-transformer@0.1.0;
}";

/// Hooks, by name and what they are given beside the call.
const HOOKS: [(&str, &str); 6] = [
    ("authenticate", ""),
    ("admit", ""),
    ("route", "(param i32 i32)"),
    ("transform-call", ""),
    ("transform-reply", "(param $reply i32)"),
    (
        "transform-listing",
        "(param $entries i32) (param $entries_len i32)",
    ),
];

/// The guest.
///
/// # Panics
/// Never.
#[must_use]
pub fn prober() -> Vec<u8> {
    componentize((WORLD, "prober"), &module(NAME, None))
}

/// The same under another name, but that it replaces the arguments of every call by these, a JSON text.
///
/// # Panics
/// Never.
#[must_use]
pub fn changer(name: &str, arguments: &str) -> Vec<u8> {
    componentize((WORLD, "prober"), &module(name, Some(arguments)))
}

/// Memory: zeroes at 2048 are the answer of every hook that has nothing to say, those at 0x200000 the edits that keep
/// every entry. What the host hands over goes to a heap from 0x210000, which every hook gives back.
fn module(name: &str, arguments: Option<&str>) -> String {
    let escaped = arguments.unwrap_or_default().replace('"', "\\22");
    let changed = format!(
        "(i32.store8 (i32.const 2568) (i32.const 1)) (i32.store (i32.const 2572) (i32.const 16384))
         (i32.store (i32.const 2576) (i32.const {})) (i32.const 2560)",
        arguments.map_or(0, str::len)
    );
    let kept = "(i32.store (i32.const 2696) (i32.const 0x200000)) (i32.store (i32.const 2700) (local.get $entries_len))
         (i32.const 2688)";
    let hooks = HOOKS.iter().enumerate().map(|(number, (hook, params))| {
        let answer = match *hook {
            "transform-call" if arguments.is_some() => changed.as_str(),
            "transform-listing" => kept,
            _ => "(i32.const 2048)",
        };
        let given_back = match *hook {
            "transform-reply" => "(call $drop-reply (local.get $reply))",
            _ => "",
        };
        let (at, len) = (8192 + 32 * number, hook.len());
        format!(
            r#"  (data (i32.const {at}) "{hook}")
  (func (export "portcullis:policy/{hook}@0.1.0#{hook}") (param $call i32) {params} (result i32)
    (call $count (local.get $call) (i32.const {at}) (i32.const {len}))
    (call $drop (local.get $call)) {given_back}
    (global.set $heap (i32.const 0x210000))
    {answer})
"#
        )
    });
    format!(
        r#"(module
  (import "portcullis:policy/types@0.1.0" "[resource-drop]call" (func $drop (param i32)))
  (import "portcullis:policy/types@0.1.0" "[resource-drop]reply" (func $drop-reply (param i32)))
  (import "portcullis:policy/types@0.1.0" "[method]call.method" (func $method (param i32 i32)))
  (import "portcullis:policy/types@0.1.0" "[method]call.is-from-upstream" (func $is-from-upstream (param i32) (result i32)))
  (import "portcullis:policy/metrics@0.1.0" "count" (func $add (param i32 i32 i64 i32 i32)))
  (memory (export "memory") 64)
  (global $heap (mut i32) (i32.const 0x210000))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.set $heap (i32.add (local.get $at) (local.get 3)))
    (local.get $at))
  (data (i32.const 3200) "fired")
  (data (i32.const 3232) "hook")
  (data (i32.const 3264) "method")
  (data (i32.const 3296) "direction")
  (data (i32.const 3328) "none")
  (data (i32.const 3360) "up")
  (data (i32.const 3392) "down")
  (data (i32.const 16384) "{escaped}")
  (func $pair (param $at i32) (param i32 i32 i32 i32)
    (i32.store (local.get $at) (local.get 1)) (i32.store offset=4 (local.get $at) (local.get 2))
    (i32.store offset=8 (local.get $at) (local.get 3)) (i32.store offset=12 (local.get $at) (local.get 4)))
  (func $count (param $call i32) (param $hook i32) (param $hook_len i32)
    (call $method (local.get $call) (i32.const 512))
    (if (i32.eqz (i32.load8_u (i32.const 512)))
      (then (i32.store (i32.const 516) (i32.const 3328)) (i32.store (i32.const 520) (i32.const 4))))
    (call $pair (i32.const 640) (i32.const 3232) (i32.const 4) (local.get $hook) (local.get $hook_len))
    (call $pair (i32.const 656) (i32.const 3264) (i32.const 6) (i32.load (i32.const 516)) (i32.load (i32.const 520)))
    (if (call $is-from-upstream (local.get $call))
      (then (call $pair (i32.const 672) (i32.const 3296) (i32.const 9) (i32.const 3392) (i32.const 4)))
      (else (call $pair (i32.const 672) (i32.const 3296) (i32.const 9) (i32.const 3360) (i32.const 2))))
    (call $add (i32.const 3200) (i32.const 5) (i64.const 1) (i32.const 640) (i32.const 3)))
{}
{})"#,
        hooks.collect::<String>(),
        lifecycle((name, "1.0.0"), ("", ""))
    )
}
