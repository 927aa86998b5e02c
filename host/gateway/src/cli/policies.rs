//! `portcullis policies`: a tenant's chain, from a file to a running gateway and back.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use http::{Method, header};
use serde_json::{Value, json};

use crate::config;
use crate::model::ChainSpec;

use super::client::{Client, ClientArgs, Payload, Reply};
use super::output::{table, text_of};
use super::plugin::push;
use super::tenant::tenant_path;
use super::{CliError, Output};

const APPLY_EXAMPLES: &str = "\
Example:
  portcullis policies apply --tenant acme policies.yaml

policies.yaml:
  bindings:
    - plugin: jwt-auth@0.1.0
      grants: [jwt]
      config: {issuers: [\"https://id.example\"], audiences: [\"https://mcp.example\"]}
    - plugin: ./rate-limit.wasm        # a file beside this one: published first
      grants: [quota]
      config: {limits: [{name: calls, key: [subject], rate: 10, period_ms: 60000, burst: 10}]}

The new chain is compiled aside and replaces the live one at once; calls in flight end on the one they began with.
With --if-match it replaces only the revision that `policies get` showed.";

/// What to do with a tenant's policies.
#[derive(Debug, Subcommand)]
pub(super) enum PoliciesCommand {
    /// Make the chain in a file (YAML or JSON) the live one.
    #[command(after_help = APPLY_EXAMPLES)]
    Apply(ApplyArgs),
    /// Show the live chain, as it was written.
    Get(TenantArgs),
    /// List revisions, newest first.
    Revisions(TenantArgs),
    /// Show what changed between two revisions.
    Diff(DiffArgs),
    /// Make the chain of an earlier revision the live one again.
    Rollback(RollbackArgs),
}

/// Which chain for which tenant.
#[derive(Debug, Args)]
pub(super) struct ApplyArgs {
    /// The chain (YAML or JSON).
    file: PathBuf,
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// The revision that this replaces; any when absent.
    #[arg(long, value_name = "REVISION")]
    if_match: Option<u64>,
    #[command(flatten)]
    client: ClientArgs,
}

/// Which revisions.
#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// The older revision.
    from: u64,
    /// The newer revision [default: the live one].
    to: Option<u64>,
    /// The tenant.
    #[arg(long)]
    tenant: String,
    #[command(flatten)]
    client: ClientArgs,
}

/// Which revision.
#[derive(Debug, Args)]
pub(super) struct RollbackArgs {
    /// The revision to go back to.
    revision: u64,
    /// The tenant.
    #[arg(long)]
    tenant: String,
    #[command(flatten)]
    client: ClientArgs,
}

/// Which tenant.
#[derive(Debug, Args)]
pub(super) struct TenantArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(command: PoliciesCommand, output: Output) -> Result<(), CliError> {
    match command {
        PoliciesCommand::Apply(args) => apply(args, output).await,
        PoliciesCommand::Get(args) => {
            let path = format!("{}/policies", tenant_path(&args.tenant)?);
            let reply = Client::new(args.client)?.get(&path).await?;
            let revision = revision(&reply);
            output.print(&json!({"revision": revision, "chain": reply.body}), || {
                let yaml = serde_norway::to_string(&reply.body).unwrap_or_default();
                format!("# tenant {}, revision {revision}\n{yaml}", args.tenant)
            });
            Ok(())
        }
        PoliciesCommand::Diff(args) => diff(args, output).await,
        PoliciesCommand::Rollback(args) => roll_back(args, output).await,
        PoliciesCommand::Revisions(args) => {
            let path = format!("{}/policies/revisions", tenant_path(&args.tenant)?);
            let revisions = Client::new(args.client)?.list(&path).await?;
            output.print(&revisions, || {
                let rows: Vec<_> = revisions
                    .iter()
                    .map(|item| {
                        vec![
                            text_of(item, "/revision"),
                            text_of(item, "/author"),
                            text_of(item, "/plugins"),
                        ]
                    })
                    .collect();
                table(&["REVISION", "AUTHOR", "PLUGINS"], &rows)
            });
            Ok(())
        }
    }
}

async fn diff(args: DiffArgs, output: Output) -> Result<(), CliError> {
    let to = args.to.map(|to| format!("&to={to}")).unwrap_or_default();
    let tenant = tenant_path(&args.tenant)?;
    let path = format!("{tenant}/policies/diff?from={}{to}", args.from);
    let diff = Client::new(args.client)?.get(&path).await?.body;
    output.print(&diff, || {
        let changes = diff.pointer("/changes").and_then(Value::as_array);
        let lines = changes.into_iter().flatten().map(|change| {
            let side = |name| change.get(name).map_or("-".to_owned(), Value::to_string);
            format!(
                "{}: {} -> {}",
                text_of(change, "/pointer"),
                side("before"),
                side("after")
            )
        });
        match lines.collect::<Vec<_>>() {
            lines if lines.is_empty() => "no difference".to_owned(),
            lines => lines.join("\n"),
        }
    });
    Ok(())
}

async fn roll_back(args: RollbackArgs, output: Output) -> Result<(), CliError> {
    let path = format!("{}/policies/rollback", tenant_path(&args.tenant)?);
    let to = Payload::Json(json!({"revision": args.revision}));
    let reply = Client::new(args.client)?
        .send(Method::POST, &path, to, None)
        .await?;
    let revision = revision(&reply);
    output.print(
        &json!({"tenant": args.tenant, "revision": revision}),
        || {
            format!(
                "{} is at revision {revision}, which is revision {} again",
                args.tenant, args.revision
            )
        },
    );
    Ok(())
}

async fn apply(args: ApplyArgs, output: Output) -> Result<(), CliError> {
    let path = format!("{}/policies", tenant_path(&args.tenant)?);
    let client = Client::new(args.client)?;
    let (chain, pushed) = published(&client, &args.file).await?;
    let reply = client
        .send(
            Method::PUT,
            &path,
            Payload::Json(json!(chain)),
            args.if_match,
        )
        .await;
    let reply = reply.map_err(|source| CliError::Document {
        path: args.file,
        source,
    })?;
    let revision = revision(&reply);
    output.print(
        &json!({"tenant": args.tenant, "revision": revision, "pushed": pushed}),
        || {
            let plugins: Vec<&str> = chain
                .bindings
                .iter()
                .map(|binding| binding.plugin.as_str())
                .collect();
            format!(
                "{} is at revision {revision}: {}",
                args.tenant,
                plugins.join(", ")
            )
        },
    );
    Ok(())
}

/// The chain in a file, with the components beside it published.
pub(super) async fn published(
    client: &Client,
    file: &Path,
) -> Result<(ChainSpec, Vec<Value>), CliError> {
    let text = std::fs::read_to_string(file).map_err(|source| CliError::File {
        path: file.to_owned(),
        source,
    })?;
    let mut chain: ChainSpec = config::parse_yaml(&text, file)?;
    let mut pushed = Vec::new();
    for binding in &mut chain.bindings {
        if let Some(component) = component_file(&binding.plugin, file) {
            let plugin = push(client, &component, &[]).await?;
            binding.plugin = format!(
                "{}@{}",
                text_of(&plugin, "/name"),
                text_of(&plugin, "/version")
            );
            pushed.push(plugin);
        }
    }
    Ok((chain, pushed))
}

/// The component that a binding names by path, relative to the chain's file.
fn component_file(plugin: &str, chain: &Path) -> Option<PathBuf> {
    let is_path = plugin.ends_with(".wasm")
        || plugin.starts_with("./")
        || plugin.starts_with("../")
        || plugin.starts_with('/');
    is_path.then(|| chain.parent().unwrap_or(Path::new("")).join(plugin))
}

/// The revision in a reply's entity tag.
fn revision(reply: &Reply) -> u64 {
    let tag = reply
        .headers
        .get(header::ETAG)
        .and_then(|tag| tag.to_str().ok())
        .unwrap_or_default();
    tag.trim_matches('"').parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::component_file;

    #[test]
    fn components_are_found_beside_the_chain() {
        let chain = Path::new("conf/policies.yaml");
        for (plugin, want) in [
            ("./a.wasm", Some("conf/./a.wasm")),
            ("a.wasm", Some("conf/a.wasm")),
            ("/srv/a.wasm", Some("/srv/a.wasm")),
            ("jwt-auth@0.1.0", None),
            ("sha256:ab", None),
        ] {
            assert_eq!(
                component_file(plugin, chain),
                want.map(PathBuf::from),
                "{plugin}"
            );
        }
    }
}
