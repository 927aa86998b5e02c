//! The way back: an upstream's reply through the transforms, in the client's era, streamed where nobody must see it
//! whole.

use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use portcullis_protocol::envelope;
use portcullis_protocol::error::INTERNAL_ERROR;
use tracing::warn;

use crate::listener::reply;
use crate::listener::{Body, Reply};
use crate::policy::Permitted;
use crate::refusal::Refusal;
use crate::upstream::{ReplyKind, UpstreamBody, UpstreamError, UpstreamReply};

use super::ask::Sent;
use super::incoming::{Incoming, endless};
use super::translate::{Source, edit, edit_error, may_edit, nonsense};
use super::{Pipeline, WalkLimits, rounds, streams};

/// Replies up to this size are checked to be JSON-RPC even where no policy wants them; larger ones stream through.
const CHECKED_BYTES_MAX: u64 = 64 << 10;

/// Turns an upstream's reply into the client's.
pub(super) async fn carry(
    pipeline: &Pipeline,
    call: Permitted,
    (mut reply, sent): (UpstreamReply, Sent),
) -> Result<Reply, Refusal> {
    if reply.era != call.era {
        // What one side asks in the course of a call, the other asks in its result.
        return Box::pin(rounds::carry(pipeline, call, (reply, sent))).await;
    }
    let limits = pipeline.limits;
    let edits = may_edit(&call, reply.era);
    // A channel carries many replies, so on it each must be what it says it is.
    let may_pass = reply.kind == ReplyKind::Json && !edits && call.channel.is_none();
    if may_pass && is_long(&mut reply, limits).await? {
        let body = Body::passed(reply.body, limits.stream_time_max);
        return Ok(reply::json(reply.status, body));
    }
    match reply.kind {
        ReplyKind::Events => {
            let incoming = Incoming::new(pipeline, call, reply);
            Ok(streams::of_reply(pipeline, (None, incoming), sent))
        }
        ReplyKind::Json => {
            let (source, status) = (Source::of(&reply, &pipeline.seal), reply.status);
            let body = whole(&mut { reply.body }, limits).await?;
            let answer = check(&call, &body)?;
            let edited = match (edits, answer) {
                (true, (Some(id), Some(result))) => {
                    let edited = edit(&call, &source, (id, result)).await?;
                    edited.map(Bytes::from)
                }
                (true, (_, None)) => {
                    let answer = std::str::from_utf8(&body).unwrap_or_default();
                    edit_error(&call, answer).map(Bytes::from)
                }
                (false, (_, Some(result))) => {
                    call.note_result(result, result);
                    None
                }
                (true, (None, Some(_))) | (false, (_, None)) => None,
            };
            Ok(reply::json(status, edited.unwrap_or(body)))
        }
    }
}

/// Whether a reply is longer than is worth checking. Where its upstream does not say, the beginning is waited for.
async fn is_long(reply: &mut UpstreamReply, limits: WalkLimits) -> Result<bool, Refusal> {
    if let Some(length) = reply.content_length {
        return Ok(length > CHECKED_BYTES_MAX);
    }
    let bytes_max = usize::try_from(CHECKED_BYTES_MAX).unwrap_or(usize::MAX);
    let beginning = reply.body.peek(bytes_max);
    match tokio::time::timeout(limits.stream_time_max, beginning).await {
        Ok(Ok(is_whole)) => Ok(!is_whole),
        Ok(Err(err)) => Err(broken_off(&err)),
        Err(_elapsed) => Err(endless(limits)),
    }
}

/// All of a body that may not be larger than an event, nor take longer than a stream.
pub(super) async fn whole(body: &mut UpstreamBody, limits: WalkLimits) -> Result<Bytes, Refusal> {
    let bytes_max = limits.event_bytes_max;
    let all = Limited::new(body, bytes_max).collect();
    let Ok(all) = tokio::time::timeout(limits.stream_time_max, all).await else {
        return Err(endless(limits));
    };
    match all {
        Ok(body) => Ok(body.to_bytes()),
        Err(err) if err.is::<LengthLimitError>() => Err(internal(format!(
            "the result is larger than {bytes_max} bytes and must be seen whole, by a policy or to be put into the words of another protocol version; ask for less"
        ))),
        Err(err) => Err(match err.downcast_ref::<UpstreamError>() {
            Some(err) => broken_off(err),
            None => {
                warn!(error = %err, "an upstream's reply broke off");
                internal("the upstream's reply broke off; try again".into())
            }
        }),
    }
}

fn broken_off(err: &UpstreamError) -> Refusal {
    warn!(error = %err, "an upstream's reply broke off");
    if matches!(err, UpstreamError::Envelope { .. }) {
        return nonsense();
    }
    Refusal::from(err)
}

fn internal(message: String) -> Refusal {
    Refusal::new(
        StatusCode::BAD_GATEWAY,
        INTERNAL_ERROR,
        "upstream-error",
        message,
    )
}

/// A reply must be one response, to this very request: its id, and the result where it is one. Only an error may lack
/// the id: its sender could not read it.
fn check<'a>(
    call: &Permitted,
    body: &'a [u8],
) -> Result<(Option<&'a str>, Option<&'a str>), Refusal> {
    let answer = envelope::frame(body).ok_or_else(nonsense)?;
    match (answer.id, answer.result) {
        (Some(id), result) if Some(id) == call.message.id.as_deref() => Ok((Some(id), result)),
        (None | Some("null"), None) => Ok((None, None)),
        (Some(_) | None, _) => Err(nonsense()),
    }
}
