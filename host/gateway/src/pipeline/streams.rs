//! Streams of events to clients: replies, and what belongs to none.
//!
//! In the session era a stream is a log: a task writes it to its end, whether or not the client stays, and the client
//! may come back to it. In the stateless era the stream is the call: it ends when the client leaves.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use portcullis_protocol::sse::{self, Event};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::warn;

use crate::listener::{Body, Reply, reply};
use crate::policy::Permitted;
use crate::router::Edition;
use crate::session::{EventLog, LogReader, Position, Session};

use super::ask::Sent;
use super::incoming::{Came, Incoming, ended_early, endless, refusal_for};
use super::push::{HeldOpen, Pushes};
use super::rounds::Rounds;
use super::{Pipeline, WalkLimits, downward};

/// A reply in events, for a client of either era; `first` was read of it already.
pub(super) fn of_reply(
    pipeline: &Pipeline,
    (first, incoming): (Option<Came>, Incoming),
    sent: Sent,
) -> Reply {
    let limits = pipeline.limits;
    let Some(session) = incoming.call.session.get().cloned() else {
        let rounds = Rounds::new(pipeline, sent);
        return reply::events(passing((first, incoming), rounds, limits));
    };
    let is_primed = session.has_primed_streams();
    let log = session.open_reply();
    let reader = log.read(None);
    let rounds = Rounds::new(pipeline, sent);
    pipeline.tracker.spawn(async move {
        let (ended, call) = (session.ended.clone(), incoming.call.clone());
        let written = write((first, incoming), &rounds, &session, &log);
        let written = tokio::time::timeout(limits.stream_time_max, written);
        if let Some(Err(_elapsed)) = ended.run_until_cancelled(written).await {
            log.append_now(&cut_off(&call, limits));
        }
        log.end();
    });
    reply::events(of_log(reader, is_primed, limits.keep_alive))
}

/// What a log holds and will hold, until another reads it.
pub(super) fn of_log(reader: LogReader, is_primed: bool, keep_alive: Duration) -> Body {
    let primer = is_primed.then(|| reader.primer());
    let state = (primer, reader);
    Body::Events(Box::pin(stream::unfold(
        state,
        move |(primer, mut reader)| async move {
            let chunk = match primer {
                Some(primer) => primer,
                None => reader.next(keep_alive).await?,
            };
            Some((Ok(chunk), (None, reader)))
        },
    )))
}

/// What belongs to no reply, and which lists have changed meanwhile, until another reads it; `held` for as long.
pub(super) fn of_pushes(
    (session, position): (&Arc<Session>, Option<Position>),
    held: (Arc<Pushes>, Option<HeldOpen>),
    edition: watch::Receiver<Edition>,
    keep_alive: Duration,
) -> Body {
    let reader = session.read_from(position);
    let primer = session.has_primed_streams().then(|| reader.primer());
    let state = (primer, reader, edition, held);
    Body::Events(Box::pin(stream::unfold(
        state,
        move |(primer, mut reader, mut edition, held)| async move {
            if let Some(primer) = primer {
                return Some((Ok(primer), (None, reader, edition, held)));
            }
            loop {
                let now = *edition.borrow_and_update();
                held.0.tell_changes(now).await?;
                tokio::select! {
                    chunk = reader.next(keep_alive) => {
                        return Some((Ok(chunk?), (None, reader, edition, held)));
                    }
                    Ok(()) = edition.changed() => {}
                }
            }
        },
    )))
}

/// Writes a reply into its log, to the end.
async fn write(
    (mut first, mut incoming): (Option<Came>, Incoming),
    rounds: &Rounds,
    session: &Arc<Session>,
    log: &EventLog,
) {
    loop {
        // Nothing is fetched that would have to wait here.
        log.room().await;
        let came = match first.take() {
            Some(came) => came,
            None => incoming.next().await,
        };
        let last = match came {
            Came::Message(message) | Came::Question(message) => {
                let call = incoming.call.call();
                let passed = downward::pass(call, session, incoming.asker.as_ref(), message).await;
                if let Some(passed) = passed {
                    log.append(passed).await;
                }
                continue;
            }
            Came::Asks(asked) => match rounds.ask(&incoming.call, session, log, asked).await {
                Ok(next) => {
                    incoming = *next;
                    continue;
                }
                Err(refusal) => incoming.refusal(&refusal),
            },
            // The upstream lets the client wait without a connection, and so does the gateway.
            Came::Nothing if incoming.can_resume() => {
                if session.has_primed_streams() {
                    log.hang_up();
                }
                if incoming.resume().await {
                    continue;
                }
                incoming.refusal(&ended_early())
            }
            Came::Last(message) => message,
            Came::Failed(refusal) => incoming.refusal(&refusal),
            Came::Nothing => incoming.refusal(&ended_early()),
        };
        return log.append(last).await;
    }
}

/// The last message of a reply whose time is up.
fn cut_off(call: &Permitted, limits: WalkLimits) -> String {
    warn!(request_id = %call.request_id, "a reply was cut off: it took longer than a stream may");
    refusal_for(call, &endless(limits))
}

/// A reply that lives as long as the client reads it, and no longer than a stream may.
fn passing(
    (first, incoming): (Option<Came>, Incoming),
    rounds: Rounds,
    limits: WalkLimits,
) -> Body {
    let end = Instant::now() + limits.stream_time_max;
    let state = Some((first, incoming, rounds));
    Body::Events(Box::pin(stream::unfold(state, move |state| async move {
        let (mut first, mut incoming, rounds) = state?;
        loop {
            let quiet = end.min(Instant::now() + limits.keep_alive);
            let came = match first.take() {
                _ if Instant::now() >= end => {
                    return Some((Ok(encoded(cut_off(&incoming.call, limits))), None));
                }
                Some(came) => came,
                None => match tokio::time::timeout_at(quiet, incoming.next()).await {
                    Ok(came) => came,
                    Err(_elapsed) => {
                        let mut comment = Vec::new();
                        sse::comment("keep-alive", &mut comment);
                        return Some((Ok(comment.into()), Some((None, incoming, rounds))));
                    }
                },
            };
            let last = match came {
                Came::Message(message) => match downward::inform(&incoming, message).await {
                    Some(message) => {
                        return Some((Ok(encoded(message)), Some((None, incoming, rounds))));
                    }
                    None => continue,
                },
                Came::Question(question) => rounds.suspend(incoming, question).await,
                Came::Last(message) => message,
                Came::Failed(refusal) => incoming.refusal(&refusal),
                Came::Asks(_) | Came::Nothing => incoming.refusal(&ended_early()),
            };
            return Some((Ok(encoded(last)), None));
        }
    })))
}

/// A message as an event without an id.
pub(super) fn encoded(message: String) -> Bytes {
    sse::into_bytes(Event::message(message)).into()
}
