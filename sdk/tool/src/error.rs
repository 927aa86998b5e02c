//! Everything that can go wrong here, worded for the person at the terminal.

use std::path::PathBuf;

/// A failure of one of the two commands.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {path}", path = path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("cannot write {path}", path = path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path} does not become a component: {cause}", path = path.display())]
    Encode { path: PathBuf, cause: String },
    #[error(
        "{path} imports {import}, which is not of the contract: build for wasm32-unknown-unknown, \
         and ask the host instead (portcullis:policy/*)", path = path.display()
    )]
    ForeignImport { path: PathBuf, import: String },
    #[error("{path} exports no portcullis:policy interface: does it call `portcullis_sdk::export!`?", path = path.display())]
    NoPolicy { path: PathBuf },
    #[error("{path} is not a contract that this tool understands: {cause}", path = path.display())]
    Contract { path: PathBuf, cause: String },
    #[error("the generator's output has no {what}: its version and this tool's do not fit")]
    Generator { what: &'static str },
    #[error("{path} is not what the contract gives: run `portcullis-guest bindings` and commit the result", path = path.display())]
    Stale { path: PathBuf },
}

/// One line out of a chain of causes: the libraries underneath report through `anyhow`.
pub fn cause(error: &anyhow::Error) -> String {
    format!("{error:#}")
}
