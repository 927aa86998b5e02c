//! The one connection that a session lives on, where its transport has such a thing: the stream of HTTP+SSE, or a
//! WebSocket. Everything for the client goes there, and the session ends with it.
//!
//! Kept by the session; the listener takes a ticket for each message before it is walked. What is under way is bounded,
//! and can be taken back by the id that the client gave it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytestring::ByteString;
use http::StatusCode;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::refusal::{Refusal, code};

use super::Session;

/// How long a client should wait that has too much under way, in milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;

/// Why a message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ChannelError {
    /// As many are under way as may.
    #[error(
        "{messages_max} messages of this connection are under way; read what comes back before sending more"
    )]
    Full {
        /// The bound.
        messages_max: usize,
    },
    /// The connection ends, and waits only for what is under way.
    #[error("this connection is about to be closed; connect again")]
    Closing,
}

impl From<ChannelError> for Refusal {
    fn from(err: ChannelError) -> Self {
        let (status, code, outcome) = match err {
            ChannelError::Full { .. } => (
                StatusCode::TOO_MANY_REQUESTS,
                code::RATE_LIMITED,
                "rate-limited",
            ),
            ChannelError::Closing => (StatusCode::SERVICE_UNAVAILABLE, code::UNAVAILABLE, "error"),
        };
        Self {
            retry_after_ms: Some(RETRY_AFTER_MS),
            ..Self::new(status, code, outcome, err.to_string())
        }
    }
}

/// What is under way on one connection.
#[derive(Debug)]
pub struct Channel {
    messages_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    under_way: Vec<UnderWay>,
    is_closing: bool,
}

#[derive(Debug)]
struct UnderWay {
    number: u64,
    /// JSON-RPC id, as written, of a request.
    id: Option<ByteString>,
    taken_back: CancellationToken,
}

/// A message that is under way until this is dropped.
pub struct Ticket {
    session: Arc<Session>,
    number: u64,
    /// JSON-RPC id, as written, under which a reply is awaited.
    pub request_id: Option<ByteString>,
    /// Cancelled when the client takes the message back, or the session ends.
    pub taken_back: CancellationToken,
}

impl Channel {
    /// A connection on which so many messages may be under way.
    pub(super) fn new(messages_max: usize) -> Self {
        Self {
            messages_max,
            state: Mutex::default(),
        }
    }

    fn begin(
        &self,
        id: Option<ByteString>,
        taken_back: CancellationToken,
    ) -> Result<u64, ChannelError> {
        let mut state = self.lock();
        if state.is_closing {
            return Err(ChannelError::Closing);
        }
        if state.under_way.len() >= self.messages_max {
            return Err(ChannelError::Full {
                messages_max: self.messages_max,
            });
        }
        state.next += 1;
        let number = state.next;
        state.under_way.push(UnderWay {
            number,
            id,
            taken_back,
        });
        Ok(number)
    }

    /// Takes a request back: whatever becomes of it, nothing more of it is sent.
    pub fn take_back(&self, id: &str) {
        let state = self.lock();
        let asked = |under_way: &&UnderWay| under_way.id.as_deref() == Some(id);
        if let Some(under_way) = state.under_way.iter().find(asked) {
            under_way.taken_back.cancel();
        }
    }

    /// Takes nothing more; says whether nothing is under way.
    pub(super) fn close(&self) -> bool {
        let mut state = self.lock();
        state.is_closing = true;
        state.under_way.is_empty()
    }

    /// Says whether that was the last that a closing connection has waited for.
    fn end(&self, number: u64) -> bool {
        let mut state = self.lock();
        state
            .under_way
            .retain(|under_way| under_way.number != number);
        state.is_closing && state.under_way.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// For one message of a session that lives on a connection; with the id, as written, under which a reply is awaited.
    ///
    /// # Errors
    /// [`ChannelError`]
    pub fn begin(
        session: &Arc<Session>,
        request_id: Option<ByteString>,
    ) -> Result<Self, ChannelError> {
        let taken_back = session.ended.child_token();
        let number = match &session.channel {
            Some(channel) => channel.begin(request_id.clone(), taken_back.clone())?,
            None => 0,
        };
        Ok(Self {
            session: Arc::clone(session),
            number,
            request_id,
            taken_back,
        })
    }

    /// The session whose connection it is.
    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(channel) = &self.session.channel
            && channel.end(self.number)
        {
            self.session.pushed.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(channel: &Channel, id: &'static str) -> Result<u64, ChannelError> {
        channel.begin(Some(ByteString::from_static(id)), CancellationToken::new())
    }

    #[test]
    fn what_is_under_way_is_bounded() {
        let channel = Channel::new(2);
        let first = begin(&channel, "1").unwrap();
        begin(&channel, "2").unwrap();
        let full = ChannelError::Full { messages_max: 2 };
        assert_eq!(begin(&channel, "3"), Err(full));
        assert!(!channel.end(first));
        assert!(begin(&channel, "3").is_ok());
    }

    #[test]
    fn only_what_is_under_way_can_be_taken_back() {
        let channel = Channel::new(2);
        let tokens = [CancellationToken::new(), CancellationToken::new()];
        for (id, token) in [("1", &tokens[0]), ("\"1\"", &tokens[1])] {
            channel
                .begin(Some(ByteString::from_static(id)), token.clone())
                .unwrap();
        }
        channel.take_back("2");
        channel.take_back("\"1\"");
        assert_eq!(
            tokens.map(|token| token.is_cancelled()),
            [false, true],
            "ids are told apart as JSON"
        );
    }

    #[test]
    fn a_closing_channel_waits_for_what_is_under_way_and_takes_nothing_more() {
        let channel = Channel::new(3);
        assert!(Channel::new(1).close(), "nothing is under way");
        let (first, last) = (begin(&channel, "1").unwrap(), begin(&channel, "2").unwrap());
        assert!(!channel.close());
        assert_eq!(begin(&channel, "3"), Err(ChannelError::Closing));
        assert!(!channel.end(first));
        assert!(channel.end(last));
    }
}
