//! Between rows and values: JSON documents, unsigned numbers, the clock.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store::StoreError;

/// A document as text.
pub(super) fn to_text<T: Serialize>(
    what: &'static str,
    document: &T,
) -> Result<String, StoreError> {
    serde_json::to_string(document).map_err(|source| StoreError::Document { what, source })
}

/// A document from text.
pub(super) fn from_text<T: DeserializeOwned>(
    what: &'static str,
    text: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|source| StoreError::Document { what, source })
}

/// SQLite's integers are signed.
pub(super) fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number that was stored from an unsigned one.
pub(super) fn to_u64(what: &'static str, number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).ok().ok_or(StoreError::Range { what })
}
