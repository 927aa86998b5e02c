//! Policy: the tenant's chain of plugins, hook by hook in walk order.
//!
//! Before it: tenancy, which pinned the chain. After it: sessions, the router and the upstreams, which only ever see
//! a [`Permitted`] call. It never lets a message past a hook that failed, unless its binding says `on_failure: open`.

mod bound;
mod chain;
mod explain;
mod glob;
mod permitted;
pub mod services;

pub use bound::{Binder, Bound, Hooks, Runs, Sandboxed};
pub use chain::Chain;
pub use explain::{Explanation, Premises, Step};
pub use permitted::Permitted;
