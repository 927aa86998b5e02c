//! The HTTP/1.1 connections of one upstream, kept between calls.
//!
//! hyper makes of a connection a future beside the request's. Here the task that waits for the reply polls both, so a
//! call wakes no other task, and its bytes are read where they are wanted. A connection goes back when its reply has
//! been read to the end; a reply that is dropped earlier closes it.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service as _;

use super::client::SendError;
use crate::thread;

/// Threads beyond this number share their connections with another.
const SHARDS_LEN: usize = 16;

fn lock<T>(shard: &Mutex<T>) -> MutexGuard<'_, T> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Open connections to one host that carry nothing at the moment. Last in first out, so that few of them stay busy.
#[derive(Debug)]
pub(super) struct Pool {
    connector: HttpConnector,
    uri: Uri,
    /// By thread: a connection's bytes arrive at the runtime that opened it.
    idle: [Mutex<Vec<Kept>>; SHARDS_LEN],
    /// Whether a task looks after the idle ones.
    is_swept: AtomicBool,
    idle_max: usize,
    idle_for: Duration,
    tracker: TaskTracker,
    stop: CancellationToken,
}

/// A connection that waits for a call.
#[derive(Debug)]
struct Kept {
    since: Instant,
    line: Box<Line>,
}

/// One connection.
#[derive(Debug)]
struct Line {
    send: SendRequest<Full<Bytes>>,
    connection: Connection<TokioIo<TcpStream>, Full<Bytes>>,
    is_over: bool,
}

/// The body of a response, which brings its own bytes in.
#[derive(Debug)]
pub(in crate::upstream) struct PooledBody {
    incoming: Incoming,
    line: Option<(Box<Line>, Arc<Pool>)>,
}

impl Pool {
    pub(super) fn new(
        (connector, uri): (HttpConnector, Uri),
        (idle_max, idle_for): (usize, Duration),
        (tracker, stop): (TaskTracker, CancellationToken),
    ) -> Self {
        Self {
            connector,
            uri,
            idle: Default::default(),
            is_swept: AtomicBool::new(false),
            idle_max,
            idle_for,
            tracker,
            stop,
        }
    }

    /// Sends a request and waits for the head of its response. A kept connection that turns out to be closed before
    /// anything was sent is replaced by another.
    pub(super) async fn send(
        self: &Arc<Self>,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<PooledBody>, SendError> {
        while let Some(mut line) = std::future::poll_fn(|cx| Poll::Ready(self.take(cx))).await {
            match line.exchange(request).await {
                Ok(response) => return Ok(self.replying(line, response)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(SendError::Interrupted(error.into_error().into())),
                },
            }
        }
        let mut line = self.connect().await?;
        match line.exchange(request).await {
            Ok(response) => Ok(self.replying(line, response)),
            Err(error) => Err(SendError::Interrupted(error.into_error().into())),
        }
    }

    async fn connect(&self) -> Result<Box<Line>, SendError> {
        let mut connector = self.connector.clone();
        let connected = connector.call(self.uri.clone()).await;
        let io = connected.map_err(|error| SendError::Connect(error.into()))?;
        let (send, connection) = handshake(io)
            .await
            .map_err(|error| SendError::Connect(error.into()))?;
        Ok(Box::new(Line {
            send,
            connection,
            is_over: false,
        }))
    }

    /// A connection that is open, as far as this side knows.
    fn take(&self, cx: &mut Context<'_>) -> Option<Box<Line>> {
        loop {
            let Kept { since, mut line } = self.idle().pop()?;
            if since.elapsed() < self.idle_for && line.is_usable(cx) {
                return Some(line);
            }
        }
    }

    fn put(self: &Arc<Self>, line: Box<Line>) {
        let mut idle = self.idle();
        if idle.len() < self.idle_max {
            let since = Instant::now();
            idle.push(Kept { since, line });
        }
        drop(idle);
        if !self.is_swept.load(Ordering::Relaxed) && !self.is_swept.swap(true, Ordering::Relaxed) {
            self.tracker.spawn(Arc::clone(self).sweep());
        }
    }

    /// Closes connections that nobody used for long, or that the other side has closed, until none is left
    /// or the gateway stops.
    async fn sweep(self: Arc<Self>) {
        let pause = || tokio::time::sleep(self.idle_for / 2);
        while self.stop.run_until_cancelled(pause()).await.is_some() {
            // A connection polled here is polled again by its next user, with a waker that then counts.
            let mut cx = Context::from_waker(Waker::noop());
            let mut kept = 0;
            for shard in &self.idle {
                let mut idle = lock(shard);
                idle.retain_mut(|kept| {
                    kept.since.elapsed() < self.idle_for && kept.line.is_usable(&mut cx)
                });
                kept += idle.len();
            }
            if kept == 0 || Arc::strong_count(&self) == 1 {
                self.is_swept.store(false, Ordering::Relaxed);
                return;
            }
        }
    }

    /// Those of this thread.
    fn idle(&self) -> MutexGuard<'_, Vec<Kept>> {
        let [first, ..] = &self.idle;
        lock(
            self.idle
                .get(thread::number() % SHARDS_LEN)
                .unwrap_or(first),
        )
    }

    fn replying(
        self: &Arc<Self>,
        line: Box<Line>,
        response: Response<Incoming>,
    ) -> Response<PooledBody> {
        response.map(|incoming| {
            let mut body = PooledBody {
                line: Some((line, Arc::clone(self))),
                incoming,
            };
            if body.incoming.is_end_stream() {
                body.release();
            }
            body
        })
    }
}

impl Line {
    /// Moves bytes in both directions, as far as they go without waiting.
    fn drive(&mut self, cx: &mut Context<'_>) {
        // How it ended is told by the exchange that it ends.
        if !self.is_over && Pin::new(&mut self.connection).poll(cx).is_ready() {
            self.is_over = true;
        }
    }

    fn is_usable(&mut self, cx: &mut Context<'_>) -> bool {
        self.drive(cx);
        !self.is_over && self.send.is_ready()
    }

    async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>> {
        let mut replied = std::pin::pin!(self.send.try_send_request(request));
        let (connection, is_over) = (&mut self.connection, &mut self.is_over);
        std::future::poll_fn(|cx| {
            if !*is_over && Pin::new(&mut *connection).poll(cx).is_ready() {
                *is_over = true;
            }
            replied.as_mut().poll(cx)
        })
        .await
    }
}

impl PooledBody {
    /// Everything is read: the connection is free.
    fn release(&mut self) {
        if let Some((line, pool)) = self.line.take()
            && !line.is_over
        {
            pool.put(line);
        }
    }
}

impl Body for PooledBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let mut polled = Pin::new(&mut this.incoming).poll_frame(cx);
        if polled.is_pending()
            && let Some((line, _)) = &mut this.line
        {
            line.drive(cx);
            polled = Pin::new(&mut this.incoming).poll_frame(cx);
        }
        match &polled {
            Poll::Ready(None) => this.release(),
            Poll::Ready(Some(Ok(_))) if this.incoming.is_end_stream() => this.release(),
            Poll::Ready(Some(Err(_))) => this.line = None,
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

#[cfg(test)]
mod tests;
