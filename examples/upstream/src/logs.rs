//! Log messages to the client: who asked for which level, in both eras.
//!
//! A session sets its level once (`logging/setLevel`), a stateless request names its own in `_meta` or gets none.
//! This is protocol traffic; the process's own log is `tracing`'s.
#![expect(
    deprecated,
    reason = "deprecated for the future of the protocol, and part of every revision served here"
)]

use std::sync::atomic::{AtomicU8, Ordering};

use rmcp::{
    RoleServer,
    model::{LoggingLevel, LoggingMessageNotificationParam},
    service::RequestContext,
};
use serde_json::json;

use crate::server::is_stateless;

/// The least severe level that a session wants to see; `info` until it says otherwise.
#[derive(Debug)]
pub struct LogThreshold(AtomicU8);

impl Default for LogThreshold {
    fn default() -> Self {
        Self(AtomicU8::new(severity(LoggingLevel::Info)))
    }
}

impl LogThreshold {
    /// Remembers what `logging/setLevel` asked for.
    pub fn set(&self, level: LoggingLevel) {
        self.0.store(severity(level), Ordering::Relaxed);
    }

    fn admits(&self, level: LoggingLevel) -> bool {
        severity(level) >= self.0.load(Ordering::Relaxed)
    }
}

/// Sends one message at level `info` to the caller of `context`, if it wants it.
///
/// A client that is gone misses nothing that it could still use, so a failure to send is only traced.
pub async fn info(context: &RequestContext<RoleServer>, threshold: &LogThreshold, message: &str) {
    let level = LoggingLevel::Info;
    let wanted = if is_stateless(context) {
        context
            .meta
            .log_level()
            .is_some_and(|asked| severity(level) >= severity(asked))
    } else {
        threshold.admits(level)
    };
    if !wanted {
        return;
    }
    let param =
        LoggingMessageNotificationParam::new(level, json!(message)).with_logger("example-upstream");
    if let Err(error) = context.peer.notify_logging_message(param).await {
        tracing::debug!(%error, "log message not delivered");
    }
}

fn severity(level: LoggingLevel) -> u8 {
    match level {
        LoggingLevel::Debug => 0,
        LoggingLevel::Info => 1,
        LoggingLevel::Notice => 2,
        LoggingLevel::Warning => 3,
        LoggingLevel::Error => 4,
        LoggingLevel::Critical => 5,
        LoggingLevel::Alert => 6,
        LoggingLevel::Emergency => 7,
    }
}
