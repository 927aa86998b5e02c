//! Why a body is refused as a message, in words for the caller.
//!
//! Made by [`super::parse`]; written out by the listener, which adds the id from [`super::id_of_refused`].

use crate::error::{INVALID_REQUEST, PARSE_ERROR};

/// Why a body is not one JSON-RPC message. The text of each is meant for the caller.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Bytes that are not UTF-8.
    #[error("The body is not valid UTF-8. Send JSON encoded as UTF-8.")]
    NotUtf8(#[source] std::str::Utf8Error),
    /// Text that is not JSON.
    #[error(
        "The body is not valid JSON (line {line}, column {column}). Send one JSON-RPC 2.0 message."
    )]
    NotJson {
        /// Line of the fault, from 1.
        line: usize,
        /// Column of the fault, from 1.
        column: usize,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// A JSON array.
    #[error("JSON-RPC batches are not accepted here. Send each message in a request of its own.")]
    Batch,
    /// JSON that is neither an object nor an array.
    #[error("The body is not a JSON object. Send one JSON-RPC 2.0 message.")]
    NotAnObject,
    /// A member that occurs twice.
    #[error("The member \"{0}\" occurs more than once. Send it once.")]
    Duplicate(&'static str),
    /// `jsonrpc` is absent or not `"2.0"`.
    #[error("The member \"jsonrpc\" must be \"2.0\".")]
    Version,
    /// `id` is `null` on a message with a method.
    #[error(
        "The member \"id\" must not be null. Use a string or an integer, or leave it out to send a notification."
    )]
    NullId,
    /// `id` is a number with a fraction or an exponent.
    #[error(
        "The member \"id\" must be a string or an integer; a fractional number cannot be matched reliably."
    )]
    FractionalId,
    /// `id` is neither a string nor a number.
    #[error("The member \"id\" must be a string or an integer.")]
    BadId,
    /// `method` is not a string.
    #[error("The member \"method\" must be a string.")]
    BadMethod,
    /// `params` is neither an object nor `null`.
    #[error(
        "The member \"params\" must be an object. Name the parameters instead of listing them."
    )]
    BadParams,
    /// Both `result` and `error`.
    #[error("A response carries either \"result\" or \"error\", not both.")]
    ResultAndError,
    /// `method` beside `result` or `error`.
    #[error("A message with \"method\" must not carry \"result\" or \"error\".")]
    MethodAndOutcome,
    /// Neither `method` nor `result` nor `error`.
    #[error(
        "The message carries neither \"method\" nor \"result\" nor \"error\". Add the one that it is about."
    )]
    Empty,
    /// A `result` without an id.
    #[error("A response with \"result\" must carry the \"id\" of its request.")]
    ResultWithoutId,
    /// More messages in a batch than allowed.
    #[error("The batch holds more than {len_max} messages. Send fewer at a time.")]
    BatchTooLong {
        /// The most messages that a batch may hold.
        len_max: usize,
    },
    /// A batch of no messages.
    #[error("The batch is empty. Send at least one message.")]
    BatchEmpty,
}

impl EnvelopeError {
    /// The JSON-RPC code to answer with.
    #[must_use]
    pub fn code(&self) -> i32 {
        match self {
            EnvelopeError::NotUtf8(_) | EnvelopeError::NotJson { .. } => PARSE_ERROR,
            EnvelopeError::Batch
            | EnvelopeError::NotAnObject
            | EnvelopeError::Duplicate(_)
            | EnvelopeError::Version
            | EnvelopeError::NullId
            | EnvelopeError::FractionalId
            | EnvelopeError::BadId
            | EnvelopeError::BadMethod
            | EnvelopeError::BadParams
            | EnvelopeError::ResultAndError
            | EnvelopeError::MethodAndOutcome
            | EnvelopeError::Empty
            | EnvelopeError::ResultWithoutId
            | EnvelopeError::BatchTooLong { .. }
            | EnvelopeError::BatchEmpty => INVALID_REQUEST,
        }
    }

    /// The HTTP status to answer with.
    #[must_use]
    pub fn http_status(&self) -> u16 {
        400
    }

    /// What the caller may read: what is wrong, and what to do.
    #[must_use]
    pub fn public_message(&self) -> String {
        self.to_string()
    }
}
