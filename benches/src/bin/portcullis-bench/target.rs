//! What the load is put on: an address, the tool's name there, and the process whose CPU and memory count.

use std::net::SocketAddr;

use clap::ValueEnum;

use crate::callers::Caller;

/// The steps of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub enum Kind {
    /// The upstream itself.
    Direct,
    /// nginx as a plain reverse proxy.
    Nginx,
    /// Portcullis with an empty chain.
    None,
    /// Portcullis with the four policies compiled natively.
    Native,
    /// Portcullis with the four policies as components.
    Components,
}

impl Kind {
    /// In the order of the comparison.
    pub const ALL: [Self; 5] = [
        Self::Direct,
        Self::Nginx,
        Self::None,
        Self::Native,
        Self::Components,
    ];

    /// Its key in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::None => "none",
            Self::Native => "native",
            Self::Components => "components",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// One endpoint under load.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its MCP endpoint.
    pub path: String,
    /// The tool's name there.
    pub tool: String,
    /// Sessions and tokens, as many as the most connections.
    pub callers: Vec<Caller>,
}

impl Target {
    /// As a URL.
    pub fn url(&self) -> String {
        format!("http://{}{}", self.address, self.path)
    }
}
