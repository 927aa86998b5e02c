//! A request becomes a call: envelope, era, revision.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use bytestring::ByteString;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use portcullis_protocol::envelope;
use portcullis_protocol::era::{self, RequestHeaders, classify, classify_frame};
use portcullis_protocol::headers::{METHOD, NAME, PROTOCOL_VERSION, SESSION_ID};
use portcullis_protocol::params::CallParams;
use portcullis_protocol::revision::{Era, Revision};

use crate::call::{Call, Kind, Message, text_of};
use crate::refusal::Refusal;
use crate::telemetry::RequestId;
use crate::tenancy::rollout::Witness;
use crate::tenancy::{Endpoint, Rollout, Samples};

/// A request as the listener has it.
#[derive(Clone)]
pub struct Arrival {
    /// Names it in logs.
    pub request_id: RequestId,
    /// What it is pinned to.
    pub endpoint: Endpoint,
    /// The client's headers.
    pub headers: Arc<HeaderMap>,
    /// The client's address.
    pub peer: SocketAddr,
    /// The session that lives on the connection, where there is such a one.
    pub channel: Option<Arc<str>>,
    /// Whether it is one of several in one request.
    pub is_batched: bool,
}

/// One message of several in one request.
pub struct Batched {
    /// Names it in logs.
    pub request_id: RequestId,
    /// What it says, where it can be read.
    pub call: Result<Call, Unread>,
}

/// A request that is no message, and the id to answer with, where there is one.
pub struct Unread {
    /// JSON-RPC id.
    pub id: Option<ByteString>,
    /// What is wrong with it.
    pub refusal: Box<Refusal>,
}

impl<R: Into<Refusal>> From<R> for Unread {
    fn from(refusal: R) -> Self {
        Self {
            id: None,
            refusal: Box::new(refusal.into()),
        }
    }
}

impl Arrival {
    /// Whether the revision that the headers name takes several messages at once. Without a name it may; its session
    /// will tell.
    #[must_use]
    pub fn takes_batches(&self) -> bool {
        let named = request_headers(&self.headers).and_then(|headers| headers.session_revision());
        named.is_ok_and(|revision| revision.rules().batches)
    }

    /// The messages of a batch, each with a name of its own in logs; or why it is none.
    ///
    /// # Errors
    /// [`Unread`]: not a JSON array, empty, or too long.
    pub fn messages(self, body: Bytes, messages_max: usize) -> Result<Vec<Batched>, Unread> {
        let text = text_of(body)?;
        let messages = envelope::parse_batch(text.as_bytes(), messages_max)?;
        let read = messages.into_iter().map(|message| {
            let request_id = RequestId::next();
            let arrival = Self {
                request_id,
                is_batched: true,
                ..self.clone()
            };
            let body = text.slice_ref(message.get()).into_bytes();
            let call = arrival.message(body);
            Batched { request_id, call }
        });
        Ok(read.collect())
    }

    /// Of a `POST`.
    ///
    /// # Errors
    /// [`Unread`]: not one JSON-RPC message, or headers and body disagree.
    pub fn message(self, body: Bytes) -> Result<Call, Unread> {
        let headers = Arc::clone(&self.headers);
        self.read(body, |parsed| {
            let headers = request_headers(&headers)?;
            let era = classify(&headers, parsed)?;
            let revision = match era {
                Era::Stateless => Revision::newest_of(Era::Stateless),
                Era::Session => headers.session_revision().unwrap_or(Revision::UNNAMED),
            };
            Ok((era, revision))
        })
    }

    /// Of a frame, whose body says everything. `in_session` tells whether `initialize` has come on its connection.
    ///
    /// # Errors
    /// [`Unread`]: not one JSON-RPC message.
    pub fn frame(self, text: Bytes, in_session: bool) -> Result<Call, Unread> {
        self.read(text, |parsed| {
            let era = classify_frame(parsed, in_session)?;
            Ok((era, Revision::newest_of(era)))
        })
    }

    fn read(
        self,
        body: Bytes,
        settle: impl FnOnce(&envelope::Message<'_>) -> Result<(Era, Revision), era::Refusal>,
    ) -> Result<Call, Unread> {
        let text = text_of(body)?;
        let parsed = envelope::parse_str(&text).map_err(|err| Unread {
            id: envelope::id_of_refused(text.as_bytes()).map(|id| ByteString::from(id.get())),
            refusal: Box::new(err.into()),
        })?;
        let unread = |refusal: Refusal| Unread {
            id: parsed.id().map(|id| ByteString::from(id.get())),
            refusal: Box::new(refusal),
        };
        let (era, revision) = settle(&parsed).map_err(|err| unread(err.into()))?;
        // A name or arguments given twice could mean one thing to a policy and another to the upstream.
        let called = match parsed.method() {
            Some("tools/call" | "prompts/get") => {
                let called = CallParams::parse(parsed.params());
                Some(called.map_err(|err| unread(Refusal::params(err.to_string())))?)
            }
            Some(_) | None => None,
        };
        let message = Message::of(&text, &parsed, called.as_ref());
        Ok(self.call(message, era, revision))
    }

    /// Of a `GET` or `DELETE`.
    ///
    /// # Errors
    /// [`Unread`]: a header that is given twice or is not text.
    pub fn without_body(self, kind: Kind) -> Result<Call, Unread> {
        let revision = request_headers(&self.headers)?.session_revision()?;
        Ok(self.call(Message::without_body(kind), Era::Session, revision))
    }

    fn call(self, message: Message, era: Era, revision: Revision) -> Call {
        let generation = self.endpoint.generation_of(|| self.name(&message));
        let is_watched = self
            .endpoint
            .rollout
            .as_deref()
            .is_some_and(Rollout::watches);
        let is_sample = generation.samples.as_deref().is_some_and(Samples::wants);
        let witness = (is_watched || is_sample).then(|| Witness {
            is_sample,
            ..Witness::default()
        });
        Call {
            request_id: self.request_id,
            generation,
            server: self.endpoint.server,
            headers: self.headers,
            peer: self.peer,
            channel: self.channel,
            is_batched: self.is_batched,
            message,
            is_from_upstream: false,
            era,
            revision,
            identity: OnceLock::new(),
            session: OnceLock::new(),
            offer: OnceLock::new(),
            witness: witness.map(Arc::new),
            rollout: self.endpoint.rollout,
        }
    }

    /// What a message is told apart by while a rollout runs: its session, or else whoever sends it. What opens a session is
    /// of either arm, and the session's id is then made for that arm.
    fn name(&self, message: &Message) -> Vec<u8> {
        let opens = message.kind == Kind::Open || message.method.as_deref() == Some("initialize");
        let header = |name: &str| {
            self.headers
                .get(name)
                .map(|value| value.as_bytes().to_vec())
        };
        match &self.channel {
            Some(channel) => channel.as_bytes().to_vec(),
            None if opens => rand::random::<[u8; 16]>().to_vec(),
            None => header(SESSION_ID)
                .or_else(|| header(AUTHORIZATION.as_str()))
                .unwrap_or_else(|| self.peer.ip().to_string().into_bytes()),
        }
    }
}

fn request_headers(headers: &HeaderMap) -> Result<RequestHeaders<'_>, era::Refusal> {
    Ok(RequestHeaders {
        protocol_version: single(headers, PROTOCOL_VERSION)?,
        method: single(headers, METHOD)?,
        name: single(headers, NAME)?,
        session_id: single(headers, SESSION_ID)?,
    })
}

/// A header that decides something must be there once, as text.
fn single<'a>(
    headers: &'a HeaderMap,
    header: &'static str,
) -> Result<Option<&'a str>, era::Refusal> {
    let mut values = headers.get_all(header).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value
            .to_str()
            .map(Some)
            .map_err(|_source| era::Refusal::BadHeader { header }),
        (Some(_), Some(_)) => Err(era::Refusal::BadHeader { header }),
    }
}
