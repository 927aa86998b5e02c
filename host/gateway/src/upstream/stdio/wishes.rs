//! What callers want to hear, passed on to a process that may be everybody's: log levels and subscriptions.
//!
//! `stdio` brings wishes here instead of sending them as they are. A process is asked once for all of its callers, in
//! the order in which wishes are noted: the line is queued while the table is held, and room for it is had before.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portcullis_protocol::bridge::{self, Sender};
use portcullis_protocol::envelope::{self, Message, Outcome};
use portcullis_protocol::error::result_body;
use portcullis_protocol::listen::{self, Filter};
use portcullis_protocol::params::{LOG_LEVELS, log_level};
use portcullis_protocol::revision::Era;
use portcullis_protocol::splice;

use super::keeper::Keeper;
use super::process::Process;
use super::request;
use super::seat::Seat;
use super::table::{Full, Need};
use crate::model::ProcessScope;
use crate::upstream::error::UpstreamError;
use crate::upstream::outgoing::{CLIENT_INFO, Outgoing};
use crate::upstream::pending::OnLeave;
use crate::upstream::waiting::Waiting;

const SET_LEVEL: &str = "logging/setLevel";
const SUBSCRIBE: &str = "resources/subscribe";
const UNSUBSCRIBE: &str = "resources/unsubscribe";
const LISTEN: &str = "subscriptions/listen";

/// A request that says what its caller wants to hear.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wish<'a> {
    /// Log messages from that place in [`LOG_LEVELS`] on.
    Level(usize),
    /// Updates of this URI, a JSON text.
    Subscribe(&'a str),
    /// No more of them.
    Unsubscribe(&'a str),
}

impl<'a> Wish<'a> {
    /// `None` for any other request, and for one that its process may refuse as it came.
    pub(super) fn of(out: &Outgoing<'a>) -> Option<Self> {
        let params = out.params?;
        match out.method {
            SET_LEVEL => {
                let level = log_level(params)?;
                let place = LOG_LEVELS.iter().position(|known| *known == level)?;
                Some(Self::Level(place))
            }
            SUBSCRIBE => splice::get_member(params, "uri").map(Self::Subscribe),
            UNSUBSCRIBE => splice::get_member(params, "uri").map(Self::Unsubscribe),
            _ => None,
        }
    }
}

/// Notes a level; the answer under the caller's id. Where there is no process yet, the next one is told.
pub(super) async fn set_level(
    seat: &Seat,
    level: usize,
    out: &Outgoing<'_>,
) -> Result<Bytes, UpstreamError> {
    seat.join();
    let audience = &seat.keeper.audience;
    let Some(process) = seat.keeper.alive().filter(hears) else {
        audience.table().set_level(seat.uid, level);
        return Ok(done(out));
    };
    let room = process.room().await?;
    let waiting = {
        let mut table = audience.table();
        table.set_level(seat.uid, level);
        let Some(least) = table.level_due(process.number) else {
            return Ok(done(out));
        };
        let params = level_params(least);
        let out = Outgoing {
            params: Some(&params),
            original: None,
            ..out.clone()
        };
        let (waiting, line) = request::of_caller(&process, seat.uid, &out)?;
        room.send(line);
        waiting
    };
    let answer = answer(waiting).await?;
    if !is_result(&answer) {
        audience.table().level_refused(process.number);
    }
    Ok(answer)
}

/// Notes a subscription; the answer under the caller's id.
pub(super) async fn subscribe(
    seat: &Seat,
    process: &Arc<Process>,
    (uri, out): (&str, &Outgoing<'_>),
) -> Result<Bytes, UpstreamError> {
    if !hears(process) {
        return ask(seat, process, out).await;
    }
    let uri = &*read(process, uri)?;
    seat.join();
    let audience = &seat.keeper.audience;
    let limits = &process.setup.limits;
    let room = process.room().await?;
    let waiting = {
        let mut table = audience.table();
        let need = table.subscribe(seat.uid, uri, process.number, limits);
        let need = need.map_err(
            |Full { subscriptions_max }| UpstreamError::SubscriptionsFull {
                upstream: Arc::clone(&process.setup.name),
                subscriptions_max,
            },
        )?;
        match need {
            Need::Nothing => return Ok(done(out)),
            Need::Ask => {
                let asked = request::of_caller(process, seat.uid, out);
                asked.map(|(waiting, line)| {
                    room.send(line);
                    waiting
                })
            }
        }
    };
    let answer = match waiting {
        Ok(waiting) => answer(waiting).await,
        Err(busy) => Err(busy),
    };
    let mut table = audience.table();
    if answer.as_deref().is_ok_and(is_result) {
        table.held(uri, process.number);
    } else {
        table.unsubscribe(seat.uid, uri);
    }
    answer
}

/// Takes a subscription back; the answer under the caller's id.
pub(super) async fn unsubscribe(
    seat: &Seat,
    process: &Arc<Process>,
    (uri, out): (&str, &Outgoing<'_>),
) -> Result<Bytes, UpstreamError> {
    if !hears(process) {
        return ask(seat, process, out).await;
    }
    let uri = &*read(process, uri)?;
    let room = process.room().await?;
    let waiting = {
        let mut table = seat.keeper.audience.table();
        match table.unsubscribe(seat.uid, uri) {
            Need::Nothing => return Ok(done(out)),
            Need::Ask => {
                let (waiting, line) = request::of_caller(process, seat.uid, out)?;
                room.send(line);
                waiting
            }
        }
    };
    answer(waiting).await
}

/// Forgets what a caller wanted, now that it is gone. The process is told if it can be told at once; otherwise it says
/// what nobody hears.
pub(super) fn leave(keeper: &Keeper, uid: u64) {
    let mut table = keeper.audience.table();
    let unwanted = table.leave(uid);
    let Some(process) = keeper.alive().filter(hears) else {
        return;
    };
    for uri in unwanted {
        request::forget(&process, UNSUBSCRIBE, &uri_params(&uri));
    }
    if let Some(level) = table.level_due(process.number) {
        request::forget(&process, SET_LEVEL, &level_params(level));
    }
}

/// Tells a process that has just been started what was wanted of the one before it.
pub(super) fn renew(process: &Arc<Process>) {
    if !hears(process) {
        return listen(process);
    }
    let mut table = process.audience.table();
    if let Some(level) = table.level_due(process.number) {
        request::forget(process, SET_LEVEL, &level_params(level));
    }
    let uris = table.topics();
    drop(table);
    if uris.is_empty() {
        return;
    }
    let subscribed = Arc::clone(process);
    process.setup.processes.spawn(async move {
        let limit = Duration::from_millis(subscribed.setup.limits.tell_timeout_ms);
        for uri in uris {
            let renewed = tokio::time::timeout(limit, subscribe_again(&subscribed, &uri)).await;
            if !matches!(renewed, Ok(Ok(()))) {
                tracing::debug!(upstream = %subscribed.setup.name, ?renewed, "a subscription was not renewed");
            }
            if !subscribed.is_alive() {
                return;
            }
        }
    });
}

/// Without sessions a process has to be asked to say that its lists have changed. Only the lists of the process for all
/// are anybody's.
fn listen(process: &Arc<Process>) {
    match process.audience.scope() {
        ProcessScope::Shared => {}
        ProcessScope::Session => return,
    }
    let sender = Sender {
        revision: process.revision(),
        client_info: Some(CLIENT_INFO),
        capabilities: process.audience.capabilities(),
        log_level: None,
    };
    let params = listen::params(&Filter::lists());
    if let Ok(params) = bridge::to_stateless_params(Some(&params), &sender) {
        request::forget(process, LISTEN, &params);
    }
}

async fn subscribe_again(process: &Arc<Process>, uri: &str) -> Result<(), UpstreamError> {
    let room = process.room().await?;
    let waiting = {
        let table = process.audience.table();
        if !table.is_due(uri, process.number) {
            return Ok(());
        }
        let params = uri_params(uri);
        let (waiting, line) = request::of_gateway(process, SUBSCRIBE, &params, OnLeave::Nothing)?;
        room.send(line);
        waiting
    };
    if is_result(&answer(waiting).await?) {
        process.audience.table().held(uri, process.number);
    }
    Ok(())
}

/// Whether wishes mean anything to a process: without sessions there are none.
fn hears(process: &Arc<Process>) -> bool {
    process.era() == Era::Session
}

/// As it came: the process may say that it knows nothing of the kind.
async fn ask(
    seat: &Seat,
    process: &Arc<Process>,
    out: &Outgoing<'_>,
) -> Result<Bytes, UpstreamError> {
    let (waiting, line) = request::of_caller(process, seat.uid, out)?;
    process.send(line).await?;
    answer(waiting).await
}

async fn answer(mut waiting: Waiting) -> Result<Bytes, UpstreamError> {
    waiting.last_message().await
}

/// The URI that a JSON text says.
fn read(process: &Process, uri: &str) -> Result<String, UpstreamError> {
    let bytes_max = process.setup.limits.subscription_uri_bytes_max;
    if uri.len() > bytes_max {
        return Err(UpstreamError::UriTooLong {
            upstream: Arc::clone(&process.setup.name),
            bytes_max,
        });
    }
    Ok(serde_json::from_str(uri).unwrap_or_else(|_not_a_string| uri.to_owned()))
}

fn done(out: &Outgoing<'_>) -> Bytes {
    Bytes::from(result_body(out.id, "{}"))
}

fn level_params(level: usize) -> String {
    let level = LOG_LEVELS.get(level).copied().unwrap_or_default();
    format!(r#"{{"level":"{level}"}}"#)
}

fn uri_params(uri: &str) -> String {
    format!(r#"{{"uri":{}}}"#, serde_json::Value::from(uri))
}

fn is_result(answer: &[u8]) -> bool {
    envelope::parse(answer).is_ok_and(|message| match message {
        Message::Response(response) => matches!(response.outcome, Outcome::Result(_)),
        Message::Request(_) | Message::Notification(_) => false,
    })
}
