//! Cursors: where the next page of a listing begins, sealed.
//!
//! A cursor holds the name of the last entry that its reader has seen, and the next page begins with the first name after
//! it. Lists are sorted by name, so this place exists in every catalogue, also in one that has lost the entry since: who
//! reads on gets every entry that stays exactly once. It is bound to tenant, server, list and principal.

use std::time::Duration;

use http::StatusCode;
use portcullis_protocol::error::INTERNAL_ERROR;
use portcullis_protocol::listing::ListKind;
use portcullis_protocol::splice;
use tracing::error;

use crate::policy::Permitted;
use crate::refusal::Refusal;
use crate::seal::{Purpose, Seal, SealError};

/// How long a reader may take for the next page.
const LIFETIME: Duration = Duration::from_secs(3_600);

/// The name after which the page begins; none for the first page, which `""` asks for as well.
///
/// # Errors
/// -32602 for anything that was not given out with this listing.
pub(super) fn position(
    seal: &Seal,
    call: &Permitted,
    kind: ListKind,
) -> Result<Option<String>, Refusal> {
    let params = call.message.params.as_deref();
    let raw = params.and_then(|params| splice::get_member(params, "cursor"));
    let Some(raw) = raw.filter(|raw| *raw != "null") else {
        return Ok(None);
    };
    let cursor: String = serde_json::from_str(raw)
        .map_err(|_not_a_string| Refusal::params("`params.cursor` must be a string"))?;
    if cursor.is_empty() {
        return Ok(None);
    }
    let opened = seal.open(Purpose::Cursor, &binding(call, kind), &cursor);
    let name = opened.map_err(|err| match err {
        SealError::Foreign | SealError::TooLarge => {
            Refusal::params("this cursor is not from this listing; list again without one")
        }
        SealError::Expired => Refusal::params("this cursor has expired; list again without one"),
    })?;
    // Only names are sealed.
    Ok(Some(String::from_utf8_lossy(&name).into_owned()))
}

/// The cursor of the page that follows this name.
///
/// # Errors
/// A name larger than anything that is received.
pub(super) fn seal(
    seal: &Seal,
    call: &Permitted,
    kind: ListKind,
    name: &str,
) -> Result<String, Refusal> {
    let sealed = seal.seal(
        Purpose::Cursor,
        &binding(call, kind),
        name.as_bytes(),
        LIFETIME,
    );
    sealed.map_err(|err| {
        error!(request_id = %call.request_id, error = %err, "a cursor was not sealed");
        Refusal::new(
            StatusCode::OK,
            INTERNAL_ERROR,
            "error",
            "the rest of this listing cannot be had",
        )
    })
}

fn binding(call: &Permitted, kind: ListKind) -> [&str; 4] {
    [
        &call.generation.tenant,
        &call.server.name,
        kind.method(),
        call.principal(),
    ]
}
