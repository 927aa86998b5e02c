//! A reply that is read one message at a time: a stream of events, or a single response.
//!
//! What ends the call is told from what comes before it. A response to something else is nobody's, and what follows the
//! response is not read: a call has one result, whatever its upstream sends.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use http::StatusCode;
use http_body_util::BodyExt as _;
use portcullis_protocol::envelope::{self, Message, Outcome};
use portcullis_protocol::error::{self, error_body};
use portcullis_protocol::revision::Era;
use portcullis_protocol::rounds::Asked;
use portcullis_protocol::splice;
use portcullis_protocol::sse::Decoder;
use serde_json::value::RawValue;
use tracing::warn;

use crate::policy::Permitted;
use crate::refusal::Refusal;
use crate::seal::Seal;
use crate::upstream::{Asker, ReplyKind, UpstreamBody, UpstreamReply};

use super::back::whole;
use super::translate::{Source, edit, edit_error, nonsense};
use super::{Pipeline, WalkLimits, downward, rounds};

/// What came next.
pub(super) enum Came {
    /// A notification.
    Message(String),
    /// A request of the upstream's own.
    Question(String),
    /// A result that asks for input, of an upstream that knows no other way to ask, for a client that does not know this
    /// one.
    Asks(Asked),
    /// The response, edited.
    Last(String),
    /// Something that cannot be a response, or must not be seen.
    Failed(Refusal),
    /// Nothing more, and no response.
    Nothing,
}

/// A reply that is being read.
pub(super) struct Incoming {
    pub(super) call: Permitted,
    pub(super) asker: Option<Asker>,
    /// The upstream's HTTP status.
    pub(super) status: StatusCode,
    /// The id that the response will bear: that of the request which was sent, as JSON text.
    sent_id: Option<ByteString>,
    source: Source,
    body: UpstreamBody,
    form: Form,
    limits: WalkLimits,
    failed: Option<Refusal>,
    /// What its upstream is still to be told.
    owed: Option<Bytes>,
    unedited: Option<Unedited>,
    /// Where a stream that broke off can be taken up again.
    last_event_id: Option<String>,
    retry_ms: Option<u64>,
    /// How often it was taken up again since anything came of it.
    fruitless: u32,
}

/// How messages stand in the body.
enum Form {
    Events(Decoder),
    /// A single response.
    Single,
}

/// A response that nobody has edited yet: kept, so that nothing is lost when the wait for a policy is given up.
struct Unedited {
    text: String,
    /// Where its result stands.
    result: Range<usize>,
    /// Whether it bears the id that the client waits for.
    has_our_id: bool,
}

/// How often a stream is taken up again in vain.
const FRUITLESS_MAX: u32 = 5;

impl Incoming {
    pub(super) fn new(pipeline: &Pipeline, call: Permitted, reply: UpstreamReply) -> Self {
        Self::again(call, reply, &pipeline.seal, pipeline.limits)
    }

    /// Of a call that was made again.
    pub(super) fn again(
        call: Permitted,
        reply: UpstreamReply,
        seal: &Arc<Seal>,
        limits: WalkLimits,
    ) -> Self {
        let source = Source::of(&reply, seal);
        let form = match reply.kind {
            ReplyKind::Events => Form::Events(Decoder::new(limits.event_bytes_max)),
            ReplyKind::Json => Form::Single,
        };
        Self {
            sent_id: call.message.id.clone(),
            call,
            asker: reply.asker,
            status: reply.status,
            source,
            body: reply.body,
            form,
            limits,
            failed: None,
            owed: None,
            unedited: None,
            last_event_id: None,
            retry_ms: None,
            fruitless: 0,
        }
    }

    /// What is still to come is for this call: the same, made again.
    pub(super) fn continue_as(&mut self, call: Permitted) {
        self.call = call;
    }

    /// Waits for the next message. Nothing of a stream is lost when the wait is given up.
    ///
    /// What a stateless caller cannot answer is refused, and the call goes on, where it may have been asked for another
    /// reason than this call.
    pub(super) async fn next(&mut self) -> Came {
        loop {
            if let (Some(owed), Some(asker)) = (&self.owed, &self.asker) {
                downward::tell(asker, owed.clone()).await;
                self.owed = None;
            }
            let came = self.read().await;
            self.owed = self.stray(&came);
            if self.owed.is_none() {
                return came;
            }
        }
    }

    /// The answer to a question that need not be this call's, and cannot be its caller's.
    fn stray(&self, came: &Came) -> Option<Bytes> {
        let (Came::Question(question), Era::Stateless) = (came, self.call.era) else {
            return None;
        };
        self.asker.as_ref().filter(|asker| asker.asks_at_large())?;
        let Ok(Message::Request(request)) = envelope::parse_str(question) else {
            return None;
        };
        let Refusal {
            code,
            message,
            data,
            ..
        } = rounds::refused(&self.call, &request.method)?;
        Some(error_body(Some(request.id), code, &message, data.as_deref()).into())
    }

    async fn read(&mut self) -> Came {
        if matches!(self.form, Form::Single) {
            return self.single().await;
        }
        loop {
            if let Some(came) = self.edited().await {
                return came;
            }
            if let Some(came) = self.ready() {
                match came {
                    Sorted::Came(came) => return came,
                    Sorted::Result(unedited) => self.unedited = Some(unedited),
                }
                continue;
            }
            let data = match self.body.frame().await {
                None => return Came::Nothing,
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                Some(Err(err)) => {
                    warn!(request_id = %self.call.request_id, error = %err, "an upstream's stream broke off");
                    return match self.last_event_id {
                        Some(_) => Came::Nothing,
                        None => Came::Failed(Refusal::from(&err)),
                    };
                }
            };
            if let Form::Events(decoder) = &mut self.form
                && let Err(err) = decoder.push(&data)
            {
                warn!(request_id = %self.call.request_id, error = %err, "an upstream's stream is cut off");
                self.failed = Some(too_large(self.limits.event_bytes_max));
            }
        }
    }

    /// The response, when it has come.
    async fn edited(&mut self) -> Option<Came> {
        let unedited = self.unedited.as_ref()?;
        let ours = self.call.message.id.as_deref().unwrap_or("null");
        let result = unedited.text.get(unedited.result.clone());
        let result = result.unwrap_or_default();
        let edited = edit(&self.call, &self.source, (ours, result)).await;
        Some(match edited {
            Ok(None) if !unedited.has_our_id => {
                let body = error::result_body(ours, result);
                self.unedited = None;
                Came::Last(whole_text(body))
            }
            Ok(None) => Came::Last(self.unedited.take()?.text),
            Ok(Some(edited)) => {
                self.unedited = None;
                Came::Last(whole_text(edited))
            }
            Err(refusal) => {
                self.unedited = None;
                Came::Failed(refusal)
            }
        })
    }

    /// What has been received of a stream and was not looked at yet.
    fn ready(&mut self) -> Option<Sorted> {
        let Form::Events(decoder) = &mut self.form else {
            return None;
        };
        while let Some(event) = decoder.next_event() {
            self.last_event_id = event.id.clone().or(self.last_event_id.take());
            self.retry_ms = event.retry_ms.or(self.retry_ms);
            if event.is_message()
                && let Some(sorted) = sort(
                    &self.call,
                    &self.source,
                    self.sent_id.as_deref(),
                    event.data,
                )
            {
                self.fruitless = 0;
                return Some(sorted);
            }
        }
        self.failed
            .take()
            .map(|refusal| Sorted::Came(Came::Failed(refusal)))
    }

    async fn single(&mut self) -> Came {
        if let Some(came) = self.edited().await {
            return came;
        }
        let body = match whole(&mut self.body, self.limits).await {
            Ok(body) => body,
            Err(refusal) => return Came::Failed(refusal),
        };
        let text = String::from_utf8(body.to_vec()).ok();
        let sorted =
            text.and_then(|text| sort(&self.call, &self.source, self.sent_id.as_deref(), text));
        match sorted {
            Some(Sorted::Came(came)) => came,
            Some(Sorted::Result(unedited)) => {
                self.unedited = Some(unedited);
                self.edited().await.unwrap_or(Came::Nothing)
            }
            None => Came::Failed(nonsense()),
        }
    }

    /// Whether the rest may be had from another stream.
    pub(super) fn can_resume(&self) -> bool {
        self.asker.is_some() && self.last_event_id.is_some()
    }

    /// Takes the stream up again where it ended, if its upstream can do that (MCP 2025-11-25, "Resumability and
    /// Redelivery"). Says whether there is more to read.
    pub(super) async fn resume(&mut self) -> bool {
        let (Some(asker), Some(last)) = (&self.asker, &self.last_event_id) else {
            return false;
        };
        self.fruitless += 1;
        if self.fruitless > FRUITLESS_MAX {
            return false;
        }
        let resumed = asker.resume(last, self.retry_ms).await;
        match resumed {
            Ok(Some(body)) => {
                self.body = body;
                self.form = Form::Events(Decoder::new(self.limits.event_bytes_max));
                true
            }
            Ok(None) => false,
            Err(err) => {
                warn!(request_id = %self.call.request_id, error = %err, "an upstream's stream cannot be taken up again");
                false
            }
        }
    }

    /// A refusal in the place of the response: the status has long been sent.
    pub(super) fn refusal(&self, refusal: &Refusal) -> String {
        refusal_for(&self.call, refusal)
    }
}

/// A refusal as the response to a call.
pub(super) fn refusal_for(call: &Permitted, refusal: &Refusal) -> String {
    let id = call.message.id.as_deref().unwrap_or("null");
    let id = RawValue::from_string(id.to_owned()).ok();
    whole_text(error_body(
        id.as_deref(),
        refusal.code,
        &refusal.message,
        refusal.data.as_deref(),
    ))
}

/// What a message is.
enum Sorted {
    Came(Came),
    Result(Unedited),
}

/// Tells what a message is; `None` for a response that is nobody's.
fn sort(call: &Permitted, source: &Source, sent_id: Option<&str>, text: String) -> Option<Sorted> {
    let response = match envelope::parse_str(&text) {
        Ok(Message::Request(_)) => return Some(Sorted::Came(Came::Question(text))),
        Ok(Message::Notification(_)) => return Some(Sorted::Came(Came::Message(text))),
        Ok(Message::Response(response)) => response,
        Err(_) => return Some(Sorted::Came(Came::Failed(nonsense()))),
    };
    let ours = call.message.id.as_deref().unwrap_or("null");
    let is_ours = response.id.is_none_or(|id| Some(id.get()) == sent_id);
    match (is_ours, response.outcome, response.id) {
        (true, Outcome::Result(result), Some(id)) => {
            if let Some(asked) = source.asks(call, result.get()) {
                return Some(Sorted::Came(Came::Asks(asked)));
            }
            // A borrowed part of the very text.
            let start = result.get().as_ptr().addr() - text.as_ptr().addr();
            Some(Sorted::Result(Unedited {
                result: start..start + result.get().len(),
                has_our_id: id.get() == ours,
                text,
            }))
        }
        (true, Outcome::Error(_), _) => {
            let text = edit_error(call, &text).unwrap_or(text);
            Some(Sorted::Came(Came::Last(match Some(ours) == sent_id {
                true => text,
                false => splice::set_member(&text, "id", ours).unwrap_or(text),
            })))
        }
        (false, _, _) | (true, Outcome::Result(_), None) => {
            warn!(request_id = %call.request_id, "a response that answers another request is left out");
            None
        }
    }
}

fn whole_text(body: Vec<u8>) -> String {
    String::from_utf8(body).unwrap_or_default()
}

/// What the caller learns of a reply without a response.
pub(super) fn ended_early() -> Refusal {
    Refusal {
        message: "the upstream's reply ended before its result; call again".into(),
        ..nonsense()
    }
}

/// What the caller learns of a reply that does not come to its end.
pub(super) fn endless(limits: WalkLimits) -> Refusal {
    let message = format!(
        "the upstream's reply took longer than {} s, and was given up; ask for less",
        limits.stream_time_max.as_secs()
    );
    Refusal {
        status: StatusCode::GATEWAY_TIMEOUT,
        message: message.into(),
        ..nonsense()
    }
}

fn too_large(bytes_max: usize) -> Refusal {
    let message = format!(
        "the upstream sent an event that is larger than {bytes_max} bytes, or is not text; ask for less"
    );
    Refusal {
        message: message.into(),
        ..nonsense()
    }
}
