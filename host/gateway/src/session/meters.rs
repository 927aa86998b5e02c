//! What is counted of sessions: how many there are, which ids open none, and what streams have given up.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Handles, resolved once.
#[derive(Debug, Clone)]
pub struct SessionMeters {
    /// Live sessions.
    pub live: IntGauge,
    /// Events that no reader came for in time.
    pub dropped: IntCounter,
    unknown: IntCounter,
    foreign: IntCounter,
}

/// Why an id opens no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// No session has it, or none any more.
    Unknown,
    /// The session is another principal's, or another server's, or lives on a connection.
    Foreign,
}

impl SessionMeters {
    /// Makes and registers them.
    ///
    /// # Errors
    /// When one is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let live = IntGauge::new("portcullis_sessions", "Live MCP sessions")?;
        let dropped = IntCounter::new(
            "portcullis_stream_events_dropped_total",
            "Events for clients that were given up, since nobody came to read them",
        )?;
        let refusals = IntCounterVec::new(
            Opts::new(
                "portcullis_session_refusals_total",
                "Messages with the id of no session (unknown), or of one that is not their sender's (foreign)",
            ),
            &["reason"],
        )?;
        registry.register(Box::new(live.clone()))?;
        registry.register(Box::new(dropped.clone()))?;
        registry.register(Box::new(refusals.clone()))?;
        let refused = |reason| refusals.with_label_values(&[reason]);
        Ok(Self {
            live,
            dropped,
            unknown: refused("unknown"),
            foreign: refused("foreign"),
        })
    }

    /// Counts ids that were refused for this.
    pub(super) fn refused(&self, refused: Refused) -> &IntCounter {
        match refused {
            Refused::Unknown => &self.unknown,
            Refused::Foreign => &self.foreign,
        }
    }
}
