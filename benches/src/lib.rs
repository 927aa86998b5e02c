//! What the benchmarks share: the policies that they bind, guests of their own, statistics, and the report.
//!
//! `benches/hooks.rs` measures one hook in process; `portcullis-bench` drives whole gateways from outside;
//! `portcullis-native` is the gateway with the same policies compiled into it. This library stays free of the
//! gateway's crates, so that the driver does not carry a gateway inside.

pub mod guests;
pub mod plan;
pub mod report;
pub mod stats;
