//! One hook, in process: how long the sandbox, the host's services and the guest's own code take together.
//!
//! `cargo bench -p portcullis-benches` measures and replaces `hook_us` in `target/bench/report.json`; flags after
//! `--`: `--quick`; a hook's name measures that one alone; `--iterations=N` runs each N times, for a profiler. Everything but the caller is the gateway's own: its call, its services, its chain.

mod bed;
mod chain;
mod sampler;

use std::error::Error;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;

use portcullis_benches::guests::{self, Behaviour};
use portcullis_benches::{plan, report};
use portcullis_sandbox::{Binding, CallView, InstanceClass};
use serde_json::{Map, Value, json};

use bed::{Bed, Outcome};
use sampler::{Sampler, Statistics};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hooks: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What was measured, by name, in the order of the measurements.
type Results = Vec<(&'static str, Statistics)>;

fn run() -> Result<(), Box<dyn Error>> {
    let sampler = Sampler::of(std::env::args().skip(1));
    let bed = Bed::make()?;
    let mut results = Results::new();
    println!(
        "{:<18} {:>10} {:>8} {:>10}  samples",
        "hook", "median us", "mad us", "least us"
    );
    guests(&bed, &sampler, &mut results)?;
    plugins(&bed, &sampler, &mut results)?;
    let mut through = chain::Through::make(&bed)?;
    through.once()?;
    measure(&sampler, &mut results, "chain", || {
        through.once().map(black_box)
    });

    if !sampler.is_complete() {
        println!("not written: only a whole `cargo bench` is");
        return Ok(());
    }
    let median = |(name, of): &(&str, Statistics)| ((*name).to_owned(), json!(of.median_us));
    let all = |(name, of): &(&str, Statistics)| ((*name).to_owned(), of.report());
    let keys = Map::from_iter([
        (
            "hook_us".to_owned(),
            Value::Object(results.iter().map(median).collect()),
        ),
        (
            "hook_us_statistics".to_owned(),
            Value::Object(results.iter().map(all).collect()),
        ),
    ]);
    let path = report::folder()?.join("report.json");
    report::update(&path, keys)?;
    println!("written: {}", path.display());
    Ok(())
}

/// Measures one operation, unless the command line names another.
fn measure<T>(
    sampler: &Sampler,
    results: &mut Results,
    name: &'static str,
    operation: impl FnMut() -> T,
) {
    if !sampler.wants(name) {
        return;
    }
    let statistics = sampler.measure(operation);
    println!(
        "{name:<18} {:>10.3} {:>8.3} {:>10.3}  {} of {}",
        statistics.median_us,
        statistics.deviation_us,
        statistics.least_us,
        statistics.samples,
        statistics.iterations
    );
    results.push((name, statistics));
}

/// The host alone: guests that do next to nothing.
fn guests(bed: &Bed, sampler: &Sampler, results: &mut Results) -> Result<(), Box<dyn Error>> {
    let cases = [
        ("empty", Behaviour::Empty, InstanceClass::Warm),
        ("warm", Behaviour::ThreeCalls, InstanceClass::Warm),
        ("fresh", Behaviour::ThreeCalls, InstanceClass::Fresh),
    ];
    for (name, behaviour, class) in cases {
        let binding = bed.bind(&guests::component(behaviour)?, &json!({}), class)?;
        admit(&binding, &bed.view()).map_err(|refused| format!("{name}: {refused}"))?;
        let view = bed.view();
        measure(sampler, results, name, || black_box(binding.admit(&view)));
    }
    Ok(())
}

fn admit(binding: &Binding, view: &Arc<dyn CallView>) -> Outcome<()> {
    bed::answer(binding.admit(view))
}

/// Every policy that ships, with the configuration and the call of [`plan`].
fn plugins(bed: &Bed, sampler: &Sampler, results: &mut Results) -> Result<(), Box<dyn Error>> {
    let view = bed.view();
    for name in ["jwt-auth", "api-key-auth"] {
        let binding = bed.bind_plugin(name)?;
        bed::answer(binding.authenticate(&view))?
            .ok_or_else(|| format!("{name} does not know the caller"))?;
        measure(sampler, results, name, || {
            black_box(binding.authenticate(&view))
        });
    }
    for name in ["rate-limit", "access-control"] {
        let binding = bed.bind_plugin(name)?;
        admit(&binding, &view).map_err(|refused| format!("{name}: {refused}"))?;
        measure(sampler, results, name, || black_box(binding.admit(&view)));
    }
    let fresh = bed.bind(
        &bed.component("rate-limit")?,
        &plan::config("rate-limit"),
        InstanceClass::Fresh,
    )?;
    measure(sampler, results, "rate-limit-fresh", || {
        black_box(fresh.admit(&view))
    });

    let (router, candidates) = (bed.bind_plugin("smart-route")?, bed::candidates());
    bed::answer(router.route(&view, &candidates))?.ok_or("smart-route chooses nothing")?;
    measure(sampler, results, "smart-route", || {
        black_box(router.route(&view, &candidates))
    });

    let redact = bed.bind_plugin("redact")?;
    bed::answer(redact.transform_call(&view))?;
    measure(sampler, results, "redact-arguments", || {
        black_box(redact.transform_call(&view))
    });
    // `redact` is the name that the report promises: a result of 500 bytes, in which there is nothing to find.
    for (name, text, is_changed) in [
        ("redact", plan::RESULT_PLAIN, false),
        ("redact-found", plan::RESULT_PERSONAL, true),
    ] {
        let reply = bed::reply(plan::result_with(text, 500).to_string());
        if bed::answer(redact.transform_reply(&view, &reply))?.is_some() != is_changed {
            return Err(
                format!("{name}: what was to be found was not, or the other way round").into(),
            );
        }
        measure(sampler, results, name, || {
            black_box(redact.transform_reply(&view, &reply))
        });
    }
    Ok(())
}
