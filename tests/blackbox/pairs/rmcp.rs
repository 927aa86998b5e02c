//! crates.io `rmcp` with one server after another; what it saw has the shape that the other scenarios print.

use portcullis_tests::mcp::Era;
use portcullis_tests::wait;
use rmcp::model::{CallToolRequest, CallToolRequestParams, ClientRequest};
use rmcp::service::PeerRequestOptions;
use serde_json::{Value, json};

use crate::clients::rmcp::{Connection, call, connect, said};

/// What it saw of each.
pub(super) async fn lines(wanted: &Value) -> Vec<Value> {
    let token = wanted["token"].as_str().expect("a token");
    let mut lines = Vec::new();
    for pair in wanted["pairs"].as_array().expect("pairs") {
        let mut seen = json!({ "pair": pair["pair"] });
        if let Err(why) = meet(pair, token, &mut seen).await {
            seen["failed"] = json!(why);
        }
        lines.push(seen);
    }
    lines
}

async fn meet(pair: &Value, token: &str, seen: &mut Value) -> Result<(), String> {
    let era = match pair["transport"].as_str() {
        Some("stateless") => Era::Stateless,
        _ => Era::Session,
    };
    let connection = connect(text(&pair["url"]), token, era).await?;
    let ended = walk(&connection, pair, seen).await;
    connection.client.cancel().await.map_err(shown)?;
    ended
}

async fn walk(connection: &Connection, pair: &Value, seen: &mut Value) -> Result<(), String> {
    let client = &connection.client;
    let about = client.peer_info().ok_or("nothing is known of the server")?;
    seen["version"] = json!(about.protocol_version);
    let tools = client.list_all_tools().await.map_err(shown)?;
    let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_ref()).collect();
    seen["tools"] = json!(names);
    let echo = || call(client, text(&pair["tool"]), pair["arguments"].clone());
    seen["text"] = json!(said(&echo().await.map_err(shown)?));
    let long = &pair["long"];
    if long.is_null() {
        return Ok(());
    }
    let done = call(client, text(&long["tool"]), long["short"].clone()).await;
    seen["done"] = json!(said(&done.map_err(shown)?));
    // It hands them to a task each, which may not have run yet.
    let steps = long["short"]["steps"].as_u64().unwrap_or_default();
    let steps = usize::try_from(steps).unwrap_or_default();
    wait::so("progress", || connection.handler.seen().len() >= steps).await;
    seen["steps"] = json!(connection.handler.seen());
    seen["cancelled"] = json!(cancelled(connection, long).await?);
    seen["after"] = json!(said(&echo().await.map_err(shown)?));
    Ok(())
}

/// Cancels a call when it has said that it is under way.
async fn cancelled(connection: &Connection, long: &Value) -> Result<bool, String> {
    let heard = connection.handler.seen().len();
    let arguments = long["endless"].as_object().cloned().unwrap_or_default();
    let params =
        CallToolRequestParams::new(text(&long["tool"]).to_owned()).with_arguments(arguments);
    let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
    let options = PeerRequestOptions::no_options();
    let sent = connection
        .client
        .send_cancellable_request(request, options)
        .await;
    let call = sent.map_err(shown)?;
    wait::so("progress", || connection.handler.seen().len() > heard).await;
    call.cancel(Some("enough".to_owned()))
        .await
        .map_err(shown)?;
    Ok(true)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn shown(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}
