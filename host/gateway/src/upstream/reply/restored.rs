//! An HTTP body in which the caller's id and progress token are put back, message by message.
//!
//! Only for stateless callers of upstreams that have sessions: they share one, so their names were replaced.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use portcullis_protocol::envelope::EnvelopeError;
use portcullis_protocol::sse::{self, Decoder};

use super::ReplyKind;
use crate::upstream::error::UpstreamError;
use crate::upstream::http::ResponseBody;
use crate::upstream::restore::Restore;

/// The body, and what has been read of a message that is not whole yet.
#[derive(Debug)]
pub(in crate::upstream) struct Restored {
    first: Option<Bytes>,
    rest: ResponseBody,
    restore: Restore,
    held: Held,
    bytes_max: usize,
    ended: bool,
}

#[derive(Debug)]
enum Held {
    Json(Vec<u8>),
    Events(Decoder),
}

impl Restored {
    pub(in crate::upstream) fn new(
        kind: ReplyKind,
        first: Option<Bytes>,
        rest: ResponseBody,
        restore: Restore,
        bytes_max: usize,
    ) -> Self {
        let held = match kind {
            ReplyKind::Json => Held::Json(Vec::new()),
            ReplyKind::Events => Held::Events(Decoder::new(bytes_max)),
        };
        Self {
            first,
            rest,
            restore,
            held,
            bytes_max,
            ended: false,
        }
    }

    pub(super) fn poll_data(
        &mut self,
        upstream: &Arc<str>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        while !self.ended {
            let chunk = match self.first.take() {
                Some(first) => Some(Ok(first)),
                None => ready!(super::poll_incoming(&mut self.rest, upstream, cx)),
            };
            let out = match chunk {
                Some(Ok(chunk)) => self.take_in(&chunk, upstream),
                Some(Err(error)) => Err(error),
                None => self.finish(upstream),
            };
            match out {
                Ok(out) if out.is_empty() => {}
                Ok(out) => return Poll::Ready(Some(Ok(Bytes::from(out)))),
                Err(error) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        Poll::Ready(None)
    }

    fn take_in(&mut self, chunk: &[u8], upstream: &Arc<str>) -> Result<Vec<u8>, UpstreamError> {
        match &mut self.held {
            Held::Json(text) => {
                if text.len() + chunk.len() > self.bytes_max {
                    return Err(UpstreamError::TooLarge {
                        upstream: Arc::clone(upstream),
                        bytes_max: self.bytes_max,
                    });
                }
                text.extend_from_slice(chunk);
                Ok(Vec::new())
            }
            Held::Events(decoder) => {
                let pushed = decoder.push(chunk);
                let mut out = Vec::new();
                while let Some(mut event) = decoder.next_event() {
                    if event.is_message() {
                        event.data = self
                            .restore
                            .message(&event.data)
                            .map_err(|source| no_message(upstream, source))?
                            .into_owned();
                    }
                    sse::encode(&event, &mut out);
                }
                // What was whole before the fault still goes out; the decoder repeats the fault at the next chunk.
                match pushed {
                    Err(source) if out.is_empty() => Err(UpstreamError::Stream {
                        upstream: Arc::clone(upstream),
                        source,
                    }),
                    Err(_) | Ok(()) => Ok(out),
                }
            }
        }
    }

    fn finish(&mut self, upstream: &Arc<str>) -> Result<Vec<u8>, UpstreamError> {
        self.ended = true;
        let Held::Json(text) = &mut self.held else {
            return Ok(Vec::new());
        };
        let text = String::from_utf8(std::mem::take(text))
            .map_err(|source| no_message(upstream, EnvelopeError::NotUtf8(source.utf8_error())))?;
        let restored = self
            .restore
            .message(&text)
            .map_err(|source| no_message(upstream, source))?;
        Ok(restored.into_owned().into_bytes())
    }
}

fn no_message(upstream: &Arc<str>, source: EnvelopeError) -> UpstreamError {
    UpstreamError::Envelope {
        upstream: Arc::clone(upstream),
        source,
    }
}
