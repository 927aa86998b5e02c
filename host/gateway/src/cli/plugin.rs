//! `portcullis plugin`: inspect and sign a component here; publish, pull, list and delete plugins of a running gateway.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use http::{Method, StatusCode};
use portcullis_sandbox::{Sandbox, SandboxSettings};
use serde_json::{Value, json};

use crate::model::PluginRef;
use crate::oci::OciReference;
use crate::tenancy::{PluginRefused, Shelf, Shelved};

use super::client::{Client, ClientArgs, Payload};
use super::output::text_of;
use super::{CliError, Output, replay};

mod listing;
mod signing;

pub(super) use signing::public_key;

const PUSH_EXAMPLES: &str = "\
Examples:
  portcullis plugin push jwt-auth.wasm rate-limit.wasm
      name@version can be published once: other bytes need another version. A signature beside a component
      (rate-limit.wasm.sig) is published with it.
  portcullis plugin push rate-limit.wasm --signature release.sig --signature audit.sig
      A plugin can be signed by several keys.";

const PULL_EXAMPLES: &str = "\
Example:
  portcullis plugin pull oci://ghcr.io/acme/rate-limit@sha256:4f1c...

The gateway fetches it, and every byte is held against the digest. Tags are refused, since they can be moved.
What registries need a word about (a password, plain http, other hosts) stands in the gateway's settings:
plugins.registries.";

const KEYGEN_EXAMPLES: &str = "\
Example:
  portcullis plugin keygen release
      Writes release.pem, the private key, which only you can read, and release.pub, the public one. Files that
      are there already are left alone.";

const SIGN_EXAMPLES: &str = "\
Example:
  portcullis plugin sign rate-limit.wasm --key release.pem
      Writes rate-limit.wasm.sig. The signature is over the component's digest and what it says of itself.";

const VERIFY_EXAMPLES: &str = "\
Example:
  portcullis plugin verify rate-limit.wasm --key release.pub
      Exit code 0 when one of the given keys has signed these very bytes.";

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
    /// Publish components, with their signatures. What was published before is left as it is.
    #[command(after_help = PUSH_EXAMPLES)]
    Push(PushArgs),
    /// Publish a component of an OCI registry.
    #[command(after_help = PULL_EXAMPLES)]
    Pull(PullArgs),
    /// Run captured calls through a component on this machine, and show what it would change.
    #[command(after_help = replay::EXAMPLES)]
    Replay(Box<replay::ReplayArgs>),
    /// List published plugins, newest version first.
    #[command(
        after_help = "Examples:\n  portcullis plugin list\n  portcullis plugin list rate-limit --limit 10"
    )]
    List(listing::ListArgs),
    /// Delete a plugin that no tenant's policies use.
    Delete(DeleteArgs),
    /// Make a key to sign plugins with.
    #[command(after_help = KEYGEN_EXAMPLES)]
    Keygen(signing::KeygenArgs),
    /// Sign a component.
    #[command(after_help = SIGN_EXAMPLES)]
    Sign(signing::SignArgs),
    /// Verify who signed a component.
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(signing::VerifyArgs),
}

/// What to publish.
#[derive(Debug, Args)]
pub(super) struct PushArgs {
    /// Components (.wasm).
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Signature of the one component; can be repeated [default: the component's name and .sig, where that is there].
    #[arg(long = "signature", value_name = "FILE")]
    signatures: Vec<PathBuf>,
    #[command(flatten)]
    client: ClientArgs,
}

/// What to pull.
#[derive(Debug, Args)]
pub(super) struct PullArgs {
    /// oci://registry/repository@sha256:…
    reference: OciReference,
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
            let shelved = component(&file).await?;
            output.print(&shelved.info, || listing::describe(&json!(shelved.info)));
            Ok(())
        }
        PluginCommand::Replay(args) => replay::run(*args, output).await,
        PluginCommand::Push(args) => push_all(args, output).await,
        PluginCommand::Pull(args) => {
            let payload = Payload::Json(json!({"reference": args.reference.to_string()}));
            let reply = Client::new(args.client)?
                .send(Method::POST, "/api/v1/plugins/pull", payload, None)
                .await?;
            let pulled = marked(reply.body, reply.status);
            output.print(&pulled, || listing::published(&pulled));
            Ok(())
        }
        PluginCommand::List(args) => listing::run(args, output).await,
        PluginCommand::Keygen(args) => signing::keygen(&args, output),
        PluginCommand::Sign(args) => signing::sign(args, output).await,
        PluginCommand::Verify(args) => signing::verify(args, output).await,
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

async fn push_all(args: PushArgs, output: Output) -> Result<(), CliError> {
    if !args.signatures.is_empty() && args.files.len() > 1 {
        let message = "--signature is of one component: push the others by themselves";
        return Err(CliError::Usage(message.to_owned()));
    }
    let client = Client::new(args.client)?;
    let mut pushed = Vec::new();
    for file in &args.files {
        pushed.push(push(&client, file, &args.signatures).await?);
    }
    output.print(&pushed, || {
        let lines: Vec<String> = pushed.iter().map(listing::published).collect();
        lines.join("\n")
    });
    Ok(())
}

/// Publishes one component, with these signatures or the one beside it, and returns what it is, with
/// `"published": true` when it was not there before.
pub(super) async fn push(
    client: &Client,
    file: &Path,
    signatures: &[PathBuf],
) -> Result<Value, CliError> {
    let payload = Payload::Wasm(read(file)?);
    let reply = client
        .send(Method::POST, "/api/v1/plugins", payload, None)
        .await;
    let reply = reply.map_err(|source| CliError::Document {
        path: file.to_owned(),
        source,
    })?;
    let mut plugin = marked(reply.body, reply.status);
    let beside = signing::beside(file);
    let signatures = if signatures.is_empty() && beside.exists() {
        std::slice::from_ref(&beside)
    } else {
        signatures
    };
    for path in signatures {
        let added = add_signature(client, &plugin, path).await?;
        if let Some(Value::Array(all)) = plugin.get_mut("signatures") {
            all.retain(|one| one.get("public_key") != added.get("public_key"));
            all.push(added);
        }
    }
    Ok(plugin)
}

async fn add_signature(client: &Client, plugin: &Value, path: &Path) -> Result<Value, CliError> {
    let signature = signing::read_signature(path)?;
    let target = format!("/api/v1/plugins/{}/signatures", text_of(plugin, "/digest"));
    let payload = Payload::Json(json!(signature));
    let reply = client.send(Method::POST, &target, payload, None).await;
    let reply = reply.map_err(|source| CliError::Document {
        path: path.to_owned(),
        source,
    })?;
    Ok(reply.body)
}

/// A plugin, with whether it was not there before.
fn marked(mut plugin: Value, status: StatusCode) -> Value {
    if let Some(fields) = plugin.as_object_mut() {
        let published = Value::Bool(status == StatusCode::CREATED);
        fields.insert("published".to_owned(), published);
    }
    plugin
}

fn read(file: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(file).map_err(|source| CliError::File {
        path: file.to_owned(),
        source,
    })
}

/// A component, after the same judgement as at admission, by a sandbox that keeps nothing.
async fn component(file: &Path) -> Result<Arc<Shelved>, CliError> {
    let bytes = read(file)?;
    let settings = SandboxSettings {
        cache_dir: None,
        ..SandboxSettings::default()
    };
    let sandbox = Sandbox::new(settings).map_err(|error| CliError::Gateway(error.into()))?;
    let refused = |source| CliError::Plugin {
        path: file.to_owned(),
        source,
    };
    let shelf = Shelf::new(sandbox);
    let info = shelf.admit(bytes.into()).await.map_err(refused)?;
    let gone = || PluginRefused {
        code: "compile",
        message: "the component was admitted, and is gone".to_owned(),
    };
    shelf.get(&info.digest).ok_or_else(gone).map_err(refused)
}
