//! The admin API's bearer token: as configured, or made once and kept in the data folder for this user alone.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::Secret;

use super::{ConfigError, Settings};

const FILE: &str = "admin-token";

/// The token to ask callers for. The data folder must exist when none is configured.
///
/// # Errors
/// [`ConfigError::AdminToken`], when the kept one cannot be read or made.
pub fn admin_token(settings: &Settings) -> Result<Secret, ConfigError> {
    if let Some(token) = &settings.admin_token {
        return Ok(token.clone());
    }
    match stored_admin_token(&settings.data_dir) {
        Ok(token) => Ok(token),
        Err((_, source)) if source.kind() == ErrorKind::NotFound => make(&settings.data_dir),
        Err((path, source)) => Err(ConfigError::AdminToken { path, source }),
    }
}

/// The token that a gateway keeps in its data folder.
///
/// # Errors
/// The file, and what the system said of it.
pub fn stored_admin_token(data_dir: &Path) -> Result<Secret, (PathBuf, io::Error)> {
    let path = data_dir.join(FILE);
    let read = std::fs::read_to_string(&path).and_then(|text| match text.trim() {
        "" => Err(io::Error::new(ErrorKind::InvalidData, "the file is empty")),
        token => Ok(Secret::new(token)),
    });
    read.map_err(|source| (path, source))
}

fn make(data_dir: &Path) -> Result<Secret, ConfigError> {
    let path = data_dir.join(FILE);
    let token = format!("pa_{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&path).and_then(|mut file| {
        writeln!(file, "{token}")?;
        file.sync_all()
    });
    written.map_err(|source| ConfigError::AdminToken { path, source })?;
    Ok(Secret::new(token))
}
