//! What callers read when an upstream fails.

use std::io;

use ::http::StatusCode;
use portcullis_protocol::envelope;
use portcullis_protocol::listing::ListingError;
use portcullis_protocol::splice::SpliceError;
use portcullis_protocol::sse::SseError;

use super::*;
use crate::model::ProcessScope;

fn all() -> Vec<UpstreamError> {
    let mut all = of_the_way();
    all.extend(of_the_answer());
    all
}

fn of_the_way() -> Vec<UpstreamError> {
    let upstream: Arc<str> = "crm".into();
    let upstream = || Arc::clone(&upstream);
    vec![
        UpstreamError::Misconfigured {
            upstream: upstream(),
            reason: "secret-inside".into(),
        },
        UpstreamError::Unhealthy {
            upstream: upstream(),
            retry_after_ms: 250,
        },
        UpstreamError::Busy {
            upstream: upstream(),
            pending_max: 9,
        },
        UpstreamError::ProcessesFull {
            upstream: upstream(),
            processes_max: 64,
        },
        UpstreamError::SubscriptionsFull {
            upstream: upstream(),
            subscriptions_max: 256,
        },
        UpstreamError::UriTooLong {
            upstream: upstream(),
            bytes_max: 4096,
        },
        UpstreamError::Stopped {
            upstream: upstream(),
        },
        UpstreamError::Timeout {
            upstream: upstream(),
            timeout_ms: 30_000,
        },
    ]
}

fn of_the_answer() -> Vec<UpstreamError> {
    let upstream: Arc<str> = "crm".into();
    let upstream = || Arc::clone(&upstream);
    vec![
        UpstreamError::Status {
            upstream: upstream(),
            status: StatusCode::UNAUTHORIZED,
        },
        UpstreamError::ContentType {
            upstream: upstream(),
            content_type: "secret-inside".into(),
        },
        UpstreamError::Envelope {
            upstream: upstream(),
            source: envelope::parse(b"secret-inside").unwrap_err(),
        },
        UpstreamError::Stream {
            upstream: upstream(),
            source: SseError::NotUtf8,
        },
        UpstreamError::Unexpected {
            upstream: upstream(),
            what: "secret-inside",
        },
        UpstreamError::TooLarge {
            upstream: upstream(),
            bytes_max: 9,
        },
        UpstreamError::Params {
            upstream: upstream(),
            source: SpliceError::NotAnObject {
                path: "/_meta".into(),
            },
        },
        UpstreamError::NoRevision {
            upstream: upstream(),
            offered: "secret-inside".into(),
        },
        UpstreamError::Refused {
            upstream: upstream(),
            method: "initialize",
            code: 1,
            message: "secret-inside".into(),
        },
        UpstreamError::Listing {
            upstream: upstream(),
            source: ListingError::NoEntries { member: "tools" },
        },
        UpstreamError::ListTooLong {
            upstream: upstream(),
            pages_max: 1,
            entries_max: 1,
        },
        UpstreamError::Spawn {
            upstream: upstream(),
            source: io::Error::other("secret-inside"),
        },
        UpstreamError::Exited {
            upstream: upstream(),
            scope: ProcessScope::Shared,
            ending: "secret-inside".into(),
        },
        UpstreamError::Restarting {
            upstream: upstream(),
            retry_after_ms: 250,
        },
    ]
}

#[test]
fn callers_read_this() {
    let lines: Vec<_> = all()
        .iter()
        .map(|error| {
            format!(
                "{} {} {}: {}",
                error.http_status(),
                error.code(),
                error.label(),
                error.public_message()
            )
        })
        .collect();
    let text = lines.join("\n");
    assert!(!text.contains("secret-inside"));
    insta::assert_snapshot!(text);
}

#[test]
fn every_label_is_known_to_the_metrics() {
    for error in all() {
        assert!(UpstreamError::LABELS.contains(&error.label()), "{error}");
        assert_eq!(error.upstream(), "crm");
    }
}
