//! `portcullis tenant`: tenants of a running gateway.

use clap::{Args, Subcommand};
use http::{Method, StatusCode};
use serde_json::json;

use crate::model::check_name;

use super::client::{Client, ClientArgs, Payload};
use super::output::{table, text_of};
use super::{CliError, Output};

/// What to do with tenants.
#[derive(Debug, Subcommand)]
pub(super) enum TenantCommand {
    /// Create a tenant, or change its description.
    #[command(
        after_help = "Example:\n  portcullis tenant put acme --description \"The search team\"\n\nA new tenant refuses every caller until it has policies: see `portcullis policies apply --help`."
    )]
    Put(PutArgs),
    /// List tenants.
    List(ClientArgs),
    /// Delete a tenant and all that is its own.
    Delete(DeleteArgs),
}

/// Which tenant, and what it is.
#[derive(Debug, Args)]
pub(super) struct PutArgs {
    /// Its name.
    tenant: String,
    /// Shown to people.
    #[arg(long, default_value = "")]
    description: String,
    #[command(flatten)]
    client: ClientArgs,
}

/// Which tenant.
#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    /// Its name.
    tenant: String,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(command: TenantCommand, output: Output) -> Result<(), CliError> {
    match command {
        TenantCommand::Put(args) => {
            let path = tenant_path(&args.tenant)?;
            let payload = Payload::Json(json!({"description": args.description}));
            let reply = Client::new(args.client)?
                .send(Method::PUT, &path, payload, None)
                .await?;
            let created = reply.status == StatusCode::CREATED;
            output.print(&json!({"tenant": args.tenant, "created": created}), || {
                format!(
                    "{} {}",
                    if created { "created" } else { "changed" },
                    args.tenant
                )
            });
            Ok(())
        }
        TenantCommand::List(args) => {
            let tenants = Client::new(args)?.list("/api/v1/tenants").await?;
            output.print(&tenants, || {
                let rows: Vec<_> = tenants
                    .iter()
                    .map(|tenant| {
                        vec![
                            text_of(tenant, "/name"),
                            text_of(tenant, "/spec/description"),
                        ]
                    })
                    .collect();
                table(&["TENANT", "DESCRIPTION"], &rows)
            });
            Ok(())
        }
        TenantCommand::Delete(args) => {
            let path = tenant_path(&args.tenant)?;
            Client::new(args.client)?
                .send(Method::DELETE, &path, Payload::Nothing, None)
                .await?;
            output.print(&json!({"deleted": args.tenant}), || {
                format!("deleted {}", args.tenant)
            });
            Ok(())
        }
    }
}

/// A tenant's path in the admin API.
pub(super) fn tenant_path(tenant: &str) -> Result<String, CliError> {
    check_name(tenant).map_err(|error| CliError::Usage(error.to_string()))?;
    Ok(format!("/api/v1/tenants/{tenant}"))
}
