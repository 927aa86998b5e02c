//! What stateless clients may reuse, and who: hints of results (MCP 2026-07-28, "Caching").
//!
//! An upstream says what it knows of its own result. What is public there is not public here as soon as a policy stands
//! before it: a cache that serves everybody would be a way around the chain.

use std::borrow::Cow;

use portcullis_protocol::listing::{CacheHint, CacheScope};
use portcullis_protocol::revision::Era;
use portcullis_protocol::splice::{self, SpliceError};

use crate::policy::Permitted;

/// The hint of a result that the gateway makes itself; none for clients that know no hints.
pub(super) fn hint(call: &Permitted, hint: CacheHint) -> Option<CacheHint> {
    let scope = match call.generation.chain.guards(call) {
        true => CacheScope::Private,
        false => hint.scope,
    };
    let ttl_ms = hint.ttl_ms;
    (call.era == Era::Stateless).then_some(CacheHint { ttl_ms, scope })
}

/// Whether an upstream's hint may have to be narrowed.
pub(super) fn narrows(call: &Permitted) -> bool {
    call.era == Era::Stateless
        && call.message.method.as_deref() == Some("resources/read")
        && call.generation.chain.guards(call)
}

/// An upstream's result with the hint that its client may have.
pub(super) fn narrowed<'a>(
    call: &Permitted,
    result: Cow<'a, str>,
) -> Result<Cow<'a, str>, SpliceError> {
    if !narrows(call) || CacheHint::of(&result).scope == CacheScope::Private {
        return Ok(result);
    }
    let private = format!("\"{}\"", CacheScope::Private.as_str());
    splice::set_member(&result, "cacheScope", &private).map(Cow::Owned)
}
