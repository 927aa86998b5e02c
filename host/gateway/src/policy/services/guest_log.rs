//! Guests' log lines, as events of the host's log with tenant, plugin, binding and request id.
//!
//! The sandbox capped their number and length. Their text is the guest's: it stays on one line here, so that no
//! guest writes a line that looks like the host's.

use std::borrow::Cow;

use portcullis_sandbox::{LogLevel, Scope};
use tracing::field::display;
use tracing::{debug, error, info, trace, warn};

use crate::telemetry::RequestId;

/// Passes one line on.
pub(super) fn log(scope: &Scope, level: LogLevel, message: &str) {
    let Scope {
        tenant,
        plugin,
        binding,
    } = scope;
    let request_id = RequestId::current().map(display);
    let message = one_line(message);
    match level {
        LogLevel::Trace => {
            trace!(target: "portcullis::guest", request_id, tenant, plugin, binding, "{message}")
        }
        LogLevel::Debug => {
            debug!(target: "portcullis::guest", request_id, tenant, plugin, binding, "{message}")
        }
        LogLevel::Info => {
            info!(target: "portcullis::guest", request_id, tenant, plugin, binding, "{message}")
        }
        LogLevel::Warn => {
            warn!(target: "portcullis::guest", request_id, tenant, plugin, binding, "{message}")
        }
        LogLevel::Error => {
            error!(target: "portcullis::guest", request_id, tenant, plugin, binding, "{message}")
        }
    }
}

fn one_line(message: &str) -> Cow<'_, str> {
    if !message.contains(char::is_control) {
        return Cow::Borrowed(message);
    }
    Cow::Owned(
        message
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn a_guest_writes_one_line_at_a_time() {
        for (message, want) in [
            ("all is well", "all is well"),
            ("a\nb\r\u{1b}[31mc", "a b  [31mc"),
            ("", ""),
        ] {
            assert_eq!(one_line(message), want, "{message:?}");
        }
    }
}
