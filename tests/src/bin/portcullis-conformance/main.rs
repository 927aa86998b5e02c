//! `portcullis-conformance`: the official conformance suite, straight at a server, through the gateway, and with the
//! gateway as its client.
//!
//! `scene` starts what the suite needs, `suite` runs it, `drive` is what it starts in its turn, `verdict` holds the outcome against what is wanted and
//! against what `uncarried` knows to be impossible, `table` and `report` tell it. Every process that was started is
//! ended, also when the run is interrupted.

mod drive;
mod options;
mod report;
mod scene;
mod suite;
mod table;
mod uncarried;
mod verdict;

use std::io::{Error, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser as _;
use portcullis_tests::mcp::Era;
use portcullis_tests::places;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::options::{Command, Options, Way};
use crate::report::ReportError;
use crate::scene::Scene;
use crate::suite::SuiteError;
use crate::verdict::Verdict;

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error("the runtime does not start")]
    Runtime(#[source] Error),
    #[error("interrupted")]
    Interrupted,
    #[error("{} {}", way.name(), era.revision())]
    Suite {
        way: Way,
        era: Era,
        source: SuiteError,
    },
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A scene that could not be set: what was missing has been printed.
    #[error("a way was not gone to its end")]
    Scene(#[source] tokio::task::JoinError),
}

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(Command::Drive { url }) = &options.command {
        return match runtime() {
            Ok(runtime) => runtime.block_on(drive::run(url)),
            Err(error) => {
                eprintln!("portcullis-conformance: {error}");
                ExitCode::FAILURE
            }
        };
    }
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let mut text = format!("portcullis-conformance: {error}");
            let mut cause = std::error::Error::source(&error);
            while let Some(source) = cause {
                text = format!("{text}: {source}");
                cause = source.source();
            }
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything that is wanted was reached.
fn run(options: &Options) -> Result<bool, RunError> {
    let runtime = runtime().map_err(RunError::Runtime)?;
    let folder = places::target().join("conformance");
    let verdicts = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Runtime)?;
        // Whichever ends first: dropping the other drops, and so ends, its processes.
        tokio::select! {
            verdicts = go(options.ways(), folder.clone()) => verdicts,
            _ = tokio::signal::ctrl_c() => Err(RunError::Interrupted),
            _ = terminate.recv() => Err(RunError::Interrupted),
        }
    })?;
    let written = report::write(&folder, &verdicts)?;
    let text = table::text(&verdicts);
    // Nobody may be reading; the exit code and the report say it as well.
    drop(writeln!(
        std::io::stdout(),
        "\n{text}\n\nwritten: {}",
        written.display()
    ));
    Ok(verdicts.iter().all(Verdict::is_good))
}

fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}

/// All at once: the suite mostly waits.
async fn go(ways: Vec<Way>, folder: PathBuf) -> Result<Vec<Verdict>, RunError> {
    let mut going = JoinSet::new();
    for way in ways {
        for era in [Era::Session, Era::Stateless] {
            let folder = folder.join(way.name()).join(era.revision());
            going.spawn(go_one(way, era, folder));
        }
    }
    let (mut verdicts, mut scenes) = (Vec::new(), Vec::new());
    while let Some(gone) = going.join_next().await {
        let (scene, verdict) = gone.map_err(RunError::Scene)??;
        verdicts.push(verdict);
        // Ending processes holds up a thread, which the other runs may need.
        scenes.push(scene);
    }
    verdicts.sort_by_key(|verdict| (verdict.way, verdict.era.revision()));
    Ok(verdicts)
}

async fn go_one(way: Way, era: Era, folder: PathBuf) -> Result<(Scene, Verdict), RunError> {
    let scene = Scene::set(way, era).await;
    let scenarios = suite::run(scene.target(), era, &folder)
        .await
        .map_err(|source| RunError::Suite { way, era, source })?;
    Ok((scene, Verdict::of(way, era, scenarios)))
}
