//! `portcullis plugin replay`: captured calls run through a component on this machine, and what it would change.

mod services;
mod view;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use portcullis_sandbox::{
    Binding, BindingSettings, CallView, Hook, HookResult, InstanceClass, PluginClass, ReplyView,
    Sandbox, SandboxSettings, Scope,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::ChainSpec;
use crate::tenancy::Sample;
use crate::tenancy::rollout::places_changed;

use super::client::{Client, ClientArgs};
use super::output::table;
use super::tenant::tenant_path;
use super::{CliError, Output};
use services::Local;
use view::{Replayed, ReplayedReply};

pub(super) const EXAMPLES: &str = "\
Examples:
  portcullis plugin replay rate-limit.wasm --tenant acme
  portcullis plugin replay access-control.wasm --tenant acme --config '{\"default\": \"deny\"}'

Captures are on where the tenant says so: portcullis tenant put acme --capture-percent 10
The component runs here, with the configuration of the tenant's binding of the same name unless --config gives another.
Counters start empty, tokens are not verified: who called is taken from the sample.";

const MEMORY_BYTES_MAX: u64 = 64 << 20;
const OUTPUT_BYTES_MAX: u64 = 4 << 20;
const DEADLINE_MS: u32 = 1_000;

/// Which component, on whose calls.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// The component.
    file: PathBuf,
    /// The tenant whose captured calls are run.
    #[arg(long)]
    tenant: String,
    /// The binding whose place it takes [default: the one named as the plugin is].
    #[arg(long)]
    binding: Option<String>,
    /// Its configuration, as JSON [default: the binding's].
    #[arg(long, value_name = "JSON")]
    config: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Deserialize)]
struct Samples {
    items: Vec<Sample>,
}

pub(super) async fn run(args: ReplayArgs, output: Output) -> Result<(), CliError> {
    let bytes = std::fs::read(&args.file).map_err(|source| CliError::File {
        path: args.file.clone(),
        source,
    })?;
    let tenant = tenant_path(&args.tenant)?;
    let client = Client::new(args.client.clone())?;
    let samples = client.get(&format!("{tenant}/samples")).await?.body;
    let chain = client.get(&format!("{tenant}/policies")).await?.body;
    let read = |error: serde_json::Error| {
        CliError::Usage(format!("the gateway's answer cannot be read: {error}"))
    };
    let samples: Samples = serde_json::from_value(samples).map_err(read)?;
    let chain: ChainSpec = serde_json::from_value(chain).map_err(read)?;
    let work = tokio::task::spawn_blocking(move || replay(&args, &bytes, (&samples.items, &chain)));
    let replayed = match work.await {
        Ok(replayed) => replayed?,
        Err(failed) => return Err(CliError::Usage(format!("the replay broke off: {failed}"))),
    };
    let changed = replayed.iter().filter(|call| call.would.is_some()).count();
    let shown = json!({ "replayed": replayed.len(), "changed": changed,
        "calls": replayed.iter().map(|call| json!({ "sample": call.sample, "method": call.method, "target": call.target,
            "was": call.was, "would": call.would })).collect::<Vec<_>>() });
    output.print(&shown, || {
        let rows: Vec<Vec<String>> = replayed
            .iter()
            .filter_map(|call| {
                let would = call.would.clone()?;
                Some(vec![
                    call.sample.clone(),
                    call.method.clone(),
                    call.target.clone(),
                    call.was.clone(),
                    would,
                ])
            })
            .collect();
        let sum = format!(
            "{} calls replayed, {changed} would be changed",
            replayed.len()
        );
        match rows.is_empty() {
            true => sum,
            false => format!(
                "{}\n{sum}",
                table(&["SAMPLE", "METHOD", "TARGET", "WAS", "WOULD"], &rows)
            ),
        }
    });
    Ok(())
}

/// One call, and what would become of it.
struct Outcome {
    sample: String,
    method: String,
    target: String,
    was: String,
    would: Option<String>,
}

fn replay(
    args: &ReplayArgs,
    bytes: &[u8],
    (samples, chain): (&[Sample], &ChainSpec),
) -> Result<Vec<Outcome>, CliError> {
    let refused = |message: String| CliError::Usage(format!("{}: {message}", args.file.display()));
    let local = Local::new().map_err(|error| refused(error.to_string()))?;
    let sandbox = Sandbox::new(SandboxSettings {
        instances_max: 4,
        ..SandboxSettings::default()
    });
    let sandbox = sandbox.map_err(|error| CliError::Gateway(error.into()))?;
    let plugin = sandbox
        .admit(bytes)
        .map_err(|error| refused(error.to_string()))?;
    if plugin.class() == PluginClass::Waiting {
        let why = "it waits for what is not here; `portcullis explain` runs it where it is";
        return Err(refused(why.to_owned()));
    }
    let name = args
        .binding
        .clone()
        .unwrap_or_else(|| plugin.manifest().name.clone());
    let bound = chain.bindings.iter().find(|binding| binding.name() == name);
    let config = match (&args.config, bound) {
        (Some(config), _) => config.clone(),
        (None, Some(bound)) => bound.config.to_string(),
        (None, None) => "{}".to_owned(),
    };
    let settings = BindingSettings {
        config,
        grants: plugin.grants().clone(),
        deadline_ms: DEADLINE_MS,
        memory_bytes_max: MEMORY_BYTES_MAX,
        output_bytes_max: OUTPUT_BYTES_MAX,
        class: InstanceClass::Warm,
        scope: Scope {
            tenant: args.tenant.clone(),
            plugin: plugin.manifest().name.clone(),
            binding: name.clone(),
        },
        services: Arc::new(local),
    };
    let binding = plugin
        .bind(settings)
        .map_err(|error| refused(error.to_string()))?;
    // In the order in which they came: counters see them so.
    let outcomes = samples
        .iter()
        .rev()
        .map(|sample| outcome(&binding, (&args.tenant, &name), sample));
    Ok(outcomes.collect())
}

fn outcome(binding: &Binding, (tenant, name): (&str, &str), sample: &Sample) -> Outcome {
    let refusal = sample.refused.as_ref();
    let by_it = refusal.filter(|refused| refused.policy.as_deref() == Some(name));
    let replayed = Replayed::of(tenant, sample);
    let target = replayed.target().unwrap_or_default().into_owned();
    let would = match (judge(binding, &Arc::new(replayed), sample), by_it) {
        (Err(code), Some(before)) if code == before.code => None,
        (Err(code), _) => Some(format!("be refused: {code}")),
        (Ok(changes), None) => changes,
        (Ok(changes), Some(_)) => Some(changes.unwrap_or_else(|| "pass".to_owned())),
    };
    Outcome {
        sample: sample.id.clone(),
        method: sample.method.clone(),
        target,
        was: refusal.map_or("passed".to_owned(), |refused| {
            format!("refused: {}", refused.code)
        }),
        would,
    }
}

/// The code it is refused with, or what is changed that was not.
fn judge(
    binding: &Binding,
    call: &Arc<Replayed>,
    sample: &Sample,
) -> Result<Option<String>, String> {
    let has = |hook: Hook| binding.plugin().hooks().contains(&hook);
    let view: Arc<dyn CallView> = Arc::<Replayed>::clone(call);
    if has(Hook::Admit) {
        verdict(binding.admit(&view))?;
    }
    let mut changes = Vec::new();
    if has(Hook::TransformCall)
        && let Some(before) = call.arguments()
        && let Some(after) = verdict(binding.transform_call(&view))?
    {
        let kept = sample
            .arguments
            .as_ref()
            .map_or_else(|| before.to_owned(), Value::to_string);
        // What the chain has changed already is no news.
        if places_changed(&kept, &after).is_some() {
            changes
                .extend(places_changed(before, &after).map(|places| format!("arguments {places}")));
        }
    }
    if has(Hook::TransformReply)
        && let Some(result) = &sample.result
    {
        let before = result.to_string();
        let reply: Arc<dyn ReplyView> = Arc::new(ReplayedReply::new(before.clone()));
        if let Some(after) = verdict(binding.transform_reply(&view, &reply))? {
            changes
                .extend(places_changed(&before, &after).map(|places| format!("result {places}")));
        }
    }
    Ok((!changes.is_empty()).then(|| changes.join("; ")))
}

fn verdict<T>(answer: HookResult<T>) -> Result<T, String> {
    match answer {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(denial)) => Err(denial.code),
        Err(failure) => Err(failure.label().to_owned()),
    }
}
