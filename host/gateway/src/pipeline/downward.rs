//! Messages that travel from an upstream to a client: admitted like those that go up, once each, and under ids of the
//! gateway's.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use bytestring::ByteString;
use portcullis_protocol::envelope::{self, Message, Notification, Request};
use portcullis_protocol::error::{METHOD_NOT_FOUND, error_body};
use portcullis_protocol::listen;
use portcullis_protocol::params::{LOG_LEVELS, META_PROGRESS_TOKEN, log_level, log_level_wanted};
use portcullis_protocol::splice;
use serde_json::value::RawValue;
use tracing::{debug, info};

use crate::call::{self, Call};
use crate::policy::Permitted;
use crate::refusal::Refusal;
use crate::session::Session;
use crate::upstream::Asker;

use super::incoming::Incoming;

/// A message as the session's client gets to see it; `None` where it does not.
pub(super) async fn pass(
    call: &Arc<Call>,
    session: &Session,
    asker: Option<&Asker>,
    text: String,
) -> Option<String> {
    let body = ByteString::from(text);
    let parsed = envelope::parse_str(&body).ok()?;
    let passed = match (&parsed, asker) {
        (Message::Request(request), Some(asker)) => match admit(call, &body).await {
            Ok(()) => Cow::Owned(ask(session, asker, request, &body).await?),
            Err(refusal) => {
                refuse(asker, request.id, refusal.code, &refusal.message).await;
                return None;
            }
        },
        // It concerns the whole catalogue, which tells the client itself.
        (Message::Notification(told), _) if listen::is_list_changed(&told.method) => return None,
        (Message::Notification(notification), _) => {
            admit(call, &body).await.ok()?;
            notify(session, asker, notification, &body)?
        }
        (Message::Request(_) | Message::Response(_), _) => return None,
    };
    let changed = match passed {
        Cow::Owned(changed) => Some(changed),
        Cow::Borrowed(_) => None,
    };
    changed.or_else(|| text_of(body))
}

/// The text again, which is only copied where somebody still looks at it.
fn text_of(body: ByteString) -> Option<String> {
    String::from_utf8(body.into_bytes().into()).ok()
}

/// A notification as a client without a session gets to see it: logs only where it wants them, and as severe as that;
/// changes of lists where it listens for them, and never in a reply.
pub(super) async fn inform(incoming: &Incoming, text: String) -> Option<String> {
    let call = &incoming.call;
    let body = ByteString::from(text);
    let parsed = envelope::parse_str(&body).ok()?;
    let Message::Notification(notification) = &parsed else {
        return None;
    };
    if listen::is_list_changed(&notification.method) {
        return None;
    }
    let params = notification.params.map_or("{}", RawValue::get);
    if notification.method == "notifications/message" {
        let wanted = log_level_wanted(call.message.params.as_deref().unwrap_or_default())?;
        let level = log_level(params)?;
        let severity = |level| LOG_LEVELS.iter().position(|known| *known == level);
        (severity(level) >= severity(wanted)).then_some(())?;
    }
    admit(call.call(), &body).await.ok()?;
    text_of(body)
}

/// A notification about one of these resources, where the chain lets it through.
pub(super) async fn about(call: &Permitted, text: &str, uris: &[String]) -> Option<String> {
    let parsed = envelope::parse_str(text).ok()?;
    let Message::Notification(notification) = &parsed else {
        return None;
    };
    let uri = listen::updated_uri(notification.params?.get())?;
    let is_watched = uris.iter().any(|watched| uri.starts_with(watched.as_str()));
    if notification.method != listen::RESOURCE_UPDATED || !is_watched {
        return None;
    }
    admit(call.call(), &ByteString::from(text)).await.ok()?;
    Some(text.to_owned())
}

/// What the chain says to a message on its way down.
async fn admit(call: &Arc<Call>, body: &ByteString) -> Result<(), Refusal> {
    let chain = &call.generation.chain;
    if !chain.admits() {
        return Ok(());
    }
    let message = match envelope::parse_str(body) {
        Ok(parsed) => call::Message::of(body, &parsed, None),
        // It was read before.
        Err(_) => return Ok(()),
    };
    let method = message.method.clone();
    let downward = Call {
        message,
        is_from_upstream: true,
        offer: OnceLock::new(),
        witness: None,
        ..Call::clone(call)
    };
    chain
        .admit(Arc::new(downward))
        .await
        .map(drop)
        .inspect_err(|refusal| {
            info!(
                request_id = %call.request_id, tenant = call.generation.tenant, server = call.server.name,
                method = method.as_deref(), outcome = refusal.outcome, reason = %refusal.message,
                "a message to a client was refused"
            );
        })
}

/// What the chain says to a message that the gateway has written, for an upstream or of its catalogue.
pub(super) async fn admit_own(call: &Arc<Call>, text: &str) -> Result<(), Refusal> {
    match envelope::parse_str(text) {
        Ok(_) => admit(call, &ByteString::from(text)).await,
        Err(_) => Err(super::translate::nonsense()),
    }
}

/// A question goes to the client under an id of the gateway's own.
async fn ask(
    session: &Session,
    asker: &Asker,
    request: &Request<'_>,
    text: &str,
) -> Option<String> {
    let meta = request
        .params
        .and_then(|params| splice::get_member(params.get(), "_meta"));
    let token = meta.and_then(|meta| splice::get_member(meta, META_PROGRESS_TOKEN));
    let ours = enlist(session, asker.clone(), request.id.get(), token).await;
    splice::set_member(text, "id", &ours).ok()
}

/// Notes a question; the id that the client gets to know it by, as JSON text.
pub(super) async fn enlist(
    session: &Session,
    asker: Asker,
    theirs: &str,
    token: Option<&str>,
) -> String {
    let (ours, given_up) = session.questions.ask(asker, theirs, token);
    if let Some(question) = given_up
        && let Ok(theirs) = RawValue::from_string(question.theirs.into())
    {
        let why = "The client leaves too many questions open.";
        refuse(&question.asker, &theirs, METHOD_NOT_FOUND, why).await;
    }
    ours
}

/// What an upstream tells.
fn notify<'a>(
    session: &Session,
    asker: Option<&Asker>,
    notification: &Notification<'_>,
    text: &'a str,
) -> Option<Cow<'a, str>> {
    if notification.method != "notifications/cancelled" {
        return Some(Cow::Borrowed(text));
    }
    let theirs = notification
        .params
        .and_then(|params| splice::get_member(params.get(), "requestId"))?;
    let ours = session.questions.withdrawn(asker?, theirs)?;
    let told = splice::set_path(text, &["params", "requestId"], &ours).ok()?;
    Some(Cow::Owned(told))
}

/// Tells an upstream that nobody will answer.
pub(super) async fn refuse(asker: &Asker, id: &RawValue, code: i32, message: &str) {
    let body = error_body(Some(id), code, message, None);
    tell(asker, Bytes::from(body)).await;
}

/// Delivers such an answer.
pub(super) async fn tell(asker: &Asker, answer: Bytes) {
    if let Err(err) = asker.tell(answer).await {
        debug!(error = %err, "an upstream was not told that nobody answers");
    }
}
