//! Which era a message belongs to, and whether its headers and its body agree on it.
//!
//! The listener calls [`classify`] right after the envelope was read and before anything else happens: a message whose
//! headers say one thing and whose body another must not reach a policy. Nothing here knows sessions; the session room
//! looks up the id that the listener found.

use serde_json::value::RawValue;

use crate::envelope::{Message, Request};
use crate::headers;
use crate::params::{META_CLIENT_CAPABILITIES, META_PROTOCOL_VERSION, Meta, Target};
use crate::revision::{Revision, knows_method};

pub use crate::revision::Era;

mod refusal;

pub use refusal::Refusal;

/// The headers of a request that matter here, as they were received.
///
/// A header that came more than once, or is not text, must be refused by the listener: see [`Refusal::BadHeader`].
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestHeaders<'a> {
    /// `MCP-Protocol-Version`.
    pub protocol_version: Option<&'a str>,
    /// `Mcp-Method`.
    pub method: Option<&'a str>,
    /// `Mcp-Name`.
    pub name: Option<&'a str>,
    /// `Mcp-Session-Id`.
    pub session_id: Option<&'a str>,
}

impl RequestHeaders<'_> {
    /// The revision that a session-era message is written in; without a header it is the one that had none yet.
    ///
    /// # Errors
    /// When the header names no revision of the session era.
    pub fn session_revision(&self) -> Result<Revision, Refusal> {
        let Some(named) = self.protocol_version else {
            return Ok(Revision::UNNAMED);
        };
        Revision::parse(named)
            .filter(|revision| revision.era() == Era::Session)
            .ok_or_else(|| Refusal::unsupported(named))
    }
}

/// Decides the era of a message and checks what that era asks of its headers and `_meta`.
///
/// A revision of the stateless era in the `MCP-Protocol-Version` header or in `_meta`, `server/discover`, and (outside
/// a session) `Mcp-Method` or `Mcp-Name` mean stateless. A plain `initialize` and everything else belong to sessions.
///
/// # Errors
/// With the status, code and text that the specification gives each disagreement.
pub fn classify(headers: &RequestHeaders<'_>, message: &Message<'_>) -> Result<Era, Refusal> {
    match message {
        Message::Request(request) => classify_request(headers, request),
        // Only requests carry the per-request fields, so for these the headers alone decide.
        Message::Notification(_) => match era_of_headers(headers) {
            Some(Era::Stateless) => {
                check_version(headers.protocol_version.ok_or(NO_VERSION)?)?;
                Ok(Era::Stateless)
            }
            Some(Era::Session) | None => headers.session_revision().map(|_| Era::Session),
        },
        Message::Response(_) => match era_of_headers(headers) {
            Some(Era::Stateless) => Err(Refusal::StatelessResponse),
            Some(Era::Session) | None => headers.session_revision().map(|_| Era::Session),
        },
    }
}

/// As [`classify`], for a message in a frame. A frame has no headers, so its body says everything, and what says nothing
/// belongs to the session where `initialize` has opened one.
///
/// # Errors
/// As [`classify`].
pub fn classify_frame(message: &Message<'_>, in_session: bool) -> Result<Era, Refusal> {
    match message {
        Message::Request(request) => {
            let meta = Meta::of(request.params);
            let is_stateless = declares_stateless(&meta) || request.method == "server/discover";
            if is_plain_initialize(request, &meta) || !is_stateless {
                return Ok(Era::Session);
            }
            check_meta(&meta)?;
            check_known(&request.method)?;
            Ok(Era::Stateless)
        }
        Message::Notification(_) if !in_session => Ok(Era::Stateless),
        Message::Notification(_) | Message::Response(_) => Ok(Era::Session),
    }
}

const NO_VERSION: Refusal = Refusal::MissingHeader {
    header: "MCP-Protocol-Version",
};

fn classify_request(headers: &RequestHeaders<'_>, request: &Request<'_>) -> Result<Era, Refusal> {
    let meta = Meta::of(request.params);
    if is_plain_initialize(request, &meta) {
        return Ok(Era::Session);
    }
    // When the two disagree, the stricter era says how.
    let stateless = declares_stateless(&meta) || era_of_headers(headers) == Some(Era::Stateless);
    if stateless || request.method == "server/discover" {
        check_stateless(headers, request, &meta)?;
        return Ok(Era::Stateless);
    }
    headers.session_revision()?;
    Ok(Era::Session)
}

/// An `initialize` that negotiates the version itself: whatever a header says is only the client's hope.
fn is_plain_initialize(request: &Request<'_>, meta: &Meta<'_>) -> bool {
    let declared = meta.protocol_version.as_deref().and_then(Revision::parse);
    request.method == "initialize" && declared.map(Revision::era) != Some(Era::Stateless)
}

/// Whether the body names a version that has no sessions, or one that is not known.
fn declares_stateless(meta: &Meta<'_>) -> bool {
    meta.protocol_version.as_deref().is_some_and(|version| {
        Revision::parse(version).is_none_or(|revision| revision.era() == Era::Stateless)
    })
}

/// What the headers alone say. An unknown version says nothing: it may be older or newer.
fn era_of_headers(headers: &RequestHeaders<'_>) -> Option<Era> {
    match headers.protocol_version {
        Some(version) => Revision::parse(version).map(Revision::era),
        None if headers.session_id.is_some() => Some(Era::Session),
        None => (headers.method.is_some() || headers.name.is_some()).then_some(Era::Stateless),
    }
}

/// Everything that a stateless request must satisfy, in the order in which a client would want to hear of it.
fn check_stateless(
    headers: &RequestHeaders<'_>,
    request: &Request<'_>,
    meta: &Meta<'_>,
) -> Result<(), Refusal> {
    let named = headers.protocol_version.ok_or(NO_VERSION)?;
    match meta.protocol_version.as_deref() {
        Some(declared) if declared != named => {
            return Err(Refusal::mismatch("MCP-Protocol-Version", named, declared));
        }
        Some(_) | None => check_meta(meta)?,
    }
    check_method(headers, &request.method)?;
    check_name(headers, &request.method, request.params)
}

/// What `_meta` must say of a stateless request.
fn check_meta(meta: &Meta<'_>) -> Result<(), Refusal> {
    let mut missing = Vec::new();
    match meta.protocol_version.as_deref() {
        None => missing.push(META_PROTOCOL_VERSION),
        Some(declared) => check_version(declared)?,
    }
    if meta.client_capabilities.is_none() {
        missing.push(META_CLIENT_CAPABILITIES);
    }
    match missing.is_empty() {
        true => Ok(()),
        false => Err(Refusal::MissingMeta { keys: missing }),
    }
}

fn check_version(version: &str) -> Result<(), Refusal> {
    match Revision::parse(version).map(Revision::era) {
        Some(Era::Stateless) => Ok(()),
        Some(Era::Session) | None => Err(Refusal::unsupported(version)),
    }
}

fn check_method(headers: &RequestHeaders<'_>, method: &str) -> Result<(), Refusal> {
    let named = headers.method.ok_or(Refusal::MissingHeader {
        header: "Mcp-Method",
    })?;
    if named != method {
        return Err(Refusal::mismatch("Mcp-Method", named, method));
    }
    check_known(method)
}

fn check_known(method: &str) -> Result<(), Refusal> {
    if knows_method(Era::Stateless, method) {
        Ok(())
    } else {
        Err(Refusal::method_not_found(method))
    }
}

/// `Mcp-Name` must be the tool, prompt, resource or task that the body names. Where the body fails to name one, the
/// method's own check of its parameters says so better.
fn check_name(
    headers: &RequestHeaders<'_>,
    method: &str,
    params: Option<&RawValue>,
) -> Result<(), Refusal> {
    if method == "completion/complete" {
        return Ok(());
    }
    let target = Target::of(method, params);
    let Some(expected) = target.as_str() else {
        return Ok(());
    };
    let named = headers
        .name
        .ok_or(Refusal::MissingHeader { header: "Mcp-Name" })?;
    let decoded = headers::decode_value(named).ok_or(Refusal::BadHeader { header: "Mcp-Name" })?;
    if decoded == expected {
        Ok(())
    } else {
        Err(Refusal::mismatch("Mcp-Name", &decoded, expected))
    }
}

#[cfg(test)]
mod tests;
