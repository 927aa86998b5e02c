//! `portcullis rollout`: a chain beside the live one, compared or tried on a share of sessions, before it is live.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde_json::{Value, json};

use super::client::{Client, ClientArgs, Payload};
use super::output::{table, text_of};
use super::policies::published;
use super::tenant::tenant_path;
use super::{CliError, Output};

const START_EXAMPLES: &str = "\
Examples:
  portcullis rollout start --tenant acme --strategy shadow policies.yaml
  portcullis rollout start --tenant acme --strategy canary --percent 5 policies.yaml
  portcullis rollout start --tenant acme --strategy canary --percent 5 --promote-after-s 3600 --promote-after-calls 10000 policies.yaml
  portcullis rollout start --tenant acme --strategy canary --percent 50 --revision 7

A shadow sees every call beside the live chain: `rollout show` tells on which calls it would have decided otherwise.
A canary serves a share of sessions, each to its end. Either is rolled back by itself when a bound is broken.";

/// What to do with a rollout.
#[derive(Debug, Subcommand)]
pub(super) enum RolloutCommand {
    /// Start to roll out the chain in a file (YAML or JSON), or of an earlier revision.
    #[command(after_help = START_EXAMPLES)]
    Start(Box<StartArgs>),
    /// List a tenant's rollouts, newest first.
    List(TenantArgs),
    /// Show how a rollout goes [default: the newest].
    Show(RolloutArgs),
    /// Change the share of sessions that a canary serves.
    Percent(PercentArgs),
    /// Make the candidate the live chain.
    Promote(EndArgs),
    /// Take the candidate back.
    Rollback(EndArgs),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Strategy {
    /// Compare it with the live chain on real calls; it changes nothing.
    Shadow,
    /// Serve a share of sessions with it.
    Canary,
    /// Make it the live chain at once.
    Immediate,
}

#[derive(Debug, Args)]
pub(super) struct StartArgs {
    /// The chain (YAML or JSON).
    #[arg(required_unless_present = "revision", conflicts_with = "revision")]
    file: Option<PathBuf>,
    /// Roll out the chain of this revision.
    #[arg(long)]
    revision: Option<u64>,
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// How it meets traffic.
    #[arg(long, value_enum)]
    strategy: Strategy,
    /// Percent of sessions that a canary serves.
    #[arg(long)]
    percent: Option<f64>,
    /// Roll back when more of its hooks fail, in percent of its calls [default: 1].
    #[arg(long, value_name = "PERCENT")]
    failures_percent_max: Option<f64>,
    /// Roll back when it refuses more calls than the live chain, by percentage points.
    #[arg(long, value_name = "POINTS")]
    denials_percent_over_max: Option<f64>,
    /// Roll a shadow back when it differs on more calls, in percent.
    #[arg(long, value_name = "PERCENT")]
    differences_percent_max: Option<f64>,
    /// Roll back when its hooks take longer for one call in the mean, in microseconds.
    #[arg(long, value_name = "US")]
    mean_us_max: Option<u64>,
    /// Calls that it has to see before any bound counts [default: 20].
    #[arg(long, value_name = "COUNT")]
    calls_min: Option<u64>,
    /// Promote it by itself after this time without a broken bound, in seconds.
    #[arg(long, value_name = "S", requires = "promote_after_calls")]
    promote_after_s: Option<u64>,
    /// Promote it by itself after this many calls without a broken bound.
    #[arg(long, value_name = "COUNT", requires = "promote_after_s")]
    promote_after_calls: Option<u64>,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
pub(super) struct TenantArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
pub(super) struct RolloutArgs {
    /// Its number.
    id: Option<u64>,
    #[command(flatten)]
    of: TenantArgs,
}

#[derive(Debug, Args)]
pub(super) struct PercentArgs {
    /// Percent of sessions, 0 to 100.
    percent: f64,
    /// The rollout's number [default: the newest].
    #[arg(long, value_name = "ID")]
    rollout: Option<u64>,
    #[command(flatten)]
    of: TenantArgs,
}

#[derive(Debug, Args)]
pub(super) struct EndArgs {
    /// Its number [default: the newest].
    id: Option<u64>,
    /// Kept with the rollout.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    of: TenantArgs,
}

pub(super) async fn run(command: RolloutCommand, output: Output) -> Result<(), CliError> {
    match command {
        RolloutCommand::Start(args) => start(*args, output).await,
        RolloutCommand::List(args) => {
            let path = rollouts(&args.tenant)?;
            let list = Client::new(args.client)?.list(&path).await?;
            let row = |item: &Value| {
                let fields = [
                    "/id",
                    "/revision",
                    "/strategy",
                    "/percent",
                    "/state",
                    "/reason",
                ];
                fields.map(|field| text_of(item, field)).to_vec()
            };
            output.print(&list, || {
                let head = ["ID", "REVISION", "STRATEGY", "PERCENT", "STATE", "REASON"];
                table(&head, &list.iter().map(row).collect::<Vec<_>>())
            });
            Ok(())
        }
        RolloutCommand::Show(args) => {
            let sent = (Method::GET, "", Payload::Nothing);
            send((args.of, args.id), sent, output).await
        }
        RolloutCommand::Percent(args) => {
            let change = Payload::Json(json!({ "percent": args.percent }));
            send((args.of, args.rollout), (Method::PATCH, "", change), output).await
        }
        RolloutCommand::Promote(args) => end(args, "/promote", output).await,
        RolloutCommand::Rollback(args) => end(args, "/rollback", output).await,
    }
}

fn rollouts(tenant: &str) -> Result<String, CliError> {
    Ok(format!("{}/rollouts", tenant_path(tenant)?))
}

async fn start(args: StartArgs, output: Output) -> Result<(), CliError> {
    let path = rollouts(&args.tenant)?;
    let client = Client::new(args.client)?;
    let policies = match &args.file {
        Some(file) => Some(published(&client, file).await?.0),
        None => None,
    };
    let strategy = match args.strategy {
        Strategy::Shadow => "shadow",
        Strategy::Canary => "canary",
        Strategy::Immediate => "immediate",
    };
    let promote_after = args
        .promote_after_s
        .zip(args.promote_after_calls)
        .map(|(seconds, calls)| json!({ "seconds": seconds, "calls": calls }));
    let bounds = given([
        (
            "failures_percent_max",
            args.failures_percent_max.map(Value::from),
        ),
        (
            "denials_percent_over_max",
            args.denials_percent_over_max.map(Value::from),
        ),
        (
            "differences_percent_max",
            args.differences_percent_max.map(Value::from),
        ),
        ("mean_us_max", args.mean_us_max.map(Value::from)),
        ("calls_min", args.calls_min.map(Value::from)),
    ]);
    let spec = given([
        ("policies", policies.map(|policies| json!(policies))),
        ("revision", args.revision.map(Value::from)),
        ("strategy", Some(strategy.into())),
        ("percent", args.percent.map(Value::from)),
        ("bounds", Some(bounds)),
        ("promote_after", promote_after),
    ]);
    let reply = client.send(Method::POST, &path, Payload::Json(spec), None);
    let reply = reply.await;
    let reply = match args.file {
        Some(path) => reply.map_err(|source| CliError::Document { path, source })?,
        None => reply?,
    };
    print(&reply.body, output);
    Ok(())
}

/// An object of what is there.
fn given<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let there = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(there.collect())
}

async fn end(args: EndArgs, step: &str, output: Output) -> Result<(), CliError> {
    let ending = Payload::Json(given([("reason", args.reason.map(Value::from))]));
    send((args.of, args.id), (Method::POST, step, ending), output).await
}

/// To one rollout: the newest where none is named.
async fn send(
    (of, id): (TenantArgs, Option<u64>),
    (method, step, payload): (Method, &str, Payload),
    output: Output,
) -> Result<(), CliError> {
    let path = rollouts(&of.tenant)?;
    let client = Client::new(of.client)?;
    let id = match id {
        Some(id) => id.to_string(),
        None => {
            let newest = client.get(&format!("{path}?limit=1")).await?.body;
            text_of(&newest, "/items/0/id")
        }
    };
    let reply = client
        .send(method, &format!("{path}/{id}{step}"), payload, None)
        .await?;
    print(&reply.body, output);
    Ok(())
}

fn print(rollout: &Value, output: Output) {
    output.print(rollout, || {
        let of = |field: &str| text_of(rollout, field);
        let percent = match rollout.get("percent") {
            Some(percent) => format!(" of {percent} % of sessions"),
            None => String::new(),
        };
        let mut lines = vec![format!(
            "rollout {}: revision {} as {}{percent}, {}",
            of("/id"),
            of("/revision"),
            of("/strategy"),
            of("/state")
        )];
        if rollout.get("reason").is_some() {
            lines.push(format!("because {}", of("/reason")));
        }
        if let Some(figures) = rollout.get("figures") {
            let row = |name: &str| {
                let fields = [
                    "calls",
                    "denied_percent",
                    "failed_percent",
                    "mean_us",
                    "hook_p99_us",
                ];
                let cells = fields.map(|field| text_of(figures, &format!("/{name}/{field}")));
                [vec![name.to_owned()], cells.to_vec()].concat()
            };
            let head = [
                "CHAIN",
                "CALLS",
                "DENIED %",
                "FAILED %",
                "MEAN US",
                "HOOK P99 US",
            ];
            lines.push(table(&head, &[row("live"), row("candidate")]));
            if of("/strategy") == "shadow" {
                lines.push(format!(
                    "{} calls compared, {} agreed, {} skipped",
                    of("/figures/compared"),
                    of("/figures/agreed"),
                    of("/figures/skipped")
                ));
            }
            let differences = figures.get("differences").and_then(Value::as_array);
            for difference in differences.into_iter().flatten() {
                let of = |field: &str| text_of(difference, field);
                lines.push(format!(
                    "  {} {} {}: live {}; candidate {}",
                    of("/method"),
                    of("/target"),
                    of("/what"),
                    of("/live"),
                    of("/candidate")
                ));
            }
        }
        lines.join("\n")
    });
}
