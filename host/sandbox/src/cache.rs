//! Compiled components on local disk, under digest and engine compatibility.
//!
//! Each file opens with the SHA-256 of what follows, so that a torn or rotten file is compiled again instead of
//! loaded. The folder is the gateway's own (mode 0700): compiled code is never accepted from outside.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};
use tracing::warn;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::Digest;

const CHECKSUM_BYTES: usize = 32;

/// A folder of compiled components.
pub(crate) struct Cache {
    folder: PathBuf,
    writes: AtomicU64,
}

impl Cache {
    /// Opens the part of `folder` that this very engine can load.
    pub(crate) fn open(folder: &Path, engine: &Engine) -> io::Result<Self> {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let folder = folder.join(format!("{:016x}", hasher.finish()));
        fs::create_dir_all(&folder)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        }
        Ok(Self {
            folder,
            writes: AtomicU64::new(0),
        })
    }

    /// The component, if its compiled form is there and whole.
    pub(crate) fn load(&self, engine: &Engine, digest: Digest) -> Option<Component> {
        let file = fs::read(self.path(digest)).ok()?;
        let (checksum, code) = file.split_at_checked(CHECKSUM_BYTES)?;
        if Sha256::digest(code)[..] != *checksum {
            warn!(%digest, "a cached component is damaged and is compiled again");
            return None;
        }
        deserialize(engine, code)
            .inspect_err(|err| warn!(%digest, error = %err, "a cached component does not load"))
            .ok()
    }

    /// Keeps a compiled component. A cache that cannot be written costs time, never a request.
    pub(crate) fn store(&self, digest: Digest, component: &Component) {
        if let Err(err) = self.try_store(digest, component) {
            warn!(%digest, error = %err, "a compiled component could not be cached");
        }
    }

    fn try_store(&self, digest: Digest, component: &Component) -> io::Result<()> {
        let code = component.serialize().map_err(io::Error::other)?;
        let aside = self.folder.join(format!(
            "{}.{}",
            std::process::id(),
            self.writes.fetch_add(1, Ordering::Relaxed)
        ));
        let mut file = fs::File::create(&aside)?;
        file.write_all(&Sha256::digest(&code))?;
        file.write_all(&code)?;
        drop(file);
        fs::rename(aside, self.path(digest))
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.folder.join(digest.to_string().replace(':', "-"))
    }
}

#[allow(
    unsafe_code,
    reason = "the one place that loads compiled code; see SAFETY"
)]
fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes were written by `Cache::store` of an engine with the same compatibility hash, into a folder
    // that only the gateway's user can write, and their checksum has just been verified.
    unsafe { Component::deserialize(engine, code) }
}
