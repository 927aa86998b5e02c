//! The servers: what each is asked, what it answers, and how the gateway reaches it.

use portcullis_tests::places;

use super::{Lack, Step};

/// A server program.
pub(super) struct Program {
    /// Its package.
    pub(super) package: &'static str,
    /// Where its version is pinned.
    pub(super) pinned_in: &'static str,
    /// How it is started to speak over stdio: see [`fill`].
    pub(super) command: &'static [&'static str],
    /// Variables of its environment.
    pub(super) env: &'static [(&'static str, &'static str)],
    /// The tool that is called.
    pub(super) tool: &'static str,
    /// Its arguments, in JSON.
    pub(super) arguments: &'static str,
    /// What its result tells when it has gone through `redact`.
    pub(super) answer: &'static str,
    /// A tool that `access-control` withholds.
    pub(super) withheld: &'static str,
    /// A tool that takes as long as it is told to, and says how far it is.
    pub(super) long: Option<&'static str>,
    /// What it lacks.
    pub(super) lack: Lack,
}

/// How the gateway reaches a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Stdio,
    Http,
    Sse,
}

impl Over {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::Http => "Streamable HTTP",
            Self::Sse => "HTTP+SSE",
        }
    }
}

/// A server behind the gateway.
pub(super) struct Server {
    /// The name of its upstream, which prefixes its tools.
    pub(super) name: &'static str,
    pub(super) program: &'static Program,
    pub(super) over: Over,
}

const NODE: &str = "tests/clients/node/package.json";
const PYTHON: &str = "tests/clients/python/requirements.in";

const QUICK: Lack = Lack {
    steps: &[Step::Progress, Step::Cancel],
    why: "none of its tools takes long enough to tell how far it is, or to be given up",
};

static EVERYTHING: Program = Program {
    package: "@modelcontextprotocol/server-everything",
    pinned_in: NODE,
    command: &["node", "{modules}/server-everything/dist/index.js", "stdio"],
    env: &[],
    tool: "echo",
    arguments: r#"{ "message": "grüße, ada@example.com" }"#,
    answer: "Echo: grüße, [redacted:email]",
    withheld: "get-env",
    long: Some("trigger-long-running-operation"),
    lack: Lack {
        steps: &[],
        why: "",
    },
};

static FILESYSTEM: Program = Program {
    package: "@modelcontextprotocol/server-filesystem",
    pinned_in: NODE,
    command: &[
        "node",
        "{modules}/server-filesystem/dist/index.js",
        "{folder}",
    ],
    env: &[],
    tool: "read_text_file",
    arguments: r#"{ "path": "{folder}/notes.txt" }"#,
    answer: "Ask [redacted:email] for the key.",
    withheld: "write_file",
    long: None,
    lack: QUICK,
};

static MEMORY: Program = Program {
    package: "@modelcontextprotocol/server-memory",
    pinned_in: NODE,
    command: &["node", "{modules}/server-memory/dist/index.js"],
    env: &[("MEMORY_FILE_PATH", "{folder}/memory.jsonl")],
    tool: "search_nodes",
    arguments: r#"{ "query": "Ada" }"#,
    answer: "reads mail at [redacted:email]",
    withheld: "delete_entities",
    long: None,
    lack: QUICK,
};

static TIME: Program = Program {
    package: "mcp-server-time",
    pinned_in: PYTHON,
    command: &["{python}", "-m", "mcp_server_time"],
    env: &[],
    tool: "convert_time",
    arguments: r#"{ "source_timezone": "Asia/Tokyo", "time": "12:00", "target_timezone": "UTC" }"#,
    answer: "T03:00:00+00:00",
    withheld: "get_current_time",
    long: None,
    lack: QUICK,
};

static GIT: Program = Program {
    package: "mcp-server-git",
    pinned_in: PYTHON,
    command: &[
        "{python}",
        "-m",
        "mcp_server_git",
        "--repository",
        "{folder}/repository",
    ],
    env: &[],
    tool: "git_log",
    arguments: r#"{ "repo_path": "{folder}/repository" }"#,
    answer: "Ask [redacted:email] first",
    withheld: "git_reset",
    long: None,
    lack: QUICK,
};

/// All of them: the columns of the table.
pub(super) static SERVERS: [Server; 7] = [
    Server {
        name: "everything",
        program: &EVERYTHING,
        over: Over::Stdio,
    },
    Server {
        name: "everything-http",
        program: &EVERYTHING,
        over: Over::Http,
    },
    Server {
        name: "everything-sse",
        program: &EVERYTHING,
        over: Over::Sse,
    },
    Server {
        name: "filesystem",
        program: &FILESYSTEM,
        over: Over::Stdio,
    },
    Server {
        name: "memory",
        program: &MEMORY,
        over: Over::Stdio,
    },
    Server {
        name: "time",
        program: &TIME,
        over: Over::Stdio,
    },
    Server {
        name: "git",
        program: &GIT,
        over: Over::Stdio,
    },
];

impl Server {
    /// What clients call one of its tools.
    pub(super) fn public(&self, tool: &str) -> String {
        format!("{}__{tool}", self.name)
    }
}

/// Fills in `{folder}`, `{modules}` and `{python}`.
pub(super) fn fill(text: &str, folder: &str) -> String {
    let modules = places::node("node_modules/@modelcontextprotocol");
    text.replace("{folder}", folder)
        .replace("{modules}", &modules.display().to_string())
        .replace("{python}", &places::python().display().to_string())
}
