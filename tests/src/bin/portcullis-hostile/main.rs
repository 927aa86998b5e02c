//! `portcullis-hostile`: the corpus of hostile guests against the built gateway, and what another tenant notices of it.
//!
//! `arena` lets each guest loose beside a `bystander`, on one processor and on two; `report` holds the ends against those
//! that are wanted, and the bystander's figures against its own when it was alone.

mod arena;
mod bystander;
mod options;
mod report;

use std::process::ExitCode;

use clap::Parser as _;
use portcullis_tests::hostile;
use portcullis_tests::places;
use tokio::signal::unix::{SignalKind, signal};

use crate::options::Options;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("portcullis-hostile: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every guest was contained, and left nothing behind.
fn run(options: &Options) -> std::io::Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        // Whichever ends first: dropping the other drops, and so ends, its processes.
        tokio::select! {
            good = go(options) => good,
            _ = tokio::signal::ctrl_c() => Err(std::io::ErrorKind::Interrupted.into()),
            _ = terminate.recv() => Err(std::io::ErrorKind::Interrupted.into()),
        }
    })
}

async fn go(options: &Options) -> std::io::Result<bool> {
    let guests: Vec<_> = hostile::corpus()
        .into_iter()
        .filter(|guest| guest.name.contains(&options.only))
        .collect();
    let mut courses = Vec::new();
    for processors in options.processors() {
        println!(
            "\non {} of the processors: {}",
            processors.count, processors.list
        );
        courses.push(arena::run(&processors, &guests, options.window()).await);
    }
    let rows = report::rows(&guests, &courses);
    let written = report::write(&places::target().join("hostile"), &rows, &courses)?;
    println!(
        "\n{}\nwritten: {}",
        report::table(&rows, &courses),
        written.display()
    );
    let is_back = |course: &arena::Course| {
        let [before, after] = course.resident_bytes;
        !arena::has_grown(before, after)
    };
    Ok(rows.iter().all(report::Row::is_contained) && courses.iter().all(is_back))
}
