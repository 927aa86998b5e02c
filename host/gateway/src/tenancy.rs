//! Tenancy: from an endpoint to one immutable [`Generation`] of its tenant.
//!
//! Before it: the listener, with a path and headers. After it: the policy chain and everything that the
//! generation pins to the end of the request. It never takes a lock on the request path, and it never
//! compiles there: generations are prepared aside, by the admin plane, and installed in one store.

mod generation;
mod prepare;
mod registry;
pub mod rollout;
mod samples;
mod shelf;

pub use generation::{Endpoint, Generation, Mount, Server};
pub use prepare::{PrepareError, Prepared, Trial};
pub(crate) use registry::host_name;
pub use registry::{Registry, Workshop};
pub use rollout::Rollout;
pub use samples::{Caller, RefusedBy, Sample, Samples};
pub use shelf::{PluginInfo, PluginRefused, Shelf, Shelved};
