//! The harness of the black-box tests: everything that a test starts, and what it talks to.
//!
//! Tests see the gateway as its users do: the built binary, its listeners, its admin API, its files. Nothing here
//! links the gateway's code. Whatever is started listens on loopback at a free port, keeps its files in a temporary
//! folder, and is stopped, by its own process id, when its guard is dropped. Nothing waits for a time: it waits for a
//! condition, and gives up after [`wait::BOUND`].
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a harness stops the test that uses it, with what it saw"
)]

pub mod admin;
pub mod cli;
pub mod doors;
pub mod fakes;
pub mod flow;
pub mod forwarder;
pub mod gateway;
pub mod guests;
pub mod heard;
pub mod hostile;
pub mod load;
pub mod mcp;
pub mod memory;
pub mod oauth;
pub mod pdp;
pub mod places;
pub mod process;
pub mod recorder;
pub mod registry;
pub mod shared;
pub mod show;
pub mod sse;
pub mod sse_front;
pub mod stage;
pub mod tap;
pub mod tokens;
pub mod upstreams;
pub mod wait;
pub mod websocket;
