//! Session: MCP sessions of the session era, bound to their principal; and the upstream conversations of stateless
//! callers, pooled per principal.
//!
//! Before it: an identity. After it: admission, then upstreams that open sessions of their own lazily, through the
//! conversation that a session holds. One principal never uses another's.

mod attach;
mod store;

pub use attach::Held;
pub use store::{Session, SessionError, SessionLimits, Sessions};
