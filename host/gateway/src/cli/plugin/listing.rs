//! `portcullis plugin list`, and how plugins are shown to people.

use clap::Args;
use serde_json::Value;

use crate::cli::client::{Client, ClientArgs};
use crate::cli::output::{table, text_of};
use crate::cli::{CliError, Output};

/// Which plugins.
#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// Only versions of this plugin.
    name: Option<String>,
    /// Most plugins to show, 1 to 500 [default: all].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: Option<u32>,
    /// Go on where a shorter list ended, as it said.
    #[arg(long, value_name = "CURSOR", requires = "limit")]
    cursor: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: ListArgs, output: Output) -> Result<(), CliError> {
    let client = Client::new(args.client)?;
    let mut filter = url::form_urlencoded::Serializer::new(String::new());
    if let Some(name) = &args.name {
        filter.append_pair("name", name);
    }
    let Some(limit) = args.limit else {
        let path = format!("/api/v1/plugins?{}", filter.finish());
        let plugins = client.list(&path).await?;
        output.print(&plugins, || listing(&plugins));
        return Ok(());
    };
    filter.append_pair("limit", &limit.to_string());
    if let Some(cursor) = &args.cursor {
        filter.append_pair("cursor", cursor);
    }
    let path = format!("/api/v1/plugins?{}", filter.finish());
    let page = client.get(&path).await?.body;
    output.print(&page, || {
        let items = page.get("items").and_then(Value::as_array);
        let mut text = listing(items.map(Vec::as_slice).unwrap_or_default());
        if let Some(next) = page.get("next_cursor").and_then(Value::as_str) {
            text.push_str(&format!("\nthere are more: --cursor {next}"));
        }
        text
    });
    Ok(())
}

/// What became of a component, and what it asks for.
pub(super) fn published(plugin: &Value) -> String {
    let what = if plugin.get("published") == Some(&Value::Bool(true)) {
        "published"
    } else {
        "already there"
    };
    format!(
        "{}@{}  {}  {what}\n  asks for   {}\n  signed by  {}",
        text_of(plugin, "/name"),
        text_of(plugin, "/version"),
        text_of(plugin, "/digest"),
        or_nothing(text_of(plugin, "/grants")),
        or_nothing(signers(plugin)),
    )
}

/// Everything of one plugin.
pub(super) fn describe(plugin: &Value) -> String {
    let schema = plugin
        .pointer("/config_schema")
        .map(|schema| serde_json::to_string_pretty(schema).unwrap_or_default());
    format!(
        "{}@{}\n  {}\n  digest  {}\n  bytes   {}\n  hooks   {}\n  class   {}\n  grants  {}\n  configuration (JSON Schema):\n{}",
        text_of(plugin, "/name"),
        text_of(plugin, "/version"),
        text_of(plugin, "/description"),
        text_of(plugin, "/digest"),
        text_of(plugin, "/size_bytes"),
        text_of(plugin, "/hooks"),
        text_of(plugin, "/class"),
        text_of(plugin, "/grants"),
        schema.unwrap_or_default(),
    )
}

fn listing(plugins: &[Value]) -> String {
    let row = |plugin: &Value| {
        let reference = format!(
            "{}@{}",
            text_of(plugin, "/name"),
            text_of(plugin, "/version")
        );
        vec![
            reference,
            text_of(plugin, "/hooks"),
            text_of(plugin, "/grants"),
            text_of(plugin, "/size_bytes"),
            signers(plugin),
            text_of(plugin, "/digest"),
        ]
    };
    let rows: Vec<Vec<String>> = plugins.iter().map(row).collect();
    let heads = ["PLUGIN", "HOOKS", "GRANTS", "BYTES", "SIGNED BY", "DIGEST"];
    table(&heads, &rows)
}

fn signers(plugin: &Value) -> String {
    let signatures = plugin.get("signatures").and_then(Value::as_array);
    let ids = signatures.into_iter().flatten();
    let ids: Vec<String> = ids.map(|one| text_of(one, "/key_id")).collect();
    ids.join(",")
}

fn or_nothing(text: String) -> String {
    if text.is_empty() {
        "nothing".to_owned()
    } else {
        text
    }
}
