//! Lines of bounded length out of a byte stream.
//!
//! A line that is too long is skipped whole, so that what comes after it is read again as lines.

use std::io;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// Memory that is kept between lines.
const KEPT_BYTES: usize = 64 * 1024;

/// Reads lines.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    bytes_max: usize,
}

/// One line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// The whole line.
    Whole(&'a [u8]),
    /// A line of more than the allowed bytes, and what it begins with.
    TooLong(&'a [u8]),
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(reader: R, bytes_max: usize) -> Self {
        Self {
            reader: BufReader::with_capacity(16 * 1024, reader),
            line: Vec::new(),
            bytes_max,
        }
    }

    /// The next line; `None` at the end of the stream. A last line needs no end.
    pub(super) async fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        if self.line.capacity() > KEPT_BYTES {
            self.line = Vec::new();
        }
        self.line.clear();
        let mut too_long = false;
        loop {
            let available = self.reader.fill_buf().await?;
            if available.is_empty() {
                if self.line.is_empty() && !too_long {
                    return Ok(None);
                }
                break;
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let (part, _) = available
                .split_at_checked(end.unwrap_or(available.len()))
                .unwrap_or((available, &[]));
            let room = self.bytes_max.saturating_sub(self.line.len());
            let fits = part.get(..room.min(part.len())).unwrap_or_default();
            self.line.extend_from_slice(fits);
            too_long |= part.len() > room;
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some() {
                break;
            }
        }
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        Ok(Some(if too_long {
            Line::TooLong(line)
        } else {
            Line::Whole(line)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn long_lines_are_skipped_and_the_next_is_read() {
        let mut lines = Lines::new(&b"one\r\n\n0123456789abc\nlast"[..], 8);
        let mut seen = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            seen.push(match line {
                Line::Whole(line) => String::from_utf8_lossy(line).into_owned(),
                Line::TooLong(line) => format!("{}…", String::from_utf8_lossy(line)),
            });
        }
        assert_eq!(seen, ["one", "", "01234567…", "last"]);
    }
}
