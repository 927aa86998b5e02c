//! What a process says, line by line: responses and progress go to their callers, what belongs to no call to whoever
//! wants to hear it.
//!
//! Nothing here waits, neither for a client nor for the process to read: what does not fit is dropped or refused, and
//! counted. So is what is no message, or nobody's.

use std::sync::Arc;

use bytes::Bytes;
use portcullis_protocol::envelope::{self, Message, Request};
use portcullis_protocol::error::{INTERNAL_ERROR, METHOD_NOT_FOUND, error_body, result_body};
use portcullis_protocol::listen::{
    ACKNOWLEDGED, RESOURCE_UPDATED, is_list_changed, updated_uri, without_subscription,
};
use portcullis_protocol::params::log_level;
use portcullis_protocol::revision::Era;
use serde_json::value::RawValue;
use tokio::process::ChildStdout;

use super::audience::Kind;
use super::lines::{Line, Lines};
use super::process::{self, Process};
use super::torn;
use crate::model::ProcessScope;
use crate::upstream::asker::Asker;
use crate::upstream::error::UpstreamError;
use crate::upstream::mailbox::Undelivered;
use crate::upstream::pending::Told;
use crate::upstream::restore::PROGRESS;

const LOG: &str = "notifications/message";

/// Reads until the output ends.
pub(super) async fn read(process: &Arc<Process>, stdout: ChildStdout) {
    let mut lines = Lines::new(stdout, process.setup.limits.message_bytes_max);
    loop {
        match lines.next().await {
            Ok(Some(Line::Whole(line))) => take(process, line),
            Ok(Some(Line::TooLong { head, tail })) => {
                let id = torn::id(head, tail).map(str::to_owned);
                skip(process, "a line that is too long");
                cut_off(process, id);
            }
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
            if !process.pending.respond(response.id, text) {
                skip(process, "a response that nobody waits for");
            }
        }
        Ok(Message::Notification(notification)) => match &*notification.method {
            PROGRESS => progress(process, text),
            // It says under which request it listens; there is only the one.
            ACKNOWLEDGED => {}
            method if is_list_changed(method) => changed(process),
            RESOURCE_UPDATED if process.era() == Era::Stateless => {
                match without_subscription(text) {
                    Ok(text) => told(process, RESOURCE_UPDATED, notification.params, &text),
                    Err(_) => skip(process, "an update that is about nothing"),
                }
            }
            method => told(process, method, notification.params, text),
        },
        Ok(Message::Request(request)) => asked(process, &request, text),
        Err(_) => skip(process, "a line that is no JSON-RPC message"),
    }
}

/// Whoever waits for a response that is too long waits in vain, and is told so.
fn cut_off(process: &Process, id: Option<String>) {
    let error = UpstreamError::TooLarge {
        upstream: Arc::clone(&process.setup.name),
        bytes_max: process.setup.limits.message_bytes_max,
    };
    let Some(id) = id.and_then(|id| RawValue::from_string(id).ok()) else {
        return;
    };
    let body = error_body(Some(&id), error.code(), &error.public_message(), None);
    if let Ok(text) = std::str::from_utf8(&body)
        && process.pending.respond(Some(&id), text)
    {
        tracing::warn!(%error, "a response is cut off");
    }
}

fn progress(process: &Arc<Process>, text: &str) {
    match process.pending.progress(text) {
        Told::Passed => {}
        Told::Dropped => process.setup.meters.dropped.inc(),
        Told::Unknown => skip(process, "progress that nobody asked for"),
    }
}

/// What is listed comes from the process for all: what changes in another is seen by nobody.
fn changed(process: &Arc<Process>) {
    match process.audience.scope() {
        ProcessScope::Shared => process.setup.note_change(),
        ProcessScope::Session => {}
    }
}

/// A notification that belongs to no call by its own words.
fn told(process: &Arc<Process>, method: &str, params: Option<&RawValue>, text: &str) {
    let audience = &process.audience;
    let params = params.map(RawValue::get).unwrap_or_default();
    match (audience.kind(), method) {
        (Kind::All | Kind::Caller, RESOURCE_UPDATED) => {
            if let Some(uri) = updated_uri(params) {
                audience.updated(process, &uri, text);
            }
        }
        (Kind::All, LOG) => {
            if let Some(level) = log_level(params) {
                audience.log(process, level, text);
            }
        }
        // Nobody asked for anything else.
        (Kind::All, _) => {}
        (Kind::Caller | Kind::Session(_), _) => match pass(process, text) {
            Ok(()) | Err(Undelivered::NobodyListens) => {}
            Err(Undelivered::Full) => process.setup.meters.dropped.inc(),
        },
    }
}

/// What a process asks of those whom it serves.
fn asked(process: &Arc<Process>, request: &Request<'_>, text: &str) {
    let refuse = |code, why| error_body(Some(request.id), code, why, None);
    let reply = if request.method == "ping" {
        result_body(request.id.get(), "{}")
    } else {
        match pass(process, text) {
            Ok(()) => return,
            Err(Undelivered::NobodyListens) => {
                refuse(METHOD_NOT_FOUND, "No client can be asked this now.")
            }
            Err(Undelivered::Full) => {
                process.setup.meters.dropped.inc();
                refuse(
                    INTERNAL_ERROR,
                    "Too much waits for the client. Ask again later.",
                )
            }
        }
    };
    if !process.try_send(process::line(&reply)) {
        skip(
            process,
            "a request while too much was waiting to be written",
        );
    }
}

/// Into the reply of a call, where it belongs to one, or else to the stream of what belongs to none.
fn pass(process: &Arc<Process>, text: &str) -> Result<(), Undelivered> {
    let kind = process.audience.kind();
    let open = match kind {
        Kind::All => None,
        // Who called may be one of many, so nobody must hear what another is asked.
        Kind::Caller => process.pending.only_open(),
        Kind::Session(_) => process.pending.newest_open(),
    };
    match (open, kind) {
        (Some(events), _) => events
            .try_send(Bytes::copy_from_slice(text.as_bytes()))
            .map_err(|_full| Undelivered::Full),
        (None, Kind::Session(mailbox)) => mailbox.post(Asker::process(process), text),
        (None, Kind::All | Kind::Caller) => Err(Undelivered::NobodyListens),
    }
}

fn skip(process: &Arc<Process>, what: &'static str) {
    process.setup.meters.nonsense.inc();
    tracing::debug!(upstream = %process.setup.name, what, "skipped output of the process");
}
