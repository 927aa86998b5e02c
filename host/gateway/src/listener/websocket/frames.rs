//! What comes in: each text frame is a message, pinned and walked like any other.

use std::future::ready;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use bytestring::ByteString;
use http::HeaderMap;
use portcullis_protocol::revision::Era;
use portcullis_protocol::splice;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::call::Call;
use crate::listener::account::Account;
use crate::listener::channel;
use crate::pipeline::{Arrival, Pipeline};
use crate::refusal::Refusal;
use crate::session::{ChannelError, Session, Ticket};
use crate::telemetry::RequestId;

use super::socket::Ending;

/// The id of a reply to what could not be read.
const NO_ID: ByteString = ByteString::from_static("null");

/// Takes the frames of one socket.
pub(super) struct Frames {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) session: Arc<Session>,
    /// The session's id, as the calls carry it.
    pub(super) channel: Arc<str>,
    /// The server's name: each message stands under the policies of its own time.
    pub(super) server: String,
    /// The headers of the upgrade, which say of every frame who sends it.
    pub(super) headers: Arc<HeaderMap>,
    pub(super) peer: SocketAddr,
}

impl Frames {
    /// Takes one; the error is how the socket ends for it.
    pub(super) fn take(&self, frame: Result<Message, Error>) -> Result<(), Ending> {
        match frame {
            Ok(Message::Text(text)) => self.message(text.into()),
            Ok(Message::Binary(_)) => Err(Ending::Binary),
            // The library answers pings, and closes where it is asked to.
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_)) => {
                Ok(())
            }
            Err(error) => Err(Ending::of(&error)),
        }
    }

    /// Whether its server is still there.
    pub(super) fn are_served(&self) -> bool {
        self.pipeline.registry().pin(&self.server).is_ok()
    }

    fn message(&self, text: Bytes) -> Result<(), Ending> {
        let (request_id, started) = (RequestId::next(), Instant::now());
        let endpoint = self.pipeline.registry().pin(&self.server);
        let endpoint = endpoint.map_err(|_refusal| Ending::NotServed)?;
        let account = Account::open(request_id, started, &endpoint);
        let arrival = Arrival {
            request_id,
            endpoint,
            headers: Arc::clone(&self.headers),
            peer: self.peer,
            is_batched: false,
            channel: Some(Arc::clone(&self.channel)),
        };
        match arrival.frame(text, self.session.is_settled()) {
            Ok(call) => self.carry(account, Arc::new(call)),
            Err(unread) => {
                let id = unread.id.clone().unwrap_or(NO_ID);
                let reply = account.unread(unread);
                let ticket = Ticket::begin(&self.session, Some(id)).map_err(Ending::full)?;
                channel::carry(&self.pipeline.tracker, ticket, ready(reply));
                Ok(())
            }
        }
    }

    fn carry(&self, account: Account, call: Arc<Call>) -> Result<(), Ending> {
        let ticket = match Ticket::begin(&self.session, call.message.awaited_under()) {
            Ok(ticket) => ticket,
            Err(err) => {
                // Nobody can be told: the socket closes, or is about to.
                drop(account.walked(&call.message, Err(Refusal::from(err))));
                return Err(Ending::full(err));
            }
        };
        let (pipeline, session) = (Arc::clone(&self.pipeline), Arc::clone(&self.session));
        channel::carry(&self.pipeline.tracker, ticket, async move {
            let taken_back = taken_back(&call);
            let reply = account.walk(&pipeline, call).await;
            if let (Some(id), Some(channel), true) =
                (taken_back, &session.channel, reply.status().is_success())
            {
                channel.take_back(&id);
            }
            reply
        });
        Ok(())
    }
}

/// The id of the request that a client without a session takes back. Over HTTP it would close the reply's stream, and a
/// frame has none (MCP 2026-07-28, "Cancellation").
fn taken_back(call: &Call) -> Option<ByteString> {
    let is_cancellation = call.message.method.as_deref() == Some("notifications/cancelled");
    if call.era != Era::Stateless || !is_cancellation {
        return None;
    }
    let id = splice::get_member(call.message.params.as_deref()?, "requestId")?;
    Some(ByteString::from(id))
}

impl Ending {
    fn full(err: ChannelError) -> Self {
        match err {
            ChannelError::Full { .. } => Self::Flood,
            ChannelError::Closing => Self::Away,
        }
    }
}
