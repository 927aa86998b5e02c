//! Bodies of replies: whole ones, and streams that are never held whole.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Sleep;

use crate::upstream::UpstreamBody;

/// Why a streamed reply breaks off.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A reply's body.
pub enum Body {
    /// All of it; `None` once it is sent, or empty.
    Full(Option<Bytes>),
    /// An upstream's, passed through until it ends or its time is up.
    Upstream(UpstreamBody, Pin<Box<Sleep>>),
    /// Events, edited one by one.
    Events(Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>),
}

impl Body {
    /// No bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::Full(None)
    }

    /// An upstream's, passed through for as long as that.
    #[must_use]
    pub fn passed(body: UpstreamBody, time_max: Duration) -> Self {
        Self::Upstream(body, Box::pin(tokio::time::sleep(time_max)))
    }
}

impl<B: Into<Bytes>> From<B> for Body {
    fn from(bytes: B) -> Self {
        Self::Full(Some(bytes.into()))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Upstream(body, time) => {
                let polled = Pin::new(body).poll_frame(cx);
                if polled.is_pending() && time.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Some(Err("the upstream took too long over it".into())));
                }
                polled.map_err(Into::into)
            }
            Self::Events(events) => events.as_mut().poll_next(cx).map_ok(Frame::data),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_none(),
            Self::Upstream(body, _) => body.is_end_stream(),
            Self::Events(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(
                bytes
                    .as_ref()
                    .map_or(0, |bytes| u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            ),
            Self::Upstream(body, _) => body.size_hint(),
            Self::Events(_) => SizeHint::default(),
        }
    }
}
