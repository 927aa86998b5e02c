//! A policy with every hook, which waits for a file in each of them.

use super::{componentize, lifecycle};

const WORLD: &str = "
package portcullis:tests;
world every-hook {
    include portcullis:policy/authenticator@0.1.0;
    include portcullis:policy/admitter@0.1.0;
    include portcullis:policy/router@0.1.0;
    include portcullis:policy/call-transformer@0.1.0;
    include portcullis:policy/reply-transformer@0.1.0;
    include portcullis:policy/listing-transformer@0.1.0;
}";

/// Reads the file `list` in every hook. It recognises nobody, keeps the host's choice of upstreams, has tools take three
/// `steps`, answers with what is in the file, and hides every entry of a listing.
///
/// # Panics
/// Never.
#[must_use]
pub fn waits_everywhere(name: &str) -> Vec<u8> {
    componentize((WORLD, "every-hook"), &module(name))
}

/// `$wait` leaves the file's content at 3200: a tag, where it is, and how long. Answers of zeroes are at 2048: success.
fn module(name: &str) -> String {
    let lifecycle = lifecycle((name, "1.0.0"), ("", ""));
    format!(
        r#"(module
  (import "portcullis:policy/types@0.1.0" "[resource-drop]call" (func $drop (param i32)))
  (import "portcullis:policy/types@0.1.0" "[resource-drop]reply" (func $drop-reply (param i32)))
  (import "portcullis:policy/fs@0.1.0" "read" (func $read (param i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
  (data (i32.const 1200) "list")
  (data (i32.const 1216) "{{\22message\22:\22waited\22,\22steps\22:3}}")
  (func $wait (call $read (i32.const 1200) (i32.const 4) (i32.const 3200))
    (if (i32.load8_u (i32.const 3200)) (then (unreachable))))
  (func (export "portcullis:policy/authenticate@0.1.0#authenticate") (param $call i32) (result i32)
    (call $wait) (call $drop (local.get $call)) (i32.const 2048))
  (func (export "portcullis:policy/admit@0.1.0#admit") (param $call i32) (result i32)
    (call $wait) (call $drop (local.get $call)) (i32.const 2048))
  (func (export "portcullis:policy/route@0.1.0#route") (param $call i32) (param i32 i32) (result i32)
    (call $wait) (call $drop (local.get $call)) (i32.const 2048))
  (func (export "portcullis:policy/transform-call@0.1.0#transform-call") (param $call i32) (result i32)
    (call $wait) (call $drop (local.get $call))
    (i32.store (i32.const 3304) (i32.const 0)) (i32.store (i32.const 3312) (i32.const 1))
    (i32.store (i32.const 3316) (i32.const 1216)) (i32.store (i32.const 3320) (i32.const 30))
    (i32.const 3304))
  (func (export "portcullis:policy/transform-reply@0.1.0#transform-reply") (param $call i32) (param $reply i32) (result i32)
    (call $wait) (call $drop (local.get $call)) (call $drop-reply (local.get $reply))
    (i32.store (i32.const 3400) (i32.const 0)) (i32.store (i32.const 3408) (i32.const 1))
    (i32.store (i32.const 3412) (i32.load (i32.const 3204))) (i32.store (i32.const 3416) (i32.load (i32.const 3208)))
    (i32.const 3400))
  (func (export "portcullis:policy/transform-listing@0.1.0#transform-listing")
    (param $call i32) (param i32) (param $entries i32) (result i32)
    (call $wait) (call $drop (local.get $call))
    (i32.store (i32.const 3504) (i32.const 0)) (i32.store (i32.const 3512) (i32.const 40000))
    (i32.store (i32.const 3516) (local.get $entries))
    (block $done (loop $next
      (br_if $done (i32.eqz (local.get $entries)))
      (local.set $entries (i32.sub (local.get $entries) (i32.const 1)))
      (i32.store8 (i32.add (i32.const 40000) (i32.mul (local.get $entries) (i32.const 12))) (i32.const 1))
      (br $next)))
    (i32.const 3504))
{lifecycle})"#
    )
}
