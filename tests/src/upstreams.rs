//! Real MCP servers to put behind the gateway.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::places;
use crate::process::Process;
use crate::wait;

/// A server over HTTP.
pub struct Upstream {
    process: Process,
    url: String,
    _folder: TempDir,
}

impl Upstream {
    /// The demo server, under a name that its tool `whoami` tells.
    pub async fn example(name: &str) -> Self {
        Self::example_with(name, &[]).await
    }

    /// The demo server with further flags.
    pub async fn example_with(name: &str, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ready = folder.path().join("ready.json");
        let mut command = Command::new(places::example_upstream());
        command
            .args(["--name", name, "--ready-file"])
            .arg(&ready)
            .args(flags);
        let process = Process::start(&format!("upstream-{name}"), &mut command, folder.path());
        let url = wait::until("the upstream's address", || {
            let found: Option<Value> = std::fs::read(&ready)
                .ok()
                .and_then(|text| serde_json::from_slice(&text).ok());
            async move { found.and_then(|ready| ready["url"].as_str().map(str::to_owned)) }
        })
        .await;
        Self {
            process,
            url,
            _folder: folder,
        }
    }

    /// The reference server with a bit of everything, by the protocol's own authors.
    pub async fn everything() -> Self {
        Self::everything_over("streamableHttp", "mcp").await
    }

    /// The same over HTTP+SSE, as of 2024-11-05.
    pub async fn everything_sse() -> Self {
        Self::everything_over("sse", "sse").await
    }

    async fn everything_over(transport: &str, path: &str) -> Self {
        let port = free_port();
        let mut command = Command::new("node");
        command
            .args(everything_script())
            .arg(transport)
            .env("PORT", port.to_string());
        Self::listening("server-everything", &mut command, (port, path)).await
    }

    /// A server of the official Python SDK over HTTP+SSE.
    pub async fn python_sse() -> Self {
        Self::python_sse_at(free_port()).await
    }

    /// The same at a port where nobody listens.
    pub async fn python_sse_at(port: u16) -> Self {
        let mut command = Command::new(places::python());
        command
            .arg(places::root().join("tests/clients/python/server_sse.py"))
            .arg(port.to_string());
        Self::listening("python-sse", &mut command, (port, "sse")).await
    }

    async fn listening(name: &str, command: &mut Command, (port, path): (u16, &str)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let process = Process::start(name, command, folder.path());
        wait::so(&format!("{name} to listen"), || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        })
        .await;
        Self {
            process,
            url: format!("http://127.0.0.1:{port}/{path}"),
            _folder: folder,
        }
    }

    /// Where it is served.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its definition in a tenant.
    #[must_use]
    pub fn spec(&self) -> Value {
        json!({ "url": self.url })
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// The definition of the demo server as a command.
#[must_use]
pub fn example_command(name: &str, flags: &[&str]) -> Value {
    let program = places::example_upstream().display().to_string();
    let mut command = vec![
        program,
        "--stdio".to_owned(),
        "--name".to_owned(),
        name.to_owned(),
    ];
    command.extend(flags.iter().map(ToString::to_string));
    json!({ "command": command })
}

/// The definition of the reference server as a command.
#[must_use]
pub fn everything_command() -> Value {
    let mut command = vec!["node".to_owned()];
    command.extend(
        everything_script()
            .iter()
            .map(|path| path.display().to_string()),
    );
    command.push("stdio".to_owned());
    json!({ "command": command })
}

fn everything_script() -> [PathBuf; 1] {
    [places::node(
        "node_modules/@modelcontextprotocol/server-everything/dist/index.js",
    )]
}

/// A port where nobody listens now: for servers that cannot take one themselves, and for addresses that lead nowhere.
///
/// # Panics
/// When the system gives none.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}
