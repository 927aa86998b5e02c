//! Many sessions at once, each with an open stream on which its upstream pushes a notification a second.
//!
//! Every notification bears a number of its upstream session's own, so that one that is lost, comes twice or comes to
//! somebody else shows. Memory is the gateway's largest while they are open.

use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, HOST};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use portcullis_benches::plan;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::callers::{self, Caller};
use crate::chain;
use crate::error::BenchError;
use crate::gateway::Gateway;
use crate::http::Connection;
use crate::options::{Options, Tools};
use crate::target::Target;
use crate::upstream::Upstream;

/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// What one session's stream brought.
#[derive(Default, Clone, Copy)]
struct Heard {
    notifications: u64,
    /// Numbers that did not come, or not in their place.
    lost: u64,
}

/// Opens the sessions and listens to all of them.
pub async fn run(options: &Options, tools: &Tools) -> Result<Value, BenchError> {
    let (sessions, length) = match options.quick {
        true => (100, Duration::from_secs(5)),
        false => (1_000, Duration::from_secs(30)),
    };
    let folder = TempDir::with_prefix("portcullis-bench-")
        .map_err(|source| BenchError::io("no temporary folder", source))?;
    let upstream = Upstream::start(folder.path())?;
    let gateway = Gateway::start(&tools.portcullis, folder.path(), "sessions").await?;
    let policies = chain::of(&gateway.publish_all(tools, &plan::CHAIN).await?);
    let mut target = gateway.tenant("acme", upstream.address, &policies).await?;
    callers::open(&mut target, sessions).await?;
    let before = gateway.process.rss_bytes();
    let mut streams = JoinSet::new();
    for caller in &target.callers {
        let (connection, body) = listen(&target, caller).await?;
        streams.spawn(async move {
            let heard = hear(body, Instant::now() + length).await;
            drop(connection);
            heard
        });
    }
    let mut rss_max = before;
    let mut all = Vec::with_capacity(sessions);
    while all.len() < sessions {
        let next = tokio::time::timeout(LOOK, streams.join_next()).await;
        rss_max = rss_max.max(gateway.process.rss_bytes());
        match next {
            Ok(Some(heard)) => all.push(heard.map_err(|err| BenchError::failed(err.to_string()))?),
            Ok(None) => break,
            Err(_elapsed) => {}
        }
    }
    let notifications: u64 = all.iter().map(|heard| heard.notifications).sum();
    let least = all.iter().map(|heard| heard.notifications).min();
    let lost: u64 = all.iter().map(|heard| heard.lost).sum();
    let seconds = length.as_secs();
    println!(
        "sessions: {sessions} open for {seconds} s, {notifications} notifications, at least {} each, {lost} lost, {} MiB resident at most ({} MiB before the streams)",
        least.unwrap_or_default(),
        rss_max >> 20,
        before >> 20
    );
    Ok(json!({
        "sessions": sessions, "seconds": seconds, "notifications": notifications,
        "notifications_of_one_min": least, "lost": lost, "rss_max_bytes": rss_max,
    }))
}

/// Opens a session's stream.
async fn listen(target: &Target, caller: &Caller) -> Result<(Connection, Incoming), BenchError> {
    let mut connection = Connection::open(target.address).await?;
    let request = Request::builder()
        .method(Method::GET)
        .uri(&target.path)
        .header(HOST, target.address.to_string())
        .header(ACCEPT, "text/event-stream")
        .header(AUTHORIZATION, format!("Bearer {}", caller.token))
        .header("mcp-session-id", &caller.session)
        .header("mcp-protocol-version", callers::REVISION)
        .body(Full::default())
        .map_err(|error| BenchError::failed(format!("a request could not be made: {error}")))?;
    let reply = connection.begin(request).await?;
    match reply.status().is_success() {
        true => Ok((connection, reply.into_body())),
        false => Err(BenchError::failed(format!(
            "a stream at {} was answered with {}",
            target.url(),
            reply.status()
        ))),
    }
}

/// Reads until then. A stream that ends early has lost everything that would have come.
async fn hear(mut body: Incoming, until: Instant) -> Heard {
    let (mut heard, mut text) = (Heard::default(), String::new());
    while let Ok(Some(Ok(frame))) = tokio::time::timeout_at(until, body.frame()).await {
        text.push_str(&String::from_utf8_lossy(
            &frame.into_data().unwrap_or_default(),
        ));
        while let Some((event, rest)) = text.split_once("\n\n") {
            if let Some(number) = number_of(event) {
                heard.notifications += 1;
                heard.lost += u64::from(number != heard.notifications);
            }
            text = rest.to_owned();
        }
    }
    heard
}

/// The number in a pushed notification.
fn number_of(event: &str) -> Option<u64> {
    let data = event.lines().find_map(|line| line.strip_prefix("data: "))?;
    let message: Value = serde_json::from_str(data).ok()?;
    message.pointer("/params/data")?.as_u64()
}
