//! One HTTP request: where it goes by path and method, and what every reply carries.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CONTENT_TYPE, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use portcullis_protocol::headers::{
    EVENT_STREAM, JSON, PARAM_PREFIX, PROTOCOL_VERSION, SESSION_ID,
};
use portcullis_protocol::revision::{Era, Revision};
use tracing::{debug, info};

use crate::call::{Call, Kind};
use crate::pipeline::{Arrival, Pipeline, Unread};
use crate::refusal::Refusal;
use crate::telemetry::RequestId;
use crate::tenancy::Endpoint;

use super::reply::{self, Reply};

/// Headers that pages of accepted origins may send, whatever the tool.
const PAGES_MAY_SEND: &str = "authorization, content-type, x-api-key, mcp-protocol-version, mcp-session-id, mcp-method, mcp-name, last-event-id";

/// Answers one request.
pub(super) async fn respond(
    pipeline: &Pipeline,
    request: Request<Incoming>,
    peer: SocketAddr,
) -> Reply {
    let (head, body) = request.into_parts();
    let origin = head.headers.get(ORIGIN).cloned();
    let mut reply = match head.uri.path() {
        "/health" | "/health/live" => probe(true),
        "/health/ready" | "/ready" => probe(pipeline.is_ready()),
        _ => mcp(pipeline, head, body, peer).await,
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

async fn mcp(pipeline: &Pipeline, head: Parts, body: Incoming, peer: SocketAddr) -> Reply {
    let (started, request_id) = (Instant::now(), RequestId::next());
    let endpoint = match pin(pipeline, &head) {
        Ok(endpoint) => endpoint,
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
    let (server, generation) = (
        Arc::clone(&endpoint.server),
        Arc::clone(&endpoint.generation),
    );
    let (reply, method, outcome) = match arrive(pipeline, head, body, (request_id, peer, endpoint))
        .await
    {
        Arrived::Reply(reply) => (*reply, None, "ok"),
        Arrived::Refused(Unread { id, refusal }) => {
            info!(%request_id, tenant = generation.tenant, server = server.name, status = refusal.status.as_u16(), reason = %refusal.message, "a request was refused");
            (
                reply::refusal(request_id, id.as_ref(), &refusal),
                None,
                refusal.outcome,
            )
        }
        Arrived::Call(call) => walk(pipeline, call).await,
    };
    server.metrics.record(
        method.as_deref().unwrap_or("transport"),
        outcome,
        started.elapsed(),
    );
    reply
}

async fn walk(
    pipeline: &Pipeline,
    call: Arc<Call>,
) -> (Reply, Option<bytestring::ByteString>, &'static str) {
    let (request_id, message) = (call.request_id, call.message.clone());
    let (tenant, server) = (Arc::clone(&call.generation), Arc::clone(&call.server));
    match pipeline.walk(call).await {
        Ok(reply) => {
            debug!(%request_id, tenant = tenant.tenant, server = server.name, method = message.method.as_deref(), target = message.target.as_deref(), "a message was served");
            (reply, message.method, "ok")
        }
        Err(refusal) => {
            info!(
                %request_id, tenant = tenant.tenant, server = server.name, method = message.method.as_deref(),
                target = message.target.as_deref(), status = refusal.status.as_u16(), outcome = refusal.outcome,
                reason = %refusal.message, "a message was refused"
            );
            (
                reply::refusal(request_id, message.id.as_ref(), &refusal),
                message.method,
                refusal.outcome,
            )
        }
    }
}

fn pin(pipeline: &Pipeline, head: &Parts) -> Result<Endpoint, Refusal> {
    let registry = pipeline.registry();
    pipeline
        .guard
        .check(&head.headers, |host| registry.claims_host(host))?;
    let path = head.uri.path();
    let server = path
        .strip_prefix("/servers/")
        .and_then(|rest| rest.strip_suffix("/mcp"));
    match (path, server) {
        ("/mcp", _) => registry.pin_default(&head.headers),
        (_, Some(server)) => registry.pin(server),
        (_, None) => Err(Refusal::not_found(
            "nothing is served at this path; MCP servers are at `/mcp` and `/servers/{server}/mcp`",
        )),
    }
}

enum Arrived {
    Reply(Box<Reply>),
    Refused(Unread),
    Call(Arc<Call>),
}

async fn arrive(
    pipeline: &Pipeline,
    head: Parts,
    body: Incoming,
    (request_id, peer, endpoint): (RequestId, SocketAddr, Endpoint),
) -> Arrived {
    let arrival = Arrival {
        request_id,
        endpoint,
        headers: head.headers,
        peer,
    };
    let call = match head.method {
        Method::POST => match read(&arrival.headers, body, pipeline.limits.body_bytes_max).await {
            Ok(body) => arrival.message(body),
            Err(refusal) => Err(refusal.into()),
        },
        // Without sessions there is neither a stream to open nor anything to end (MCP 2026-07-28).
        Method::GET | Method::DELETE if is_stateless(&arrival.headers) => {
            return Arrived::Reply(Box::new(not_allowed()));
        }
        Method::GET => match check_takes_events(&arrival.headers) {
            Ok(()) => arrival.without_body(Kind::Listen),
            Err(refusal) => Err(refusal.into()),
        },
        Method::DELETE if arrival.headers.contains_key(SESSION_ID) => {
            arrival.without_body(Kind::End)
        }
        Method::OPTIONS if arrival.headers.contains_key(ORIGIN) => {
            return Arrived::Reply(Box::new(preflight(&arrival.headers)));
        }
        _ => return Arrived::Reply(Box::new(not_allowed())),
    };
    match call {
        Ok(call) => Arrived::Call(Arc::new(call)),
        Err(unread) => Arrived::Refused(unread),
    }
}

/// What a page may send. Tools name the headers of their arguments, so those that the page asks for are among it.
fn preflight(asked: &HeaderMap) -> Reply {
    let asked = asked
        .get(http::header::ACCESS_CONTROL_REQUEST_HEADERS)
        .and_then(|names| names.to_str().ok())
        .unwrap_or_default();
    let is_param = |name: &&str| name.to_ascii_lowercase().starts_with(PARAM_PREFIX);
    let params = asked.split(',').map(str::trim).filter(is_param);
    let allowed: Vec<&str> = std::iter::once(PAGES_MAY_SEND).chain(params).collect();
    let mut reply = reply::empty(StatusCode::NO_CONTENT);
    let headers = reply.headers_mut();
    headers.insert(
        http::header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, DELETE"),
    );
    if let Ok(allowed) = HeaderValue::try_from(allowed.join(", ")) {
        headers.insert(http::header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    }
    reply
}

fn not_allowed() -> Reply {
    let mut reply = reply::empty(StatusCode::METHOD_NOT_ALLOWED);
    reply
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static("GET, POST, DELETE"));
    reply
}

fn is_stateless(headers: &HeaderMap) -> bool {
    let named = headers
        .get(PROTOCOL_VERSION)
        .and_then(|name| name.to_str().ok());
    named.and_then(Revision::parse).map(Revision::era) == Some(Era::Stateless)
}

fn check_takes_events(headers: &HeaderMap) -> Result<(), Refusal> {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let takes = |media: &str| accept.is_some_and(|accept| accept.contains(media));
    match takes(EVENT_STREAM) || takes("*/*") {
        true => Ok(()),
        false => Err(Refusal {
            status: StatusCode::NOT_ACCEPTABLE,
            ..Refusal::invalid("send `Accept: text/event-stream`: a `GET` opens a stream of events")
        }),
    }
}

/// The body of a `POST`, within bounds.
async fn read(headers: &HeaderMap, body: Incoming, bytes_max: usize) -> Result<Bytes, Refusal> {
    check_media_types(headers)?;
    let too_large = || Refusal {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        ..Refusal::invalid(format!(
            "the body is larger than {bytes_max} bytes; send less, or ask the operator to raise `limits.body_bytes_max`"
        ))
    };
    match Limited::new(body, bytes_max).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(err) if err.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err(Refusal::invalid("the body ended early; send it again")),
    }
}

/// Both kinds of reply must be acceptable, since the gateway decides by what the upstream sends.
fn check_media_types(headers: &HeaderMap) -> Result<(), Refusal> {
    let text = |name: HeaderName| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let content_type = text(CONTENT_TYPE);
    if !content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .eq_ignore_ascii_case(JSON)
    {
        return Err(Refusal {
            status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ..Refusal::invalid("send the message as `Content-Type: application/json`")
        });
    }
    let accept = text(ACCEPT);
    let takes = |media: &str| accept.contains(media) || accept.contains("*/*");
    if !takes(JSON) || !takes(EVENT_STREAM) {
        return Err(Refusal {
            status: StatusCode::NOT_ACCEPTABLE,
            ..Refusal::invalid(
                "send `Accept: application/json, text/event-stream`: a reply may be either",
            )
        });
    }
    Ok(())
}
