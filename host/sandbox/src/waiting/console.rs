//! Standard output and error of a component: lines in the plugin's log.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::host::LOG_LINE_BYTES_MAX;
use crate::{LogLevel, Scope, Services};

/// What a guest may write at once.
const WRITE_BYTES_MAX: usize = 4096;

/// Lines that the running hook may still write.
pub(super) struct Lines(AtomicU32);

impl Lines {
    pub(super) fn new(max: u32) -> Self {
        Self(AtomicU32::new(max))
    }

    pub(super) fn refill(&self, max: u32) {
        self.0.store(max, Ordering::Relaxed);
    }

    fn take(&self) -> bool {
        let less = |left: u32| left.checked_sub(1);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }
}

/// One of the two streams. Further handles of it write to the same line.
#[derive(Clone)]
pub(super) struct Console {
    level: LogLevel,
    scope: Arc<Scope>,
    services: Arc<dyn Services>,
    lines: Arc<Lines>,
    begun: Arc<Mutex<Vec<u8>>>,
}

impl Console {
    pub(super) fn new(
        level: LogLevel,
        (scope, services): (&Arc<Scope>, &Arc<dyn Services>),
        lines: &Arc<Lines>,
    ) -> Self {
        Self {
            level,
            scope: Arc::clone(scope),
            services: Arc::clone(services),
            lines: Arc::clone(lines),
            begun: Arc::default(),
        }
    }

    /// Logs every line that has its end; of one that is too long, the end is lost.
    fn take(&self, bytes: &[u8]) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = match part.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (part, false),
            };
            let room = LOG_LINE_BYTES_MAX.saturating_sub(begun.len());
            begun.extend_from_slice(text.get(..room).unwrap_or(text));
            if ended {
                let line = std::mem::take(&mut *begun);
                if !line.is_empty() && self.lines.take() {
                    let line = String::from_utf8_lossy(&line);
                    self.services.log(&self.scope, self.level, &line);
                }
            }
        }
    }
}

impl IsTerminal for Console {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Console {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Console {
    async fn ready(&mut self) {}
}

impl OutputStream for Console {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

impl AsyncWrite for Console {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
