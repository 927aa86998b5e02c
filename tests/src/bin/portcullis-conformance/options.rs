//! The command line, and the ways that the suite can be sent.

use clap::{Parser, Subcommand, ValueEnum};

const AFTER: &str = "\
Without --way, all of them are gone at once. The outcome is printed as a table and written to
target/conformance/report.json; what the suite printed and noted is kept beside it. The exit code is 0 when
every way reached what is wanted of it.";

/// Runs the official MCP conformance suite, straight at a server, through the gateway, and with the gateway as its client.
#[derive(Debug, Parser)]
#[command(after_help = AFTER)]
pub struct Options {
    /// Go this way alone; may be given several times
    #[arg(long = "way", value_enum, value_name = "WAY")]
    ways: Vec<Way>,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the suite runs, and not a person.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Drives the gateway through one scenario of the suite
    #[command(hide = true)]
    Drive {
        /// Where the scenario's server is
        url: String,
    },
}

/// What stands between the suite and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Way {
    /// Nothing: what the server itself can do
    Direct,
    /// The gateway with a chain of policies, before a server of both eras
    Gateway,
    /// The same, before servers that speak only the era that the suite does not
    GatewayCrossed,
    /// The other way round: the gateway as the client of the suite's servers, which want to be authorized
    Client,
}

impl Options {
    /// The ways that were asked for, or all.
    pub fn ways(&self) -> Vec<Way> {
        let all = Way::value_variants().iter().copied();
        all.filter(|way| self.ways.is_empty() || self.ways.contains(way))
            .collect()
    }
}

impl Way {
    /// Its name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Gateway => "gateway",
            Self::GatewayCrossed => "gateway-crossed",
            Self::Client => "client",
        }
    }
}
