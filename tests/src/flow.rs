//! Large bodies that are written piece by piece, and read by somebody who keeps nothing of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::Response;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// A body: what it begins with, a part that comes again and again, and what it ends with.
#[derive(Debug, Clone)]
pub struct Flow {
    /// Media type.
    pub kind: &'static str,
    /// Whether its length is said before.
    pub is_measured: bool,
    /// The beginning.
    pub head: String,
    /// What is repeated.
    pub part: Arc<str>,
    /// How often.
    pub times: usize,
    /// The end.
    pub tail: String,
    written: Arc<AtomicU64>,
}

impl Flow {
    /// A body of this media type.
    #[must_use]
    pub fn new(
        kind: &'static str,
        (head, part, tail): (String, String, String),
        times: usize,
    ) -> Self {
        Self {
            kind,
            is_measured: false,
            head,
            part: part.into(),
            times,
            tail,
            written: Arc::default(),
        }
    }

    /// The same, with its length said before.
    #[must_use]
    pub fn measured(self) -> Self {
        Self {
            is_measured: true,
            ..self
        }
    }

    /// The same, as the answer to a request of this id, for which `{id}` stands.
    #[must_use]
    pub fn answering(&self, id: &Value) -> Self {
        let id = id.to_string();
        Self {
            head: self.head.replace("{id}", &id),
            tail: self.tail.replace("{id}", &id),
            ..self.clone()
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.head.len() + self.part.len() * self.times + self.tail.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that were taken by the network so far, of all who were answered with it.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Digest of the data in it: of all of it, or of what its events carry.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut reader = Reader::of(self.kind);
        for piece in self.pieces() {
            reader.take(piece.as_bytes());
        }
        reader.digest()
    }

    fn pieces(&self) -> impl Iterator<Item = &str> {
        let parts = std::iter::repeat_n(&*self.part, self.times);
        [&*self.head].into_iter().chain(parts).chain([&*self.tail])
    }

    /// Writes it as an HTTP/1.1 response.
    pub(crate) async fn pour<W: AsyncWrite + Unpin>(&self, write: &mut W) -> std::io::Result<()> {
        let framing = match self.is_measured {
            true => format!("content-length: {}", self.len()),
            false => "transfer-encoding: chunked".to_owned(),
        };
        let head = format!(
            "HTTP/1.1 200 -\r\ncontent-type: {}\r\n{framing}\r\n\r\n",
            self.kind
        );
        write.write_all(head.as_bytes()).await?;
        for piece in self.pieces().filter(|piece| !piece.is_empty()) {
            if !self.is_measured {
                let size = format!("{:x}\r\n", piece.len());
                write.write_all(size.as_bytes()).await?;
            }
            write.write_all(piece.as_bytes()).await?;
            if !self.is_measured {
                write.write_all(b"\r\n").await?;
            }
            self.written
                .fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
        if !self.is_measured {
            write.write_all(b"0\r\n\r\n").await?;
        }
        Ok(())
    }
}

/// Reads a body and keeps a digest of the data in it, and its last line.
pub struct Reader {
    is_stream: bool,
    line: Vec<u8>,
    last: Vec<u8>,
    sum: Sha256,
}

impl Reader {
    /// For a body of that media type.
    #[must_use]
    pub fn of(kind: &str) -> Self {
        Self {
            is_stream: kind.starts_with("text/event-stream"),
            line: Vec::new(),
            last: Vec::new(),
            sum: Sha256::new(),
        }
    }

    /// Takes the next bytes.
    pub fn take(&mut self, bytes: &[u8]) {
        if !self.is_stream {
            self.sum.update(bytes);
            let kept = bytes.len().min(LAST_BYTES);
            self.last.extend_from_slice(&bytes[bytes.len() - kept..]);
            self.last
                .drain(..self.last.len().saturating_sub(LAST_BYTES));
            return;
        }
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(line);
            if line.ends_with(b"\n") {
                if let Some(data) = self
                    .line
                    .strip_prefix(b"data: ")
                    .filter(|data| data.len() > 1)
                {
                    self.sum.update(data);
                    self.last.clear();
                    self.last
                        .extend_from_slice(&data[..data.len().min(LAST_BYTES)]);
                }
                self.line.clear();
            }
        }
    }

    /// Reads a response to its end.
    ///
    /// # Panics
    /// When it breaks off.
    pub async fn read(mut response: Response) -> Self {
        let kind = response.headers().get("content-type");
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let mut reader = Self::of(kind);
        while let Some(bytes) = response.chunk().await.expect("the rest of a body") {
            reader.take(&bytes);
        }
        reader
    }

    /// Digest of what was read.
    #[must_use]
    pub fn digest(&self) -> String {
        let digest = self.sum.clone().finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The end of a body that is no stream; the beginning of the last message of one that is.
    #[must_use]
    pub fn last(&self) -> String {
        String::from_utf8_lossy(&self.last).into_owned()
    }
}

/// What is kept to look at.
const LAST_BYTES: usize = 1_024;
