//! What an upstream without sessions pushes: one long request, whose reply is a stream of notifications (MCP 2026-07-28,
//! "Subscriptions").
//!
//! Read for an inbox from a task of its own, and asked again where it ends.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use portcullis_protocol::envelope::{self, Message};
use portcullis_protocol::listen::{self, Filter};
use portcullis_protocol::revision::Era;
use portcullis_protocol::sse::Decoder;
use tokio_util::sync::CancellationToken;

use super::HttpUpstream;
use super::probe::Speaks;
use super::receive::Received;
use super::wire::Wire;
use crate::upstream::error::UpstreamError;
use crate::upstream::inbox::Inbox;
use crate::upstream::outgoing::{self, CAPABILITIES, CLIENT_INFO, Outgoing};
use crate::upstream::reply::UpstreamReply;

const METHOD: &str = "subscriptions/listen";

/// Reads what is pushed until it is to stop, or until the upstream says that it pushes nothing.
pub(in crate::upstream) fn listen(
    wire: &Arc<Wire>,
    speaks: Arc<Speaks>,
    filter: Filter,
    inbox: Arc<dyn Inbox>,
    stop: CancellationToken,
) {
    let mut listener = Listener {
        wire: Arc::clone(wire),
        speaks,
        filter,
        inbox,
        failures: 0,
    };
    let left = wire.stop.clone();
    wire.tracker.spawn(async move {
        let running = left.run_until_cancelled(listener.run());
        stop.run_until_cancelled(running).await;
    });
}

struct Listener {
    wire: Arc<Wire>,
    speaks: Arc<Speaks>,
    filter: Filter,
    inbox: Arc<dyn Inbox>,
    failures: u32,
}

impl Listener {
    async fn run(&mut self) {
        loop {
            match self.attempt().await {
                Ok(()) => {}
                Err(error @ UpstreamError::Refused { .. }) => {
                    tracing::debug!(upstream = %self.wire.name, %error, "upstream pushes nothing");
                    return;
                }
                Err(error) => {
                    tracing::debug!(upstream = %self.wire.name, %error, "an upstream's stream broke off");
                }
            }
            self.failures = self.failures.saturating_add(1);
            let pause_ms = self.wire.limits.backoff_ms(self.failures);
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        }
    }

    async fn attempt(&mut self) -> Result<(), UpstreamError> {
        let reply = self.ask().await?;
        let mut body = reply.body;
        let mut decoder = Decoder::new(self.wire.limits.message_bytes_max);
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else {
                continue;
            };
            let pushed = decoder.push(&data);
            while let Some(event) = decoder.next_event() {
                if event.is_message() && !self.take(event.data).await {
                    return Ok(());
                }
            }
            pushed.map_err(|source| UpstreamError::Stream {
                upstream: Arc::clone(&self.wire.name),
                source,
            })?;
        }
        Ok(())
    }

    async fn ask(&self) -> Result<UpstreamReply, UpstreamError> {
        let wire = &self.wire;
        let unexpected = |what| UpstreamError::Unexpected {
            upstream: Arc::clone(&wire.name),
            what,
        };
        let stateless = self.speaks.stateless.as_ref();
        let stateless = stateless.ok_or_else(|| unexpected("sessions where it had none"))?;
        let sender = portcullis_protocol::bridge::Sender {
            revision: stateless.revision,
            client_info: Some(CLIENT_INFO),
            capabilities: CAPABILITIES,
            log_level: None,
        };
        let params = listen::params(&self.filter);
        let params = portcullis_protocol::bridge::to_stateless_params(Some(&params), &sender)
            .map_err(|source| UpstreamError::Params {
                upstream: Arc::clone(&wire.name),
                source,
            })?;
        let out = Outgoing {
            era: Era::Stateless,
            revision: stateless.revision,
            id: "\"pc-listen\"",
            method: METHOD,
            params: Some(&params),
            original: None,
            headers: &http::HeaderMap::new(),
            capabilities: CAPABILITIES,
            log_level: None,
            mirrored: None,
        };
        let mut headers = stateless.headers.clone();
        HttpUpstream::mirror(&out, stateless.revision, &mut headers);
        let body = outgoing::message(Some(out.id), METHOD, Some(&params));
        let response = wire.post(headers, body).await?;
        match wire.receive(response, Era::Stateless).await? {
            Received::Body(head) => wire.begin(head, Era::Stateless, None).await,
            Received::Error { status: _, body } => {
                match super::receive::result_of(&body, METHOD, &wire.name) {
                    Err(refused) => Err(refused),
                    Ok(_) => Err(unexpected("a result with the status of an error")),
                }
            }
            Received::Gone(status) => Err(wire.status(status)),
        }
    }

    /// Whether there is more to come: a response, or a cancellation, is the end.
    async fn take(&mut self, message: String) -> bool {
        match envelope::parse_str(&message) {
            Ok(Message::Notification(notification)) => match &*notification.method {
                "notifications/cancelled" => return false,
                listen::ACKNOWLEDGED => self.failures = 0,
                _ => {
                    self.failures = 0;
                    self.inbox.deliver(None, message).await;
                }
            },
            Ok(Message::Response(_)) => return false,
            Ok(Message::Request(_)) | Err(_) => self.wire.meters.nonsense.inc(),
        }
        true
    }
}
