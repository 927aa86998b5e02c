//! What comes on a stream: responses and progress go to their callers, what belongs to no call to whoever listens.
//!
//! Nothing here waits, neither for a client nor for the upstream: what does not fit is dropped or refused, and counted. So
//! is what is no message, or nobody's.

use std::sync::Arc;

use bytes::Bytes;
use portcullis_protocol::envelope::{self, Message, Request};
use portcullis_protocol::error::{INTERNAL_ERROR, METHOD_NOT_FOUND, error_body, result_body};

use super::SseStream;
use crate::upstream::asker::Asker;
use crate::upstream::mailbox::Undelivered;
use crate::upstream::pending::Told;
use crate::upstream::restore::PROGRESS;

/// Takes one message.
pub(super) fn take(stream: &Arc<SseStream>, text: &str) {
    match envelope::parse_str(text) {
        Ok(Message::Response(response)) => {
            if !stream.pending.respond(response.id, text) {
                skip(stream, "a response that nobody waits for");
            }
        }
        Ok(Message::Notification(told)) if told.method == PROGRESS => {
            match stream.pending.progress(text) {
                Told::Passed => {}
                Told::Dropped => stream.wire.meters.dropped.inc(),
                Told::Unknown => skip(stream, "progress that nobody asked for"),
            }
        }
        Ok(Message::Notification(_)) => match pass(stream, text) {
            Ok(()) | Err(Undelivered::NobodyListens) => {}
            Err(Undelivered::Full) => stream.wire.meters.dropped.inc(),
        },
        Ok(Message::Request(request)) => asked(stream, &request, text),
        Err(_) => skip(stream, "an event that is no JSON-RPC message"),
    }
}

/// What the upstream asks.
fn asked(stream: &Arc<SseStream>, request: &Request<'_>, text: &str) {
    let refuse = |code, why| error_body(Some(request.id), code, why, None);
    let reply = if request.method == "ping" {
        result_body(request.id.get(), "{}")
    } else {
        match pass(stream, text) {
            Ok(()) => return,
            Err(Undelivered::NobodyListens) => {
                refuse(METHOD_NOT_FOUND, "No client can be asked this now.")
            }
            Err(Undelivered::Full) => {
                stream.wire.meters.dropped.inc();
                refuse(
                    INTERNAL_ERROR,
                    "Too much waits for the client. Ask again later.",
                )
            }
        }
    };
    if !stream.tell_soon(Bytes::from(reply)) {
        skip(stream, "a request while too many were being answered");
    }
}

/// Into the reply of a call, where it belongs to one, or else to the inbox.
fn pass(stream: &Arc<SseStream>, text: &str) -> Result<(), Undelivered> {
    let open = match stream.is_of_session {
        true => stream.pending.newest_open(),
        false => stream.pending.only_open(),
    };
    match open {
        Some(events) => events
            .try_send(Bytes::copy_from_slice(text.as_bytes()))
            .map_err(|_full| Undelivered::Full),
        None => stream.mailbox.post(Asker::stream(stream), text),
    }
}

fn skip(stream: &SseStream, what: &'static str) {
    stream.wire.meters.nonsense.inc();
    tracing::debug!(upstream = %stream.wire.name, what, "skipped something on a stream");
}
