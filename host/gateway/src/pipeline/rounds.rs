//! Questions across the eras: what one side asks in the course of a call, the other asks in its result.
//!
//! An upstream without sessions answers a call with `input_required` and wants it again with the answers; its session-era
//! client is asked by requests in the stream of the reply. An upstream with sessions asks in the stream and waits; its
//! stateless client gets `input_required`, and the upstream's call is kept until the client calls again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use http::StatusCode;
use portcullis_protocol::envelope::{self, Message, Outcome};
use portcullis_protocol::error::{self, MISSING_CAPABILITY};
use portcullis_protocol::params::META_CLIENT_CAPABILITIES;
use portcullis_protocol::revision::Era;
use portcullis_protocol::rounds::{self, Asked};
use portcullis_protocol::splice;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::listener::{Reply, reply};
use crate::policy::Permitted;
use crate::refusal::Refusal;
use crate::seal::{Purpose, Seal, SealError};
use crate::session::{EventLog, Session};
use crate::upstream::{Asker, UpstreamReply};

use super::ask::Sent;
use super::incoming::{Came, Incoming, ended_early, endless};
use super::{Pipeline, WalkLimits, downward, streams};

mod suspended;

pub(crate) use suspended::Suspended;
use suspended::{Key, LIFETIME};

/// Questions that were asked together come within this time, in milliseconds.
const TOGETHER_MS: u64 = 5;

/// Questions that a client gets at once; further ones wait for its answers.
const TOGETHER_MAX: usize = 32;

/// A call whose upstream waits for answers.
pub(crate) struct Paused {
    incoming: Incoming,
    /// What came after the questions, and is still to be looked at.
    next: Option<Came>,
    sent: Sent,
    open: Vec<Open>,
}

/// A question of an upstream's that is open.
struct Open {
    /// What the client knows it by.
    key: String,
    /// As it stands in `inputRequests`.
    asked: String,
    asker: Asker,
    /// The upstream's own id, as JSON text.
    theirs: Box<str>,
}

/// What it takes to go another round.
pub(super) struct Rounds {
    sent: Sent,
    seal: Arc<Seal>,
    suspended: Arc<Suspended>,
    tracker: TaskTracker,
    stop: CancellationToken,
    limits: WalkLimits,
}

/// Turns the reply of an upstream of the other era into the client's.
pub(super) async fn carry(
    pipeline: &Pipeline,
    call: Permitted,
    (reply, sent): (UpstreamReply, Sent),
) -> Result<Reply, Refusal> {
    let incoming = Incoming::new(pipeline, call, reply);
    begin(pipeline, (None, incoming), sent).await
}

/// Decides by the first message what the reply is: a response, a question, or a stream.
async fn begin(
    pipeline: &Pipeline,
    (first, mut incoming): (Option<Came>, Incoming),
    sent: Sent,
) -> Result<Reply, Refusal> {
    let limits = pipeline.limits;
    let first = match first {
        Some(first) => first,
        None => tokio::time::timeout(limits.stream_time_max, incoming.next())
            .await
            .map_err(|_elapsed| endless(limits))?,
    };
    match first {
        Came::Last(message) => Ok(reply::json(incoming.status, message)),
        Came::Failed(refusal) => Err(refusal),
        Came::Question(question) if incoming.call.era == Era::Stateless => {
            let rounds = Rounds::new(pipeline, sent);
            let message = rounds.pause(incoming, question).await?;
            Ok(reply::json(StatusCode::OK, message))
        }
        Came::Nothing if !incoming.can_resume() => Err(ended_early()),
        first @ (Came::Message(_) | Came::Question(_) | Came::Asks(_) | Came::Nothing) => {
            Ok(streams::of_reply(pipeline, (Some(first), incoming), sent))
        }
    }
}

impl Pipeline {
    /// The call that waits for the answers which this one brings. State that is not the gateway's is the upstream's.
    pub(super) fn paused(&self, call: &Permitted) -> Result<Option<Paused>, Refusal> {
        let params = call.message.params.as_deref().unwrap_or_default();
        if call.era != Era::Stateless || !params.contains("requestState") {
            return Ok(None);
        }
        let Some(state) = rounds::state(params) else {
            return Ok(None);
        };
        let Some(sealed) = state.strip_prefix(STATE_PREFIX) else {
            return Ok(None);
        };
        let digest = digest(call);
        let opened = self
            .seal
            .open(Purpose::Round, &binding(call, &digest), sealed);
        let key: Option<Key> = match opened {
            Ok(key) => key.try_into().ok(),
            Err(SealError::Expired) => None,
            Err(SealError::Foreign | SealError::TooLarge) => {
                return Err(Refusal::params(
                    "`params.requestState` was not given out for this request; call again without it",
                ));
            }
        };
        let paused = key.and_then(|key| self.suspended.take(&key));
        paused.map(Some).ok_or_else(|| {
            Refusal::params(
                "nobody waits for these answers any more; call again without `requestState`",
            )
        })
    }

    /// Passes the answers on, and goes on with the reply; what was not answered is asked again.
    pub(super) async fn resume(&self, call: Permitted, paused: Paused) -> Result<Reply, Refusal> {
        let generation = Arc::clone(&call.generation);
        let call = generation.chain.transform_call(call).await?;
        let Paused {
            mut incoming,
            next,
            sent,
            open,
        } = paused;
        let params = call.message.params.clone().unwrap_or_default();
        incoming.continue_as(call);
        let mut unanswered = Vec::new();
        for question in open {
            match rounds::answer(&params, &question.key) {
                Some(answer) => question.answer(answer).await?,
                None => unanswered.push(question),
            }
        }
        if unanswered.is_empty() {
            return begin(self, (next, incoming), sent).await;
        }
        let message = Rounds::new(self, sent).keep((incoming, next), unanswered)?;
        Ok(reply::json(StatusCode::OK, message))
    }
}

/// Tells the gateway's state from an upstream's.
const STATE_PREFIX: &str = "portcullis.";

/// Whom and what a state is for.
fn binding<'a>(call: &'a Permitted, digest: &'a str) -> [&'a str; 4] {
    [
        &call.generation.tenant,
        &call.server.name,
        call.principal(),
        digest,
    ]
}

/// What is asked for, however it is written.
fn digest(call: &Permitted) -> String {
    let message = &call.message;
    let arguments = message.arguments.as_deref().unwrap_or("{}");
    let arguments: serde_json::Value = serde_json::from_str(arguments).unwrap_or_default();
    let text = format!(
        "{}\n{}\n{arguments}",
        message.method.as_deref().unwrap_or_default(),
        message.target.as_deref().unwrap_or_default()
    );
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl Rounds {
    pub(super) fn new(pipeline: &Pipeline, sent: Sent) -> Self {
        Self {
            sent,
            seal: Arc::clone(&pipeline.seal),
            suspended: Arc::clone(&pipeline.suspended),
            tracker: pipeline.tracker.clone(),
            stop: pipeline.keeper.stop.clone(),
            limits: pipeline.limits,
        }
    }

    /// Asks a session's client what an upstream wants to know, and calls the upstream again with the answers.
    pub(super) async fn ask(
        &self,
        call: &Permitted,
        session: &Session,
        log: &EventLog,
        asked: Asked,
    ) -> Result<Box<Incoming>, Refusal> {
        let answers = ask_all(call, session, log, &asked).await?;
        let params = self.sent.params.as_deref();
        let params = rounds::answered(params, &answers, asked.state.as_deref())
            .map_err(|err| Refusal::params(err.to_string()))?;
        let reply = self
            .sent
            .again(call, &params)
            .await
            .map_err(|err| Refusal::from(&err))?;
        Ok(Box::new(Incoming::again(
            call.clone(),
            reply,
            &self.seal,
            self.limits,
        )))
    }

    /// As [`Rounds::pause`], where the status has long been sent.
    pub(super) async fn suspend(self, incoming: Incoming, question: String) -> String {
        let call = incoming.call.clone();
        match self.pause(incoming, question).await {
            Ok(message) => message,
            Err(refusal) => super::incoming::refusal_for(&call, &refusal),
        }
    }

    /// Keeps a call whose upstream has asked something; the result that passes the question on.
    ///
    /// # Errors
    /// When the client did not declare that it can answer, or a policy refuses the question.
    pub(super) async fn pause(
        self,
        mut incoming: Incoming,
        question: String,
    ) -> Result<String, Refusal> {
        let mut open = vec![self.open(&incoming, question, 0).await?];
        let together = Duration::from_millis(TOGETHER_MS);
        let mut next = None;
        while open.len() < TOGETHER_MAX && next.is_none() {
            match tokio::time::timeout(together, incoming.next()).await {
                Ok(Came::Question(question)) => {
                    open.push(self.open(&incoming, question, open.len()).await?);
                }
                // The answers come first; then it is looked at.
                Ok(came) => next = Some(came),
                Err(_elapsed) => break,
            }
        }
        self.keep((incoming, next), open)
    }

    async fn open(
        &self,
        incoming: &Incoming,
        question: String,
        number: usize,
    ) -> Result<Open, Refusal> {
        let nonsense = super::translate::nonsense;
        let asker = incoming.asker.clone().ok_or_else(nonsense)?;
        let Ok(Message::Request(request)) = envelope::parse_str(&question) else {
            return Err(nonsense());
        };
        let call = &incoming.call;
        let refused = match refused(call, &request.method) {
            Some(refusal) => Some(refusal),
            None => downward::admit_own(call.call(), &question).await.err(),
        };
        if let Some(refusal) = refused {
            downward::refuse(&asker, request.id, refusal.code, &refusal.message).await;
            return Err(refusal);
        }
        Ok(Open {
            key: format!("question-{number}"),
            asked: rounds::as_asked(&question).ok_or_else(nonsense)?,
            asker,
            theirs: request.id.get().into(),
        })
    }

    /// Keeps a call until its questions are answered, or for as long as a state lives.
    fn keep(
        self,
        (incoming, next): (Incoming, Option<Came>),
        open: Vec<Open>,
    ) -> Result<String, Refusal> {
        let call = incoming.call.clone();
        let requests: Vec<_> = open
            .iter()
            .map(|open| (open.key.clone(), open.asked.clone()))
            .collect();
        let key = self.suspended.keep(Paused {
            incoming,
            next,
            sent: self.sent,
            open,
        });
        let (suspended, stop) = (self.suspended, self.stop);
        self.tracker.spawn(async move {
            stop.run_until_cancelled(tokio::time::sleep(LIFETIME)).await;
            // Nobody came back: the upstream's call ends.
            drop(suspended.take(&key));
        });
        let digest = digest(&call);
        let state = self
            .seal
            .seal(Purpose::Round, &binding(&call, &digest), &key, LIFETIME)
            .map_err(|_too_large| super::translate::nonsense())?;
        let result = rounds::input_required(&requests, &format!("{STATE_PREFIX}{state}"));
        let id = call.message.id.as_deref().unwrap_or("null");
        Ok(String::from_utf8(error::result_body(id, &result)).unwrap_or_default())
    }
}

impl Open {
    async fn answer(&self, answer: &str) -> Result<(), Refusal> {
        let body = error::result_body(&self.theirs, answer);
        self.asker.tell(Bytes::from(body)).await.map_err(|err| {
            warn!(error = %err, "an answer did not reach its upstream");
            Refusal::from(&err)
        })
    }
}

/// Why a stateless caller cannot be asked this.
pub(super) fn refused(call: &Permitted, method: &str) -> Option<Refusal> {
    let params = call.message.params.as_deref().unwrap_or_default();
    let meta = splice::get_member(params, "_meta").unwrap_or_default();
    let declared = splice::get_member(meta, META_CLIENT_CAPABILITIES).unwrap_or_default();
    let asks = call.message.method.as_deref().unwrap_or_default();
    let Some(capability) = rounds::capability(method).filter(|_| rounds::may_ask(asks)) else {
        let message = "the upstream asks for something that this protocol version cannot carry";
        return Some(Refusal {
            message: message.into(),
            ..super::translate::nonsense()
        });
    };
    if splice::get_member(declared, capability).is_some() {
        return None;
    }
    let data = serde_json::json!({ "requiredCapabilities": { capability: {} } });
    let message = format!(
        "this call needs the client capability `{capability}`; declare it in `_meta` if you have it"
    );
    Some(Refusal {
        data: RawValue::from_string(data.to_string()).ok(),
        ..Refusal::new(
            StatusCode::BAD_REQUEST,
            MISSING_CAPABILITY,
            "invalid",
            message,
        )
    })
}

/// Puts every question to the client and waits for all answers.
async fn ask_all(
    call: &Permitted,
    session: &Session,
    log: &EventLog,
    asked: &Asked,
) -> Result<Vec<(String, String)>, Refusal> {
    let mut waiting = Vec::with_capacity(asked.requests.len());
    for (key, request) in &asked.requests {
        let (asker, answer) = Asker::waiting();
        let ours = downward::enlist(session, asker, "0", None).await;
        let question = rounds::as_request(&ours, request).ok_or_else(super::translate::nonsense)?;
        downward::admit_own(call.call(), &question).await?;
        log.append(question).await;
        waiting.push(async move { Ok((key.clone(), read_answer(answer.await.ok())?)) });
    }
    try_join_all(waiting).await
}

/// The result in a client's answer, as JSON text.
fn read_answer(answer: Option<Bytes>) -> Result<String, Refusal> {
    let why = match answer.as_deref().map(envelope::parse) {
        Some(Ok(Message::Response(response))) => match response.outcome {
            Outcome::Result(result) => return Ok(result.get().to_owned()),
            Outcome::Error(error) => error.get().to_owned(),
        },
        Some(Ok(Message::Request(_) | Message::Notification(_)) | Err(_)) | None => {
            "no answer".to_owned()
        }
    };
    debug!(why, "a client did not answer what an upstream asked");
    let message = "the upstream needs an answer of this client that did not come; call again";
    Err(Refusal {
        message: message.into(),
        ..super::translate::nonsense()
    })
}
