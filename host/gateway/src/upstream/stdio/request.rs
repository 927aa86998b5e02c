//! A request on its way into a process: under an id of the process's own, with its place among those who wait.
//!
//! `stdio` and `wishes` prepare requests here and queue the line; what comes back finds its caller through `pending`.

use std::sync::Arc;

use bytes::Bytes;
use portcullis_protocol::revision::Era;
use portcullis_protocol::splice::SpliceError;

use super::Setup;
use super::process::{self, Process};
use crate::model::ProcessScope;
use crate::upstream::error::UpstreamError;
use crate::upstream::outgoing::{self, Outgoing};
use crate::upstream::pending::{Caller, OnLeave, may_ask};
use crate::upstream::waiting::Waiting;

/// The request of a conversation's caller: the wait for its response, and the line to send.
pub(super) fn of_caller(
    process: &Arc<Process>,
    uid: u64,
    out: &Outgoing<'_>,
) -> Result<(Waiting, Bytes), UpstreamError> {
    let id = process.pending.next_id();
    let own = id.to_string();
    let composed = outgoing::compose(out, process.era(), process.revision(), Some(&own))
        .map_err(|source| untranslatable(&process.setup, source))?;
    let on_leave = match out.era {
        // To leave is not to cancel, in sessions.
        Era::Session => OnLeave::Nothing,
        Era::Stateless => OnLeave::Cancel,
    };
    let caller = Caller {
        conversation: uid,
        id: Box::from(out.id),
        token: composed.token,
        is_open: process.audience.scope() == ProcessScope::Session && may_ask(out.method),
    };
    let waiting = process.register(id, caller, on_leave)?;
    Ok((waiting, process::line(&composed.body)))
}

/// A request of the gateway's own; `params` are JSON text.
pub(super) fn of_gateway(
    process: &Arc<Process>,
    method: &str,
    params: &str,
    on_leave: OnLeave,
) -> Result<(Waiting, Bytes), UpstreamError> {
    let id = process.pending.next_id();
    let message = outgoing::message(Some(&id.to_string()), method, Some(params));
    let waiting = process.register(id, Caller::gateway(id), on_leave)?;
    Ok((waiting, process::line(&message)))
}

/// Sends a request of the gateway's own whose answer nobody wants, if there is room for it.
pub(super) fn forget(process: &Arc<Process>, method: &str, params: &str) {
    let asked = process.room_now().and_then(|room| {
        let (_answer, line) = of_gateway(process, method, params, OnLeave::Stay).ok()?;
        room.send(line);
        Some(())
    });
    if asked.is_none() {
        tracing::debug!(upstream = %process.setup.name, method, "process was not asked");
    }
}

pub(super) fn untranslatable(setup: &Setup, source: SpliceError) -> UpstreamError {
    UpstreamError::Params {
        upstream: Arc::clone(&setup.name),
        source,
    }
}
