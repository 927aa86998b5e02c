//! Tool arguments that calls repeat in headers: `x-mcp-header` in a tool's input schema, `Mcp-Param-*` in its calls.
//!
//! The router reads definitions with [`Mirrored::parse`]. The pipeline then holds a stateless client's headers against
//! its arguments, and upstreams are sent the headers of arguments that a client without such headers, or a policy, wrote.
//! (MCP 2026-07-28, Streamable HTTP, "Custom Headers from Tool Parameters".)

use std::borrow::Cow;

use serde_json::Value;

use crate::error::HEADER_MISMATCH;
use crate::headers::{decode_value, encode_value};
use crate::splice;
use crate::text;

mod schema;

pub use schema::InvalidMirror;
use schema::KEYWORD;

/// The largest integer that every reader of JSON holds exactly: 2^53 - 1.
const INTEGER_MAX: f64 = 9_007_199_254_740_991.0;

/// The arguments of one tool that its calls repeat in headers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirrored(Box<[Argument]>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Argument {
    /// In lower case, with the prefix.
    header: Box<str>,
    /// Property names, from the arguments down.
    path: Box<[Box<str>]>,
}

/// A header that does not say what the body says. The text is meant for the caller; it repeats no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The argument has a value and the header is not there.
    #[error(
        "Header mismatch: the {header} header is missing. Send the argument \"{argument}\" in it, as tools/list says."
    )]
    Missing {
        /// Its name.
        header: String,
        /// The argument's path.
        argument: String,
    },
    /// The header is there and the argument has no value.
    #[error(
        "Header mismatch: there is a {header} header and no argument \"{argument}\". Send both or none."
    )]
    Unexpected {
        /// Its name.
        header: String,
        /// The argument's path.
        argument: String,
    },
    /// The header occurs twice, is not text, or is not encoded as it claims.
    #[error(
        "Header mismatch: the {header} header cannot be read. Send it once, as plain ASCII or as =?base64?...?=."
    )]
    Unreadable {
        /// Its name.
        header: String,
    },
    /// They differ.
    #[error(
        "Header mismatch: the {header} header does not say what the argument \"{argument}\" says. Send the same in both."
    )]
    Differs {
        /// Its name.
        header: String,
        /// The argument's path.
        argument: String,
    },
}

impl Mismatch {
    /// The HTTP status to answer with.
    #[must_use]
    pub fn http_status(&self) -> u16 {
        400
    }

    /// The JSON-RPC code to answer with.
    #[must_use]
    pub fn code(&self) -> i32 {
        HEADER_MISMATCH
    }

    /// What the caller may read: what is wrong, and what to do.
    #[must_use]
    pub fn public_message(&self) -> String {
        self.to_string()
    }
}

/// A header of a call, as it was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received<'a> {
    /// It is not there.
    Absent,
    /// It occurs once, and is text.
    Text(&'a str),
    /// It occurs twice, or is not text.
    Unreadable,
}

impl Mirrored {
    /// Reads a tool's definition. Most have no such argument, and saying so needs no parser.
    ///
    /// # Errors
    /// When the tool must be left out: clients that follow the specification would leave it out too.
    pub fn parse(definition: &str) -> Result<Self, InvalidMirror> {
        // A key may be spelt with escapes.
        if !definition.contains(KEYWORD) && !definition.contains("\\u") {
            return Ok(Self::default());
        }
        let schema = splice::get_member(definition, "inputSchema");
        let schema: Value = schema
            .and_then(|schema| serde_json::from_str(schema).ok())
            .unwrap_or_default();
        Ok(Self(schema::arguments(&schema)?.into()))
    }

    /// Whether no argument is repeated.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a header, in lower case, is one of an argument's.
    #[must_use]
    pub fn has(&self, header: &str) -> bool {
        self.0.iter().any(|argument| *argument.header == *header)
    }

    /// Holds the headers of a call against its arguments, a JSON object; `header` finds one by its name in lower case.
    ///
    /// # Errors
    /// The first that does not say what the argument says.
    pub fn check<'h>(
        &self,
        arguments: Option<&str>,
        header: impl Fn(&str) -> Received<'h>,
    ) -> Result<(), Mismatch> {
        self.0.iter().try_for_each(|argument| {
            let written = arguments.and_then(|arguments| argument.of(arguments));
            argument.check(written, header(&argument.header))
        })
    }

    /// The headers of a call with these arguments, a JSON object: names in lower case, and encoded values.
    pub fn headers<'a>(
        &'a self,
        arguments: &'a str,
    ) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> {
        self.0.iter().filter_map(|argument| {
            let value = match argument.of(arguments)?.as_text() {
                Cow::Borrowed(plain) => encode_value(plain),
                Cow::Owned(text) => Cow::Owned(encode_value(&text).into_owned()),
            };
            Some((&*argument.header, value))
        })
    }
}

/// A value that can stand in a header, as it is written in the arguments.
enum Written<'a> {
    Text(Cow<'a, str>),
    /// Digits, perhaps with a sign, a fraction and an exponent.
    Number(&'a str),
}

impl<'a> Written<'a> {
    /// `None` for `null`, objects and arrays, which no header repeats.
    fn parse(raw: &'a str) -> Option<Self> {
        match raw.as_bytes().first()? {
            b'"' => text::string(raw).map(Self::Text),
            b't' | b'f' => Some(Self::Text(Cow::Borrowed(raw))),
            b'-' | b'0'..=b'9' => Some(Self::Number(raw)),
            _ => None,
        }
    }

    fn as_text(&self) -> Cow<'a, str> {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(raw) => integer(raw).map_or(Cow::Borrowed(*raw), Cow::Owned),
        }
    }

    fn is_said_by(&self, header: &str) -> bool {
        match self {
            Self::Text(text) => *text == header,
            Self::Number(raw) => *raw == header || is_same_number(raw, header),
        }
    }
}

/// A number that is written with a fraction or an exponent, and is an integer all the same.
fn integer(raw: &str) -> Option<String> {
    let value: f64 = raw.parse().ok()?;
    let is_integer = value.fract() == 0.0 && value.abs() <= INTEGER_MAX;
    (is_integer && raw.contains(['.', 'e', 'E'])).then(|| format!("{value:.0}"))
}

/// Whether two numbers, written as JSON writes them, are equal; those that not every reader holds exactly never are.
fn is_same_number(one: &str, other: &str) -> bool {
    let number = |text| serde_json::from_str::<f64>(text).ok();
    match (number(one), number(other)) {
        (Some(one), Some(other)) => one == other && one.abs() <= INTEGER_MAX,
        (Some(_) | None, _) => false,
    }
}

impl Argument {
    /// Its value in the arguments of a call.
    fn of<'a>(&self, arguments: &'a str) -> Option<Written<'a>> {
        let raw = self
            .path
            .iter()
            .try_fold(arguments, |object, key| splice::get_member(object, key))?;
        Written::parse(raw)
    }

    fn check(&self, written: Option<Written<'_>>, received: Received<'_>) -> Result<(), Mismatch> {
        let (header, argument) = (|| self.header.to_string(), || self.path.join("."));
        match (written, received) {
            (None, Received::Absent) => Ok(()),
            (Some(_), Received::Absent) => Err(Mismatch::Missing {
                header: header(),
                argument: argument(),
            }),
            (_, Received::Unreadable) => Err(Mismatch::Unreadable { header: header() }),
            (None, Received::Text(_)) => Err(Mismatch::Unexpected {
                header: header(),
                argument: argument(),
            }),
            (Some(written), Received::Text(text)) => match decode_value(text) {
                None => Err(Mismatch::Unreadable { header: header() }),
                Some(said) if written.is_said_by(&said) => Ok(()),
                Some(_) => Err(Mismatch::Differs {
                    header: header(),
                    argument: argument(),
                }),
            },
        }
    }
}

#[cfg(test)]
mod tests;
