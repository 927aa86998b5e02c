//! Starting a process and getting to know it.
//!
//! The era belongs to the process, and some servers refuse `initialize` once they were asked something else. So each
//! era is tried on a process of its own: first sessions, which nearly all servers speak, then the stateless era.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portcullis_protocol::lifecycle::{self, DiscoverResult, InitializeResult};
use portcullis_protocol::revision::{Era, Revision};

use super::keeper::Order;
use super::process::{self, Process};
use super::supervise;
use crate::upstream::error::UpstreamError;
use crate::upstream::http::{gateway, result_of};
use crate::upstream::pending::{Caller, OnLeave};

/// A process that is ready for calls. Tries the era that the upstream's last one spoke first.
pub(super) async fn start(order: &Order) -> Result<Arc<Process>, UpstreamError> {
    let (first, second) = match order.setup.era() {
        Some(Era::Stateless) => (Era::Stateless, Era::Session),
        Some(Era::Session) | None => (Era::Session, Era::Stateless),
    };
    match attempt(order, first).await {
        // Only an answer says that it speaks another era; a crash or silence says nothing of the kind.
        Err(
            error @ (UpstreamError::Refused { .. }
            | UpstreamError::NoRevision { .. }
            | UpstreamError::Lifecycle { .. }),
        ) => attempt(order, second).await.map_err(|_second| error),
        other => other,
    }
}

async fn attempt(order: &Order, era: Era) -> Result<Arc<Process>, UpstreamError> {
    let setup = &order.setup;
    let process = supervise::spawn(order).map_err(|source| UpstreamError::Spawn {
        upstream: Arc::clone(&setup.name),
        source,
    })?;
    let limit_ms = setup.limits.process_start_ms;
    let introduced =
        tokio::time::timeout(Duration::from_millis(limit_ms), introduce(&process, era)).await;
    let introduced = introduced.unwrap_or_else(|_elapsed| {
        Err(UpstreamError::Timeout {
            upstream: Arc::clone(&setup.name),
            timeout_ms: limit_ms,
        })
    });
    match introduced {
        Ok(revision) => {
            process.speak(revision);
            setup.note_era(revision.era());
            Ok(process)
        }
        Err(error) => {
            process.stop.cancel();
            Err(error)
        }
    }
}

async fn introduce(process: &Arc<Process>, era: Era) -> Result<Revision, UpstreamError> {
    let revision = Revision::newest_of(era);
    let capabilities = process.audience.capabilities();
    match era {
        Era::Session => {
            let request =
                |id: &str| lifecycle::initialize_request(id, revision, capabilities, &gateway());
            let reply = ask(process, request).await?;
            let result = result_of(&reply, "initialize", &process.setup.name)?;
            let offer = InitializeResult::parse(result.get())
                .map_err(|source| unreadable(process, source))?;
            let agreed =
                Revision::parse(&offer.protocol_version).filter(|revision| revision.era() == era);
            let agreed = agreed.ok_or_else(|| no_revision(process, &offer.protocol_version))?;
            process
                .send(process::line(lifecycle::INITIALIZED.as_bytes()))
                .await?;
            process.setup.introduced.initialized(&offer);
            Ok(agreed)
        }
        Era::Stateless => {
            let request =
                |id: &str| lifecycle::discover_request(id, revision, capabilities, &gateway());
            let reply = ask(process, request).await?;
            let result = result_of(&reply, "server/discover", &process.setup.name)?;
            let found = DiscoverResult::parse(result.get())
                .map_err(|source| unreadable(process, source))?;
            let agreed = found
                .revision()
                .ok_or_else(|| no_revision(process, &found.supported_versions.join(", ")))?;
            process.setup.introduced.discovered(&found);
            Ok(agreed)
        }
    }
}

/// Sends a request of the gateway's own and waits for its response.
async fn ask(
    process: &Arc<Process>,
    request: impl Fn(&str) -> String,
) -> Result<Bytes, UpstreamError> {
    let id = process.pending.next_id();
    let own = id.to_string();
    let mut waiting = process.register(id, Caller::gateway(id), OnLeave::Nothing)?;
    process
        .send(process::line(request(&own).as_bytes()))
        .await?;
    waiting.last_message().await
}

fn unreadable(process: &Process, source: lifecycle::LifecycleError) -> UpstreamError {
    UpstreamError::Lifecycle {
        upstream: Arc::clone(&process.setup.name),
        source,
    }
}

fn no_revision(process: &Process, offered: &str) -> UpstreamError {
    UpstreamError::NoRevision {
        upstream: Arc::clone(&process.setup.name),
        offered: offered.to_owned(),
    }
}
