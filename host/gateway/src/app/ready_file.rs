//! The file that tells scripts where a gateway is and how to talk to it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use super::{AppError, Running};

/// Its name in the data folder.
pub const READY_FILE: &str = "ready.json";

/// Writes it whole, by a rename, readable by its owner alone: it holds the admin token.
pub(super) fn write(path: &Path, running: &Running) -> Result<(), AppError> {
    let ready = json!({
        "gateway": format!("http://{}", running.gateway),
        "admin": format!("http://{}", running.admin),
        "admin_token": running.admin_token.expose(),
    });
    write_private(path, &ready.to_string()).map_err(|source| AppError::ReadyFile {
        path: path.to_owned(),
        source,
    })
}

/// Writes a file that only its owner reads, whole or not at all.
///
/// # Errors
/// The system's.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let aside = path.with_extension("part");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&aside)?.write_all(text.as_bytes())?;
    fs::rename(aside, path)
}
