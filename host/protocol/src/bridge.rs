//! Requests and results carried from one era to the other, by splicing alone.
//!
//! An upstream that speaks another era than the client gets the message that its own era would have made: the
//! per-request fields of `_meta` are added or taken away, and so are `resultType` and the cache hints of results.
//! Conversations (sampling, elicitation, multi-round-trip requests) need state and are not the business of this file.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::error::{INVALID_PARAMS, RESOURCE_NOT_FOUND};
use crate::headers;
use crate::params::{
    META_CLIENT_CAPABILITIES, META_CLIENT_INFO, META_LOG_LEVEL, META_PROTOCOL_VERSION,
    META_SERVER_INFO, Target,
};
use crate::revision::{Revision, is_cacheable};
use crate::splice::{self, SpliceError};
use crate::text;

/// What a stateless request says about its sender; the texts are JSON.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'a> {
    /// The revision that the request is written in.
    pub revision: Revision,
    /// Name and version, an object.
    pub client_info: Option<&'a str>,
    /// What the sender can do, an object.
    pub capabilities: &'a str,
    /// The least severe log message wanted, such as `info`.
    pub log_level: Option<&'a str>,
}

/// The headers that mirror a stateless request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatelessHeaders<'a> {
    /// `MCP-Protocol-Version`.
    pub protocol_version: &'static str,
    /// `Mcp-Method`.
    pub method: &'a str,
    /// `Mcp-Name`, encoded, for methods that name something.
    pub name: Option<String>,
}

/// The headers for a request with this method and these params.
#[must_use]
pub fn stateless_headers<'a>(
    revision: Revision,
    method: &'a str,
    params: Option<&RawValue>,
) -> StatelessHeaders<'a> {
    let target = if method == "completion/complete" {
        Target::None
    } else {
        Target::of(method, params)
    };
    StatelessHeaders {
        protocol_version: revision.as_str(),
        method,
        name: target
            .as_str()
            .map(|name| headers::encode_value(name).into_owned()),
    }
}

/// `params` as a stateless server wants them: the sender's fields set in `_meta`, everything else as it was.
///
/// # Errors
/// When the params, or `_meta` in them, are not a JSON object.
pub fn to_stateless_params(
    params: Option<&str>,
    sender: &Sender<'_>,
) -> Result<String, SpliceError> {
    let params = params.unwrap_or("{}");
    let mut meta = Cow::Borrowed(splice::get_member(params, "_meta").unwrap_or("{}"));
    let revision = text::quote(sender.revision.as_str());
    let log_level = sender.log_level.map(text::quote);
    for (key, value) in [
        (META_PROTOCOL_VERSION, Some(revision.as_str())),
        (META_CLIENT_INFO, sender.client_info),
        (META_CLIENT_CAPABILITIES, Some(sender.capabilities)),
        (META_LOG_LEVEL, log_level.as_deref()),
    ] {
        if let Some(value) = value {
            meta = Cow::Owned(splice::set_member(&meta, key, value)?);
        }
    }
    splice::set_member(params, "_meta", &meta)
}

/// `params` as a session-era server knows them: without the sender's fields, and without `_meta` when nothing is left
/// in it.
///
/// # Errors
/// When the params, or `_meta` in them, are not a JSON object.
pub fn to_session_params(params: &str) -> Result<String, SpliceError> {
    let Some(meta) = splice::get_member(params, "_meta") else {
        return Ok(params.to_owned());
    };
    let keys = [
        META_PROTOCOL_VERSION,
        META_CLIENT_INFO,
        META_CLIENT_CAPABILITIES,
        META_LOG_LEVEL,
    ];
    with_meta_stripped(params, meta, &keys)
}

/// A session-era server's result as a stateless client needs it: `resultType` is added, and the cache hints where the
/// method's results carry them. What is there already stays.
///
/// # Errors
/// When the result is not a JSON object.
pub fn to_stateless_result<'a>(method: &str, result: &'a str) -> Result<Cow<'a, str>, SpliceError> {
    let mut result = Cow::Borrowed(result);
    let mut add = |key, value| -> Result<(), SpliceError> {
        if splice::get_member(&result, key).is_none() {
            result = Cow::Owned(splice::set_member(&result, key, value)?);
        }
        Ok(())
    };
    add("resultType", r#""complete""#)?;
    if is_cacheable(method) {
        add("ttlMs", "0")?;
        add("cacheScope", r#""private""#)?;
    }
    Ok(result)
}

/// A stateless server's result as a session-era client knows it: without `resultType`, cache hints and the server's
/// identity in `_meta`.
///
/// # Errors
/// [`BridgeError::NotComplete`] when the server wants something first; [`BridgeError::Splice`] when the result is not
/// a JSON object.
pub fn to_session_result<'a>(method: &str, result: &'a str) -> Result<Cow<'a, str>, BridgeError> {
    if let Some(kind) =
        splice::get_member(result, "resultType").map(|raw| text::string(raw).unwrap_or_default())
        && kind != "complete"
    {
        return Err(BridgeError::NotComplete {
            result_type: kind.into_owned(),
        });
    }
    let hints: &[&str] = if is_cacheable(method) {
        &["ttlMs", "cacheScope"]
    } else {
        &[]
    };
    let mut result = Cow::Borrowed(result);
    for key in std::iter::once(&"resultType").chain(hints) {
        if splice::get_member(&result, key).is_some() {
            result = Cow::Owned(splice::remove_member(&result, key)?);
        }
    }
    match splice::get_member(&result, "_meta") {
        Some(meta) if splice::get_member(meta, META_SERVER_INFO).is_some() => Ok(Cow::Owned(
            with_meta_stripped(&result, meta, &[META_SERVER_INFO])?,
        )),
        Some(_) | None => Ok(result),
    }
}

/// An error code as a client of that revision knows it: only "resource not found" has changed.
#[must_use]
pub fn error_code_for(revision: Revision, method: &str, code: i64) -> i64 {
    let theirs = revision.rules().resource_not_found;
    if code == i64::from(RESOURCE_NOT_FOUND)
        && theirs == INVALID_PARAMS
        && method.starts_with("resources/")
    {
        return i64::from(theirs);
    }
    code
}

/// Why a result cannot cross.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BridgeError {
    /// The result is a step of a conversation, not the end.
    #[error("the result is `{result_type}`, which a session-era client does not know")]
    NotComplete {
        /// The result's `resultType`.
        result_type: String,
    },
    /// The result is not what it should be.
    #[error("the result cannot be edited")]
    Splice(#[from] SpliceError),
}

/// `text` with those keys taken out of its `_meta`, and without `_meta` when nothing is left in it.
fn with_meta_stripped(object: &str, meta: &str, keys: &[&str]) -> Result<String, SpliceError> {
    let mut rest = Cow::Borrowed(meta);
    for key in keys {
        if splice::get_member(&rest, key).is_some() {
            rest = Cow::Owned(splice::remove_member(&rest, key)?);
        }
    }
    if matches!(rest, Cow::Borrowed(_)) {
        return Ok(object.to_owned());
    }
    let emptied = text::members(&rest).is_ok_and(|left| left.members.is_empty());
    if emptied {
        splice::remove_member(object, "_meta")
    } else {
        splice::set_member(object, "_meta", &rest)
    }
}

#[cfg(test)]
mod tests;
