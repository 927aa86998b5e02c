//! A running gateway: `portcullis serve` with a folder of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::admin::Admin;
use crate::places;
use crate::process::Process;
use crate::wait;

/// A gateway, its data folder and its addresses. Dropping it stops it.
pub struct Gateway {
    process: Process,
    ready: Value,
    options: Vec<String>,
    processors: Option<String>,
    folder: TempDir,
}

impl Gateway {
    /// With default settings.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With further flags of `serve`.
    pub async fn with(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = options.iter().map(ToString::to_string).collect();
        Self::in_folder(folder, options, None).await
    }

    /// With a settings file of this text.
    pub async fn configured(yaml: &str) -> Self {
        Self::set_up(yaml, None).await
    }

    /// The same on some processors alone: a list such as `0` or `0,1`.
    pub async fn on_processors(processors: &str, yaml: &str) -> Self {
        Self::set_up(yaml, Some(processors.to_owned())).await
    }

    async fn set_up(yaml: &str, processors: Option<String>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("portcullis.yaml");
        std::fs::write(&file, yaml).expect("a settings file");
        let options = vec!["--config".to_owned(), file.display().to_string()];
        Self::in_folder(folder, options, processors).await
    }

    async fn in_folder(folder: TempDir, options: Vec<String>, processors: Option<String>) -> Self {
        let process = serve(folder.path(), &options, processors.as_deref());
        let mut gateway = Self {
            process,
            ready: Value::Null,
            options,
            processors,
            folder,
        };
        gateway.become_ready().await;
        gateway
    }

    async fn become_ready(&mut self) {
        let file = data_dir(self.folder.path()).join("ready.json");
        let process = &mut self.process;
        self.ready = wait::until("the gateway to be ready", || {
            let ready = std::fs::read(&file)
                .ok()
                .and_then(|text| serde_json::from_slice(&text).ok());
            if let Some(status) = process.ended() {
                panic!("the gateway ended with {status}:\n{}", process.log());
            }
            async move { ready }
        })
        .await;
    }

    /// Stops it as an operator does, and starts it again on what it kept.
    ///
    /// # Panics
    /// When it does not end well.
    pub async fn restart(&mut self) {
        self.process.signal("TERM");
        let status = self.process.end().await;
        assert!(
            status.success(),
            "the gateway ended with {status}:\n{}",
            self.process.log()
        );
        self.start_again().await;
    }

    /// Ends it without warning, and starts it again on what it kept.
    pub async fn crash(&mut self) {
        self.process.signal("KILL");
        self.process.end().await;
        self.start_again().await;
    }

    async fn start_again(&mut self) {
        // Left over from before, it would be taken for the new one's.
        drop(std::fs::remove_file(self.data_dir().join("ready.json")));
        let folder = self.folder.path();
        self.process = serve(folder, &self.options, self.processors.as_deref());
        self.become_ready().await;
    }

    /// Address of the data plane, without a path.
    #[must_use]
    pub fn url(&self) -> &str {
        self.field("gateway")
    }

    /// The same, as a socket's address.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        let authority = self.url().trim_start_matches("http://");
        authority.parse().expect("an address on loopback")
    }

    /// Where MCP clients of a server connect.
    #[must_use]
    pub fn mcp(&self, server: &str) -> String {
        format!("{}/servers/{server}/mcp", self.url())
    }

    /// Address of the admin API, without a path.
    #[must_use]
    pub fn admin_url(&self) -> &str {
        self.field("admin")
    }

    /// The admin API's token.
    #[must_use]
    pub fn admin_token(&self) -> &str {
        self.field("admin_token")
    }

    fn field(&self, name: &str) -> &str {
        self.ready[name]
            .as_str()
            .unwrap_or_else(|| panic!("ready.json has no {name}: {}", self.ready))
            .trim_end_matches('/')
    }

    /// A client of the admin API, for the test that asks.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::new(self.admin_url(), self.admin_token())
    }

    /// Its data folder.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        data_dir(self.folder.path())
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Everything that it has printed so far.
    #[must_use]
    pub fn printed(&self) -> String {
        self.process.log()
    }

    /// What it has logged so far: the lines that are JSON.
    #[must_use]
    pub fn log(&self) -> Vec<Value> {
        self.process
            .log()
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }
}

fn data_dir(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn serve(folder: &Path, options: &[String], processors: Option<&str>) -> Process {
    let mut command = match processors {
        None => Command::new(places::portcullis()),
        // It becomes the gateway: the process stays the same.
        Some(processors) => {
            let mut command = Command::new("taskset");
            command.args(["--cpu-list", processors]);
            command.arg(places::portcullis());
            command
        }
    };
    command.args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        "--data-dir",
    ]);
    command.arg(data_dir(folder)).args(options);
    Process::start("portcullis", &mut command, folder)
}
