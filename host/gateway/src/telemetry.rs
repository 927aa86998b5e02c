//! What operators see: metrics and logs. Every room reports here; nothing here decides anything.

pub mod logs;
pub mod metrics;
pub mod request_id;
pub mod timed;

pub use metrics::Metrics;
pub use request_id::RequestId;
