//! What a process says, line by line: responses and progress go to their callers, everything else is dealt with here.
//!
//! Requests of the process are answered at once, since no caller stands behind them. What is no message, or nobody's,
//! is counted and skipped.

use std::sync::Arc;

use bytes::Bytes;
use portcullis_protocol::envelope::{self, Message};
use portcullis_protocol::error::{METHOD_NOT_FOUND, error_body, result_body};
use portcullis_protocol::splice;
use serde_json::value::RawValue;
use tokio::process::ChildStdout;

use super::lines::{Line, Lines};
use super::process::{self, Process};
use crate::upstream::restore::{PROGRESS, PROGRESS_TOKEN};

/// Reads until the output ends.
pub(super) async fn read(process: &Arc<Process>, stdout: ChildStdout) {
    let mut lines = Lines::new(stdout, process.setup.limits.message_bytes_max);
    loop {
        match lines.next().await {
            Ok(Some(Line::Whole(line))) => take(process, line),
            Ok(Some(Line::TooLong(_))) => skip(process, "a line that is too long"),
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(upstream = %process.setup.name, %error, "output of the process cannot be read");
                return;
            }
        }
    }
}

fn take(process: &Arc<Process>, line: &[u8]) {
    if line.trim_ascii().is_empty() {
        return;
    }
    let Ok(text) = std::str::from_utf8(line) else {
        return skip(process, "a line that is not UTF-8");
    };
    match envelope::parse_str(text) {
        Ok(Message::Response(response)) => {
            let id = response.id.and_then(|id| id.get().parse().ok());
            let Some(call) = id.and_then(|id| process.pending.remove(id)) else {
                return skip(process, "a response that nobody waits for");
            };
            // The caller may have left in this moment.
            call.last
                .send(Bytes::from(call.restore.response(text)))
                .ok();
        }
        Ok(Message::Notification(notification)) if notification.method == PROGRESS => {
            progress(process, text)
        }
        // No caller owns these: logs and changes of lists belong to the process, and callers share it.
        Ok(Message::Notification(_)) => {}
        Ok(Message::Request(request)) => answer(process, &request.method, request.id),
        Err(_) => skip(process, "a line that is no JSON-RPC message"),
    }
}

/// A progress notification, to the caller that owns its token. Callers that read too slowly lose some.
fn progress(process: &Arc<Process>, text: &str) {
    let [params, token] = PROGRESS_TOKEN;
    let token =
        splice::get_member(text, params).and_then(|params| splice::get_member(params, token));
    let owner = token
        .and_then(|token| token.parse().ok())
        .and_then(|id| process.pending.events(id));
    let Some((restore, events)) = owner else {
        return skip(process, "progress that nobody asked for");
    };
    if let Some(message) = restore.progress(text) {
        events.try_send(Bytes::from(message)).ok();
    }
}

fn answer(process: &Arc<Process>, method: &str, id: &RawValue) {
    let reply = if method == "ping" {
        result_body(id.get(), "{}")
    } else {
        error_body(
            Some(id),
            METHOD_NOT_FOUND,
            "Not offered by this client.",
            None,
        )
    };
    if !process.try_send(process::line(&reply)) {
        skip(
            process,
            "a request while too much was waiting to be written",
        );
    }
}

fn skip(process: &Arc<Process>, what: &'static str) {
    process.setup.meters.nonsense.inc();
    tracing::debug!(upstream = %process.setup.name, what, "skipped output of the process");
}
