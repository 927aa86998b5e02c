//! `portcullis plugin`: inspect a component here; publish, list and delete plugins of a running gateway.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use http::{Method, StatusCode};
use portcullis_sandbox::{Sandbox, SandboxSettings};
use serde_json::{Value, json};

use crate::model::PluginRef;
use crate::tenancy::{PluginInfo, Shelf};

use super::client::{Client, ClientArgs, Payload};
use super::output::{table, text_of};
use super::{CliError, Output, replay};

/// What to do with plugins.
#[derive(Debug, Subcommand)]
pub(super) enum PluginCommand {
    /// Show what a component is: its hooks, the grants it needs, its configuration. No gateway is needed.
    #[command(
        after_help = "Example:\n  portcullis plugin inspect rate-limit.wasm\n\nA component that a gateway would refuse is refused here, for the same reason."
    )]
    Inspect {
        /// The component (.wasm).
        file: PathBuf,
    },
    /// Publish components. What was published before is left as it is.
    #[command(
        after_help = "Example:\n  portcullis plugin push jwt-auth.wasm rate-limit.wasm\n\nname@version can be published once: other bytes need another version."
    )]
    Push(PushArgs),
    /// Run captured calls through a component on this machine, and show what it would change.
    #[command(after_help = replay::EXAMPLES)]
    Replay(Box<replay::ReplayArgs>),
    /// List published plugins.
    List(ClientArgs),
    /// Delete a plugin that no tenant's policies use.
    Delete(DeleteArgs),
}

/// What to publish.
#[derive(Debug, Args)]
pub(super) struct PushArgs {
    /// Components (.wasm).
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    client: ClientArgs,
}

/// What to delete.
#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    /// name@version, or sha256:…
    plugin: PluginRef,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(command: PluginCommand, output: Output) -> Result<(), CliError> {
    match command {
        PluginCommand::Inspect { file } => {
            let info = inspect(file).await?;
            output.print(&info, || describe(&json!(info)));
            Ok(())
        }
        PluginCommand::Replay(args) => replay::run(*args, output).await,
        PluginCommand::Push(args) => {
            let client = Client::new(args.client)?;
            let mut pushed = Vec::new();
            for file in &args.files {
                pushed.push(push(&client, file).await?);
            }
            output.print(&pushed, || {
                pushed
                    .iter()
                    .map(pushed_line)
                    .collect::<Vec<_>>()
                    .join("\n")
            });
            Ok(())
        }
        PluginCommand::List(args) => {
            let plugins = Client::new(args)?.list("/api/v1/plugins").await?;
            output.print(&plugins, || listing(&plugins));
            Ok(())
        }
        PluginCommand::Delete(args) => {
            let path = format!("/api/v1/plugins/{}", args.plugin);
            Client::new(args.client)?
                .send(Method::DELETE, &path, Payload::Nothing, None)
                .await?;
            output.print(&json!({"deleted": args.plugin.to_string()}), || {
                format!("deleted {}", args.plugin)
            });
            Ok(())
        }
    }
}

/// Publishes one component and returns what it is, with `"published": true` when it was not there before.
pub(super) async fn push(client: &Client, file: &Path) -> Result<Value, CliError> {
    let bytes = read(file)?;
    let reply = client
        .send(Method::POST, "/api/v1/plugins", Payload::Wasm(bytes), None)
        .await;
    let reply = reply.map_err(|source| CliError::Document {
        path: file.to_owned(),
        source,
    })?;
    let mut plugin = reply.body;
    if let Some(fields) = plugin.as_object_mut() {
        fields.insert(
            "published".to_owned(),
            Value::Bool(reply.status == StatusCode::CREATED),
        );
    }
    Ok(plugin)
}

fn read(file: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(file).map_err(|source| CliError::File {
        path: file.to_owned(),
        source,
    })
}

/// The same judgement as at admission, by a sandbox that keeps nothing.
async fn inspect(file: PathBuf) -> Result<PluginInfo, CliError> {
    let bytes = read(&file)?;
    let settings = SandboxSettings {
        cache_dir: None,
        ..SandboxSettings::default()
    };
    let sandbox = Sandbox::new(settings).map_err(|error| CliError::Gateway(error.into()))?;
    let admitted = Shelf::new(sandbox).admit(bytes.into()).await;
    admitted.map_err(|source| CliError::Plugin { path: file, source })
}

fn pushed_line(plugin: &Value) -> String {
    let what = if plugin.get("published") == Some(&Value::Bool(true)) {
        "published"
    } else {
        "already there"
    };
    format!(
        "{}@{}  {}  {what}",
        text_of(plugin, "/name"),
        text_of(plugin, "/version"),
        text_of(plugin, "/digest")
    )
}

fn listing(plugins: &[Value]) -> String {
    let rows: Vec<Vec<String>> = plugins
        .iter()
        .map(|plugin| {
            let name = format!(
                "{}@{}",
                text_of(plugin, "/name"),
                text_of(plugin, "/version")
            );
            vec![
                name,
                text_of(plugin, "/hooks"),
                text_of(plugin, "/grants"),
                text_of(plugin, "/size_bytes"),
                text_of(plugin, "/digest"),
            ]
        })
        .collect();
    table(&["PLUGIN", "HOOKS", "GRANTS", "BYTES", "DIGEST"], &rows)
}

fn describe(plugin: &Value) -> String {
    let schema = plugin
        .pointer("/config_schema")
        .map(|schema| serde_json::to_string_pretty(schema).unwrap_or_default());
    format!(
        "{}@{}\n  {}\n  digest  {}\n  bytes   {}\n  hooks   {}\n  grants  {}\n  configuration (JSON Schema):\n{}",
        text_of(plugin, "/name"),
        text_of(plugin, "/version"),
        text_of(plugin, "/description"),
        text_of(plugin, "/digest"),
        text_of(plugin, "/size_bytes"),
        text_of(plugin, "/hooks"),
        text_of(plugin, "/grants"),
        schema.unwrap_or_default(),
    )
}
