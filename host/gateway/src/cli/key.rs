//! `portcullis key`: API keys of a tenant.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use crate::model::KeySpec;

use super::client::{Client, ClientArgs, Payload};
use super::output::{table, text_of};
use super::tenant::tenant_path;
use super::token::parse_duration_s;
use super::{CliError, Output};

/// What to do with API keys.
#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make a key. It is shown now, and never again.
    #[command(
        after_help = "Example:\n  portcullis key create --tenant acme --name ci --subject ci-bot --role deployer --expires-in 90d\n\nCallers send it as Authorization: Bearer, where the tenant's policies have api-key-auth."
    )]
    Create(CreateArgs),
    /// List a tenant's keys, without the keys themselves.
    List(ListArgs),
    /// Delete a key. Calls made with it are refused from then on.
    Delete(DeleteArgs),
}

/// Who a new key speaks for.
#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// Shown in listings.
    #[arg(long)]
    name: String,
    /// Subject of the calls made with the key [default: its name].
    #[arg(long)]
    subject: Option<String>,
    /// The caller's team.
    #[arg(long)]
    team: Option<String>,
    /// One of the caller's roles; can be repeated.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// One of the caller's scopes; can be repeated.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// How long it is valid: 12h, 90d [default: until it is deleted].
    #[arg(long, value_parser = parse_duration_s)]
    expires_in: Option<i64>,
    #[command(flatten)]
    client: ClientArgs,
}

/// Whose keys.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    #[command(flatten)]
    client: ClientArgs,
}

/// Which key.
#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    /// Its id, as `list` shows it.
    id: String,
    /// The tenant.
    #[arg(long)]
    tenant: String,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(command: KeyCommand, output: Output) -> Result<(), CliError> {
    match command {
        KeyCommand::Create(args) => create(args, output).await,
        KeyCommand::List(args) => {
            let path = format!("{}/keys", tenant_path(&args.tenant)?);
            let keys = Client::new(args.client)?.list(&path).await?;
            output.print(&keys, || listing(&keys));
            Ok(())
        }
        KeyCommand::Delete(args) => {
            if !args
                .id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            {
                return Err(CliError::Usage(format!(
                    "`{}` is no key's id: see `portcullis key list`",
                    args.id
                )));
            }
            let path = format!("{}/keys/{}", tenant_path(&args.tenant)?, args.id);
            Client::new(args.client)?
                .send(Method::DELETE, &path, Payload::Nothing, None)
                .await?;
            output.print(&json!({"deleted": args.id}), || {
                format!("deleted {}", args.id)
            });
            Ok(())
        }
    }
}

async fn create(args: CreateArgs, output: Output) -> Result<(), CliError> {
    let spec = KeySpec {
        subject: args.subject.unwrap_or_else(|| args.name.clone()),
        name: args.name,
        team: args.team,
        roles: args.roles,
        scopes: args.scopes,
        expires_at_ms: args.expires_in.map(expiry_ms),
    };
    let path = format!("{}/keys", tenant_path(&args.tenant)?);
    let made = Client::new(args.client)?
        .send(Method::POST, &path, Payload::Json(json!(spec)), None)
        .await?
        .body;
    output.print(&made, || {
        eprintln!(
            "{} speaks for {}; this is the only time the key is shown:",
            text_of(&made, "/id"),
            text_of(&made, "/spec/subject")
        );
        text_of(&made, "/key")
    });
    Ok(())
}

/// Milliseconds since the Unix epoch, so many seconds from now.
fn expiry_ms(in_s: i64) -> u64 {
    let now_ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis();
    let now_ms = u64::try_from(now_ms).unwrap_or(u64::MAX);
    now_ms.saturating_add_signed(in_s.saturating_mul(1_000))
}

fn listing(keys: &[Value]) -> String {
    let rows: Vec<Vec<String>> = keys
        .iter()
        .map(|key| {
            [
                "/id",
                "/spec/name",
                "/spec/subject",
                "/spec/team",
                "/spec/roles",
                "/spec/scopes",
            ]
            .iter()
            .map(|field| text_of(key, field))
            .collect()
        })
        .collect();
    table(&["ID", "NAME", "SUBJECT", "TEAM", "ROLES", "SCOPES"], &rows)
}
