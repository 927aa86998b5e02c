//! The command line: what the server is called, how it is reached, what it is allowed to do.
//!
//! Read once by `main`; the rest of the program never looks at arguments or the environment.

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf};

use clap::{Parser, ValueEnum};
use rmcp::model::ProtocolVersion;

const EXAMPLES: &str = "\
Examples:
  example-upstream
      Streamable HTTP on a free loopback port; the URL is the one line on standard output.
  example-upstream --listen 127.0.0.1:9100 --name crm --ready-file /tmp/crm.json
      A fixed port, a name, and {\"url\": …} written to a file once the port is open.
  example-upstream --stdio --name files
      The same server as a child process that speaks over standard input and output.
  example-upstream --era session
      What most servers are today: it refuses requests of 2026-07-28.
  example-upstream --json
      No sessions, and plain JSON replies wherever the protocol allows them: what a benchmark wants.

Unless --era says otherwise, it speaks every revision from 2024-11-05 to 2026-07-28: `initialize` opens a session, a
request that carries its own `_meta` (or `server/discover`) is answered without one. Stop it with SIGINT or SIGTERM, or over stdio
by closing its standard input.";

/// A demo MCP server: a handful of tools to try policies on, and the fixtures of the official conformance suite.
#[derive(Debug, Parser)]
#[command(name = "example-upstream", version, after_help = EXAMPLES)]
pub struct Options {
    /// Address to serve Streamable HTTP on, at the path /mcp; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,

    /// Speak over standard input and output instead of HTTP
    #[arg(long, conflicts_with_all = ["listen", "ready_file", "json"])]
    pub stdio: bool,

    /// Name of this server, shown in serverInfo and by the tool `whoami`
    #[arg(long, value_name = "NAME", default_value = "example-upstream")]
    pub name: String,

    /// Write {"url": …} to this file once the port is open
    #[arg(long, value_name = "PATH")]
    pub ready_file: Option<PathBuf>,

    /// Which revisions to speak; the others are refused, with -32022 and the list of those that are spoken
    #[arg(long, value_enum, value_name = "ERA", default_value_t = Era::Both)]
    pub era: Era,

    /// Serve without sessions and prefer application/json to event streams
    ///
    /// Without a session the server cannot ask a session-era client anything: the fixtures for sampling and
    /// elicitation then fail for such clients. Stateless clients notice no difference.
    #[arg(long)]
    pub json: bool,

    /// Offer the tool `crash`, which ends this process: for tests of supervision
    #[arg(long)]
    pub allow_crash: bool,

    /// Split every list into pages of this many entries
    #[arg(long, value_name = "ENTRIES")]
    pub page_len: Option<NonZeroUsize>,

    /// Key of at least 32 bytes that signs `requestState`; replicas of one server share it [default: random]
    #[arg(
        long,
        value_name = "SECRET",
        env = "EXAMPLE_UPSTREAM_STATE_SECRET",
        hide_env_values = true
    )]
    pub state_secret: Option<String>,

    /// What to log to standard error, as `tracing` filter directives
    #[arg(long, value_name = "FILTER", default_value = "warn,rmcp=off")]
    pub log: String,
}

/// How clients are served: each in the way of its own revision, or all in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Era {
    /// Up to 2025-11-25: `initialize` opens a session
    Session,
    /// 2026-07-28: every request stands alone
    Stateless,
    /// Both of them
    Both,
}

impl Era {
    /// The revisions of this era, oldest first.
    pub fn revisions(self) -> &'static [ProtocolVersion] {
        match self {
            Self::Session => ProtocolVersion::known_up_to(&ProtocolVersion::LATEST_WITH_INITIALIZE),
            Self::Stateless => &[ProtocolVersion::V_2026_07_28],
            Self::Both => ProtocolVersion::KNOWN_VERSIONS,
        }
    }

    /// Whether clients may open sessions.
    pub fn has_sessions(self) -> bool {
        match self {
            Self::Session | Self::Both => true,
            Self::Stateless => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_revision_belongs_to_one_era() {
        let split = [Era::Session, Era::Stateless].map(Era::revisions).concat();
        assert_eq!(split, Era::Both.revisions());
        assert!(!Era::Session.revisions().is_empty() && !Era::Stateless.revisions().is_empty());
    }

    #[test]
    fn both_eras_unless_one_is_named() {
        let era = |arguments: &[&str]| {
            let words = ["example-upstream"].iter().chain(arguments);
            Options::try_parse_from(words).map(|options| options.era)
        };
        assert_eq!(era(&[]).unwrap(), Era::Both);
        assert_eq!(era(&["--era", "session"]).unwrap(), Era::Session);
        let refused = era(&["--era", "bronze"]).unwrap_err().to_string();
        for value in ["session", "stateless", "both"] {
            assert!(refused.contains(value), "{refused}");
        }
    }
}
