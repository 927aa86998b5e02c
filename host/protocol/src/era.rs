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

const NO_VERSION: Refusal = Refusal::MissingHeader {
    header: "MCP-Protocol-Version",
};

fn classify_request(headers: &RequestHeaders<'_>, request: &Request<'_>) -> Result<Era, Refusal> {
    let meta = Meta::of(request.params);
    let declared = meta.protocol_version.as_deref();
    if request.method == "initialize"
        && declared.and_then(Revision::parse).map(Revision::era) != Some(Era::Stateless)
    {
        // It negotiates the version itself; whatever the header says is only the client's hope.
        return Ok(Era::Session);
    }
    // When the two disagree, the stricter era says how.
    let declares = declared.is_some_and(|version| {
        Revision::parse(version).is_none_or(|revision| revision.era() == Era::Stateless)
    });
    let stateless = declares || era_of_headers(headers) == Some(Era::Stateless);
    if stateless || request.method == "server/discover" {
        check_stateless(headers, request, &meta)?;
        return Ok(Era::Stateless);
    }
    headers.session_revision()?;
    Ok(Era::Session)
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
    let mut missing = Vec::new();
    match meta.protocol_version.as_deref() {
        None => missing.push(META_PROTOCOL_VERSION),
        Some(declared) if declared != named => {
            return Err(Refusal::mismatch("MCP-Protocol-Version", named, declared));
        }
        Some(declared) => check_version(declared)?,
    }
    if meta.client_capabilities.is_none() {
        missing.push(META_CLIENT_CAPABILITIES);
    }
    if !missing.is_empty() {
        return Err(Refusal::MissingMeta { keys: missing });
    }
    check_method(headers, &request.method)?;
    check_name(headers, &request.method, request.params)
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
