//! A reply that comes as a stream of events, read one message at a time.
//!
//! What ends the call is told from what comes before it. A response to something else is nobody's, and what follows the
//! response is not read: a call has one result, whatever its upstream sends.

use http_body_util::BodyExt as _;
use portcullis_protocol::envelope::{self, Message, Outcome};
use portcullis_protocol::error::error_body;
use portcullis_protocol::sse::Decoder;
use serde_json::value::RawValue;
use tracing::warn;

use crate::policy::Permitted;
use crate::refusal::Refusal;
use crate::upstream::{Asker, UpstreamBody, UpstreamReply};

use super::Pipeline;
use super::translate::{Source, edit, edit_error, nonsense};

/// What came next.
pub(super) enum Came {
    /// A notification, or something that the upstream asks.
    Message(String),
    /// The response, edited, or what takes its place.
    Last(String),
    /// Nothing more, and no response.
    Nothing,
}

/// A reply that is being read.
pub(super) struct Incoming {
    pub(super) call: Permitted,
    pub(super) asker: Option<Asker>,
    source: Source,
    body: UpstreamBody,
    decoder: Decoder,
    event_bytes_max: usize,
    /// Where a stream that broke off can be taken up again.
    last_event_id: Option<String>,
    retry_ms: Option<u64>,
    /// How often it was taken up again since anything came of it.
    fruitless: u32,
}

/// How often a stream is taken up again in vain.
const FRUITLESS_MAX: u32 = 5;

impl Incoming {
    pub(super) fn new(pipeline: &Pipeline, call: Permitted, reply: UpstreamReply) -> Self {
        let source = Source::of(&reply, &pipeline.seal);
        let event_bytes_max = pipeline.limits.event_bytes_max;
        Self {
            call,
            asker: reply.asker,
            source,
            body: reply.body,
            decoder: Decoder::new(event_bytes_max),
            event_bytes_max,
            last_event_id: None,
            retry_ms: None,
            fruitless: 0,
        }
    }

    /// Waits for the next message. Nothing is lost when the wait is given up.
    pub(super) async fn next(&mut self) -> Came {
        loop {
            while let Some(event) = self.decoder.next_event() {
                self.last_event_id = event.id.clone().or(self.last_event_id.take());
                self.retry_ms = event.retry_ms.or(self.retry_ms);
                if event.is_message()
                    && let Some(came) = self.sort(event.data)
                {
                    self.fruitless = 0;
                    return came;
                }
            }
            let data = match self.body.frame().await {
                None => return Came::Nothing,
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                Some(Err(err)) => {
                    warn!(request_id = %self.call.request_id, error = %err, "an upstream's stream broke off");
                    return match self.last_event_id {
                        Some(_) => Came::Nothing,
                        None => Came::Last(self.refusal(&Refusal::from(&err))),
                    };
                }
            };
            if let Err(err) = self.decoder.push(&data) {
                warn!(request_id = %self.call.request_id, error = %err, "an upstream's stream is cut off");
                let message = format!(
                    "the upstream sent an event that is larger than {} bytes, or is not text; ask for less",
                    self.event_bytes_max
                );
                return Came::Last(self.refusal(&Refusal {
                    message: message.into(),
                    ..nonsense()
                }));
            }
        }
    }

    fn sort(&self, text: String) -> Option<Came> {
        let response = match envelope::parse_str(&text) {
            Ok(Message::Request(_) | Message::Notification(_)) => return Some(Came::Message(text)),
            Ok(Message::Response(response)) => response,
            Err(_) => return Some(Came::Last(self.refusal(&nonsense()))),
        };
        let is_ours = response
            .id
            .is_none_or(|id| Some(id.get()) == self.call.message.id.as_deref());
        match (is_ours, response.outcome, response.id) {
            (true, Outcome::Result(result), Some(id)) => {
                let edited = edit(&self.call, &self.source, (id.get(), result.get()));
                Some(Came::Last(match edited {
                    Ok(None) => text,
                    Ok(Some(edited)) => String::from_utf8(edited).unwrap_or_default(),
                    Err(refusal) => self.refusal(&refusal),
                }))
            }
            (true, Outcome::Error(_), _) => {
                Some(Came::Last(edit_error(&self.call, &text).unwrap_or(text)))
            }
            (false, _, _) | (true, Outcome::Result(_), None) => {
                warn!(request_id = %self.call.request_id, "a response that answers another request is left out");
                None
            }
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
                self.decoder = Decoder::new(self.event_bytes_max);
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
        let id = self.call.message.id.as_deref().unwrap_or("null");
        let id = RawValue::from_string(id.to_owned()).ok();
        let body = error_body(
            id.as_deref(),
            refusal.code,
            &refusal.message,
            refusal.data.as_deref(),
        );
        String::from_utf8(body).unwrap_or_default()
    }

    /// What the caller learns of a reply without a response.
    pub(super) fn ended_early(&self) -> String {
        self.refusal(&Refusal {
            message: "the upstream's reply ended before its result; call again".into(),
            ..nonsense()
        })
    }
}
