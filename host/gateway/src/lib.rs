//! The Portcullis gateway. Modules stand in the order of a request's walk; [`pipeline`] is the walk itself.

pub mod pipeline;

pub mod listener;
pub mod policy;
pub mod router;
pub mod session;
pub mod tenancy;
pub mod upstream;

pub mod call;
mod challenge;
pub mod refusal;
pub mod seal;
mod signing;
mod thread;
pub mod trust;

pub mod admin;
pub mod model;
pub mod oci;
pub mod state;
pub mod store;
pub mod telemetry;

pub mod app;
pub mod cli;
pub mod config;

pub use portcullis_sandbox::compile_if_asked;

/// Threads allocate and free at a high rate, and what a peak took goes back to the system.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
