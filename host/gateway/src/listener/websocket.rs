//! WebSocket: one JSON-RPC message a text frame, and a session for each socket.
//!
//! An upgrade is a request like any other until it is answered; what follows goes on in the connection's own task.
//! Clients of both eras may use one: those without sessions send what they need in `_meta`.

mod frames;
mod handshake;
mod socket;

use std::sync::{Arc, Mutex, PoisonError};

use http::request::Parts;
use http::{HeaderMap, Method};
use hyper::upgrade::OnUpgrade;

use crate::call::Kind;
use crate::pipeline::{Arrival, Pipeline};
use crate::session::Session;

use super::Reply;
use super::account::Account;
use super::messages::Messages;
use super::request;

use frames::Frames;
pub(super) use socket::Socket;

/// Where a connection finds what it goes on as, once HTTP is over.
#[derive(Clone, Default)]
pub(super) struct Handover(Arc<Mutex<Option<Socket>>>);

impl Handover {
    fn put(&self, socket: Socket) {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Some(socket);
    }

    pub(super) fn take(&self) -> Option<Socket> {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        place.take()
    }
}

/// `GET`: opens a session, and the socket that it lives on.
pub(super) async fn upgrade(
    pipeline: &Arc<Pipeline>,
    head: &mut Parts,
    (arrival, account): (Arrival, Account),
    handover: &Handover,
) -> Reply {
    if head.method != Method::GET {
        return account.answered(request::not_allowed("GET"));
    }
    let upgraded = head.extensions.remove::<OnUpgrade>();
    let (upgraded, accepted) = match handshake::check(&arrival.headers, upgraded) {
        Ok((upgraded, accept)) => (upgraded, handshake::accepted(&arrival.headers, accept)),
        Err(wrong) => return account.answered(wrong.reply(arrival.request_id)),
    };
    let (headers, peer) = (of_frames(&arrival.headers), arrival.peer);
    let server = arrival.endpoint.server.name.clone();
    let call = match arrival.without_body(Kind::Open) {
        Ok(call) => call,
        Err(unread) => return account.unread(unread),
    };
    let mut opened = account.walk(pipeline, Arc::new(call)).await;
    let Some(session) = opened.extensions_mut().remove::<Arc<Session>>() else {
        return opened;
    };
    let frames = Frames {
        pipeline: Arc::clone(pipeline),
        channel: Arc::from(session.id()),
        session,
        server,
        headers,
        peer,
    };
    handover.put(Socket {
        upgraded,
        frames,
        messages: Messages::of(opened),
    });
    accepted
}

/// What an upgrade says of every frame. Headers of MCP speak of one message, and an upgrade is none.
fn of_frames(headers: &HeaderMap) -> Arc<HeaderMap> {
    let mut kept = headers.clone();
    for name in headers.keys() {
        if name.as_str().starts_with("mcp-") {
            kept.remove(name);
        }
    }
    Arc::new(kept)
}
