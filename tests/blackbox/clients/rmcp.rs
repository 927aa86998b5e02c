//! The walk of crates.io `rmcp`, in either era; what it saw has the shape that the other scenarios print.

use std::sync::{Arc, Mutex, PoisonError};

use portcullis_tests::admin::http;
use portcullis_tests::mcp::Era;
use portcullis_tests::wait;
use rmcp::model::{
    CallToolRequestParams, CallToolResult, ProgressNotificationParam, ProtocolVersion,
};
use rmcp::service::{NotificationContext, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, ClientLifecycleMode, ClientServiceExt, RoleClient, ServiceError};
use serde_json::{Value, json};

/// A connection, and the progress that it was told.
pub(crate) struct Connection {
    pub(crate) client: RunningService<RoleClient, Handler>,
    pub(crate) handler: Handler,
}

/// Keeps the progress that it is told.
#[derive(Clone, Default)]
pub(crate) struct Handler(Arc<Mutex<Vec<f64>>>);

impl Handler {
    pub(crate) fn seen(&self) -> Vec<f64> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl ClientHandler for Handler {
    async fn on_progress(
        &self,
        params: ProgressNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(params.progress);
    }
}

/// Connects in an era.
pub(crate) async fn connect(url: &str, token: &str, era: Era) -> Result<Connection, String> {
    let lifecycle = match era {
        Era::Session => ClientLifecycleMode::Initialize,
        Era::Stateless => ClientLifecycleMode::Discover {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        },
    };
    let config = StreamableHttpClientTransportConfig::with_uri(url.to_owned()).auth_header(token);
    let transport = StreamableHttpClientTransport::with_client(http(), config);
    let handler = Handler::default();
    let client = handler
        .clone()
        .serve_with_lifecycle(transport, lifecycle)
        .await
        .map_err(|error| format!("{error:?}"))?;
    Ok(Connection { client, handler })
}

/// Walks through the server of `wanted`.
pub(super) async fn walk(wanted: &Value) -> Value {
    let text = |name: &str| wanted[name].as_str().expect("a text").to_owned();
    let era = match wanted["era"].as_str() {
        Some("session") => Era::Session,
        _ => Era::Stateless,
    };
    let Connection { client, handler } = connect(&text("url"), &text("token"), era)
        .await
        .expect("a connection");

    let tools = client.list_all_tools().await.expect("a list of tools");
    let echo = call(&client, &text("echo"), json!({ "message": "grüße, 1.10" }))
        .await
        .expect("echo");
    let add = call(&client, &text("add"), json!({ "a": 2, "b": 40 }))
        .await
        .expect("add");
    let progress = call(&client, &text("progress"), json!({ "steps": 3 }))
        .await
        .expect("progress");
    wait::so("progress", || handler.seen().len() >= 3).await;
    let refused = call(&client, &text("refused"), json!({ "id": "C-1" }))
        .await
        .expect_err("a refusal");
    let unknown = call(&client, "no-such-tool", json!({}))
        .await
        .expect_err("a refusal");
    let seen = json!({
        "version": era.revision(),
        "tools": tools.iter().map(|tool| tool.name.as_ref()).collect::<Vec<_>>(),
        "echo": said(&echo),
        "add": said(&add),
        "progress": said(&progress),
        "steps": handler.seen(),
        "refused": shown(&refused),
        "unknown": shown(&unknown),
    });
    client.cancel().await.expect("a clean end");
    seen
}

pub(crate) async fn call(
    client: &RunningService<RoleClient, Handler>,
    tool: &str,
    arguments: Value,
) -> Result<CallToolResult, ServiceError> {
    let arguments = arguments.as_object().cloned().unwrap_or_default();
    client
        .call_tool(CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments))
        .await
}

pub(crate) fn said(result: &CallToolResult) -> String {
    result
        .content
        .iter()
        .filter_map(|part| part.as_text())
        .map(|part| part.text.as_str())
        .collect()
}

fn shown(error: &ServiceError) -> Value {
    if let ServiceError::McpError(error) = error {
        json!({ "code": error.code.0, "message": error.message })
    } else {
        json!({ "code": null, "message": format!("{error:?}") })
    }
}
