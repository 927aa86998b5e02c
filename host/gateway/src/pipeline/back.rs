//! The way back: an upstream's reply through the transforms, in the client's era, streamed where nobody must see it
//! whole.

use std::borrow::Cow;
use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use portcullis_protocol::bridge;
use portcullis_protocol::envelope::{self, Message, Outcome, Response};
use portcullis_protocol::error::{INTERNAL_ERROR, error_body};
use portcullis_protocol::revision::Era;
use portcullis_protocol::sse::{self, Decoder, Event};
use serde_json::value::RawValue;
use tracing::warn;

use crate::listener::reply;
use crate::listener::{Body, BodyError, Reply};
use crate::policy::Permitted;
use crate::refusal::Refusal;
use crate::upstream::{ReplyKind, UpstreamBody, UpstreamError, UpstreamReply};

use super::WalkLimits;

/// Replies up to this size are checked to be JSON-RPC even where no policy wants them; larger ones stream through.
const CHECKED_BYTES_MAX: u64 = 64 << 10;

/// Turns an upstream's reply into the client's.
pub(super) async fn carry(
    call: Permitted,
    reply: UpstreamReply,
    limits: WalkLimits,
) -> Result<Reply, Refusal> {
    let edits = call.generation.chain.transforms_reply(&call) || reply.era != call.era;
    match (reply.kind, edits) {
        (ReplyKind::Events, false) => Ok(reply::events(Body::Upstream(reply.body))),
        (ReplyKind::Events, true) => Ok(reply::events(edited(call, reply, limits))),
        (ReplyKind::Json, false)
            if reply
                .content_length
                .is_some_and(|length| length > CHECKED_BYTES_MAX) =>
        {
            Ok(reply::json(reply.status, Body::Upstream(reply.body)))
        }
        (ReplyKind::Json, _) => {
            let (era, status) = (reply.era, reply.status);
            let body = whole(reply.body, limits.event_bytes_max).await?;
            let answer = check(&call, &body)?;
            let edited = match (edits, answer) {
                (true, (Some(id), Some(result))) => {
                    edit(&call, era, (id, result))?.map(Bytes::from)
                }
                (true | false, _) => None,
            };
            Ok(reply::json(status, edited.unwrap_or(body)))
        }
    }
}

async fn whole(body: UpstreamBody, bytes_max: usize) -> Result<Bytes, Refusal> {
    let internal = |message: String| {
        Refusal::new(
            StatusCode::BAD_GATEWAY,
            INTERNAL_ERROR,
            "upstream-error",
            message,
        )
    };
    match Limited::new(body, bytes_max).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(err) if err.is::<LengthLimitError>() => Err(internal(format!(
            "the result is larger than {bytes_max} bytes and a policy must see it whole; ask for less"
        ))),
        Err(err) => {
            warn!(error = %err, "an upstream's reply broke off");
            Err(match err.downcast_ref::<UpstreamError>() {
                Some(UpstreamError::Envelope { .. }) => nonsense(),
                Some(err) => Refusal::from(err),
                None => internal("the upstream's reply broke off; try again".into()),
            })
        }
    }
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

fn nonsense() -> Refusal {
    let message = "the upstream answered with something that is no JSON-RPC response; tell the gateway's operator";
    Refusal::new(
        StatusCode::BAD_GATEWAY,
        INTERNAL_ERROR,
        "upstream-error",
        message,
    )
}

/// One message of a stream through bridge and transforms; `None` leaves it as it is.
fn edit_message(call: &Permitted, era: Era, body: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
    match envelope::parse(body).map_err(|_source| nonsense())? {
        Message::Response(Response {
            id: Some(id),
            outcome: Outcome::Result(result),
        }) => edit(call, era, (id.get(), result.get())),
        Message::Response(_) | Message::Request(_) | Message::Notification(_) => Ok(None),
    }
}

/// A result through bridge and transforms; `None` leaves it as it is.
fn edit(
    call: &Permitted,
    era: Era,
    (id, result): (&str, &str),
) -> Result<Option<Vec<u8>>, Refusal> {
    let bridged = bridged(call, era, result)?;
    let before = bridged.as_ref();
    let after = match call.generation.chain.transforms_reply(call) {
        true => Cow::Owned(
            call.generation
                .chain
                .transform_reply(call, before.to_owned())?,
        ),
        false => Cow::Borrowed(before),
    };
    let is_unchanged = after.as_ref() == result;
    Ok((!is_unchanged).then(|| portcullis_protocol::error::result_body(id, &after)))
}

/// A result in the words of the client's era.
fn bridged<'a>(call: &Permitted, era: Era, result: &'a str) -> Result<Cow<'a, str>, Refusal> {
    let method = call.message.method.as_deref().unwrap_or_default();
    match (era, call.era) {
        (Era::Session, Era::Stateless) => bridge::to_stateless_result(method, result).map_err(|_source| nonsense()),
        (Era::Stateless, Era::Session) => bridge::to_session_result(method, result).map_err(|err| {
            warn!(request_id = %call.request_id, error = %err, "a result does not cross the eras");
            Refusal::new(StatusCode::OK, INTERNAL_ERROR, "upstream-error", "the upstream asks for something that this protocol version cannot carry; use a newer client")
        }),
        (Era::Session, Era::Session) | (Era::Stateless, Era::Stateless) => Ok(Cow::Borrowed(result)),
    }
}

/// A stream edited event by event: never held whole, and ended when an event is over its bound.
struct Edited {
    call: Permitted,
    era: Era,
    body: UpstreamBody,
    decoder: Decoder,
    ready: VecDeque<Bytes>,
    is_over: bool,
}

fn edited(call: Permitted, reply: UpstreamReply, limits: WalkLimits) -> Body {
    let state = Edited {
        call,
        era: reply.era,
        body: reply.body,
        decoder: Decoder::new(limits.event_bytes_max),
        ready: VecDeque::new(),
        is_over: false,
    };
    Body::Events(Box::pin(stream::unfold(state, |mut state| async move {
        state.next().await.map(|chunk| (chunk, state))
    })))
}

impl Edited {
    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Some(Ok(chunk));
            }
            if self.is_over {
                return None;
            }
            match self.body.frame().await {
                None => self.is_over = true,
                Some(Err(err)) => {
                    self.is_over = true;
                    return Some(Err(err.into()));
                }
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.take(&data);
                    }
                }
            }
        }
    }

    fn take(&mut self, data: &[u8]) {
        let pushed = self.decoder.push(data);
        while let Some(event) = self.decoder.next_event() {
            let mut out = Vec::with_capacity(event.data.len() + 32);
            sse::encode(&self.edit(event), &mut out);
            self.ready.push_back(out.into());
        }
        if let Err(err) = pushed {
            warn!(request_id = %self.call.request_id, error = %err, "an upstream's stream is cut off");
            let refusal = Refusal::new(
                StatusCode::BAD_GATEWAY,
                INTERNAL_ERROR,
                "upstream-error",
                "the upstream sent an event that is too large; ask for less",
            );
            let mut out = Vec::new();
            sse::encode(&self.error(&refusal), &mut out);
            self.ready.push_back(out.into());
            self.is_over = true;
        }
    }

    /// A refusal on the way back takes the place of the result: the status has long been sent.
    fn edit(&self, event: Event) -> Event {
        if !event.is_message() || event.data.is_empty() {
            return event;
        }
        match edit_message(&self.call, self.era, event.data.as_bytes()) {
            Ok(None) => event,
            Ok(Some(edited)) => Event {
                data: String::from_utf8(edited).unwrap_or_default(),
                ..event
            },
            Err(refusal) => Event {
                id: event.id.clone(),
                retry_ms: event.retry_ms,
                ..self.error(&refusal)
            },
        }
    }

    fn error(&self, refusal: &Refusal) -> Event {
        let id = self
            .call
            .message
            .id
            .as_ref()
            .and_then(|id| RawValue::from_string(id.to_string()).ok());
        let body = error_body(
            id.as_deref(),
            refusal.code,
            &refusal.message,
            refusal.data.as_deref(),
        );
        Event::message(String::from_utf8(body).unwrap_or_default())
    }
}
