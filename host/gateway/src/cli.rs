//! The command line: one module for each command, and one client of the admin API for those that need it.
//!
//! A command prints its result to standard output, as text or JSON, and everything else to standard error.
//! It never opens the store: what a running gateway holds is changed through its admin API alone.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod check;
mod client;
mod demo;
mod error;
mod explain;
mod key;
mod output;
mod plugin;
mod policies;
mod replay;
mod rollout;
mod serve;
mod tenant;
mod token;

pub use demo::DemoArgs;
pub(crate) use error::CliError;
pub use output::Output;

const EXAMPLES: &str = "\
Start a gateway, give it a plugin and a tenant, and put the tenant's policies:
  portcullis serve
  portcullis plugin push jwt-auth.wasm
  portcullis tenant put acme
  portcullis policies apply --tenant acme policies.yaml

Commands that talk to a running gateway find it at http://127.0.0.1:4445 and its token in ./portcullis-data;
--admin, --admin-token and --data-dir (or PORTCULLIS_ADMIN, PORTCULLIS_ADMIN_TOKEN) say otherwise.

Exit codes:
  0  done
  1  it failed; the message says why and what to do
  2  the command line or the settings are wrong";

/// An MCP gateway whose policies are WebAssembly components.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, after_help = EXAMPLES, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// How results and errors are printed.
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the gateway and its admin API.
    Serve(serve::ServeArgs),
    /// Serve a gateway with two tenants, policies and an upstream to try.
    Demo(DemoArgs),
    /// Check a settings file, and say which line is wrong.
    Check(check::CheckArgs),
    /// Mint a token (JWT) for development.
    Token(Box<token::TokenArgs>),
    /// Inspect, sign, publish, pull and list plugins.
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// Apply and read a tenant's policies.
    #[command(subcommand)]
    Policies(policies::PoliciesCommand),
    /// Try a chain beside the live one: compare it, or serve a share of sessions with it.
    #[command(subcommand)]
    Rollout(rollout::RolloutCommand),
    /// Show what a chain makes of one call, hook by hook.
    #[command(after_help = explain::EXAMPLES)]
    Explain(Box<explain::ExplainArgs>),
    /// List and forget captured calls.
    #[command(subcommand)]
    Samples(explain::SamplesCommand),
    /// Create, list and delete tenants, and say whom they trust.
    #[command(subcommand)]
    Tenant(tenant::TenantCommand),
    /// Create, list and delete API keys.
    #[command(subcommand)]
    Key(key::KeyCommand),
}

/// Runs a command to its end.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let output = cli.output;
    let result = match cli.command {
        Command::Serve(args) => serve::run(args),
        Command::Demo(args) => demo::run(args, output),
        Command::Check(args) => check::run(&args, output),
        Command::Token(args) => token::run(*args, output),
        Command::Plugin(command) => wait(plugin::run(command, output)),
        Command::Policies(command) => wait(policies::run(command, output)),
        Command::Rollout(command) => wait(rollout::run(command, output)),
        Command::Explain(args) => wait(explain::run(*args, output)),
        Command::Samples(command) => wait(explain::samples(command, output)),
        Command::Tenant(command) => wait(tenant::run(command, output)),
        Command::Key(command) => wait(key::run(command, output)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.print_error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Runs a command that waits for the network, on this thread.
fn wait(command: impl Future<Output = Result<(), CliError>>) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime
        .map_err(|source| CliError::Runtime { source })?
        .block_on(command)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
