//! What an upstream answers: its kind, its era, and its body as it arrives.
//!
//! Made by `http` and `stdio`, read by the pipeline. The body is never held whole here, with one exception: where the
//! caller's id has to be put back, one message is. Dropping the body ends the call.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use portcullis_protocol::revision::Era;

use super::asker::Asker;
use super::error::UpstreamError;
use super::flight::Flight;
use super::http::{Abandon, ResponseBody};
use super::waiting::WaitingEvents;

mod restored;

pub(super) use restored::Restored;

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyKind {
    /// One JSON-RPC message.
    Json,
    /// Server-sent events that each carry one.
    Events,
}

/// An upstream's reply, from its first byte on.
#[derive(Debug)]
pub struct UpstreamReply {
    /// The era in which the reply is written; where it is not the caller's, results want bridging.
    pub era: Era,
    /// The upstream's HTTP status: 200, or a 4xx that came with a JSON-RPC error.
    pub status: StatusCode,
    /// What the body is.
    pub kind: ReplyKind,
    /// The body. Ids and progress tokens in it are the caller's.
    pub body: UpstreamBody,
    /// Bytes of the body, where known.
    pub content_length: Option<u64>,
    /// Who may ask the client something in the course of it; nobody where it is a single message.
    pub asker: Option<Asker>,
}

/// A reply's body.
#[derive(Debug)]
pub struct UpstreamBody {
    upstream: Arc<str>,
    /// Read already, to see that the reply has begun.
    first: Option<Bytes>,
    source: Source,
    abandon: Option<Abandon>,
    flight: Option<Flight>,
}

#[derive(Debug)]
enum Source {
    Http(ResponseBody),
    Restored(Box<Restored>),
    Waiting(Box<WaitingEvents>),
    /// Everything has been read.
    End,
}

impl UpstreamBody {
    /// A body that is there already.
    pub(super) fn whole(upstream: &Arc<str>, body: Bytes) -> Self {
        Self::new(
            upstream,
            Some(body).filter(|body| !body.is_empty()),
            Source::End,
        )
    }

    /// A body that goes on after its first bytes.
    pub(super) fn http(upstream: &Arc<str>, first: Option<Bytes>, rest: ResponseBody) -> Self {
        let source = if rest.is_end_stream() {
            Source::End
        } else {
            Source::Http(rest)
        };
        Self::new(upstream, first, source)
    }

    /// A body in which the caller's names have to be put back.
    pub(super) fn restored(upstream: &Arc<str>, restored: Restored) -> Self {
        Self::new(upstream, None, Source::Restored(Box::new(restored)))
    }

    /// The events of a call to a peer that calls share.
    pub(super) fn waiting(upstream: &Arc<str>, first: Bytes, events: WaitingEvents) -> Self {
        Self::new(upstream, Some(first), Source::Waiting(Box::new(events)))
    }

    fn new(upstream: &Arc<str>, first: Option<Bytes>, source: Source) -> Self {
        Self {
            upstream: Arc::clone(upstream),
            first,
            source,
            abandon: None,
            flight: None,
        }
    }

    /// Reads at most about so much of it, and puts it back; says whether that is all of it.
    ///
    /// # Errors
    /// When it breaks off.
    pub async fn peek(&mut self, bytes_max: usize) -> Result<bool, UpstreamError> {
        let mut read: Vec<u8> = Vec::new();
        while read.len() <= bytes_max {
            let Some(frame) = self.frame().await else {
                break;
            };
            read.extend_from_slice(&frame?.into_data().unwrap_or_default());
        }
        let is_whole = self.is_end_stream();
        self.first = Some(Bytes::from(read)).filter(|read| !read.is_empty());
        Ok(is_whole)
    }

    /// Whose it is.
    #[must_use]
    pub fn upstream(&self) -> &Arc<str> {
        &self.upstream
    }

    /// Keeps the call in the air until the body ends.
    pub(super) fn carry(&mut self, flight: Flight) {
        self.flight = Some(flight);
    }

    /// Tells the upstream when the caller leaves before the end.
    pub(super) fn cancel_with(&mut self, abandon: Option<Abandon>) {
        self.abandon = abandon;
    }

    fn end(&mut self) {
        self.source = Source::End;
        if let Some(abandon) = self.abandon.take() {
            abandon.disarm();
        }
        self.flight = None;
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let this = self.get_mut();
        if let Some(first) = this.first.take() {
            if matches!(this.source, Source::End) {
                this.end();
            }
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let polled = match &mut this.source {
            Source::Http(incoming) => ready!(poll_incoming(incoming, &this.upstream, cx)),
            Source::Restored(restored) => ready!(restored.poll_data(&this.upstream, cx)),
            Source::Waiting(events) => ready!(events.poll_data(cx)),
            Source::End => None,
        };
        let over = match (&polled, &this.source) {
            (Some(Ok(_)), Source::Http(incoming)) => incoming.is_end_stream(),
            (Some(Ok(_)), Source::Restored(_) | Source::Waiting(_) | Source::End) => false,
            (Some(Err(_)) | None, _) => true,
        };
        if over {
            this.end();
        }
        Poll::Ready(polled.map(|data| data.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && matches!(self.source, Source::End)
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().map_or(0, |first| first.len() as u64);
        match &self.source {
            Source::Http(incoming) => {
                let rest = incoming.size_hint();
                rest.exact()
                    .map_or_else(SizeHint::default, |rest| SizeHint::with_exact(first + rest))
            }
            Source::End => SizeHint::with_exact(first),
            Source::Restored(_) | Source::Waiting(_) => SizeHint::default(),
        }
    }
}

/// The next bytes; trailers mean nothing here.
fn poll_incoming(
    incoming: &mut ResponseBody,
    upstream: &Arc<str>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Bytes, UpstreamError>>> {
    loop {
        return Poll::Ready(match ready!(Pin::new(&mut *incoming).poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => Some(Ok(data)),
                Err(_trailers) => continue,
            },
            Some(Err(source)) => Some(Err(UpstreamError::Body {
                upstream: Arc::clone(upstream),
                source,
            })),
            None => None,
        });
    }
}

/// Reads a whole body of at most `bytes_max` bytes.
///
/// # Errors
/// When it breaks off or is longer.
pub(super) async fn collect<B>(
    mut body: B,
    upstream: &Arc<str>,
    bytes_max: usize,
) -> Result<Bytes, UpstreamError>
where
    B: Body<Data = Bytes> + Unpin,
    UpstreamError: FromBody<B::Error>,
{
    let mut whole = Bytes::new();
    let mut more: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame
            .map_err(|error| UpstreamError::from_body(error, upstream))?
            .into_data()
        else {
            continue;
        };
        if whole.len() + more.len() + data.len() > bytes_max {
            return Err(UpstreamError::TooLarge {
                upstream: Arc::clone(upstream),
                bytes_max,
            });
        }
        // Most bodies come in one piece, which then need not be copied.
        if whole.is_empty() && more.is_empty() {
            whole = data;
        } else {
            if more.is_empty() {
                more.extend_from_slice(&std::mem::take(&mut whole));
            }
            more.extend_from_slice(&data);
        }
    }
    Ok(if more.is_empty() {
        whole
    } else {
        Bytes::from(more)
    })
}

/// An error of a body as one of this room.
pub(super) trait FromBody<E> {
    fn from_body(error: E, upstream: &Arc<str>) -> Self;
}

impl FromBody<hyper::Error> for UpstreamError {
    fn from_body(source: hyper::Error, upstream: &Arc<str>) -> Self {
        Self::Body {
            upstream: Arc::clone(upstream),
            source,
        }
    }
}

impl FromBody<UpstreamError> for UpstreamError {
    fn from_body(error: UpstreamError, _upstream: &Arc<str>) -> Self {
        error
    }
}
