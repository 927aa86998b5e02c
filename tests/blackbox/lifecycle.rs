//! The life of a plugin: its bytes and names, who signed it and who trusts them, and registries that it comes from.

mod names;
mod pulls;
mod signatures;
mod trust;

use std::path::{Path, PathBuf};

use portcullis_tests::cli::{Run, portcullis};
use portcullis_tests::gateway::Gateway;
use tempfile::TempDir;

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// A folder with keys and components, where commands run.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).expect("a file");
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a file")
    }

    async fn run(&self, arguments: &[&str]) -> Run {
        portcullis(self.0.path(), arguments).await
    }

    /// A command that must succeed.
    async fn ok(&self, arguments: &[&str]) -> Run {
        let run = self.run(arguments).await;
        assert_eq!(run.code, 0, "{arguments:?}: {}", run.shown());
        run
    }

    /// A command on a gateway.
    async fn on(&self, gateway: &Gateway, arguments: &[&str]) -> Run {
        let token = gateway.admin_token();
        let at = ["--admin", gateway.admin_url(), "--admin-token", token];
        self.run(&[arguments, &at].concat()).await
    }

    /// A new key; its public half, in one line.
    async fn key(&self, name: &str) -> String {
        let made = self
            .ok(&["plugin", "keygen", name, "--output", "json"])
            .await;
        let key = made.json()["public_key"].as_str().map(str::to_owned);
        key.expect("a public key")
    }

    /// A component in a file, signed with a key into a signature of its name.
    async fn sign(&self, file: &str, key: &str, out: &str) {
        let key = format!("{key}.pem");
        self.ok(&["plugin", "sign", file, "--key", &key, "--out", out])
            .await;
    }
}
