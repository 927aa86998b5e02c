//! `portcullis explain`, `portcullis samples`: what a chain makes of one call, and the calls that were captured.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::client::{Client, ClientArgs, Payload};
use super::output::{table, text_of};
use super::policies::published;
use super::tenant::tenant_path;
use super::{CliError, Output};

pub(super) const EXAMPLES: &str = "\
Examples:
  portcullis explain --tenant acme --tool crm__delete_customer --arguments '{\"id\": \"C-1\"}' --subject ann --role admin
  portcullis explain --tenant acme --tool crm__delete_customer --header 'authorization: Bearer eyJ…'
  portcullis explain --tenant acme --sample 01J9… --policies new-policies.yaml
  portcullis explain --tenant acme --sample 01J9… --revision 7

No upstream is asked, no counter is taken from and no value is kept. With --subject no authenticator is asked.";

/// Which call, and by which chain.
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// A captured call: `portcullis samples list` shows them.
    #[arg(long, value_name = "ID")]
    sample: Option<String>,
    /// The server that it is sent to; may be left out where the tenant has one.
    #[arg(long)]
    server: Option<String>,
    /// The tool that it calls.
    #[arg(long, conflicts_with = "method")]
    tool: Option<String>,
    /// The tool's arguments, as JSON.
    #[arg(long, requires = "tool", value_name = "JSON")]
    arguments: Option<String>,
    /// A JSON-RPC method other than `tools/call`.
    #[arg(long)]
    method: Option<String>,
    /// The method's params, as JSON.
    #[arg(long, requires = "method", value_name = "JSON")]
    params: Option<String>,
    /// A header, as `name: value`.
    #[arg(long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// Who calls; no authenticator is asked then.
    #[arg(long)]
    subject: Option<String>,
    /// The caller's team.
    #[arg(long, requires = "subject")]
    team: Option<String>,
    /// A role of the caller's.
    #[arg(long = "role", requires = "subject", value_name = "ROLE")]
    roles: Vec<String>,
    /// A scope of the caller's.
    #[arg(long = "scope", requires = "subject", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// What the upstream answers, as JSON: transforms of results are run over it.
    #[arg(long, value_name = "JSON")]
    result: Option<String>,
    /// By the chain of this revision [default: the live one].
    #[arg(long, conflicts_with = "policies")]
    revision: Option<u64>,
    /// By the chain in this file (YAML or JSON).
    #[arg(long, value_name = "FILE")]
    policies: Option<PathBuf>,
    #[command(flatten)]
    client: ClientArgs,
}

/// What to do with captured calls.
#[derive(Debug, Subcommand)]
pub(super) enum SamplesCommand {
    /// List them, newest first.
    List(TenantArgs),
    /// Forget them.
    Clear(TenantArgs),
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

pub(super) async fn samples(command: SamplesCommand, output: Output) -> Result<(), CliError> {
    match command {
        SamplesCommand::List(args) => {
            let path = format!("{}/samples", tenant_path(&args.tenant)?);
            let list = Client::new(args.client)?.get(&path).await?.body;
            output.print(&list, || {
                let items = list.pointer("/items").and_then(Value::as_array);
                let row = |sample: &Value| {
                    let fields = ["/id", "/method", "/params/name", "/identity/subject"];
                    let mut row = fields.map(|field| text_of(sample, field)).to_vec();
                    row.push(match sample.pointer("/refused/code") {
                        Some(_) => format!("refused: {}", text_of(sample, "/refused/code")),
                        None => "passed".to_owned(),
                    });
                    row
                };
                let rows: Vec<_> = items.into_iter().flatten().map(row).collect();
                table(&["SAMPLE", "METHOD", "TARGET", "CALLER", "VERDICT"], &rows)
            });
            Ok(())
        }
        SamplesCommand::Clear(args) => {
            let path = format!("{}/samples", tenant_path(&args.tenant)?);
            let client = Client::new(args.client)?;
            client
                .send(Method::DELETE, &path, Payload::Nothing, None)
                .await?;
            output.print(&json!({ "tenant": args.tenant }), || {
                format!("{} has no samples now", args.tenant)
            });
            Ok(())
        }
    }
}

pub(super) async fn run(args: ExplainArgs, output: Output) -> Result<(), CliError> {
    let path = format!("{}/explain", tenant_path(&args.tenant)?);
    let client = Client::new(args.client.clone())?;
    let policies = match &args.policies {
        Some(file) => Some(published(&client, file).await?.0),
        None => None,
    };
    let mut question = question(&args)?;
    if let (Some(policies), Some(question)) = (policies, question.as_object_mut()) {
        question.insert("policies".to_owned(), json!(policies));
    }
    let asked = client.send(Method::POST, &path, Payload::Json(question), None);
    let answer = asked.await?.body;
    output.print(&answer, || in_words(&answer));
    Ok(())
}

fn question(args: &ExplainArgs) -> Result<Value, CliError> {
    let read = |flag: &str, text: &Option<String>| match text {
        Some(text) => serde_json::from_str::<Value>(text)
            .map(Some)
            .map_err(|error| CliError::Usage(format!("{flag} is not JSON: {error}"))),
        None => Ok(None),
    };
    let params = match &args.tool {
        Some(tool) => {
            let arguments = read("--arguments", &args.arguments)?.unwrap_or_else(|| json!({}));
            Some(json!({ "name": tool, "arguments": arguments }))
        }
        None => read("--params", &args.params)?,
    };
    let mut headers = serde_json::Map::new();
    for header in &args.headers {
        let (name, value) = header.split_once(':').ok_or_else(|| {
            CliError::Usage(format!("--header {header}: write it as `name: value`"))
        })?;
        headers.insert(name.trim().to_owned(), value.trim().into());
    }
    let identity = args.subject.as_ref().map(|subject| {
        json!({ "subject": subject, "team": args.team, "roles": args.roles, "scopes": args.scopes })
    });
    let fields = [
        ("sample", args.sample.clone().map(Value::from)),
        ("server", args.server.clone().map(Value::from)),
        ("method", args.method.clone().map(Value::from)),
        ("params", params),
        ("headers", Some(Value::Object(headers))),
        ("identity", identity),
        ("result", read("--result", &args.result)?),
        ("revision", args.revision.map(Value::from)),
    ];
    let given = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Ok(Value::Object(given.collect()))
}

fn in_words(answer: &Value) -> String {
    let of = |field: &str| text_of(answer, field);
    let steps = answer.pointer("/steps").and_then(Value::as_array);
    let row = |step: &Value| {
        let fields = [
            "/hook", "/policy", "/verdict", "/code", "/time_us", "/detail",
        ];
        fields.map(|field| text_of(step, field)).to_vec()
    };
    let rows: Vec<_> = steps.into_iter().flatten().map(row).collect();
    let mut lines = vec![
        table(
            &["HOOK", "POLICY", "VERDICT", "CODE", "US", "DETAIL"],
            &rows,
        ),
        match answer.get("refused_with") {
            Some(_) => format!("refused: {}", of("/refused_with")),
            None => format!("passed, as {}", of("/subject")),
        },
    ];
    for (field, what) in [("/arguments", "arguments"), ("/result", "result")] {
        if let Some(changed) = answer.pointer(field) {
            lines.push(format!("{what} from then on: {changed}"));
        }
    }
    let log = answer.pointer("/log").and_then(Value::as_array);
    let log = log.into_iter().flatten().filter_map(Value::as_str);
    lines.extend(log.map(|line| format!("log: {line}")));
    lines.join("\n")
}
