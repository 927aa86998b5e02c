//! What the command line says.

use std::time::Duration;

use clap::Parser;

/// Lets every hostile guest loose on a gateway, and measures what another tenant notices of it.
#[derive(Debug, Parser)]
#[command(name = "portcullis-hostile", version)]
pub struct Options {
    /// Watch the other tenant for longer beside each guest: ten minutes instead of three
    #[arg(long)]
    long: bool,
    /// Only guests whose name contains this
    #[arg(long, default_value = "")]
    pub only: String,
    /// Measure on these processors of the machine alone, such as `0` or `0,1`; without, on one and then on two
    #[arg(long)]
    processors: Option<String>,
}

/// Processors that a gateway runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Processors {
    /// As `taskset` takes them.
    pub list: String,
    /// How many they are.
    pub count: usize,
}

impl Processors {
    fn of(list: &str) -> Self {
        Self {
            list: list.to_owned(),
            count: list.split(',').count(),
        }
    }
}

impl Options {
    /// How long the other tenant is watched, alone and beside a guest.
    pub fn window(&self) -> Duration {
        Duration::from_millis(if self.long { 2_000 } else { 250 })
    }

    /// What is measured on, in turn.
    pub fn processors(&self) -> Vec<Processors> {
        let lists = self
            .processors
            .as_deref()
            .map_or(vec!["0", "0,1"], |list| vec![list]);
        lists.into_iter().map(Processors::of).collect()
    }
}
