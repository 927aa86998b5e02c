//! The host's side of `fs`: one folder, which nothing leads out of.
//!
//! What the file system does blocks, so it happens on the runtime's threads for that. One write at a time goes on in a
//! folder, whoever writes, so that all of them together stay within its bytes.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::state::WaitingState;
use crate::bindings::portcullis::policy::fs as wit;
use wit::{Entry, Error};

/// Files and folders of one granted folder, and what is listed at once.
const ENTRIES_MAX: usize = 10_000;
const DEPTH_MAX: usize = 16;
/// What a write is called until it is whole.
const UNFINISHED: &str = ".portcullis-unfinished";

/// Whether a folder may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FolderAccess {
    /// It may only be read.
    Read,
    /// Its files may be written and removed.
    Write,
}

/// The folder that a binding grants.
#[derive(Debug, Clone)]
pub struct FolderGrant {
    /// Where it is; it must exist.
    pub path: PathBuf,
    /// What may be done in it.
    pub access: FolderAccess,
    /// Most bytes of all its files together, and of one that is read.
    pub bytes_max: u64,
}

/// Writers of each folder of the process.
static WRITERS: LazyLock<Mutex<HashMap<PathBuf, Weak<Mutex<()>>>>> = LazyLock::new(Mutex::default);

/// A granted folder, opened.
pub(super) struct Folder {
    dir: Dir,
    access: FolderAccess,
    bytes_max: u64,
    writer: Arc<Mutex<()>>,
}

impl Folder {
    pub(super) fn open(grant: &FolderGrant) -> io::Result<Self> {
        let path = grant.path.canonicalize()?;
        let dir = Dir::open_ambient_dir(&path, ambient_authority())?;
        let mut writers = WRITERS.lock().unwrap_or_else(PoisonError::into_inner);
        writers.retain(|_, writer| writer.strong_count() > 0);
        let known = writers.get(&path).and_then(Weak::upgrade);
        let writer = known.unwrap_or_default();
        writers.insert(path, Arc::downgrade(&writer));
        Ok(Self {
            dir,
            access: grant.access,
            bytes_max: grant.bytes_max,
            writer,
        })
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, Error> {
        if !self.dir.metadata(path).map_err(error)?.is_file() {
            return Err(Error::Invalid);
        }
        let file = self.dir.open(path).map_err(error)?;
        let mut data = Vec::new();
        let more = self.bytes_max.saturating_add(1);
        file.take(more).read_to_end(&mut data).map_err(error)?;
        match u64::try_from(data.len()) {
            Ok(bytes) if bytes <= self.bytes_max => Ok(data),
            Ok(_) | Err(_) => Err(Error::Full),
        }
    }

    fn write(&self, path: &Path, data: &[u8]) -> Result<(), Error> {
        let _one_at_a_time = self.change()?;
        let name = path.file_name().ok_or(Error::Invalid)?;
        let before = match self.dir.symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() => return Err(Error::Invalid),
            Ok(metadata) => metadata.len(),
            Err(err) if err.kind() == ErrorKind::NotFound => 0,
            Err(err) => return Err(error(err)),
        };
        let mut held = Held::default();
        held.count(&self.dir, DEPTH_MAX).map_err(error)?;
        let others = held.bytes.saturating_sub(before);
        let after = u64::try_from(data.len()).map(|bytes| others.saturating_add(bytes));
        if !after.is_ok_and(|bytes| bytes <= self.bytes_max) || held.entries >= ENTRIES_MAX {
            return Err(Error::Full);
        }
        let within = path.parent().filter(|parent| *parent != Path::new(""));
        let dir = match within {
            Some(parent) if parent.components().count() > DEPTH_MAX => return Err(Error::Full),
            Some(parent) => {
                self.dir.create_dir_all(parent).map_err(error)?;
                self.dir.open_dir(parent).map_err(error)?
            }
            None => self.dir.try_clone().map_err(error)?,
        };
        let written = dir
            .create(UNFINISHED)
            .and_then(|mut file| file.write_all(data))
            .and_then(|()| dir.rename(UNFINISHED, &dir, name));
        written.map_err(|err| {
            // It may not even be there.
            drop(dir.remove_file(UNFINISHED));
            error(err)
        })
    }

    fn remove(&self, path: &Path) -> Result<(), Error> {
        let _one_at_a_time = self.change()?;
        let metadata = self.dir.symlink_metadata(path).map_err(error)?;
        match metadata.is_dir() {
            true => self.dir.remove_dir(path).map_err(error),
            false => self.dir.remove_file(path).map_err(error),
        }
    }

    fn entries(&self, path: &Path) -> Result<Vec<Entry>, Error> {
        let listed = self.dir.read_dir(path).map_err(error)?;
        let mut entries = Vec::new();
        for entry in listed.take(ENTRIES_MAX) {
            let entry = entry.map_err(error)?;
            let metadata = entry.metadata().map_err(error)?;
            // A name that is no text cannot be asked for.
            if let Ok(name) = entry.file_name().into_string()
                && name != UNFINISHED
            {
                entries.push(Entry {
                    name,
                    is_folder: metadata.is_dir(),
                    size_bytes: if metadata.is_dir() { 0 } else { metadata.len() },
                });
            }
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    fn change(&self) -> Result<std::sync::MutexGuard<'_, ()>, Error> {
        match self.access {
            FolderAccess::Read => Err(Error::Denied),
            FolderAccess::Write => Ok(self.writer.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }
}

/// What a folder holds.
#[derive(Default)]
struct Held {
    bytes: u64,
    entries: usize,
}

impl Held {
    fn count(&mut self, dir: &Dir, depth: usize) -> io::Result<()> {
        for entry in dir.entries()? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            self.entries += 1;
            if metadata.is_dir() {
                // Deeper than anything that could have been written.
                if let Some(depth) = depth.checked_sub(1) {
                    self.count(&entry.open_dir()?, depth)?;
                }
            } else {
                self.bytes = self.bytes.saturating_add(metadata.len());
            }
            if self.entries >= ENTRIES_MAX {
                break;
            }
        }
        Ok(())
    }
}

/// A path of names alone; the folder itself is `.`.
fn checked(path: &str) -> Result<PathBuf, Error> {
    let path = Path::new(path);
    let mut names = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => names.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(Error::Denied);
            }
        }
    }
    if path.as_os_str().is_empty() || names.file_name().is_some_and(|name| name == UNFINISHED) {
        return Err(Error::Invalid);
    }
    match names.as_os_str().is_empty() {
        true => Ok(PathBuf::from(".")),
        false => Ok(names),
    }
}

fn error(err: io::Error) -> Error {
    let invalid = [
        ErrorKind::IsADirectory,
        ErrorKind::NotADirectory,
        ErrorKind::InvalidInput,
        ErrorKind::InvalidFilename,
    ];
    let kind = err.kind();
    if kind == ErrorKind::NotFound {
        Error::NotFound
    } else if kind == ErrorKind::PermissionDenied {
        Error::Denied
    } else if invalid.contains(&kind) {
        Error::Invalid
    } else {
        Error::Failed(kind.to_string())
    }
}

impl WaitingState {
    async fn in_folder<T: Send + 'static>(
        &mut self,
        path: String,
        work: impl FnOnce(&Folder, &Path) -> Result<T, Error> + Send + 'static,
    ) -> wasmtime::Result<Result<T, Error>> {
        self.guest.spend()?;
        let Some(folder) = self.folder.clone() else {
            return Ok(Err(Error::Denied));
        };
        let path = match checked(&path) {
            Ok(path) => path,
            Err(err) => return Ok(Err(err)),
        };
        let done = tokio::task::spawn_blocking(move || work(&folder, &path)).await;
        Ok(done.unwrap_or_else(|err| Err(Error::Failed(err.to_string()))))
    }
}

impl wit::Host for WaitingState {
    async fn read(&mut self, path: String) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        self.in_folder(path, Folder::read).await
    }

    async fn write(&mut self, path: String, data: Vec<u8>) -> wasmtime::Result<Result<(), Error>> {
        self.in_folder(path, move |folder, path| folder.write(path, &data))
            .await
    }

    async fn remove(&mut self, path: String) -> wasmtime::Result<Result<(), Error>> {
        self.in_folder(path, Folder::remove).await
    }

    async fn entries(&mut self, path: String) -> wasmtime::Result<Result<Vec<Entry>, Error>> {
        self.in_folder(path, Folder::entries).await
    }
}

#[cfg(test)]
mod tests;
