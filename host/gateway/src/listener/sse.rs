//! HTTP+SSE, the transport of the oldest clients (MCP 2024-11-05, "HTTP with SSE"): a stream that is opened by `GET`,
//! and messages that are posted beside it.
//!
//! The stream is a session. A posted message is answered as soon as its caller and session are known; its reply, and
//! every later refusal, goes to the stream.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::header::ORIGIN;
use http::request::Parts;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use portcullis_protocol::sse::{self, Event};

use crate::call::{Call, Kind};
use crate::pipeline::{Arrival, Identified, Pipeline, Unread};
use crate::refusal::Refusal;
use crate::session::{Session, Ticket};

use super::account::Account;
use super::reply::{self, Reply};
use super::{Body, batch, channel, request};

/// The parameter of the messages' address which names the session.
const SESSION_PARAMETER: &str = "sessionId";

/// `GET`: opens a session and its stream.
pub(super) async fn open(
    pipeline: &Pipeline,
    head: &Parts,
    arrival: Arrival,
    account: Account,
) -> Reply {
    match head.method {
        Method::GET => {}
        Method::OPTIONS if arrival.headers.contains_key(ORIGIN) => {
            return account.answered(request::preflight(&arrival.headers));
        }
        _ => return account.answered(request::not_allowed("GET")),
    }
    let server = arrival.endpoint.server.name.clone();
    let opening = request::check_takes_events(&arrival.headers)
        .map_err(Unread::from)
        .and_then(|()| arrival.without_body(Kind::Open));
    match opening {
        Ok(call) => announce(account.walk(pipeline, Arc::new(call)).await, &server),
        Err(unread) => account.unread(unread),
    }
}

/// Begins the stream with the address for the client's messages.
fn announce(mut opened: Reply, server: &str) -> Reply {
    let Some(session) = opened.extensions_mut().remove::<Arc<Session>>() else {
        return opened;
    };
    let session_id = session.id();
    let event = Event {
        event: Some("endpoint".to_owned()),
        ..Event::message(format!("/servers/{server}/messages?sessionId={session_id}"))
    };
    let mut endpoint = Vec::new();
    sse::encode(&event, &mut endpoint);
    opened.map(|body| {
        let first = stream::iter([Ok(Bytes::from(endpoint))]);
        Body::Events(Box::pin(first.chain(body.into_data_stream())))
    })
}

/// `POST`: takes a message of a session.
pub(super) async fn message(
    pipeline: &Arc<Pipeline>,
    (head, body): (&Parts, Incoming),
    arrival: Arrival,
    account: Account,
) -> Reply {
    match head.method {
        Method::POST => {}
        Method::OPTIONS if arrival.headers.contains_key(ORIGIN) => {
            return account.answered(request::preflight(&arrival.headers));
        }
        _ => return account.answered(request::not_allowed("POST")),
    }
    let calls = match read(pipeline, (head, body), arrival).await {
        Ok(calls) => calls,
        Err(unread) => return account.unread(unread),
    };
    // Several at once are taken together or not at all.
    let mut taken = Vec::with_capacity(calls.len());
    for call in calls {
        let (account, call) = (account.of_part(call.request_id), Arc::new(call));
        match take(pipeline, &call).await {
            Ok((known, ticket)) => taken.push((account, call, known, ticket)),
            Err(refusal) => return account.walked(&call.message, Err(refusal)),
        }
    }
    for (account, call, known, ticket) in taken {
        let walker = Arc::clone(pipeline);
        channel::carry(&pipeline.tracker, ticket, async move {
            account.walked(&call.message, walker.serve(known).await)
        });
    }
    reply::empty(StatusCode::ACCEPTED)
}

/// Whose message it is, and its place among what is under way.
async fn take(pipeline: &Pipeline, call: &Arc<Call>) -> Result<(Identified, Ticket), Refusal> {
    let known = pipeline.identify(Arc::clone(call)).await?;
    let session = call.session.get().ok_or_else(no_session)?;
    let ticket = Ticket::begin(session, call.message.awaited_under())?;
    Ok((known, ticket))
}

async fn read(
    pipeline: &Pipeline,
    (head, body): (&Parts, Incoming),
    mut arrival: Arrival,
) -> Result<Vec<Call>, Unread> {
    let parameters = head.uri.query().unwrap_or_default().split('&');
    let session_id = parameters
        .filter_map(|parameter| parameter.split_once('='))
        .find_map(|(name, value)| (name == SESSION_PARAMETER).then_some(value))
        .ok_or_else(|| {
            Refusal::invalid(
                "`sessionId` is missing; post to the address that the stream's event `endpoint` names",
            )
        })?;
    arrival.channel = Some(Arc::from(session_id));
    request::check_is_json(&arrival.headers)?;
    let body = request::read(body, pipeline.limits.body_bytes_max).await?;
    if batch::is_one(&body) && arrival.takes_batches() {
        let messages = arrival.messages(body, pipeline.limits.batch_messages_max)?;
        return messages.into_iter().map(|message| message.call).collect();
    }
    Ok(vec![arrival.message(body)?])
}

/// A message of the stateless era, which has none.
fn no_session() -> Refusal {
    Refusal::invalid(
        "this transport carries sessions alone; post stateless messages to `/servers/{server}/mcp`",
    )
}
