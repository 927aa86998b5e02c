//! Lines of bounded length out of a byte stream.
//!
//! A line that is too long is skipped whole, so that what comes after it is read again as lines.

use std::io;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// Memory that is kept between lines.
const KEPT_BYTES: usize = 64 * 1024;
/// What is kept of either end of a line that is too long, in bytes.
const END_BYTES: usize = 4 * 1024;

/// Reads lines.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    /// The end of a line that is too long.
    tail: Vec<u8>,
    bytes_max: usize,
}

/// One line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// The whole line.
    Whole(&'a [u8]),
    /// A line of more than the allowed bytes.
    TooLong {
        /// What it begins with.
        head: &'a [u8],
        /// What it ends with.
        tail: &'a [u8],
    },
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(reader: R, bytes_max: usize) -> Self {
        Self {
            reader: BufReader::with_capacity(16 * 1024, reader),
            line: Vec::new(),
            tail: Vec::new(),
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
            if !too_long && part.len() > self.bytes_max.saturating_sub(self.line.len()) {
                too_long = true;
                self.tail = last(&self.line).to_vec();
                // Nobody waits for the rest with all of it in memory.
                let fits = self.bytes_max.min(END_BYTES);
                let missing = fits.saturating_sub(self.line.len()).min(part.len());
                self.line
                    .extend_from_slice(part.get(..missing).unwrap_or_default());
                self.line.truncate(fits);
                self.line.shrink_to_fit();
            }
            if too_long {
                self.tail.extend_from_slice(last(part));
                let excess = self.tail.len().saturating_sub(END_BYTES);
                self.tail.drain(..excess);
            } else {
                self.line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some() {
                break;
            }
        }
        Ok(Some(if too_long {
            Line::TooLong {
                head: &self.line,
                tail: &self.tail,
            }
        } else {
            Line::Whole(self.line.strip_suffix(b"\r").unwrap_or(&self.line))
        }))
    }
}

fn last(part: &[u8]) -> &[u8] {
    part.last_chunk::<END_BYTES>().map_or(part, |last| last)
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
                Line::TooLong { head, tail } => {
                    let [head, tail] = [head, tail].map(String::from_utf8_lossy);
                    format!("{head}…{tail}")
                }
            });
        }
        assert_eq!(seen, ["one", "", "01234567…0123456789abc", "last"]);
    }

    #[tokio::test]
    async fn of_a_long_line_both_ends_are_kept_and_nothing_between() {
        let long = ["a".repeat(50_000), "b".repeat(50_000)].concat();
        let text = format!("{long}\nnext\n");
        let mut lines = Lines::new(text.as_bytes(), 60_000);
        let ends = ["a", "b"].map(|end| end.repeat(END_BYTES));
        let want = Line::TooLong {
            head: ends[0].as_bytes(),
            tail: ends[1].as_bytes(),
        };
        assert_eq!(lines.next().await.unwrap(), Some(want));
        assert!(lines.line.capacity() <= KEPT_BYTES);
        assert_eq!(lines.next().await.unwrap(), Some(Line::Whole(b"next")));
    }
}
