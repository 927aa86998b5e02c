//! A strict reader of JSON text that copies nothing: it tells a visitor where values are.
//!
//! It keeps a stack of its own, so depth costs memory and never the call stack.

/// The text is not JSON.
#[derive(Debug, PartialEq, Eq)]
pub struct NotJson;

/// A place in the text: half-open range of bytes.
pub type Place = (usize, usize);

/// Takes what the reader finds, in order. Places of strings and keys are inside their quotes.
pub trait Visitor {
    /// A key; its value comes next.
    fn key(&mut self, place: Place) -> Result<(), NotJson>;
    /// A value begins: `null`, `true`, `"…`, `[…`.
    fn begin(&mut self, start: usize, is_null: bool);
    /// A string that is a value.
    fn string(&mut self, place: Place) -> Result<(), NotJson>;
    /// A number.
    fn number(&mut self, place: Place);
    /// The value that began last and has not ended ends.
    fn end(&mut self, end: usize);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Array,
    Object,
}

enum State {
    Value,
    FirstItem,
    FirstKey,
    Key,
    After,
}

/// Reads one JSON text.
pub fn read(text: &str, visitor: &mut impl Visitor) -> Result<(), NotJson> {
    let mut reader = Reader {
        bytes: text.as_bytes(),
        index: 0,
        stack: Vec::new(),
    };
    let mut state = State::Value;
    loop {
        reader.skip_space();
        state = match state {
            State::After if reader.stack.is_empty() => {
                return if reader.peek().is_none() {
                    Ok(())
                } else {
                    Err(NotJson)
                };
            }
            State::After => reader.after(visitor)?,
            State::FirstItem if reader.peek() == Some(b']') => {
                reader.close(Container::Array, visitor)?
            }
            State::FirstItem | State::Value => reader.value(visitor)?,
            State::FirstKey if reader.peek() == Some(b'}') => {
                reader.close(Container::Object, visitor)?
            }
            State::FirstKey | State::Key => reader.key(visitor)?,
        };
    }
}

struct Reader<'t> {
    bytes: &'t [u8],
    index: usize,
    stack: Vec<Container>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.index).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.index += 1;
        }
    }

    fn after(&mut self, visitor: &mut impl Visitor) -> Result<State, NotJson> {
        match (self.peek(), self.stack.last()) {
            (Some(b','), Some(Container::Array)) => {
                self.index += 1;
                Ok(State::Value)
            }
            (Some(b','), Some(Container::Object)) => {
                self.index += 1;
                Ok(State::Key)
            }
            (Some(b']'), _) => self.close(Container::Array, visitor),
            (Some(b'}'), _) => self.close(Container::Object, visitor),
            _ => Err(NotJson),
        }
    }

    fn close(&mut self, kind: Container, visitor: &mut impl Visitor) -> Result<State, NotJson> {
        if self.stack.pop() != Some(kind) {
            return Err(NotJson);
        }
        self.index += 1;
        visitor.end(self.index);
        Ok(State::After)
    }

    fn key(&mut self, visitor: &mut impl Visitor) -> Result<State, NotJson> {
        if self.peek() != Some(b'"') {
            return Err(NotJson);
        }
        let place = self.string()?;
        visitor.key(place)?;
        self.skip_space();
        if self.peek() != Some(b':') {
            return Err(NotJson);
        }
        self.index += 1;
        Ok(State::Value)
    }

    fn value(&mut self, visitor: &mut impl Visitor) -> Result<State, NotJson> {
        let start = self.index;
        let first = self.peek().ok_or(NotJson)?;
        visitor.begin(start, first == b'n');
        match first {
            b'{' | b'[' => {
                self.index += 1;
                let (kind, state) = match first {
                    b'{' => (Container::Object, State::FirstKey),
                    _ => (Container::Array, State::FirstItem),
                };
                self.stack.push(kind);
                return Ok(state);
            }
            b'"' => {
                let place = self.string()?;
                visitor.string(place)?;
            }
            b'-' | b'0'..=b'9' => {
                self.number()?;
                visitor.number((start, self.index));
            }
            b't' => self.literal(b"true")?,
            b'f' => self.literal(b"false")?,
            b'n' => self.literal(b"null")?,
            _ => return Err(NotJson),
        }
        visitor.end(self.index);
        Ok(State::After)
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), NotJson> {
        let rest = self.bytes.get(self.index..).unwrap_or_default();
        self.index += word.len();
        if rest.starts_with(word) {
            Ok(())
        } else {
            Err(NotJson)
        }
    }

    /// The place inside the quotes. Escapes are stepped over here, and checked when they are decoded.
    fn string(&mut self) -> Result<Place, NotJson> {
        let start = self.index + 1;
        let mut index = start;
        loop {
            let rest = self.bytes.get(index..).ok_or(NotJson)?;
            let step = rest
                .iter()
                .position(|byte| matches!(byte, b'"' | b'\\' | ..0x20));
            index += step.ok_or(NotJson)?;
            match self.bytes.get(index) {
                Some(b'"') => break,
                Some(b'\\') => index += 2,
                _ => return Err(NotJson),
            }
        }
        self.index = index + 1;
        Ok((start, index))
    }

    fn number(&mut self) -> Result<(), NotJson> {
        if self.peek() == Some(b'-') {
            self.index += 1;
        }
        let starts_with_zero = self.peek() == Some(b'0');
        let whole = self.digits()?;
        if starts_with_zero && whole > 1 {
            return Err(NotJson);
        }
        if self.peek() == Some(b'.') {
            self.index += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.index += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.index += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<usize, NotJson> {
        let start = self.index;
        while let Some(b'0'..=b'9') = self.peek() {
            self.index += 1;
        }
        match self.index - start {
            0 => Err(NotJson),
            count => Ok(count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Visitor for Nothing {
        fn key(&mut self, _: Place) -> Result<(), NotJson> {
            Ok(())
        }
        fn begin(&mut self, _: usize, _: bool) {}
        fn string(&mut self, _: Place) -> Result<(), NotJson> {
            Ok(())
        }
        fn number(&mut self, _: Place) {}
        fn end(&mut self, _: usize) {}
    }

    #[test]
    fn takes_json_and_nothing_else() {
        let cases = [
            ("{}", true),
            (" [ ] ", true),
            (
                r#"{"a": [1, -0.5e+3, true, false, null, "x\"y"], "b": {}}"#,
                true,
            ),
            ("0", true),
            (r#""""#, true),
            ("", false),
            ("{", false),
            ("[1,]", false),
            (r#"{"a" 1}"#, false),
            (r#"{"a": 1,}"#, false),
            ("{1: 2}", false),
            ("[1}", false),
            ("[1] 2", false),
            ("007", false),
            ("1.", false),
            ("-", false),
            ("1e", false),
            ("tru", false),
            ("\"a\nb\"", false),
            (r#""a"#, false),
            (r#""a\"#, false),
            ("nul", false),
            ("word", false),
        ];
        for (text, want) in cases {
            assert_eq!(read(text, &mut Nothing).is_ok(), want, "{text}");
        }
    }

    #[test]
    fn depth_is_no_danger() {
        let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
        assert_eq!(read(&deep, &mut Nothing), Ok(()));
    }
}
