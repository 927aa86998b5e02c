//! The demo's data folder: the gateway's own files, and beside them what a person pastes and what a script reads.
//!
//! A folder that the demo made is removed with it; one that was named stays. It holds tokens, so nobody else reads it.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::error::DemoError;

const ATTEMPTS_MAX: u32 = 16;

/// The data folder.
#[derive(Debug)]
pub(super) struct Home {
    path: PathBuf,
    keep: bool,
}

impl Home {
    /// Makes the named folder where it is not there yet, or a fresh one that goes with the demo.
    pub(super) fn open(named: Option<PathBuf>) -> Result<Self, DemoError> {
        let Some(path) = named else {
            return Self::fresh();
        };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        match made.and_then(|()| path.canonicalize()) {
            Ok(path) => Ok(Self { path, keep: true }),
            Err(source) => Err(DemoError::File { path, source }),
        }
    }

    fn fresh() -> Result<Self, DemoError> {
        let parent = std::env::temp_dir();
        for _attempt in 0..ATTEMPTS_MAX {
            let path = parent.join(format!(
                "portcullis-demo-{:06x}",
                rand::random::<u32>() >> 8
            ));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self { path, keep: false }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(source) => return Err(DemoError::File { path, source }),
            }
        }
        Err(DemoError::File {
            path: parent,
            source: io::Error::from(ErrorKind::AlreadyExists),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the folder stays when the demo ends.
    pub(super) fn is_kept(&self) -> bool {
        self.keep
    }

    /// Writes a file for this user alone, whole or not at all.
    pub(super) fn write(&self, name: &str, text: &str, mode: Mode) -> Result<PathBuf, DemoError> {
        let path = self.path.join(name);
        let aside = self.path.join(format!(".{name}.new"));
        let written = write_new(&aside, text, mode).and_then(|()| fs::rename(&aside, &path));
        match written {
            Ok(()) => Ok(path),
            Err(source) => Err(DemoError::File { path, source }),
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if !self.keep {
            // Nothing can be done about a folder that does not go: it is in the folder for temporary files.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// What a file is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mode {
    Data,
    Script,
}

fn write_new(path: &Path, text: &str, mode: Mode) -> io::Result<()> {
    use std::io::Write;

    let bits = match mode {
        Mode::Data => 0o600,
        Mode::Script => 0o700,
    };
    // A file that was left aside by a demo that died would keep its own permissions.
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(bits)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_fresh_folder_is_private_and_goes() {
        let home = Home::open(None).unwrap();
        let path = home.path().to_owned();
        let file = home.write("demo.json", "{}", Mode::Data).unwrap();
        let bits = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((bits(&path), bits(&file)), (0o700, 0o600));
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
        drop(home);
        assert!(!path.exists());
    }

    #[test]
    fn a_named_folder_stays_and_its_files_are_replaced() {
        let parent = tempfile::tempdir().unwrap();
        let named = parent.path().join("a/b");
        for text in ["one", "two"] {
            let home = Home::open(Some(named.clone())).unwrap();
            home.write("call", text, Mode::Script).unwrap();
        }
        assert_eq!(fs::read_to_string(named.join("call")).unwrap(), "two");
    }
}
