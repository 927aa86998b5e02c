//! The life of one socket: frames in, frames out, pings, and how it ends.
//!
//! It runs in the connection's task, after HTTP. What it reads is walked on tasks of its own; what it writes comes from
//! the session's one stream. When it ends, so does the session.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tracing::debug;

use crate::listener::messages::Messages;
use crate::pipeline::Pipeline;

use super::frames::Frames;

/// What is read at once; a socket holds it for as long as it lives.
const BUFFER_BYTES: usize = 4 << 10;
/// How long a client may take to see that it is hung up on.
const HANG_UP: Duration = Duration::from_secs(2);

type Stream = WebSocketStream<TokioIo<Upgraded>>;

/// A socket that is about to open.
pub(in crate::listener) struct Socket {
    pub(super) upgraded: OnUpgrade,
    pub(super) frames: Frames,
    /// Everything for the client.
    pub(super) messages: Messages,
}

/// How a socket ends (RFC 6455, section 7.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The client closes it, or is gone.
    Left,
    /// The session is over, or the gateway stops.
    Away,
    /// Nothing is served any more where it leads to.
    NotServed,
    /// A frame that breaks the rules.
    Protocol,
    /// Messages are text.
    Binary,
    /// Text that is not UTF-8.
    NotText,
    /// A message beyond `limits.body_bytes_max`.
    TooLarge,
    /// More messages than may be under way at once.
    Flood,
    /// Pings stay without answers.
    Silent,
}

impl Ending {
    /// What went wrong with a frame.
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::Capacity(_) => Self::TooLarge,
            Error::Utf8(_) => Self::NotText,
            Error::Protocol(_) | Error::AttackAttempt => Self::Protocol,
            Error::ConnectionClosed
            | Error::AlreadyClosed
            | Error::Io(_)
            | Error::Tls(_)
            | Error::WriteBufferFull(_)
            | Error::Url(_)
            | Error::Http(_)
            | Error::HttpFormat(_) => Self::Left,
        }
    }

    /// What the client is told; nothing, where it is the one who closes.
    fn told(self) -> Option<(CloseCode, &'static str)> {
        Some(match self {
            Self::Left => return None,
            Self::Away => (CloseCode::Away, "connect again"),
            Self::NotServed => (CloseCode::Away, "this server is no longer here"),
            Self::Protocol => (CloseCode::Protocol, "frames must follow RFC 6455"),
            Self::Binary => (CloseCode::Unsupported, "send messages as text frames"),
            Self::NotText => (CloseCode::Invalid, "text frames must be UTF-8"),
            Self::TooLarge => (CloseCode::Size, "the message is larger than it may be"),
            Self::Flood => (CloseCode::Again, "too many messages are under way"),
            Self::Silent => (CloseCode::Policy, "pings stayed without answers"),
        })
    }
}

impl Socket {
    /// Serves it to its end.
    pub(in crate::listener) async fn run(self) {
        let Self {
            upgraded,
            frames,
            messages,
        } = self;
        let upgraded = match upgraded.await {
            Ok(upgraded) => TokioIo::new(upgraded),
            Err(error) => return debug!(peer = %frames.peer, %error, "a socket did not open"),
        };
        let pipeline = Arc::clone(&frames.pipeline);
        let bytes_max = Some(pipeline.limits.body_bytes_max);
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(BUFFER_BYTES)
            .max_message_size(bytes_max)
            .max_frame_size(bytes_max);
        let stream = WebSocketStream::from_raw_socket(upgraded, Role::Server, Some(config)).await;
        let (mut sink, mut stream) = stream.split();
        let heard = Heard::new(pipeline.limits.websocket_ping);
        let ending = tokio::select! {
            ending = read(&mut stream, &frames, &heard) => ending,
            ending = write(&mut sink, messages, heard.ping) => ending,
            ending = heard.silence() => ending,
        };
        // A session ends with its server, and for no reason that coming back would help.
        let ending = match ending == Ending::Away && !frames.are_served() {
            true => Ending::NotServed,
            false => ending,
        };
        debug!(peer = %frames.peer, session = frames.session.id(), ?ending, "a socket ends");
        count(&pipeline, ending);
        if let Ok(stream) = sink.reunite(stream) {
            // Whoever does not take part is left behind.
            drop(tokio::time::timeout(HANG_UP, hang_up(stream, ending)).await);
        }
    }
}

async fn read(stream: &mut SplitStream<Stream>, frames: &Frames, heard: &Heard) -> Ending {
    while let Some(frame) = stream.next().await {
        heard.note();
        if let Err(ending) = frames.take(frame) {
            return ending;
        }
    }
    Ending::Left
}

/// Writes what is for the client, as far as the client reads, and a ping now and then.
async fn write(
    sink: &mut SplitSink<Stream, Message>,
    mut messages: Messages,
    ping: Duration,
) -> Ending {
    let mut pings = tokio::time::interval_at(tokio::time::Instant::now() + ping, ping);
    pings.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let frame = tokio::select! {
            message = messages.next() => match message {
                Some(message) => Message::text(message),
                None => return Ending::Away,
            },
            _ = pings.tick() => Message::Ping(Bytes::new()),
        };
        if sink.send(frame).await.is_err() {
            return Ending::Left;
        }
    }
}

/// Closes in the way that RFC 6455, section 7, describes.
async fn hang_up(mut stream: Stream, ending: Ending) {
    let frame = ending.told().map(|(code, reason)| CloseFrame {
        code,
        reason: reason.into(),
    });
    if stream.close(frame).await.is_err() {
        return;
    }
    let mut is_answered = ending == Ending::Left;
    while let Some(Ok(frame)) = stream.next().await {
        is_answered |= frame.is_close();
    }
    if !is_answered {
        // What stays unread makes the system reset the connection, and the client would not see why.
        drop(tokio::io::copy(stream.get_mut(), &mut tokio::io::sink()).await);
    }
}

fn count(pipeline: &Pipeline, ending: Ending) {
    let code = ending.told().map_or(1000, |(code, _)| u16::from(code));
    let closes = &pipeline.metrics().websocket_closes;
    closes.with_label_values(&[&code.to_string()]).inc();
}

/// When the client was last heard of.
struct Heard {
    began: Instant,
    last_ms: AtomicU64,
    ping: Duration,
}

impl Heard {
    fn new(ping: Duration) -> Self {
        Self {
            began: Instant::now(),
            last_ms: AtomicU64::new(0),
            ping,
        }
    }

    fn note(&self) {
        let now_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Until nothing was heard for as long as two pings take.
    async fn silence(&self) -> Ending {
        loop {
            let last = Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
            let left = (last + self.ping * 2).saturating_sub(self.began.elapsed());
            if left.is_zero() {
                return Ending::Silent;
            }
            tokio::time::sleep(left).await;
        }
    }
}
