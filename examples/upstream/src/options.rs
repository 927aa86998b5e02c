//! The command line: what the server is called, how it is reached, what it is allowed to do.
//!
//! Read once by `main`; the rest of the program never looks at arguments or the environment.

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf};

use clap::Parser;

const EXAMPLES: &str = "\
Examples:
  example-upstream
      Streamable HTTP on a free loopback port; the URL is the one line on standard output.
  example-upstream --listen 127.0.0.1:9100 --name crm --ready-file /tmp/crm.json
      A fixed port, a name, and {\"url\": …} written to a file once the port is open.
  example-upstream --stdio --name files
      The same server as a child process that speaks over standard input and output.
  example-upstream --json
      No sessions, and plain JSON replies wherever the protocol allows them: what a benchmark wants.

It speaks every revision from 2024-11-05 to 2026-07-28: `initialize` opens a session, a request that carries
its own `_meta` (or `server/discover`) is answered without one. Stop it with SIGINT or SIGTERM, or over stdio
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
