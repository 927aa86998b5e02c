//! `Mcp-Param-*`: a stateless call must say in its headers what it says in its arguments (MCP 2026-07-28, Streamable
//! HTTP, "Server Behavior for Custom Headers").
//!
//! Between the router, which knows the tool's definition, and the transforms, which may change what the client said.

use portcullis_protocol::mirrored::Received;

use crate::policy::Permitted;
use crate::refusal::Refusal;
use crate::router::Offer;

/// Holds the headers of a call against its arguments, as far as its tool's definition wants them there.
///
/// # Errors
/// 400 with -32020.
pub(super) fn check(call: &Permitted, offer: &Offer) -> Result<(), Refusal> {
    if !call.has_mirrors() || offer.mirrored.is_empty() {
        return Ok(());
    }
    let header = |name: &str| {
        let mut values = call.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Received::Absent,
            (Some(value), None) => value.to_str().map_or(Received::Unreadable, Received::Text),
            (Some(_), Some(_)) => Received::Unreadable,
        }
    };
    let arguments = call.message.arguments.as_deref();
    Ok(offer.mirrored.check(arguments, header)?)
}
