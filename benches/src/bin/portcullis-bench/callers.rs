//! Clients of a target: each with a token and a session of its own, opened before anything is measured.

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request};
use http_body_util::Full;
use portcullis_benches::plan;
use serde_json::{Value, json};

use crate::error::BenchError;
use crate::http::{Connection, Reply};
use crate::target::Target;

/// The revision that the callers speak.
pub const REVISION: &str = "2025-11-25";

/// One client.
#[derive(Debug, Clone)]
pub struct Caller {
    /// `Authorization: Bearer`.
    pub token: String,
    /// `Mcp-Session-Id`.
    pub session: String,
}

/// Opens `count` sessions at the target and makes one call in each.
pub async fn open(target: &mut Target, count: usize) -> Result<(), BenchError> {
    let mut connection = Connection::open(target.address).await?;
    let unsigned = |error| BenchError::failed(format!("no token could be signed: {error}"));
    target.callers.clear();
    for number in 0..count {
        let mut caller = Caller {
            token: plan::token(&format!("user-{number}")).map_err(unsigned)?,
            session: String::new(),
        };
        let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": REVISION, "capabilities": {}, "clientInfo": {"name": "portcullis-bench", "version": "0.1.0"}}});
        let reply = connection.send(request(target, &caller, &hello)?).await?;
        let session = reply
            .headers
            .get("mcp-session-id")
            .and_then(|id| id.to_str().ok());
        caller.session = match session {
            Some(session) if reply.status.is_success() => session.to_owned(),
            Some(_) | None => return Err(refused(target, "initialize", &reply)),
        };
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let reply = connection.send(request(target, &caller, &ready)?).await?;
        if !reply.status.is_success() {
            return Err(refused(target, "notifications/initialized", &reply));
        }
        let reply = connection
            .send(request(target, &caller, &call(2, &target.tool))?)
            .await?;
        check(target, &reply)?;
        target.callers.push(caller);
    }
    Ok(())
}

/// The message that is measured.
pub fn call(id: u64, tool: &str) -> Value {
    let arguments: Value = serde_json::from_str(plan::ARGUMENTS).unwrap_or_default();
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})
}

/// A POST of one message.
pub fn request(
    target: &Target,
    caller: &Caller,
    message: &Value,
) -> Result<Request<Full<Bytes>>, BenchError> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(&target.path)
        .header(HOST, target.address.to_string())
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json, text/event-stream")
        .header(AUTHORIZATION, format!("Bearer {}", caller.token));
    if !caller.session.is_empty() {
        request = request
            .header("mcp-session-id", &caller.session)
            .header("mcp-protocol-version", REVISION);
    }
    request
        .body(Full::new(Bytes::from(message.to_string())))
        .map_err(|error| BenchError::failed(format!("a request could not be made: {error}")))
}

/// A reply must be 200 with the upstream's result in it, whether as JSON or as an event.
pub fn check(target: &Target, reply: &Reply) -> Result<(), BenchError> {
    if reply.status == 200 && String::from_utf8_lossy(&reply.body).contains("Northwind Traders") {
        Ok(())
    } else {
        Err(refused(target, "tools/call", reply))
    }
}

fn refused(target: &Target, method: &str, reply: &Reply) -> BenchError {
    BenchError::failed(format!(
        "{method} at {} was answered with {}: {}",
        target.url(),
        reply.status,
        reply.excerpt()
    ))
}
