//! A batch: several messages in one `POST` (MCP 2025-03-26, Transports, "Sending Messages to the Server").
//!
//! Each message goes its whole walk, once and by itself, beside the others. Their replies go back together, in the order
//! of the requests: as one array, or as one stream of events where any of them is a stream. Nothing is decided here.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream::{self, Stream, StreamExt as _};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use portcullis_protocol::headers::EVENT_STREAM;
use portcullis_protocol::sse::{self, Decoder, Event};
use tracing::warn;

use crate::call::Kind;
use crate::pipeline::{Batched, Pipeline};

use super::account::Account;
use super::reply::{self, Reply};
use super::{Body, BodyError};

/// What refusals of whole batches carry as well.
const HEADERS: [HeaderName; 2] = [WWW_AUTHENTICATE, RETRY_AFTER];

/// Whether a body is an array.
pub(super) fn is_one(body: &[u8]) -> bool {
    body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[')
}

/// Answers a batch, whose messages each have an account of their own.
pub(super) async fn respond(
    pipeline: &Pipeline,
    messages: Vec<Batched>,
    account: &Account,
) -> Reply {
    let replies = messages.into_iter().map(|Batched { request_id, call }| {
        let account = account.of_part(request_id);
        Box::pin(async move {
            match call {
                Ok(call) => {
                    let kind = call.message.kind;
                    (kind, account.walk(pipeline, Arc::new(call)).await)
                }
                // Whatever it was meant to be, its sender is told what is wrong with it.
                Err(unread) => (Kind::Request, account.unread(unread)),
            }
        })
    });
    combine(join_all(replies).await, pipeline.limits.event_bytes_max)
}

fn combine(replies: Vec<(Kind, Reply)>, event_bytes_max: usize) -> Reply {
    let is_asked = |kind: &Kind| *kind == Kind::Request;
    let (asked, told): (Vec<_>, Vec<_>) = replies.into_iter().partition(|(kind, _)| is_asked(kind));
    let replies: Vec<Reply> = asked.into_iter().map(|(_, reply)| reply).collect();
    if replies.is_empty() {
        // Nothing is asked: the first that was not taken speaks for all.
        let mut told = told.into_iter().map(|(_, reply)| reply);
        let refused = told.find(|reply| !reply.status().is_success());
        return refused.unwrap_or_else(|| reply::empty(StatusCode::ACCEPTED));
    }
    let status = status(&replies);
    let headers: Vec<_> = HEADERS
        .into_iter()
        .filter_map(|name| {
            let value = replies.iter().find_map(|reply| reply.headers().get(&name));
            Some((name, value?.clone()))
        })
        .collect();
    let mut whole = match replies.iter().any(is_stream) {
        true => reply::events(merged(replies, event_bytes_max)),
        false => reply::json(status, array(replies)),
    };
    if status != StatusCode::OK {
        whole.headers_mut().extend(headers);
    }
    whole
}

/// The status that all replies have, where it is one and the same; else that of an answered batch.
fn status(replies: &[Reply]) -> StatusCode {
    let mut statuses = replies.iter().map(|reply| reply.status());
    let first = statuses.next().unwrap_or(StatusCode::OK);
    match statuses.all(|status| status == first) {
        true => first,
        false => StatusCode::OK,
    }
}

fn is_stream(reply: &Reply) -> bool {
    let kind = reply.headers().get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes() == EVENT_STREAM.as_bytes())
}

/// One array of what each reply holds, as it arrives.
fn array(replies: Vec<Reply>) -> Body {
    let before = |at| Bytes::from_static(if at == 0 { b"[" } else { b"," });
    let parts = stream::iter(replies.into_iter().enumerate()).flat_map(move |(at, reply)| {
        stream::iter([Ok(before(at))]).chain(chunks(reply.into_body()))
    });
    let end = stream::iter([Ok(Bytes::from_static(b"]"))]);
    Body::Events(Box::pin(parts.chain(end)))
}

fn chunks(body: Body) -> impl Stream<Item = Result<Bytes, BodyError>> + Send {
    stream::unfold(body, |mut body| async move {
        let frame = body.frame().await?;
        Some((
            frame.map(|frame| frame.into_data().unwrap_or_default()),
            body,
        ))
    })
}

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>;

/// One stream of what each reply holds, event by event. Events lose their ids: each names a place in a stream of its own,
/// and a reader who came back with one would miss the others.
fn merged(replies: Vec<Reply>, event_bytes_max: usize) -> Body {
    let streams = replies.into_iter().map(|reply| -> Chunks {
        match is_stream(&reply) {
            true => Box::pin(events(reply.into_body(), event_bytes_max)),
            false => Box::pin(stream::once(event(reply.into_body(), event_bytes_max))),
        }
    });
    Body::Events(Box::pin(stream::select_all(streams)))
}

/// A reply that is one message, as an event.
async fn event(body: Body, event_bytes_max: usize) -> Result<Bytes, BodyError> {
    let body = Limited::new(body, event_bytes_max).collect().await?;
    let text = String::from_utf8(body.to_bytes().into())?;
    let mut out = Vec::with_capacity(text.len() + 16);
    sse::encode(&Event::message(text), &mut out);
    Ok(out.into())
}

/// A stream's own events, each whole. What is no event keeps the connection open, and still does.
fn events(
    body: Body,
    event_bytes_max: usize,
) -> impl Stream<Item = Result<Bytes, BodyError>> + Send {
    let decoder = Decoder::new(event_bytes_max);
    chunks(body).scan(decoder, |decoder, chunk| {
        let read = chunk.and_then(|chunk| Ok(decoder.push(&chunk)?));
        let mut out = Vec::new();
        while let Some(event) = decoder.next_event() {
            if event.is_message() {
                sse::encode(&Event { id: None, ..event }, &mut out);
            }
        }
        if out.is_empty() {
            out.extend_from_slice(b":\n\n");
        }
        let read = read.inspect_err(|err| warn!(error = %err, "a stream in a batch broke off"));
        std::future::ready(Some(read.map(|()| Bytes::from(out))))
    })
}
