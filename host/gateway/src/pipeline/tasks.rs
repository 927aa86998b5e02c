//! Tasks: work that outlives its call, asked for by id (MCP 2025-11-25, "Tasks"; the extension of 2026-07-28).
//!
//! A task stays on the upstream that made it. Its id names that upstream, under the gateway's mark and bound to its
//! principal, so that any replica of the gateway finds the way and nobody else gets there.

use std::borrow::Cow;
use std::sync::Arc;

use http::StatusCode;
use portcullis_protocol::error::MISSING_CAPABILITY;
use portcullis_protocol::revision::Era;
use portcullis_protocol::splice::SpliceError;
use portcullis_protocol::tasks;
use serde_json::value::RawValue;

use crate::listener::Reply;
use crate::policy::Permitted;
use crate::refusal::Refusal;
use crate::seal::{Purpose, Seal};
use crate::upstream::{Outgoing, Upstream};

use super::ask::Sent;
use super::{Pipeline, ask, back};

impl Pipeline {
    /// `tasks/get`, `tasks/result`, `tasks/update`, `tasks/cancel`: to the upstream that made the task.
    pub(super) async fn ask_task(&self, call: Permitted) -> Result<Reply, Refusal> {
        let params = call.message.params.clone().unwrap_or_default();
        if call.era == Era::Stateless && !tasks::are_declared(&params) {
            return Err(undeclared());
        }
        let (upstream, id) = find(&self.seal, &call, &params).ok_or_else(|| {
            Refusal::params("`params.taskId` names no task of yours on this server")
        })?;
        let generation = Arc::clone(&call.generation);
        let call = generation.chain.transform_call(call).await?;
        let params =
            tasks::with_id(&params, &id).map_err(|err| Refusal::params(err.to_string()))?;
        let outgoing = Outgoing {
            params: Some(&params),
            original: None,
            ..ask::as_it_came(&call)
        };
        let held = self.sessions.conversation(&call);
        let reply = upstream
            .request(held.conversation(), outgoing)
            .await
            .map_err(|err| Refusal::from(&err))?;
        let sent = Sent {
            upstream,
            held,
            params: Some(params.clone().into()),
        };
        back::carry(self, call, (reply, sent)).await
    }
}

/// Whether ids of tasks may stand in the answer to a call.
pub(super) fn may_come(call: &Permitted) -> bool {
    match call.message.method.as_deref() {
        Some("tools/call") => call
            .message
            .params
            .as_deref()
            .is_some_and(tasks::are_welcome),
        Some(method) => method.starts_with("tasks/"),
        None => false,
    }
}

/// A result of an upstream with the ids that its client knows tasks by.
pub(super) fn publish<'a>(
    seal: &Seal,
    call: &Permitted,
    upstream: &str,
    result: &'a str,
) -> Result<Cow<'a, str>, SpliceError> {
    let method = call.message.method.as_deref().unwrap_or_default();
    tasks::rename_in_result(method, result, |id| {
        seal.mark(Purpose::Task, &binding(call), &format!("{upstream} {id}"))
    })
}

/// The upstream that a task runs on, and its id there.
fn find(seal: &Seal, call: &Permitted, params: &str) -> Option<(Arc<Upstream>, String)> {
    let marked = tasks::id(params)?;
    let named = seal.marked(Purpose::Task, &binding(call), &marked).ok()?;
    let (name, id) = named.split_once(' ')?;
    let mut upstreams = call.server.mounts.iter().flat_map(|mount| &mount.replicas);
    let upstream = upstreams.find(|upstream| upstream.name() == name)?;
    Some((Arc::clone(upstream), id.to_owned()))
}

fn binding(call: &Permitted) -> [&str; 3] {
    [&call.generation.tenant, &call.server.name, call.principal()]
}

fn undeclared() -> Refusal {
    let data =
        serde_json::json!({ "requiredCapabilities": { "extensions": { tasks::EXTENSION: {} } } });
    let message =
        "declare the tasks extension in the client capabilities of `_meta` to ask for tasks";
    Refusal {
        data: RawValue::from_string(data.to_string()).ok(),
        ..Refusal::new(
            StatusCode::BAD_REQUEST,
            MISSING_CAPABILITY,
            "invalid",
            message,
        )
    }
}
