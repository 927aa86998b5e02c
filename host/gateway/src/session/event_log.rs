//! One stream of events to a client, kept for a while so that the client may come back to it.
//!
//! The pipeline appends, a reply's body reads. A reader that leaves loses nothing within the bounds: the next one goes
//! on where it stopped, or after the event that it names (MCP 2025-11-25, "Resumability and Redelivery"). While
//! somebody reads, the writer waits for room; while nobody does, the oldest events make room.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use portcullis_protocol::sse::{self, Event};
use prometheus::IntCounter;
use tokio::sync::Notify;

/// How long a client should wait before it comes back to a stream that was closed, in milliseconds.
const RETRY_MS: u64 = 1_000;

/// The number of the stream of what belongs to no reply.
pub(super) const PUSHED: u64 = 0;

/// How much of one stream is kept.
#[derive(Debug, Clone, Copy)]
pub struct LogBounds {
    /// Most events.
    pub events_max: usize,
    /// Most bytes, unless a single event has more.
    pub bytes_max: usize,
}

/// A stream of events.
#[derive(Debug)]
pub struct EventLog {
    stream: u64,
    /// How much may wait for its reader.
    bounds: LogBounds,
    /// How much is kept for one who comes back.
    kept: LogBounds,
    /// Counts what is given up before anybody has read it.
    dropped: IntCounter,
    state: Mutex<State>,
    appended: Notify,
    taken: Notify,
}

#[derive(Debug)]
struct State {
    kept: VecDeque<Kept>,
    kept_bytes: usize,
    /// The number of the next event; the first is 1.
    next: u64,
    /// The first that no reader has taken.
    unread: u64,
    unread_bytes: usize,
    /// Which reader may read: the last that was attached.
    reader: u64,
    is_read: bool,
    is_ended: bool,
}

#[derive(Debug)]
struct Kept {
    number: u64,
    encoded: Bytes,
}

/// Where in which stream a client stopped reading: `Last-Event-ID`, as [`EventLog`] writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The stream.
    pub stream: u64,
    /// The event.
    pub number: u64,
}

impl Position {
    /// Reads an event's id; `None` for what was not written here.
    #[must_use]
    pub fn parse(id: &str) -> Option<Self> {
        let (stream, number) = id.split_once('-')?;
        Some(Self {
            stream: stream.parse().ok()?,
            number: number.parse().ok()?,
        })
    }

    /// Whether it is in the stream of what belongs to no reply.
    #[must_use]
    pub fn is_pushed(&self) -> bool {
        self.stream == PUSHED
    }

    fn encode(self) -> String {
        format!("{}-{}", self.stream, self.number)
    }
}

impl EventLog {
    /// An empty stream of that number.
    #[must_use]
    pub fn new(stream: u64, (bounds, dropped): (LogBounds, &IntCounter)) -> Arc<Self> {
        Self::keeping(bounds, stream, (bounds, dropped))
    }

    /// An empty stream that ends with its reader, so that nothing is kept: its events have a type and no ids (MCP
    /// 2024-11-05, "HTTP with SSE").
    #[must_use]
    pub fn of_channel((bounds, dropped): (LogBounds, &IntCounter)) -> Arc<Self> {
        let nothing = LogBounds {
            events_max: 0,
            bytes_max: 0,
        };
        Self::keeping(nothing, 0, (bounds, dropped))
    }

    fn keeping(
        kept: LogBounds,
        stream: u64,
        (bounds, dropped): (LogBounds, &IntCounter),
    ) -> Arc<Self> {
        Arc::new(Self {
            stream,
            bounds,
            kept,
            dropped: dropped.clone(),
            state: Mutex::new(State {
                kept: VecDeque::new(),
                kept_bytes: 0,
                next: 1,
                unread: 1,
                unread_bytes: 0,
                reader: 0,
                is_read: false,
                is_ended: false,
            }),
            appended: Notify::new(),
            taken: Notify::new(),
        })
    }

    /// Its number within the session.
    #[must_use]
    pub fn stream(&self) -> u64 {
        self.stream
    }

    /// Whether somebody reads it now.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.lock().is_read
    }

    /// Adds a message, under an id of the stream's own. Waits while a reader has enough to read. After the end it is
    /// dropped.
    pub async fn append(&self, message: impl Into<String>) {
        let mut message = Some(message.into());
        while let Some(unsent) = message.take() {
            message = self.try_append(unsent);
            if message.is_some() {
                self.room().await;
            }
        }
        self.appended.notify_waiters();
    }

    /// Gives the message back where there is no room.
    fn try_append(&self, message: String) -> Option<String> {
        let mut state = self.lock();
        if self.is_full(&state) {
            return Some(message);
        }
        let number = state.next;
        self.dropped
            .inc_by(state.push(self.event(number, message), self.kept));
        None
    }

    /// Waits while a reader has enough to read.
    pub async fn room(&self) {
        loop {
            let mut taken = std::pin::pin!(self.taken.notified());
            taken.as_mut().enable();
            if !self.is_full(&self.lock()) {
                return;
            }
            taken.await;
        }
    }

    fn is_full(&self, state: &State) -> bool {
        let is_full = state.next - state.unread >= self.bounds.events_max as u64
            || state.unread_bytes >= self.bounds.bytes_max;
        !state.is_ended && state.is_read && is_full
    }

    /// Adds a message at once, whether or not there is room: for who reads the stream, and must not wait for itself.
    pub fn append_now(&self, message: &str) {
        let mut state = self.lock();
        let number = state.next;
        self.dropped
            .inc_by(state.push(self.event(number, message.to_owned()), self.kept));
        drop(state);
        self.appended.notify_waiters();
    }

    /// Lets go of whoever reads; the client comes back when it wants to.
    pub fn hang_up(&self) {
        let mut state = self.lock();
        state.reader += 1;
        state.is_read = false;
        drop(state);
        self.appended.notify_waiters();
        self.taken.notify_waiters();
    }

    /// Nothing comes after what is there.
    pub fn end(&self) {
        self.lock().is_ended = true;
        self.appended.notify_waiters();
        self.taken.notify_waiters();
    }

    /// Whether nothing is left to come.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.lock().is_ended
    }

    /// Reads on after that event, or else after the last that was read. Whoever read before reads no further.
    #[must_use]
    pub fn read(self: &Arc<Self>, after: Option<u64>) -> LogReader {
        let mut state = self.lock();
        state.reader += 1;
        state.is_read = true;
        let (number, next) = (state.reader, after.map_or(state.unread, |after| after + 1));
        drop(state);
        // The one before must see that it was replaced.
        self.appended.notify_waiters();
        LogReader {
            log: Arc::clone(self),
            number,
            next,
        }
    }

    fn event(&self, number: u64, message: String) -> Event {
        let is_kept = self.kept.events_max > 0;
        let stream = self.stream;
        Event {
            id: is_kept.then(|| Position { stream, number }.encode()),
            event: (!is_kept).then(|| "message".to_owned()),
            ..Event::message(message)
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Adds an event; how many were given up for it.
    fn push(&mut self, event: Event, kept: LogBounds) -> u64 {
        if self.is_ended {
            return 0;
        }
        let number = self.next;
        self.next += 1;
        let encoded = sse::into_bytes(event);
        self.kept_bytes += encoded.len();
        self.unread_bytes += encoded.len();
        self.kept.push_back(Kept {
            number,
            encoded: encoded.into(),
        });
        self.trim(kept)
    }

    /// Makes room; what nobody has read yet is only given up while nobody reads. How much of that there was.
    fn trim(&mut self, kept: LogBounds) -> u64 {
        let mut given_up = 0;
        while self.kept.len() > kept.events_max || self.kept_bytes > kept.bytes_max {
            let is_unread = |oldest: &Kept| oldest.number >= self.unread;
            let Some(oldest) = self.kept.front() else {
                break;
            };
            if is_unread(oldest) && (self.is_read || self.kept.len() == 1) {
                break;
            }
            if is_unread(oldest) {
                given_up += 1;
                self.unread = oldest.number + 1;
                self.unread_bytes = self.unread_bytes.saturating_sub(oldest.encoded.len());
            }
            self.kept_bytes -= oldest.encoded.len();
            self.kept.pop_front();
        }
        given_up
    }

    /// The first kept event from `next` on.
    fn take(&mut self, next: u64, kept: LogBounds) -> Option<(u64, Bytes)> {
        let first = self.kept.front()?.number;
        let place = usize::try_from(next.saturating_sub(first)).ok()?;
        let event = self.kept.get(place)?;
        let (number, encoded) = (event.number, event.encoded.clone());
        if number >= self.unread {
            self.unread = number + 1;
            self.unread_bytes = self.unread_bytes.saturating_sub(encoded.len());
            // Whoever takes reads, so nothing unread is given up.
            let _ = self.trim(kept);
        }
        Some((number, encoded))
    }
}

/// The one who reads a stream.
#[derive(Debug)]
pub struct LogReader {
    log: Arc<EventLog>,
    number: u64,
    next: u64,
}

enum Turn {
    Event(Bytes),
    Wait,
    End,
}

impl LogReader {
    /// An event without a message, which tells the client where it is and when to come back (MCP 2025-11-25,
    /// "Sending Messages to the Server").
    #[must_use]
    pub fn primer(&self) -> Bytes {
        let position = Position {
            stream: self.log.stream,
            number: self.next - 1,
        };
        let event = Event {
            id: Some(position.encode()),
            retry_ms: Some(RETRY_MS),
            ..Event::default()
        };
        let mut encoded = Vec::new();
        sse::encode(&event, &mut encoded);
        encoded.into()
    }

    /// The next event, encoded, or a comment when none came for that long; `None` at the end, or once another reads.
    pub async fn next(&mut self, keep_alive: Duration) -> Option<Bytes> {
        loop {
            let log = Arc::clone(&self.log);
            let mut appended = std::pin::pin!(log.appended.notified());
            appended.as_mut().enable();
            match self.turn() {
                Turn::Event(encoded) => {
                    log.taken.notify_waiters();
                    return Some(encoded);
                }
                Turn::End => return None,
                Turn::Wait => {}
            }
            if tokio::time::timeout(keep_alive, appended).await.is_err() {
                let mut encoded = Vec::new();
                sse::comment("keep-alive", &mut encoded);
                return Some(encoded.into());
            }
        }
    }

    fn turn(&mut self) -> Turn {
        let mut state = self.log.lock();
        if state.reader != self.number {
            return Turn::End;
        }
        match state.take(self.next, self.log.kept) {
            Some((number, encoded)) => {
                self.next = number + 1;
                Turn::Event(encoded)
            }
            None if state.is_ended => Turn::End,
            None => Turn::Wait,
        }
    }
}

impl Drop for LogReader {
    fn drop(&mut self) {
        let mut state = self.log.lock();
        if state.reader == self.number {
            state.is_read = false;
            self.log.dropped.inc_by(state.trim(self.log.kept));
        }
        drop(state);
        self.log.taken.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
