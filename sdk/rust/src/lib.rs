//! Write a Portcullis policy in Rust.
//!
//! A policy is a type that implements [`Policy`] and is named in [`export!`] with the hooks that it wants:
//!
//! ```
//! use portcullis_sdk::{config, Call, Denial, Manifest, Policy};
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct QuietHours {
//!     from_hour: u64,
//!     to_hour: u64,
//! }
//!
//! impl Policy for QuietHours {
//!     fn manifest() -> Manifest {
//!         portcullis_sdk::manifest!(r#"{"type": "object"}"#)
//!     }
//!
//!     fn configure(text: &str) -> Result<Self, String> {
//!         config::parse(text)
//!     }
//!
//!     fn admit(&self, call: &Call) -> Result<(), Denial> {
//!         let hour = portcullis_sdk::clock::now_ms() / 3_600_000 % 24;
//!         if call.is_tool_call() && (self.from_hour..self.to_hour).contains(&hour) {
//!             return Err(Denial::forbidden("Tools rest at night."));
//!         }
//!         Ok(())
//!     }
//! }
//!
//! portcullis_sdk::export!(QuietHours: admit);
//! # fn main() {}
//! ```
//!
//! Built for `wasm32-unknown-unknown` it is a component that exports `lifecycle` and `admit`, and imports what it uses.
//! Built natively it is an ordinary type, tested with the double of the host in [`testing`].

mod call;
pub mod config;
mod glob;
mod host;
mod policy;
mod values;
mod waits;

#[allow(
    unsafe_code,
    missing_docs,
    clippy::all,
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    clippy::wildcard_enum_match_arm,
    clippy::allow_attributes_without_reason,
    reason = "generated from the contract"
)]
#[doc(hidden)]
pub mod bindings;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod component;
mod export;
#[cfg(not(target_arch = "wasm32"))]
pub mod native;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use bindings::exports::portcullis::policy::authenticate::Caller;
pub use bindings::exports::portcullis::policy::lifecycle::Manifest;
pub use bindings::exports::portcullis::policy::route::Candidate;
pub use bindings::exports::portcullis::policy::transform_listing::{Edit, Entry};
pub use bindings::portcullis::policy::types::{Denial, Identity};
pub use call::{Call, Reply};
pub use glob::Glob;
pub use host::{clock, jwt, keys, logging, metrics, quota, random, state};
pub use policy::Policy;
pub use waits::{fs, http};
