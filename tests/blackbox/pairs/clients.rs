//! The clients: how each is started, the transports it speaks, and what it lacks.

use portcullis_tests::mcp::Era;
use portcullis_tests::places;
use serde_json::Value;
use tokio::process::Command;

use super::{Lack, Step};

/// How a client reaches the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Http,
    Stateless,
    Sse,
    WebSocket,
}

impl Transport {
    /// What scenarios call it.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Stateless => "stateless",
            Self::Sse => "sse",
            Self::WebSocket => "websocket",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Http => "Streamable HTTP, with a session",
            Self::Stateless => "Streamable HTTP, stateless",
            Self::Sse => "HTTP+SSE",
            Self::WebSocket => "WebSocket",
        }
    }

    pub(super) fn era(self) -> Era {
        match self {
            Self::Http | Self::Sse | Self::WebSocket => Era::Session,
            Self::Stateless => Era::Stateless,
        }
    }

    /// The address of a server on a gateway.
    pub(super) fn url(self, gateway: &str, server: &str) -> String {
        let (gateway, path) = match self {
            Self::Http | Self::Stateless => (gateway.to_owned(), "mcp"),
            Self::Sse => (gateway.to_owned(), "sse"),
            Self::WebSocket => (gateway.replacen("http", "ws", 1), "ws"),
        };
        format!("{gateway}/servers/{server}/{path}")
    }
}

/// What runs a client's scenario.
#[derive(Debug, Clone, Copy)]
pub(super) enum Runs {
    Python(&'static str),
    Python1(&'static str),
    Node(&'static str),
    Inspector,
    /// It is linked into the test.
    Here,
}

/// A client.
pub(super) struct Client {
    pub(super) package: &'static str,
    /// Where its version is pinned.
    pub(super) pinned_in: &'static str,
    pub(super) runs: Runs,
    /// The transports that it speaks and the gateway serves: rows of the table.
    pub(super) transports: &'static [Transport],
    pub(super) lack: Lack,
    /// How many of three steps of progress it passes on for certain. An SDK may forget who wants to know as soon as it has
    /// read the response, and then drop what arrived in the same packet.
    pub(super) steps_min: usize,
}

const NOTHING: Lack = Lack {
    steps: &[],
    why: "",
};

/// All of them.
pub(super) static CLIENTS: [Client; 6] = [
    Client {
        package: "mcp",
        pinned_in: "tests/clients/python/requirements.in",
        runs: Runs::Python("pairs.py"),
        transports: &[Transport::Http, Transport::Stateless, Transport::Sse],
        lack: NOTHING,
        steps_min: 3,
    },
    Client {
        package: "mcp",
        pinned_in: "tests/clients/python/requirements-v1.txt",
        runs: Runs::Python1("pairs_v1.py"),
        transports: &[Transport::Http, Transport::Sse, Transport::WebSocket],
        lack: NOTHING,
        steps_min: 3,
    },
    Client {
        package: "@modelcontextprotocol/sdk",
        pinned_in: "tests/clients/node/package.json",
        runs: Runs::Node("pairs-v1.js"),
        transports: &[Transport::Http, Transport::Sse, Transport::WebSocket],
        lack: NOTHING,
        steps_min: 1,
    },
    Client {
        package: "@modelcontextprotocol/client",
        pinned_in: "tests/clients/node/package.json",
        runs: Runs::Node("pairs-v2.js"),
        transports: &[Transport::Http, Transport::Stateless, Transport::Sse],
        lack: NOTHING,
        steps_min: 1,
    },
    Client {
        package: "rmcp",
        pinned_in: "Cargo.lock",
        runs: Runs::Here,
        transports: &[Transport::Http, Transport::Stateless],
        lack: NOTHING,
        steps_min: 3,
    },
    Client {
        package: "@modelcontextprotocol/inspector",
        pinned_in: "tests/clients/inspector/package.json",
        runs: Runs::Inspector,
        transports: &[Transport::Http, Transport::Stateless, Transport::Sse],
        lack: Lack {
            steps: &[Step::Progress, Step::Cancel],
            why: "the command line shows none, and gives up no call",
        },
        steps_min: 0,
    },
];

impl Client {
    /// What runs its scenario in a process, if one does.
    pub(super) fn command(&self, wanted: &Value) -> Option<Command> {
        let scripts = places::root().join("tests/clients/python");
        let [program, script] = match self.runs {
            Runs::Python(script) => [places::python(), scripts.join(script)],
            Runs::Python1(script) => [places::python_1(), scripts.join(script)],
            Runs::Node(script) => ["node".into(), places::node(script)],
            Runs::Inspector => places::inspector("pairs.js"),
            Runs::Here => return None,
        };
        let mut command = Command::new(program);
        if matches!(self.runs, Runs::Node(_)) {
            // Newer ones have a WebSocket without being asked.
            command.arg("--experimental-websocket");
        }
        command
            .arg(script)
            .arg(wanted.to_string())
            .kill_on_drop(true);
        Some(command)
    }
}
