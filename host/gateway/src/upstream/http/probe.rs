//! Which eras an upstream speaks, found out once.
//!
//! Asked by the first call: `server/discover` in the newest revision, then `initialize`. A failure is not remembered,
//! so the next call asks again; while one asks, the others wait for its answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis_protocol::headers;
use portcullis_protocol::lifecycle::{self, DiscoverResult};
use portcullis_protocol::revision::{Era, Revision};

use super::HttpUpstream;
use super::receive::{self, Received};
use super::session::{PROTOCOL_VERSION, gateway};
use crate::upstream::error::UpstreamError;
use crate::upstream::outgoing::CAPABILITIES;

const METHOD: HeaderName = HeaderName::from_static(headers::METHOD);
const DISCOVER: &str = "server/discover";

/// The eras of one upstream; at least one.
#[derive(Debug)]
pub(super) struct Speaks {
    /// It opens sessions.
    pub(super) session: bool,
    /// It answers without one.
    pub(super) stateless: Option<Stateless>,
}

/// It opens sessions, and knows nothing else.
const IN_SESSIONS: Speaks = Speaks {
    session: true,
    stateless: None,
};

/// How to speak to it without a session.
#[derive(Debug)]
pub(super) struct Stateless {
    pub(super) revision: Revision,
    /// The headers that every such request begins with.
    pub(super) headers: HeaderMap,
}

impl Speaks {
    /// The caller's own era where the upstream speaks it, else the other.
    pub(super) fn era_for(&self, caller: Era) -> Era {
        match (caller, self.session, self.stateless.is_some()) {
            (Era::Session, true, _) | (_, _, false) => Era::Session,
            (Era::Stateless, _, true) | (Era::Session, false, true) => Era::Stateless,
        }
    }
}

impl HttpUpstream {
    /// What the upstream speaks, from memory or by asking.
    pub(super) async fn speaks(&self) -> Result<Arc<Speaks>, UpstreamError> {
        let _asking = self.probing.lock().await;
        if let Some(known) = self.speaks.load_full() {
            return Ok(known);
        }
        let found = Arc::new(Box::pin(self.probe()).await?);
        tracing::debug!(
            upstream = %self.wire.name, session = found.session, stateless = found.stateless.is_some(),
            "upstream was asked what it speaks"
        );
        self.speaks.store(Some(Arc::clone(&found)));
        Ok(found)
    }

    async fn probe(&self) -> Result<Speaks, UpstreamError> {
        self.wire.note_older(false);
        if self.wire.speaks_sse() {
            self.own.slot(&self.wire).session().await?;
            return Ok(IN_SESSIONS);
        }
        // Half of the caller's time is left for `initialize`, should the upstream not answer at all.
        let limit = Duration::from_millis(self.wire.limits.probe_timeout_ms).min(self.timeout / 2);
        match tokio::time::timeout(limit, self.discover()).await {
            Ok(Ok(speaks)) if speaks.stateless.is_some() => return Ok(speaks),
            // Nothing that is asked next would be answered otherwise.
            Ok(Err(
                error @ (UpstreamError::Connect { .. } | UpstreamError::Unauthorized { .. }),
            )) => {
                return Err(error);
            }
            Ok(Ok(_)) | Err(_) => {}
            Ok(Err(error)) => {
                tracing::debug!(upstream = %self.wire.name, %error, "upstream does not answer server/discover");
            }
        }
        // The session that shows it is kept: the gateway's own lists will use it.
        self.own.slot(&self.wire).session().await?;
        Ok(IN_SESSIONS)
    }

    async fn discover(&self) -> Result<Speaks, UpstreamError> {
        let mut reply = self.ask(Revision::newest_of(Era::Stateless)).await?;
        // MCP 2026-07-28, "Protocol Version Header": what it names is worth another try, and one is enough.
        if let Some(revision) = receive::offered_instead(&reply) {
            reply = self.ask(revision).await?;
        }
        let result = receive::result_of(&reply, DISCOVER, &self.wire.name)?;
        let found =
            DiscoverResult::parse(result.get()).map_err(|source| UpstreamError::Lifecycle {
                upstream: Arc::clone(&self.wire.name),
                source,
            })?;
        self.wire.introduced.discovered(&found);
        let session = found
            .supported_versions
            .iter()
            .filter_map(|name| Revision::parse(name))
            .any(|revision| revision.era() == Era::Session);
        let stateless = found.revision().map(|revision| {
            let mut headers = self.wire.base().clone();
            headers.insert(
                PROTOCOL_VERSION,
                HeaderValue::from_static(revision.as_str()),
            );
            Stateless { revision, headers }
        });
        Ok(Speaks { session, stateless })
    }

    /// The answer to `server/discover` in this revision, an error or not.
    async fn ask(&self, revision: Revision) -> Result<Bytes, UpstreamError> {
        let body =
            lifecycle::discover_request("\"pc-discover\"", revision, CAPABILITIES, &gateway());
        let mut headers = self.wire.base().clone();
        headers.insert(
            PROTOCOL_VERSION,
            HeaderValue::from_static(revision.as_str()),
        );
        headers.insert(METHOD, HeaderValue::from_static(DISCOVER));
        let response = self.wire.post(headers, Bytes::from(body)).await?;
        match self.wire.receive(response, Era::Stateless).await? {
            Received::Body(head) => {
                let reply = self.wire.begin(head, Era::Stateless, None).await?;
                receive::message_of(reply, &self.wire.name, &self.wire.limits).await
            }
            Received::Error { status: _, body } => Ok(body),
            Received::Gone(status) => Err(self.wire.status(status)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_served_in_its_own_era_where_that_is_possible() {
        let stateless = || {
            Some(Stateless {
                revision: Revision::newest(),
                headers: HeaderMap::new(),
            })
        };
        for (session, stateless, caller, want) in [
            (true, None, Era::Session, Era::Session),
            (true, None, Era::Stateless, Era::Session),
            (false, stateless(), Era::Session, Era::Stateless),
            (false, stateless(), Era::Stateless, Era::Stateless),
            (true, stateless(), Era::Session, Era::Session),
            (true, stateless(), Era::Stateless, Era::Stateless),
        ] {
            let speaks = Speaks { session, stateless };
            assert_eq!(speaks.era_for(caller), want, "{speaks:?} {caller:?}");
        }
    }
}
