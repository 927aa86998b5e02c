//! An answer on its way back: into the words of the client's era, then, if it is a result, through the transforms.

use std::borrow::Cow;
use std::sync::Arc;

use http::StatusCode;
use portcullis_protocol::error::INTERNAL_ERROR;
use portcullis_protocol::revision::Era;
use portcullis_protocol::rounds::{self, Asked};
use portcullis_protocol::{bridge, splice};
use tracing::warn;

use crate::policy::Permitted;
use crate::refusal::Refusal;
use crate::seal::Seal;
use crate::upstream::UpstreamReply;

use super::{cache, tasks};

/// Whose answer it is.
pub(super) struct Source {
    era: Era,
    upstream: Arc<str>,
    seal: Arc<Seal>,
}

impl Source {
    pub(super) fn of(reply: &UpstreamReply, seal: &Arc<Seal>) -> Self {
        Self {
            era: reply.era,
            upstream: Arc::clone(reply.body.upstream()),
            seal: Arc::clone(seal),
        }
    }

    /// What a result asks of a client whose era knows no such results.
    pub(super) fn asks(&self, call: &Permitted, result: &str) -> Option<Asked> {
        let crosses = self.era == Era::Stateless && call.era == Era::Session;
        crosses.then(|| rounds::asked(result)).flatten()
    }
}

/// Whether an answer of that era may have to be changed on its way.
pub(super) fn may_edit(call: &Permitted, era: Era) -> bool {
    era != call.era
        || call.generation.chain.transforms_reply(call)
        || tasks::may_come(call)
        || cache::narrows(call)
}

/// A result through bridge and transforms; `None` leaves it as it is.
pub(super) async fn edit(
    call: &Permitted,
    source: &Source,
    (id, result): (&str, &str),
) -> Result<Option<Vec<u8>>, Refusal> {
    let bridged = bridged(call, source.era, result)?;
    let bridged = cache::narrowed(call, bridged).map_err(|_source| nonsense())?;
    let named = match tasks::may_come(call) {
        true => tasks::publish(&source.seal, call, &source.upstream, &bridged)
            .map_err(|_source| nonsense())?,
        false => Cow::Borrowed(bridged.as_ref()),
    };
    let raw = call.witness.is_some().then(|| named.clone().into_owned());
    let after = match call.generation.chain.transforms_reply(call) {
        true => Cow::Owned(
            call.generation
                .chain
                .transform_reply(call, named.into_owned())
                .await?,
        ),
        false => named,
    };
    if let Some(raw) = raw {
        call.note_result(&raw, &after);
    }
    let is_unchanged = after.as_ref() == result;
    Ok((!is_unchanged).then(|| portcullis_protocol::error::result_body(id, &after)))
}

/// A result in the words of the client's era.
fn bridged<'a>(call: &Permitted, era: Era, result: &'a str) -> Result<Cow<'a, str>, Refusal> {
    let method = call.message.method.as_deref().unwrap_or_default();
    match (era, call.era) {
        (Era::Session, Era::Stateless) => bridge::to_stateless_result(method, result).map_err(|_source| nonsense()),
        (Era::Stateless, Era::Session) => bridge::to_session_result(method, result).map_err(|err| {
            warn!(request_id = %call.request_id, error = %err, "a result does not cross the eras");
            Refusal::new(StatusCode::OK, INTERNAL_ERROR, "upstream-error", "the upstream asks for something that this protocol version cannot carry; use a newer client")
        }),
        (Era::Session, Era::Session) | (Era::Stateless, Era::Stateless) => Ok(Cow::Borrowed(result)),
    }
}

/// An answer that is an error, with the code that the client's revision has for it; `None` leaves it as it is.
pub(super) fn edit_error(call: &Permitted, answer: &str) -> Option<String> {
    let code = splice::get_pointer(answer, "/error/code")?.parse().ok()?;
    let method = call.message.method.as_deref().unwrap_or_default();
    let theirs = bridge::error_code_for(call.revision, method, code);
    let changed = splice::set_path(answer, &["error", "code"], &theirs.to_string());
    changed.ok().filter(|_| theirs != code)
}

/// What the caller learns of an answer that is none.
pub(super) fn nonsense() -> Refusal {
    let message = "the upstream answered with something that is no JSON-RPC response; tell the gateway's operator";
    Refusal::new(
        StatusCode::BAD_GATEWAY,
        INTERNAL_ERROR,
        "upstream-error",
        message,
    )
}
