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
use portcullis_protocol::revision::Era;
use tokio::sync::mpsc::Permit;

use super::audience::Wishes;
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
use crate::upstream::wish::{SET_LEVEL, SUBSCRIBE, UNSUBSCRIBE, level_params, uri_params};

const LISTEN: &str = "subscriptions/listen";

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
            Need::Ask if !hears(process) => {
                let asked = listen(process, &table, room);
                return match asked {
                    Ok(()) => {
                        table.held(uri, process.number);
                        Ok(done(out))
                    }
                    Err(busy) => {
                        table.unsubscribe(seat.uid, uri);
                        Err(busy)
                    }
                };
            }
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
    let uri = &*read(process, uri)?;
    let room = process.room().await?;
    let waiting = {
        let mut table = seat.keeper.audience.table();
        match table.unsubscribe(seat.uid, uri) {
            Need::Nothing => return Ok(done(out)),
            Need::Ask if !hears(process) => {
                listen(process, &table, room)?;
                return Ok(done(out));
            }
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
    let Some(process) = keeper.alive() else {
        return;
    };
    if !hears(&process) {
        if !unwanted.is_empty() {
            listen_now(&process, &table);
        }
        return;
    }
    for uri in unwanted {
        request::forget(&process, UNSUBSCRIBE, &uri_params(&uri));
    }
    if let Some(level) = table.level_due(process.number) {
        request::forget(&process, SET_LEVEL, &level_params(level));
    }
}

/// Tells a process that has just been started what was wanted of the one before it.
pub(super) fn renew(process: &Arc<Process>) {
    let mut table = process.audience.table();
    if !hears(process) {
        return listen_now(process, &table);
    }
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

/// A process without sessions is asked for everything at once, in one long request, which takes the place of the one
/// before. Only the lists of the process for all are anybody's.
fn listen(
    process: &Arc<Process>,
    table: &Wishes,
    room: Permit<'_, Bytes>,
) -> Result<(), UpstreamError> {
    let lists = match process.audience.scope() {
        ProcessScope::Shared => Filter::lists(),
        ProcessScope::Session => Filter::default(),
    };
    let uris = table.topics().into_iter().map(String::from).collect();
    let filter = Filter { uris, ..lists };
    if filter == Filter::default() {
        process.listen_under(None);
        return Ok(());
    }
    let sender = Sender {
        revision: process.revision(),
        client_info: Some(CLIENT_INFO),
        capabilities: process.audience.capabilities(),
        log_level: None,
    };
    let params = bridge::to_stateless_params(Some(&listen::params(&filter)), &sender);
    let params = params.map_err(|source| request::untranslatable(&process.setup, source))?;
    let (waiting, line) = request::of_gateway(process, LISTEN, &params, OnLeave::Stay)?;
    room.send(line);
    process.listen_under(Some(waiting.ticket.id));
    Ok(())
}

/// As [`listen`], where there is room for it now.
fn listen_now(process: &Arc<Process>, table: &Wishes) {
    let listening = process.room_now().map(|room| listen(process, table, room));
    if !matches!(listening, Some(Ok(()))) {
        tracing::debug!(upstream = %process.setup.name, "process was not asked what it is to say");
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

/// Whether wishes are told to a process one by one: without sessions they are not.
fn hears(process: &Arc<Process>) -> bool {
    process.era() == Era::Session
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

fn is_result(answer: &[u8]) -> bool {
    envelope::parse(answer).is_ok_and(|message| match message {
        Message::Response(response) => matches!(response.outcome, Outcome::Result(_)),
        Message::Request(_) | Message::Notification(_) => false,
    })
}
