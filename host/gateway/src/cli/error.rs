//! Why a command failed: one sentence for people, an exit code for scripts.

use std::error::Error;
use std::path::PathBuf;

use thiserror::Error;

use crate::config::ConfigError;
use crate::tenancy::PluginRefused;
use crate::trust::{InvalidPrivateKey, SignatureError};

use super::client::ClientError;

/// Why a command failed.
#[derive(Debug, Error)]
pub(crate) enum CliError {
    /// The arguments do not fit together.
    #[error("{0}")]
    Usage(String),
    /// The settings are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The admin API could not be reached, or refused.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A file could not be read.
    #[error("{}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A document was refused by the admin API.
    #[error("{}: {source}", .path.display())]
    Document {
        /// The file it came from.
        path: PathBuf,
        /// What the admin API said.
        source: ClientError,
    },
    /// A plugin is not one.
    #[error("{}: {source} ({})", .path.display(), .source.code)]
    Plugin {
        /// The file.
        path: PathBuf,
        /// Why.
        source: PluginRefused,
    },
    /// There is no key to sign with.
    #[error("no key: {0}")]
    Keygen(#[from] InvalidPrivateKey),
    /// A private key is not one.
    #[error("{}: {source}", .path.display())]
    PrivateKey {
        /// The file.
        path: PathBuf,
        /// Why.
        source: InvalidPrivateKey,
    },
    /// A file holds no signature.
    #[error("{}: this is no signature as `portcullis plugin sign` writes it: {source}", .path.display())]
    SignatureFile {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A signature does not hold.
    #[error("{}: {source}", .path.display())]
    Signature {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SignatureError,
    },
    /// A signature holds, but by somebody else.
    #[error("{}: the signature is by key {key_id}, which is none of those given", .path.display())]
    OtherSigner {
        /// The file.
        path: PathBuf,
        /// Who signed it.
        key_id: String,
    },
    /// A token could not be signed.
    #[error("the token cannot be signed: {source}. Check that --alg fits the key")]
    Token {
        /// What the signer said.
        source: jsonwebtoken::errors::Error,
    },
    /// No threads.
    #[error("the runtime cannot start: {source}")]
    Runtime {
        /// What the system said.
        source: std::io::Error,
    },
    /// The gateway stopped with an error.
    #[error("{}", chain(.0.as_ref()))]
    Gateway(Box<dyn Error + Send + Sync>),
}

impl CliError {
    /// 2 for wrong arguments and settings, 1 for everything else.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Config(_) | Self::Client(ClientError::Url { .. }) => 2,
            Self::Client(_)
            | Self::File { .. }
            | Self::Document { .. }
            | Self::Plugin { .. }
            | Self::Keygen(_)
            | Self::PrivateKey { .. }
            | Self::SignatureFile { .. }
            | Self::Signature { .. }
            | Self::OtherSigner { .. }
            | Self::Token { .. }
            | Self::Runtime { .. }
            | Self::Gateway(_) => 1,
        }
    }
}

/// The error and its causes, without those that a message has already told.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let told = source.to_string();
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        cause = source.source();
    }
    text
}
