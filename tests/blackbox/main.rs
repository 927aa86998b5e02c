//! The black-box tests. One module for each topic; each test sets its scene with the harness in `portcullis_tests`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it is wrong"
)]
#![allow(
    clippy::too_many_lines,
    reason = "a table of cases and the snapshot of their answers are read together"
)]

mod authorization;
mod bad_input;
mod batches;
mod caching;
mod catalogue;
mod cli;
mod clients;
mod demo;
mod departures;
mod explain;
mod harness;
mod hooks;
mod hostile;
mod introductions;
mod large;
mod lifecycle;
mod listings;
mod mirrors;
mod offers;
mod ops;
mod pairs;
mod plugins;
mod processes;
mod restart;
mod rollouts;
mod stateless;
mod swap;
mod tenants;
mod transports;
mod upstreams;
mod verbatim;
mod waiting;
