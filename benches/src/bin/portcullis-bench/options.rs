//! The command line, and where everything is that a measurement needs.

use std::path::{Path, PathBuf};

use clap::Parser;

use crate::error::BenchError;
use crate::target::Kind;

const AFTER: &str = "\
Without a part, all of them run. Results go to target/bench/report.json: each part replaces its own keys.

  portcullis-bench                      everything, about twelve minutes
  portcullis-bench --walk --rounds 5    the whole walk, five rounds
  portcullis-bench --quick              everything in about two minutes, to see that it works";

/// Measures Portcullis from outside, beside nginx.
#[derive(Debug, Parser)]
#[command(after_help = AFTER)]
pub struct Options {
    /// Throughput, latency and CPU of tools/call, in turn: direct, nginx, no policies, native policies, components.
    #[arg(long)]
    walk: bool,
    /// Memory of a gateway that serves two tenants and does nothing.
    #[arg(long)]
    idle: bool,
    /// From the upload of a component to serving with it.
    #[arg(long)]
    upload: bool,
    /// tools/list of a thousand tools, merged from ten upstreams.
    #[arg(long)]
    list: bool,
    /// A thousand sessions, each with an open stream and a notification a second.
    #[arg(long)]
    sessions: bool,
    /// Hot swaps of a chain under load.
    #[arg(long)]
    swap: bool,
    /// One tenant under load while another's plugin misbehaves.
    #[arg(long)]
    hostile: bool,
    /// Short runs: to see that everything works, not to measure.
    #[arg(long)]
    pub quick: bool,
    /// Rounds of the whole walk; medians are reported.
    #[arg(long, value_name = "COUNT")]
    rounds: Option<usize>,
    /// Length of one measurement of the whole walk, in seconds.
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
    /// What the whole walk goes through, in turn.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Kind::ALL)]
    pub targets: Vec<Kind>,
    /// Also measure at a fixed rate. On by default; `--open-loop false` leaves it out.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub open_loop: bool,
    /// The gateway [default: `portcullis` beside this program].
    #[arg(long, value_name = "FILE")]
    portcullis: Option<PathBuf>,
    /// The gateway with native policies [default: `portcullis-native` beside this program].
    #[arg(long, value_name = "FILE")]
    native: Option<PathBuf>,
    /// Be the upstream, until standard input ends.
    #[arg(long, hide = true)]
    pub serve_upstream: bool,
}

/// One part of the measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// See [`Options::walk`].
    Walk,
    /// See [`Options::idle`].
    Idle,
    /// See [`Options::upload`].
    Upload,
    /// See [`Options::list`].
    List,
    /// See [`Options::sessions`].
    Sessions,
    /// See [`Options::swap`].
    Swap,
    /// See [`Options::hostile`].
    Hostile,
}

impl Options {
    /// The parts that were asked for, or all.
    pub fn parts(&self) -> Vec<Part> {
        let asked = [
            (Part::Idle, self.idle),
            (Part::Upload, self.upload),
            (Part::List, self.list),
            (Part::Sessions, self.sessions),
            (Part::Walk, self.walk),
            (Part::Swap, self.swap),
            (Part::Hostile, self.hostile),
        ];
        let all = asked.iter().all(|(_, on)| !on);
        asked
            .into_iter()
            .filter(|(_, on)| all || *on)
            .map(|(part, _)| part)
            .collect()
    }

    /// Rounds of the whole walk.
    pub fn rounds(&self) -> usize {
        self.rounds
            .unwrap_or(if self.quick { 1 } else { 3 })
            .clamp(1, 50)
    }

    /// Length of one measurement, in seconds.
    pub fn seconds(&self) -> u64 {
        self.seconds
            .unwrap_or(if self.quick { 1 } else { 5 })
            .clamp(1, 120)
    }
}

/// Where things are.
#[derive(Debug)]
pub struct Tools {
    /// The gateway.
    pub portcullis: PathBuf,
    /// The gateway with native policies.
    pub native: PathBuf,
    /// nginx.
    pub nginx: PathBuf,
    /// wrk.
    pub wrk: PathBuf,
    /// Folder of the shipped components.
    pub plugins: PathBuf,
    /// The report.
    pub report: PathBuf,
}

impl Tools {
    /// Looks for everything, and says what is missing before anything starts.
    pub fn find(options: &Options) -> Result<Self, BenchError> {
        let results = portcullis_benches::report::folder()
            .map_err(|source| BenchError::io("no place for results", source))?;
        let beside = std::env::current_exe()
            .map_err(|source| BenchError::io("no place for results", source))?;
        let beside = |name: &str| beside.with_file_name(name);
        let tools = Self {
            portcullis: options
                .portcullis
                .clone()
                .unwrap_or_else(|| beside("portcullis")),
            native: options
                .native
                .clone()
                .unwrap_or_else(|| beside("portcullis-native")),
            nginx: results.join("tools/nginx"),
            wrk: results.join("tools/wrk"),
            plugins: results.with_file_name("plugins"),
            report: results.join("report.json"),
        };
        let native_needed =
            options.parts().contains(&Part::Walk) && options.targets.contains(&Kind::Native);
        let wants = [
            (
                &tools.portcullis,
                true,
                "cargo build --release -p portcullis-gateway",
            ),
            (
                &tools.native,
                native_needed,
                "cargo build --release -p portcullis-benches --bins",
            ),
            (&tools.nginx, true, "scripts/bench-tools.sh"),
            (&tools.wrk, true, "scripts/bench-tools.sh"),
            (&tools.plugins, true, "scripts/build-guests.sh"),
        ];
        match wants
            .iter()
            .find(|(path, needed, _)| *needed && !path.exists())
        {
            Some((path, _, remedy)) => Err(BenchError::failed(format!(
                "{} is not there; run `{remedy}` first",
                path.display()
            ))),
            None => Ok(tools),
        }
    }

    /// A shipped component's file.
    pub fn component(&self, plugin: &str) -> PathBuf {
        self.plugins.join(plugin).with_extension("wasm")
    }

    /// Its bytes.
    pub fn component_bytes(&self, plugin: &str) -> Result<Vec<u8>, BenchError> {
        read(&self.component(plugin))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, BenchError> {
    std::fs::read(path)
        .map_err(|source| BenchError::io(format!("{} cannot be read", path.display()), source))
}
