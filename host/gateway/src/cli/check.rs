//! `portcullis check`: whether a settings file would be accepted, and which line is wrong when not.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::config::{self, DEFAULTS, Environment, RawSettings};

use super::{CliError, Output};

const EXAMPLES: &str = "\
Examples:
  portcullis check portcullis.yaml
  portcullis check --print-defaults > portcullis.yaml

Variables that the file names with ${NAME} have to be set, as they are for `serve`. Exit code 2 when the file is
not valid.";

/// What to check.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CheckArgs {
    /// Settings file (YAML).
    #[arg(required_unless_present = "print_defaults")]
    file: Option<PathBuf>,
    /// Print a settings file with every key, its default and what it means.
    #[arg(long, conflicts_with = "file")]
    print_defaults: bool,
}

pub(super) fn run(args: &CheckArgs, output: Output) -> Result<(), CliError> {
    let Some(file) = &args.file else {
        output.print(&config::Settings::default(), || DEFAULTS.to_owned());
        return Ok(());
    };
    let loaded = config::load(
        Some(file),
        &Environment::of_process(),
        RawSettings::default(),
    )?;
    for warning in &loaded.warnings {
        eprintln!("portcullis: {warning}");
    }
    output.print(
        &json!({"valid": true, "settings": loaded.settings, "warnings": loaded.warnings}),
        || format!("{}: valid", file.display()),
    );
    Ok(())
}
