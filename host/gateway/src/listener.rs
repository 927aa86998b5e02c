//! Listener: connections, HTTP, and the first look at a request.
//!
//! It bounds everything that a client controls (connections, headers, body), refuses what no tenant should see
//! (foreign origins, rebound hosts, wrong media types), and hands a [`Call`](crate::call::Call) to the pipeline. It
//! never looks inside a tool's arguments.

mod accept;
mod account;
mod batch;
mod body;
mod channel;
mod eager;
mod guard;
mod http;
mod messages;
pub mod reply;
mod request;
mod sse;
mod websocket;
mod workers;

pub use accept::{Bounds, serve};
pub use body::{Body, BodyError};
pub use guard::Guard;
pub use reply::Reply;
pub use workers::Workers;
