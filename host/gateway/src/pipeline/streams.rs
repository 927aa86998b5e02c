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
use tracing::warn;

use crate::listener::Body;
use crate::policy::Permitted;
use crate::router::Edition;
use crate::session::{EventLog, LogReader, Position, Session};
use crate::upstream::UpstreamReply;

use super::incoming::{Came, Incoming};
use super::{Pipeline, downward};

/// A reply in events, for a client of either era.
pub(super) fn of_reply(pipeline: &Pipeline, call: Permitted, reply: UpstreamReply) -> Body {
    let limits = pipeline.limits;
    let session = call.session.get().cloned();
    let incoming = Incoming::new(pipeline, call, reply);
    let Some(session) = session else {
        return passing(incoming, limits.keep_alive);
    };
    let is_primed = session.revision.rules().primed_streams;
    let log = session.open_reply();
    let reader = log.read(None);
    pipeline.tracker.spawn(async move {
        let ended = session.ended.clone();
        let written = write(incoming, &session, &log);
        let written = tokio::time::timeout(limits.stream_time_max, written);
        if let Some(Err(_elapsed)) = ended.run_until_cancelled(written).await {
            warn!("a reply was cut off: it took longer than a stream may");
        }
        log.end();
    });
    of_log(reader, is_primed, limits.keep_alive)
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

/// What belongs to no reply, and which lists have changed meanwhile, until another reads it.
pub(super) fn of_pushes(
    session: &Arc<Session>,
    position: Option<Position>,
    edition: watch::Receiver<Edition>,
    keep_alive: Duration,
) -> Body {
    let reader = session.read_from(position);
    let primer = session
        .revision
        .rules()
        .primed_streams
        .then(|| reader.primer());
    let state = (primer, reader, edition, Arc::downgrade(session));
    Body::Events(Box::pin(stream::unfold(
        state,
        move |(primer, mut reader, mut edition, session)| async move {
            if let Some(primer) = primer {
                return Some((Ok(primer), (None, reader, edition, session)));
            }
            loop {
                let now = *edition.borrow_and_update();
                session.upgrade()?.tell_changes(now);
                tokio::select! {
                    chunk = reader.next(keep_alive) => {
                        return Some((Ok(chunk?), (None, reader, edition, session)));
                    }
                    Ok(()) = edition.changed() => {}
                }
            }
        },
    )))
}

/// Writes a reply into its log, to the end.
async fn write(mut incoming: Incoming, session: &Arc<Session>, log: &EventLog) {
    loop {
        match incoming.next().await {
            Came::Message(message) => {
                let call = incoming.call.call();
                let passed = downward::pass(call, session, incoming.asker.as_ref(), &message).await;
                if let Some(passed) = passed {
                    log.append(&passed).await;
                }
            }
            Came::Last(message) => return log.append(&message).await,
            // The upstream lets the client wait without a connection, and so does the gateway.
            Came::Nothing if incoming.can_resume() => {
                if session.revision.rules().primed_streams {
                    log.hang_up();
                }
                if !incoming.resume().await {
                    return log.append(&incoming.ended_early()).await;
                }
            }
            Came::Nothing => return log.append(&incoming.ended_early()).await,
        }
    }
}

/// A reply that lives as long as the client reads it.
fn passing(incoming: Incoming, keep_alive: Duration) -> Body {
    let state = Some(incoming);
    Body::Events(Box::pin(stream::unfold(state, move |state| async move {
        let mut incoming = state?;
        loop {
            let Ok(came) = tokio::time::timeout(keep_alive, incoming.next()).await else {
                let mut comment = Vec::new();
                sse::comment("keep-alive", &mut comment);
                return Some((Ok(comment.into()), Some(incoming)));
            };
            let (message, rest) = match came {
                Came::Message(message) => match downward::inform(&incoming, message).await {
                    Some(message) => (message, Some(incoming)),
                    None => continue,
                },
                Came::Last(message) => (message, None),
                Came::Nothing => (incoming.ended_early(), None),
            };
            return Some((Ok(encoded(message)), rest));
        }
    })))
}

/// A message as an event without an id.
pub(super) fn encoded(message: String) -> Bytes {
    let mut out = Vec::with_capacity(message.len() + 16);
    sse::encode(&Event::message(message), &mut out);
    out.into()
}
