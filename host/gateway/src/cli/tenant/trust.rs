//! `portcullis tenant trust`: whose signatures count for a tenant.

use std::path::Path;

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use crate::cli::client::{Client, ClientArgs, Payload};
use crate::cli::output::{table, text_of};
use crate::cli::plugin::public_key;
use crate::cli::{CliError, Output};

use super::tenant_path;

/// Whose trust, and in whom.
#[derive(Debug, Args)]
pub(in crate::cli) struct TrustArgs {
    /// The tenant.
    tenant: String,
    /// A key whose signatures count: a file (.pub), or `ed25519:…`; can be repeated. Replaces the keys that are there.
    #[arg(long = "key", value_name = "KEY", conflicts_with = "clear")]
    keys: Vec<String>,
    /// Every plugin of the tenant's next policies must be signed by one of the keys, or of the operator's.
    #[arg(long, conflicts_with = "clear")]
    require_signature: bool,
    /// Trust no keys of its own, and require nothing.
    #[arg(long)]
    clear: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: TrustArgs, output: Output) -> Result<(), CliError> {
    let path = format!("{}/trust", tenant_path(&args.tenant)?);
    let mut keys = Vec::new();
    for key in &args.keys {
        // A file's name says whose key it is.
        let name = Path::new(key).file_stem().and_then(|name| name.to_str());
        let name = name.filter(|_| !key.starts_with("ed25519:"));
        keys.push(json!({"name": name.unwrap_or_default(), "public_key": public_key(key)?}));
    }
    let client = Client::new(args.client)?;
    let changes = args.clear || args.require_signature || !keys.is_empty();
    let trust = if changes {
        let document = json!({"require_signature": args.require_signature, "keys": keys});
        let payload = Payload::Json(document);
        client.send(Method::PUT, &path, payload, None).await?.body
    } else {
        client.get(&path).await?.body
    };
    output.print(&trust, || shown(&trust));
    Ok(())
}

fn shown(trust: &Value) -> String {
    let required = trust.get("require_signature") == Some(&Value::Bool(true));
    let rows = |list: &str, fields: [&str; 3]| -> Vec<Vec<String>> {
        let items = trust.pointer(list).and_then(Value::as_array);
        let items = items.map(Vec::as_slice).unwrap_or_default();
        items
            .iter()
            .map(|item| fields.map(|field| text_of(item, field)).to_vec())
            .collect()
    };
    let keys = rows("/keys", ["/id", "/name", "/public_key"]);
    let untrusted = rows("/untrusted", ["/binding", "/plugin", "/reason"]);
    let mut text = format!(
        "signatures are {}\n{}",
        if required { "required" } else { "not required" },
        table(&["KEY", "NAME", "PUBLIC KEY"], &keys)
    );
    if !untrusted.is_empty() {
        text.push_str("\nserved already, and could not be put again:\n");
        text.push_str(&table(&["BINDING", "PLUGIN", "WHY"], &untrusted));
    }
    text
}
