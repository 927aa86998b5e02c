//! Where built things are: binaries, plugins, the official clients.
//!
//! All of it is built before tests run (`make test` does that). What is missing is said with the command that makes it.

use std::path::{Path, PathBuf};

/// The workspace's root.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are a folder of the workspace")
        .to_owned()
}

/// The folder that cargo builds into.
///
/// # Panics
/// When this program does not stand in one.
#[must_use]
pub fn target() -> PathBuf {
    let profile = profile();
    profile
        .parent()
        .expect("a profile is a folder of the target")
        .to_owned()
}

/// A binary runs from `<target>/<profile>`, a test from the folder `deps` in it.
fn profile() -> PathBuf {
    let program = std::env::current_exe().expect("a program knows its own file");
    let mut folders = program.ancestors().skip(1);
    folders
        .find(|folder| !folder.ends_with("deps"))
        .expect("a program is in a folder")
        .to_owned()
}

fn existing(path: PathBuf, make: &str) -> PathBuf {
    assert!(
        path.exists(),
        "{} is missing: run `{make}` first",
        path.display()
    );
    path
}

/// The gateway.
#[must_use]
pub fn portcullis() -> PathBuf {
    existing(
        profile().join("portcullis"),
        "cargo build -p portcullis-gateway",
    )
}

/// The demo MCP server.
#[must_use]
pub fn example_upstream() -> PathBuf {
    existing(
        profile().join("example-upstream"),
        "cargo build -p portcullis-example-upstream",
    )
}

/// A shipped plugin, by name.
#[must_use]
pub fn plugin(name: &str) -> PathBuf {
    let folder = std::env::var_os("PORTCULLIS_PLUGINS_DIR")
        .map_or_else(|| root().join("target/plugins"), PathBuf::from);
    existing(
        folder.join(format!("{name}.wasm")),
        "scripts/build-guests.sh",
    )
}

/// The Python that has the official SDK.
#[must_use]
pub fn python() -> PathBuf {
    existing(
        target().join("test-clients/venv/bin/python"),
        "scripts/test-clients.sh",
    )
}

/// The Python that has the official SDK before 2.0.
#[must_use]
pub fn python_1() -> PathBuf {
    existing(
        target().join("test-clients/venv-v1/bin/python"),
        "scripts/test-clients.sh",
    )
}

/// A script or package of the official Node clients and servers.
#[must_use]
pub fn node(path: &str) -> PathBuf {
    existing(
        target().join("test-clients/node").join(path),
        "scripts/test-clients.sh",
    )
}

/// The Node that the official Inspector runs on, and a script beside it.
#[must_use]
pub fn inspector(script: &str) -> [PathBuf; 2] {
    let clients = target().join("test-clients");
    let files = [
        clients.join("conformance/node"),
        clients.join("inspector").join(script),
    ];
    files.map(|file| existing(file, "scripts/test-clients.sh inspector"))
}

/// The Node that the official conformance suite runs on, and the suite's program.
#[must_use]
pub fn conformance_suite() -> [PathBuf; 2] {
    let folder = target().join("test-clients/conformance");
    let suite = "node_modules/@modelcontextprotocol/conformance/dist/index.js";
    ["node", suite].map(|file| existing(folder.join(file), "scripts/test-clients.sh conformance"))
}

/// The OCI registry.
#[must_use]
pub fn docker_registry() -> PathBuf {
    existing(
        target().join("test-clients/docker-registry"),
        "scripts/test-registry.sh",
    )
}

/// The contract of policies.
#[must_use]
pub fn wit() -> PathBuf {
    root().join("wit")
}
