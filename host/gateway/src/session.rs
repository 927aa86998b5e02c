//! Session: MCP sessions of the session era, bound to their principal, with the streams that lead to their clients; and
//! the upstream conversations of stateless callers, pooled per principal.
//!
//! Before it: an identity. After it: admission, then upstreams that open sessions of their own lazily, through the
//! conversation that a session holds. One principal never uses another's.

mod attach;
mod channel;
mod event_log;
mod live;
mod meters;
mod questions;
mod store;

pub use attach::Held;
pub use channel::{ChannelError, Ticket};
pub use event_log::{EventLog, LogBounds, LogReader, Position};
pub use live::{Opening, Session};
pub use meters::SessionMeters;
pub use questions::{Question, Questions};
pub use store::{SessionError, SessionLimits, Sessions};
