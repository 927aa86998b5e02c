//! The comparison: the same call through nothing, nginx and three gateways, in turn, round after round.
//!
//! All processes live through the whole comparison and only one of them is under load at a time, so what the machine
//! does to one it does to all. Medians over the rounds are reported, and ratios are taken within a round.

use std::collections::BTreeMap;

use portcullis_benches::plan;
use portcullis_benches::stats::{median, rounded};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::error::BenchError;
use crate::gateway::Gateway;
use crate::nginx::Nginx;
use crate::open_loop::{self, Load};
use crate::options::{Options, Tools};
use crate::process::Process;
use crate::table;
use crate::target::{Kind, Target};
use crate::upstream::Upstream;
use crate::{callers, chain, wrk};

/// Connections of the closed loop.
pub const CONNECTIONS: [usize; 3] = [1, 64, 200];
/// Runs that a sample may take until one is without errors.
const ATTEMPTS: usize = 3;
/// Ratios are taken at this many connections, and the open loop uses as many.
pub const RATIO_AT: usize = 64;

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Requests a second.
    pub rps: f64,
    /// Median latency.
    pub p50_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// CPU of the process in the middle, for each request.
    pub cpu_us: f64,
    /// Its memory at the end.
    pub rss_bytes: f64,
}

/// All samples, by target and connections, in the order of the rounds.
pub type Samples = BTreeMap<(&'static str, usize), Vec<Sample>>;

/// Everything that runs during the comparison. Fields drop in order: the upstream goes last.
struct Stage {
    targets: Vec<(Kind, Target)>,
    gateways: BTreeMap<&'static str, Gateway>,
    nginx: Option<Nginx>,
    upstream: Upstream,
    folder: TempDir,
}

/// Measures, prints a table and returns the report's keys.
pub async fn run(options: &Options, tools: &Tools) -> Result<Map<String, Value>, BenchError> {
    println!(
        "walk: starting {}",
        options
            .targets
            .iter()
            .map(|kind| kind.name())
            .collect::<Vec<_>>()
            .join(", ")
    );
    let stage = Stage::set(options, tools).await?;
    let (mut samples, mut spoilt) = (Samples::new(), Vec::new());
    for round in 0..options.rounds() {
        for connections in CONNECTIONS {
            for (kind, target) in &stage.targets {
                if round == 0 {
                    wrk::run(tools, stage.folder.path(), target, connections, 1).await?;
                }
                let sample = stage
                    .clean_sample(
                        tools,
                        (*kind, target),
                        (connections, options.seconds()),
                        &mut spoilt,
                    )
                    .await?;
                println!(
                    "walk: round {}/{}, {connections:>3} connections, {kind:<10} {:>8.0} rps, p50 {:>6.0} us, {:>6.1} us CPU",
                    round + 1,
                    options.rounds(),
                    sample.rps,
                    sample.p50_us,
                    sample.cpu_us
                );
                samples
                    .entry((kind.name(), connections))
                    .or_default()
                    .push(sample);
            }
        }
    }
    let open_loop = if options.open_loop {
        stage.open_loop(options, &samples).await?
    } else {
        Value::Null
    };
    table::print(options, &samples, &open_loop);
    let mut report = Map::new();
    report.insert("walk".to_owned(), walk_report(&samples));
    report.insert("ratio".to_owned(), ratios(&samples));
    report.insert("open_loop".to_owned(), open_loop);
    report.insert("rounds".to_owned(), json!(options.rounds()));
    report.insert("spoilt_runs".to_owned(), json!(spoilt));
    Ok(report)
}

impl Stage {
    async fn set(options: &Options, tools: &Tools) -> Result<Self, BenchError> {
        let folder = TempDir::with_prefix("portcullis-bench-")
            .map_err(|source| BenchError::io("no temporary folder", source))?;
        let upstream = Upstream::start(folder.path())?;
        let mut stage = Self {
            targets: Vec::new(),
            gateways: BTreeMap::new(),
            nginx: None,
            upstream,
            folder,
        };
        for kind in &options.targets {
            let mut target = stage.start(tools, *kind).await?;
            callers::open(&mut target, CONNECTIONS.into_iter().max().unwrap_or(1)).await?;
            stage.targets.push((*kind, target));
        }
        Ok(stage)
    }

    async fn start(&mut self, tools: &Tools, kind: Kind) -> Result<Target, BenchError> {
        let plain = |address| Target {
            address,
            path: "/mcp".to_owned(),
            tool: plan::TOOL.to_owned(),
            callers: Vec::new(),
        };
        let (folder, upstream) = (self.folder.path(), self.upstream.address);
        let program = match kind {
            Kind::Direct => return Ok(plain(upstream)),
            Kind::Nginx => {
                let nginx = Nginx::start(tools, folder, upstream).await?;
                let target = plain(nginx.address);
                self.nginx = Some(nginx);
                return Ok(target);
            }
            Kind::None | Kind::Components => &tools.portcullis,
            Kind::Native => &tools.native,
        };
        let gateway = Gateway::start(program, folder, kind.name()).await?;
        let policies = match kind {
            Kind::Native | Kind::Components => {
                chain::of(&gateway.publish_all(tools, &plan::CHAIN).await?)
            }
            Kind::Direct | Kind::Nginx | Kind::None => chain::empty(),
        };
        let target = gateway.tenant("bench", upstream, &policies).await?;
        self.gateways.insert(kind.name(), gateway);
        Ok(target)
    }

    /// The process whose CPU and memory count.
    fn process(&self, kind: Kind) -> &Process {
        let nginx = self
            .nginx
            .as_ref()
            .map(|nginx| &nginx.process)
            .filter(|_| kind == Kind::Nginx);
        let gateway = self
            .gateways
            .get(kind.name())
            .map(|gateway| &gateway.process);
        nginx.or(gateway).unwrap_or(&self.upstream.process)
    }

    /// A sample of a run without errors. A run with errors is told, kept in the report, and repeated; it is no number.
    async fn clean_sample(
        &self,
        tools: &Tools,
        on: (Kind, &Target),
        (connections, seconds): (usize, u64),
        spoilt: &mut Vec<String>,
    ) -> Result<Sample, BenchError> {
        for _ in 1..ATTEMPTS {
            match self.sample(tools, on, connections, seconds).await {
                Err(BenchError::Failed(why)) => {
                    println!("walk: a run is spoilt and repeated. {why}");
                    spoilt.push(format!("{connections} connections, {why}"));
                }
                sampled => return sampled,
            }
        }
        self.sample(tools, on, connections, seconds).await
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "microseconds and bytes, far below 2^52"
    )]
    async fn sample(
        &self,
        tools: &Tools,
        (kind, target): (Kind, &Target),
        connections: usize,
        seconds: u64,
    ) -> Result<Sample, BenchError> {
        let process = self.process(kind);
        let (calls, cpu_us) = (self.upstream.calls().await?, process.cpu_us());
        let run = wrk::run(tools, self.folder.path(), target, connections, seconds).await?;
        let (calls, cpu_us) = (
            self.upstream.calls().await? - calls,
            process.cpu_us().saturating_sub(cpu_us),
        );
        check(&run, calls).map_err(|wrong| {
            BenchError::failed(format!("{kind}: {wrong}\n{}", process.log_end("")))
        })?;
        Ok(Sample {
            rps: run.rps(),
            p50_us: run.p50_us as f64,
            p99_us: run.p99_us as f64,
            cpu_us: cpu_us as f64 / run.requests.max(1) as f64,
            rss_bytes: process.rss_bytes() as f64,
        })
    }

    /// Every target at the same rate: half of what the slowest of them can do.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is positive and small"
    )]
    async fn open_loop(&self, options: &Options, samples: &Samples) -> Result<Value, BenchError> {
        let rps = |(kind, _): &(Kind, Target)| {
            median_of(samples, kind.name(), RATIO_AT, |sample| sample.rps)
        };
        let slowest = self.targets.iter().map(rps).fold(f64::INFINITY, f64::min);
        let load = Load {
            connections: RATIO_AT,
            rate: ((slowest / 2.0) as u64).max(1),
            seconds: options.seconds(),
        };
        let mut report = Map::new();
        report.insert("rate_rps".to_owned(), json!(load.rate));
        for (kind, target) in &self.targets {
            let latencies = open_loop::run(target, load, callers::check).await?;
            println!(
                "walk: open loop at {} rps, {kind:<10} p50 {:>6} us, p99 {:>6} us",
                load.rate,
                latencies.percentile_us(50.0),
                latencies.percentile_us(99.0)
            );
            report.insert(kind.name().to_owned(), latencies.report());
        }
        Ok(Value::Object(report))
    }
}

/// Every reply must be a success, as long as the upstream's result, and made by the upstream.
fn check(run: &wrk::Run, calls: u64) -> Result<(), String> {
    let result_bytes = u64::try_from(plan::result().to_string().len()).unwrap_or(u64::MAX);
    if run.failed() > 0 {
        Err(run.failures())
    } else if run.requests == 0 {
        Err("nothing was answered".to_owned())
    } else if run.bytes / run.requests < result_bytes {
        let bytes = run.bytes / run.requests;
        Err(format!(
            "replies have {bytes} bytes, and the result alone has {result_bytes}"
        ))
    } else if calls < run.requests {
        Err(format!(
            "{} replies, but only {calls} calls reached the upstream",
            run.requests
        ))
    } else {
        Ok(())
    }
}

/// The median over the rounds of one figure; 0 where it was not measured.
pub fn median_of(
    samples: &Samples,
    kind: &'static str,
    connections: usize,
    figure: fn(&Sample) -> f64,
) -> f64 {
    let values: Vec<f64> = samples
        .get(&(kind, connections))
        .into_iter()
        .flatten()
        .map(figure)
        .collect();
    median(&values)
}

fn walk_report(samples: &Samples) -> Value {
    let mut walk: Map<String, Value> = Map::new();
    for (kind, connections) in samples.keys() {
        let figure =
            |figure: fn(&Sample) -> f64| rounded(median_of(samples, kind, *connections, figure));
        let entry = walk.entry(*kind).or_insert_with(|| json!({}));
        let row = json!({
            "rps": figure(|sample| sample.rps),
            "p50_us": figure(|sample| sample.p50_us),
            "p99_us": figure(|sample| sample.p99_us),
            "cpu_us_per_request": figure(|sample| sample.cpu_us),
            "rss_bytes": figure(|sample| sample.rss_bytes),
        });
        chain::set(entry, "", &format!("c{connections}"), row);
    }
    Value::Object(walk)
}

/// The median of the rounds' own ratios; none where one side was not measured.
fn ratio(
    samples: &Samples,
    (over, under): (&'static str, &'static str),
    connections: usize,
    figure: fn(&Sample) -> f64,
) -> Option<f64> {
    let (over, under) = (
        samples.get(&(over, connections))?,
        samples.get(&(under, connections))?,
    );
    let ratios: Vec<f64> = over
        .iter()
        .zip(under)
        .map(|(over, under)| figure(over) / figure(under))
        .collect();
    Some(rounded(median(&ratios)))
}

fn ratios(samples: &Samples) -> Value {
    let rps = |pair| ratio(samples, pair, RATIO_AT, |sample| sample.rps);
    let cpu = |pair| ratio(samples, pair, RATIO_AT, |sample| sample.cpu_us);
    let p50_us = |kind| median_of(samples, kind, 1, |sample| sample.p50_us);
    json!({
        "none_over_nginx": rps(("none", "nginx")),
        "components_over_none": rps(("components", "none")),
        "components_over_native": rps(("components", "native")),
        "cpu_none_over_nginx": cpu(("none", "nginx")),
        "cpu_components_over_nginx": cpu(("components", "nginx")),
        "cpu_components_over_native": cpu(("components", "native")),
        "p50_added_by_chain_us_c1": rounded(p50_us("components") - p50_us("none")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_a_round() {
        let sample = |rps| Sample {
            rps,
            p50_us: 1.0,
            p99_us: 1.0,
            cpu_us: 2.0,
            rss_bytes: 1.0,
        };
        let mut samples = Samples::new();
        samples.insert(("none", 64), [100.0, 50.0, 80.0].map(sample).to_vec());
        samples.insert(("nginx", 64), [200.0, 100.0, 100.0].map(sample).to_vec());
        let ratios = ratios(&samples);
        assert_eq!(ratios["none_over_nginx"], json!(0.5));
        assert_eq!(ratios["components_over_none"], Value::Null);
        assert_eq!(walk_report(&samples)["none"]["c64"]["rps"], json!(80.0));
    }
}
