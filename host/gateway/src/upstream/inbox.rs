//! Where messages of upstreams go that belong to no reply: what they push, and what they ask outside of calls.
//!
//! Whoever holds a conversation listens by giving it an inbox; the sessions behind it are then read for that inbox.

use std::fmt::Debug;
use std::pin::Pin;

use super::Asker;

/// Takes messages, one at a time from each upstream session. While it takes one, the next waits.
pub trait Inbox: Debug + Send + Sync {
    /// A whole JSON-RPC message in the upstream's own names, as text. Responses are never delivered. An upstream without
    /// sessions asks nothing, and nothing can be told to it.
    fn deliver(
        &self,
        from: Option<Asker>,
        message: String,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}
