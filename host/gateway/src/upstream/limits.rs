//! How far upstreams may go: sizes, waits and counts, each with a name.
//!
//! Read from the host's configuration before the first upstream is made. It decides nothing by itself.

use std::time::Duration;

/// Bounds that hold for every upstream of the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamLimits {
    /// Idle connections kept open to one upstream; by https, to one host.
    pub connections_idle_max: usize,
    /// How long an idle connection is kept, in milliseconds.
    pub connection_idle_ms: u64,
    /// Longest wait for a TCP connection, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Longest wait for the answer to a probe for the stateless era, in milliseconds.
    pub probe_timeout_ms: u64,
    /// Longest wait for an upstream to take an answer to what it asked, in milliseconds.
    pub tell_timeout_ms: u64,
    /// Longest wait for an upstream session to end, in milliseconds.
    pub close_timeout_ms: u64,
    /// Upstream sessions that one conversation holds; the oldest is ended when another is opened beyond that.
    pub conversation_sessions_max: usize,
    /// Failures in a row after which an upstream counts as unhealthy.
    pub failures_max: u32,
    /// First pause after failures, in milliseconds; it doubles with each further one.
    pub backoff_first_ms: u64,
    /// Longest pause after failures, in milliseconds.
    pub backoff_max_ms: u64,
    /// Pages of one list that are followed.
    pub list_pages_max: usize,
    /// Entries of one list, all pages together.
    pub list_entries_max: usize,
    /// Bytes of a message that must be held whole: a line of a process, an event or reply that is edited, a list.
    pub message_bytes_max: usize,
    /// Bytes that are read of the body of an HTTP error.
    pub error_bytes_max: usize,
    /// Longest wait for a server that has to do with authorization, in milliseconds.
    pub oauth_timeout_ms: u64,
    /// Bytes that are read of what such a server answers.
    pub oauth_bytes_max: usize,
    /// Scopes that one upstream may ask for.
    pub oauth_scopes_max: usize,
    /// Callers of one upstream whose exchanged tokens are kept.
    pub callers_max: usize,
    /// Consents that wait for a person, of all upstreams.
    pub consents_max: usize,
    /// How long a person may take, in milliseconds.
    pub consent_ms: u64,
    /// Calls that wait for one process.
    pub process_pending_max: usize,
    /// Calls that wait for one stream of HTTP+SSE.
    pub stream_pending_max: usize,
    /// Messages that wait to be written to one process.
    pub process_queue_len_max: usize,
    /// Messages that wait for one caller before its response; further notifications are dropped, further requests refused.
    pub call_events_max: usize,
    /// Processes that the callers of one upstream have to themselves.
    pub session_processes_max: usize,
    /// Messages of one process that wait for one conversation; further notifications are dropped, further requests refused.
    pub mailbox_len_max: usize,
    /// Bytes of those messages, unless a single one has more.
    pub mailbox_bytes_max: usize,
    /// Subscriptions that one conversation has at one process.
    pub conversation_subscriptions_max: usize,
    /// Subscriptions at one process, of all conversations together.
    pub process_subscriptions_max: usize,
    /// Bytes of a resource's URI that can be subscribed to.
    pub subscription_uri_bytes_max: usize,
    /// Longest wait for a process to become ready, in milliseconds.
    pub process_start_ms: u64,
    /// A process that lived this long is restarted without a pause, in milliseconds.
    pub process_settled_ms: u64,
    /// How long a process may take to end after its input was closed, and again after TERM, in milliseconds.
    pub process_stop_ms: u64,
    /// Bytes of one line of a process's standard error that are logged.
    pub stderr_line_bytes_max: usize,
    /// Lines of a process's standard error that are logged each second.
    pub stderr_lines_per_second_max: u32,
}

impl Default for UpstreamLimits {
    fn default() -> Self {
        Self {
            connections_idle_max: 1024,
            connection_idle_ms: 60_000,
            connect_timeout_ms: 5_000,
            probe_timeout_ms: 3_000,
            tell_timeout_ms: 10_000,
            close_timeout_ms: 2_000,
            conversation_sessions_max: 256,
            failures_max: 5,
            backoff_first_ms: 500,
            backoff_max_ms: 30_000,
            list_pages_max: 100,
            list_entries_max: 10_000,
            message_bytes_max: 32 * 1024 * 1024,
            error_bytes_max: 64 * 1024,
            oauth_timeout_ms: 5_000,
            oauth_bytes_max: 256 * 1024,
            oauth_scopes_max: 64,
            callers_max: 1_000,
            consents_max: 1_000,
            consent_ms: 600_000,
            process_pending_max: 1024,
            stream_pending_max: 1024,
            process_queue_len_max: 256,
            call_events_max: 64,
            session_processes_max: 64,
            mailbox_len_max: 64,
            mailbox_bytes_max: 4 * 1024 * 1024,
            conversation_subscriptions_max: 256,
            process_subscriptions_max: 4096,
            subscription_uri_bytes_max: 4096,
            process_start_ms: 60_000,
            process_settled_ms: 30_000,
            process_stop_ms: 2_000,
            stderr_line_bytes_max: 4096,
            stderr_lines_per_second_max: 50,
        }
    }
}

impl UpstreamLimits {
    /// The pause after that many failures, in milliseconds: doubled each time, bounded, and shortened by chance down
    /// to a half so that many waiters do not return at once.
    #[must_use]
    pub(super) fn backoff_ms(&self, failures: u32) -> u64 {
        let doublings = failures.saturating_sub(1).min(32);
        let full_ms = self
            .backoff_first_ms
            .saturating_mul(1 << doublings)
            .clamp(1, self.backoff_max_ms.max(1));
        rand::random_range(full_ms / 2..=full_ms)
    }

    /// [`UpstreamLimits::process_stop_ms`] as a duration.
    #[must_use]
    pub(super) fn process_stop(&self) -> Duration {
        Duration::from_millis(self.process_stop_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_bound() {
        let limits = UpstreamLimits {
            backoff_first_ms: 100,
            backoff_max_ms: 1_000,
            ..UpstreamLimits::default()
        };
        for (failures, full_ms) in [
            (0, 100),
            (1, 100),
            (2, 200),
            (4, 800),
            (5, 1_000),
            (u32::MAX, 1_000),
        ] {
            for _ in 0..20 {
                let pause_ms = limits.backoff_ms(failures);
                assert!(
                    (full_ms / 2..=full_ms).contains(&pause_ms),
                    "{failures}: {pause_ms}"
                );
            }
        }
    }
}
