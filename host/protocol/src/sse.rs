//! Server-sent events: bytes to events and back, in any chunks.
//!
//! Upstreams decode replies with it and the listener encodes replies with it. It follows the WHATWG "event stream
//! interpretation" with two differences that a relay needs: an event without data but with an id or a retry time is
//! reported too (it primes a reader), and an event has a bound on its bytes.

/// A line that is longer is given memory in few steps.
const LONG_LINE_BYTES: usize = 64 << 10;
/// The first of them.
const LONG_LINE_FIRST_BYTES: usize = 1 << 20;
/// The second. The allocator gives memory of this size back at once, and what is not touched of it is never taken.
const LONG_LINE_NEXT_BYTES: usize = 8 << 20;
/// Room for what stands around the data of an event, so that [`into_bytes`] finds it there.
const FRAME_BYTES: usize = 256;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// The event's id, when it has one of its own.
    pub id: Option<String>,
    /// The event's type; absent means `message`.
    pub event: Option<String>,
    /// The lines of data, joined by line feeds; empty for an event that only primes.
    pub data: String,
    /// How long to wait before reconnecting, in milliseconds.
    pub retry_ms: Option<u64>,
}

impl Event {
    /// An event that carries one message and nothing else.
    #[must_use]
    pub fn message(data: impl Into<String>) -> Self {
        Event {
            data: data.into(),
            ..Event::default()
        }
    }

    /// Whether the event carries a JSON-RPC message: data, under the default type.
    #[must_use]
    pub fn is_message(&self) -> bool {
        !self.data.is_empty() && self.event.as_deref().is_none_or(|name| name == "message")
    }
}

/// Why a stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// One event is longer than allowed.
    #[error("an event is longer than {event_bytes_max} bytes")]
    TooLarge {
        /// The most bytes that an event may have.
        event_bytes_max: usize,
    },
    /// An event's text is not UTF-8.
    #[error("an event is not valid UTF-8")]
    NotUtf8,
}

/// Reads events from bytes that arrive in pieces.
///
/// ```
/// use portcullis_protocol::sse::Decoder;
/// let mut decoder = Decoder::new(1024);
/// decoder.push(b"data: {\"a\"")?;
/// decoder.push(b":1}\n\n")?;
/// assert_eq!(decoder.next_event().map(|event| event.data).as_deref(), Some("{\"a\":1}"));
/// # Ok::<(), portcullis_protocol::sse::SseError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    event_bytes_max: usize,
    /// The line that has not ended yet.
    line: Vec<u8>,
    /// A carriage return ended the last line; a line feed right after it belongs to it.
    after_return: bool,
    /// No line has ended yet, so a byte order mark may still come.
    at_start: bool,
    /// Bytes of the fields that belong to the event so far.
    event_bytes: usize,
    pending: Pending,
    ready: std::collections::VecDeque<Event>,
    failed: Option<SseError>,
}

/// The event whose empty line has not come yet.
#[derive(Debug, Default)]
struct Pending {
    id: Option<String>,
    event: Option<String>,
    data: Option<String>,
    retry_ms: Option<u64>,
}

impl Decoder {
    /// A decoder that refuses events of more than `event_bytes_max` bytes.
    #[must_use]
    pub fn new(event_bytes_max: usize) -> Self {
        Decoder {
            event_bytes_max,
            line: Vec::new(),
            after_return: false,
            at_start: true,
            event_bytes: 0,
            pending: Pending::default(),
            ready: std::collections::VecDeque::new(),
            failed: None,
        }
    }

    /// Takes the next bytes of the stream; take the events out with [`Decoder::next_event`] before pushing more.
    ///
    /// # Errors
    /// When an event is too long or not UTF-8. Events that ended before are still there to take; the decoder answers
    /// with the same error from then on.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), SseError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let done = self.read(chunk);
        self.failed = done.err();
        done
    }

    /// The next event that is complete.
    pub fn next_event(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    /// Whether the stream could end here without losing anything: no event has begun that has not ended.
    #[must_use]
    pub fn is_at_boundary(&self) -> bool {
        self.line.is_empty() && self.event_bytes == 0
    }

    fn read(&mut self, mut chunk: &[u8]) -> Result<(), SseError> {
        while !chunk.is_empty() {
            if self.after_return {
                self.after_return = false;
                if let Some(rest) = chunk.strip_prefix(b"\n") {
                    chunk = rest;
                    continue;
                }
            }
            let Some(end) = chunk.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                self.check_size(self.line.len() + chunk.len())?;
                self.extend_line(chunk);
                return Ok(());
            };
            let (head, tail) = chunk.split_at_checked(end).unwrap_or((chunk, &[]));
            self.after_return = tail.starts_with(b"\r");
            chunk = tail.get(1..).unwrap_or_default();
            self.check_size(self.line.len() + head.len())?;
            if self.line.is_empty() {
                self.end_line(head)?;
            } else {
                self.extend_line(head);
                let line = std::mem::take(&mut self.line);
                self.end_owned_line(line)?;
            }
        }
        Ok(())
    }

    fn check_size(&self, line_bytes: usize) -> Result<(), SseError> {
        if self.event_bytes.saturating_add(line_bytes) > self.event_bytes_max {
            return Err(SseError::TooLarge {
                event_bytes_max: self.event_bytes_max,
            });
        }
        Ok(())
    }

    /// What is untouched of the memory that a line is given costs nothing; what is copied would for a moment be there twice.
    fn extend_line(&mut self, part: &[u8]) {
        let len = self.line.len() + part.len();
        if len > self.line.capacity() && len > LONG_LINE_BYTES {
            let room = match len {
                0..LONG_LINE_FIRST_BYTES => LONG_LINE_FIRST_BYTES,
                LONG_LINE_FIRST_BYTES..LONG_LINE_NEXT_BYTES => LONG_LINE_NEXT_BYTES,
                _ => len.saturating_mul(2).min(self.event_bytes_max).max(len),
            };
            self.line
                .reserve_exact(room - self.line.len() + FRAME_BYTES);
        }
        self.line.extend_from_slice(part);
    }

    /// A line that came in several pieces; where it is all the data there is, it is not copied.
    fn end_owned_line(&mut self, mut line: Vec<u8>) -> Result<(), SseError> {
        if self.pending.data.is_some() || !line.starts_with(b"data:") {
            let ended = self.end_line(&line);
            line.clear();
            self.line = line;
            return ended;
        }
        // It begins with no byte order mark.
        self.at_start = false;
        self.event_bytes += line.len();
        let field = if line.starts_with(b"data: ") { 6 } else { 5 };
        line.drain(..field);
        if line.len() < LONG_LINE_FIRST_BYTES / 2 {
            line.shrink_to(line.len() + FRAME_BYTES);
        }
        self.pending.data = Some(String::from_utf8(line).map_err(|_source| SseError::NotUtf8)?);
        Ok(())
    }

    fn end_line(&mut self, line: &[u8]) -> Result<(), SseError> {
        let line = if std::mem::take(&mut self.at_start) {
            line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)
        } else {
            line
        };
        if line.is_empty() {
            self.dispatch();
            return Ok(());
        }
        if line.first() == Some(&b':') {
            return Ok(());
        }
        self.event_bytes += line.len();
        let line = std::str::from_utf8(line).map_err(|_source| SseError::NotUtf8)?;
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        self.pending
            .field(name, value.strip_prefix(' ').unwrap_or(value));
        Ok(())
    }

    fn dispatch(&mut self) {
        self.event_bytes = 0;
        let pending = std::mem::take(&mut self.pending);
        if pending.data.is_none() && pending.id.is_none() && pending.retry_ms.is_none() {
            return;
        }
        self.ready.push_back(Event {
            id: pending.id,
            event: pending.event,
            data: pending.data.unwrap_or_default(),
            retry_ms: pending.retry_ms,
        });
    }
}

impl Pending {
    fn field(&mut self, name: &str, value: &str) {
        match name {
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            "event" => self.event = Some(value.to_owned()).filter(|name| !name.is_empty()),
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry_ms = value.parse().ok();
            }
            _ => {}
        }
    }
}

/// Writes an event. Line breaks in the data become lines of data; in the id and the type they are left out, since a
/// field is one line.
pub fn encode(event: &Event, out: &mut Vec<u8>) {
    if let Some(name) = &event.event {
        field(out, "event", name);
    }
    if let Some(id) = &event.id {
        field(out, "id", id);
    }
    if let Some(retry_ms) = event.retry_ms {
        field(out, "retry", &retry_ms.to_string());
    }
    let mut rest = event.data.as_str();
    while let Some(end) = rest.find(['\n', '\r']) {
        let (line, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
        data(out, line);
        rest = tail
            .strip_prefix("\r\n")
            .or_else(|| tail.get(1..))
            .unwrap_or_default();
    }
    data(out, rest);
    out.push(b'\n');
}

/// As [`encode`], in the memory of the event's data where that is one line.
#[must_use]
pub fn into_bytes(mut event: Event) -> Vec<u8> {
    let data = std::mem::take(&mut event.data);
    let mut out = Vec::new();
    if data.contains(['\n', '\r']) {
        out.reserve(data.len() + 32);
        encode(&Event { data, ..event }, &mut out);
        return out;
    }
    // The same with no data ends in an empty line of it.
    encode(&event, &mut out);
    let frame = out.strip_suffix(b"\n\n").unwrap_or(&out);
    let mut whole = data.into_bytes();
    whole.reserve_exact(frame.len() + 2);
    whole.splice(..0, frame.iter().copied());
    whole.extend_from_slice(b"\n\n");
    whole
}

fn data(out: &mut Vec<u8>, line: &str) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(line.as_bytes());
    out.push(b'\n');
}

/// Writes a comment: it keeps a connection open and readers ignore it.
pub fn comment(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b": ");
    out.extend(text.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')));
    out.extend_from_slice(b"\n\n");
}

fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend(
        value
            .bytes()
            .filter(|byte| !matches!(byte, b'\n' | b'\r' | 0)),
    );
    out.push(b'\n');
}

#[cfg(test)]
mod tests;
