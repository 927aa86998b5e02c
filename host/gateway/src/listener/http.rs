//! One HTTP request: where it goes by path and method, and what every reply carries.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::ORIGIN;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use portcullis_protocol::headers::{PROTOCOL_VERSION, SESSION_ID};
use portcullis_protocol::revision::{Era, Revision};
use tracing::info;

use crate::call::{Call, Kind};
use crate::pipeline::{Arrival, Batched, Pipeline, Unread};
use crate::refusal::Refusal;
use crate::telemetry::RequestId;
use crate::tenancy::Endpoint;

use super::account::Account;
use super::reply::{self, Reply};
use super::websocket::Handover;
use super::{batch, request, sse, websocket};

/// Methods of Streamable HTTP.
const ALLOWED: &str = "GET, POST, DELETE";

/// Who is at the other end of a connection.
pub(super) struct Client {
    pub(super) peer: SocketAddr,
    /// What the connection goes on as, should it be upgraded.
    pub(super) handover: Handover,
}

/// Answers one request.
pub(super) async fn respond(
    pipeline: &Arc<Pipeline>,
    request: Request<Incoming>,
    client: &Client,
) -> Reply {
    let (head, body) = request.into_parts();
    let origin = head.headers.get(ORIGIN).cloned();
    let mut reply = match head.uri.path() {
        "/health" | "/health/live" => probe(true),
        "/health/ready" | "/ready" => probe(pipeline.is_ready()),
        _ => mcp(pipeline, head, body, client).await,
    };
    if let Some(origin) = origin.filter(|origin| pipeline.guard.accepts_origin(origin)) {
        allow_origin(reply.headers_mut(), origin);
    }
    reply
}

fn probe(is_well: bool) -> Reply {
    match is_well {
        true => reply::json(StatusCode::OK, r#"{"status":"ok"}"#),
        false => reply::json(
            StatusCode::SERVICE_UNAVAILABLE,
            r#"{"status":"unavailable"}"#,
        ),
    }
}

/// Lets a page of an accepted origin read the reply (Fetch, "CORS protocol").
fn allow_origin(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(http::header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(
        http::header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("mcp-session-id, www-authenticate, retry-after"),
    );
    headers.insert(http::header::VARY, HeaderValue::from_static("origin"));
}

/// Which transport is spoken at a path.
#[derive(Clone, Copy)]
enum Transport {
    StreamableHttp,
    /// The stream of HTTP+SSE.
    Stream,
    /// The messages of HTTP+SSE.
    Messages,
    WebSocket,
}

async fn mcp(pipeline: &Arc<Pipeline>, mut head: Parts, body: Incoming, client: &Client) -> Reply {
    let peer = client.peer;
    let (started, request_id) = (Instant::now(), RequestId::next());
    let (endpoint, transport) = match pin(pipeline, &head) {
        Ok(pinned) => pinned,
        Err(refusal) => {
            pipeline
                .metrics()
                .unpinned
                .with_label_values(&[refusal.outcome])
                .inc();
            info!(%request_id, %peer, status = refusal.status.as_u16(), reason = %refusal.message, "a request was refused");
            return reply::refusal(request_id, None, &refusal);
        }
    };
    let account = Account::open(request_id, started, &endpoint);
    let arrival = Arrival {
        request_id,
        endpoint,
        headers: Arc::new(std::mem::take(&mut head.headers)),
        peer,
        channel: None,
        is_batched: false,
    };
    match transport {
        Transport::StreamableHttp => match arrive(pipeline, head.method, body, arrival).await {
            Arrived::Reply(reply) => account.answered(*reply),
            Arrived::Refused(unread) => account.unread(unread),
            Arrived::Call(call) => account.walk(pipeline, call).await,
            Arrived::Batch(messages) => {
                Box::pin(batch::respond(pipeline, messages, &account)).await
            }
        },
        Transport::Stream => sse::open(pipeline, &head, arrival, account).await,
        Transport::Messages => sse::message(pipeline, (&head, body), arrival, account).await,
        Transport::WebSocket => {
            let upgrade =
                websocket::upgrade(pipeline, &mut head, (arrival, account), &client.handover);
            upgrade.await
        }
    }
}

fn pin(pipeline: &Pipeline, head: &Parts) -> Result<(Endpoint, Transport), Refusal> {
    let registry = pipeline.registry();
    pipeline
        .guard
        .check(&head.headers, |host| registry.claims_host(host))?;
    let path = head.uri.path();
    if path == "/mcp" {
        let endpoint = registry.pin_default(&head.headers)?;
        return Ok((endpoint, Transport::StreamableHttp));
    }
    let below = path
        .strip_prefix("/servers/")
        .and_then(|rest| rest.rsplit_once('/'));
    let (server, transport) = match below {
        Some((server, "mcp")) => (server, Transport::StreamableHttp),
        Some((server, "sse")) => (server, Transport::Stream),
        Some((server, "messages")) => (server, Transport::Messages),
        Some((server, "ws")) => (server, Transport::WebSocket),
        Some(_) | None => {
            return Err(Refusal::not_found(
                "nothing is served at this path; MCP servers are at `/mcp` and `/servers/{server}/mcp`",
            ));
        }
    };
    Ok((registry.pin(server)?, transport))
}

enum Arrived {
    Reply(Box<Reply>),
    Refused(Unread),
    Call(Arc<Call>),
    Batch(Vec<Batched>),
}

async fn arrive(pipeline: &Pipeline, method: Method, body: Incoming, arrival: Arrival) -> Arrived {
    let headers = &arrival.headers;
    let call = match method {
        Method::POST => match read(pipeline, headers, body).await {
            Ok(body) if batch::is_one(&body) && arrival.takes_batches() => {
                return match arrival.messages(body, pipeline.limits.batch_messages_max) {
                    Ok(messages) => Arrived::Batch(messages),
                    Err(unread) => Arrived::Refused(unread),
                };
            }
            Ok(body) => arrival.message(body),
            Err(refusal) => Err(refusal.into()),
        },
        // Without sessions there is neither a stream to open nor anything to end (MCP 2026-07-28).
        Method::GET | Method::DELETE if is_stateless(headers) => {
            return Arrived::Reply(Box::new(request::not_allowed(ALLOWED)));
        }
        Method::GET => match request::check_takes_events(headers) {
            Ok(()) => arrival.without_body(Kind::Listen),
            Err(refusal) => Err(refusal.into()),
        },
        Method::DELETE if headers.contains_key(SESSION_ID) => arrival.without_body(Kind::End),
        Method::OPTIONS if headers.contains_key(ORIGIN) => {
            return Arrived::Reply(Box::new(request::preflight(headers)));
        }
        _ => return Arrived::Reply(Box::new(request::not_allowed(ALLOWED))),
    };
    match call {
        Ok(call) => Arrived::Call(Arc::new(call)),
        Err(unread) => Arrived::Refused(unread),
    }
}

async fn read(pipeline: &Pipeline, headers: &HeaderMap, body: Incoming) -> Result<Bytes, Refusal> {
    request::check_is_json(headers)?;
    request::check_takes_both(headers)?;
    request::read(body, pipeline.limits.body_bytes_max).await
}

fn is_stateless(headers: &HeaderMap) -> bool {
    let named = headers
        .get(PROTOCOL_VERSION)
        .and_then(|name| name.to_str().ok());
    named.and_then(Revision::parse).map(Revision::era) == Some(Era::Stateless)
}
