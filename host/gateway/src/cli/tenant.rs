//! `portcullis tenant`: tenants of a running gateway.

use clap::{Args, Subcommand};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::model::{CaptureSpec, TenantSpec, check_name, samples_max};

use super::client::{Client, ClientArgs, Payload};
use super::output::{table, text_of};
use super::{CliError, Output};

mod trust;

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
    /// Say whose signatures count for a tenant's plugins, and whether they need one; or show it.
    #[command(
        after_help = "Examples:\n  portcullis tenant trust acme --key release.pub --require-signature\n      From now on every plugin of acme's policies must be signed by this key, or by one of the operator's.\n  portcullis tenant trust acme\n      Show it, and what is served already that could not be put again."
    )]
    Trust(trust::TrustArgs),
    /// Delete a tenant and all that is its own.
    Delete(DeleteArgs),
}

/// Which tenant, and what it is.
#[derive(Debug, Args)]
pub(super) struct PutArgs {
    /// Its name.
    tenant: String,
    /// Shown to people [default: as it is].
    #[arg(long)]
    description: Option<String>,
    /// Percent of its calls that are kept as samples, to explain and replay; 0 keeps none [default: as it is].
    #[arg(long, value_name = "PERCENT")]
    capture_percent: Option<f64>,
    /// Samples that are kept [default: 100].
    #[arg(long, value_name = "COUNT", requires = "capture_percent")]
    samples_max: Option<u32>,
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
            let client = Client::new(args.client.clone())?;
            let spec = changed(&client, &path, &args).await?;
            let reply = client
                .send(Method::PUT, &path, Payload::Json(spec), None)
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
        TenantCommand::Trust(args) => trust::run(args, output).await,
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

/// The tenant's document with what was asked for changed.
async fn changed(client: &Client, path: &str, args: &PutArgs) -> Result<Value, CliError> {
    let mut spec: TenantSpec = match client.get(path).await {
        Ok(reply) => serde_json::from_value(reply.body).map_err(|error| {
            CliError::Usage(format!("the gateway's answer cannot be read: {error}"))
        })?,
        Err(error) if error.is_missing() => TenantSpec::default(),
        Err(error) => return Err(error.into()),
    };
    if let Some(description) = &args.description {
        spec.description.clone_from(description);
    }
    if let Some(percent) = args.capture_percent {
        let samples_max = args.samples_max.unwrap_or_else(samples_max);
        spec.capture = (percent > 0.0).then_some(CaptureSpec {
            percent,
            samples_max,
        });
    }
    Ok(json!(spec))
}

/// A tenant's path in the admin API.
pub(super) fn tenant_path(tenant: &str) -> Result<String, CliError> {
    check_name(tenant).map_err(|error| CliError::Usage(error.to_string()))?;
    Ok(format!("/api/v1/tenants/{tenant}"))
}
