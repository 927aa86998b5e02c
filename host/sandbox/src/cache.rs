//! Compiled components on local disk, under digest and engine compatibility.
//!
//! Each file ends with the tag of the gateway's own key, so that one that is torn, rotten or somebody else's is compiled
//! again instead of loaded. Key and folder are for the gateway's user alone: compiled code is never accepted from outside.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, OpenOptions, Permissions};
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::warn;
use wasmtime::Engine;

use crate::Digest;
use crate::machine_code::{KEY_BYTES, MachineCode, Seal};

/// Beside the folders of all engines.
const KEY_FILE: &str = "key";

/// A folder of compiled components.
pub(crate) struct Cache {
    folder: PathBuf,
    seal: Seal,
    writes: AtomicU64,
}

impl Cache {
    /// Opens the part of `folder` that this very engine can load.
    pub(crate) fn open(folder: &Path, engine: &Engine) -> io::Result<Self> {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let of_engine = folder.join(format!("{:016x}", hasher.finish()));
        fs::create_dir_all(&of_engine)?;
        for private in [folder, &of_engine] {
            fs::set_permissions(private, Permissions::from_mode(0o700))?;
        }
        Ok(Self {
            seal: key(&folder.join(KEY_FILE))?,
            folder: of_engine,
            writes: AtomicU64::new(0),
        })
    }

    /// The machine code of a component, if it is there, this gateway's own, and for this engine.
    pub(crate) fn load(&self, engine: &Engine, digest: Digest) -> Option<MachineCode> {
        let file = fs::read(self.path(digest)).ok()?;
        let Some(code) = self.seal.open(digest, file) else {
            warn!(%digest, "a cached component is damaged or not this gateway's, and is compiled again");
            return None;
        };
        let loaded = code.load(engine);
        let loaded = loaded
            .inspect_err(|err| warn!(%digest, error = %err, "a cached component does not load"));
        loaded.is_ok().then_some(code)
    }

    /// Keeps machine code. A cache that cannot be written costs time, never a request.
    pub(crate) fn store(&self, digest: Digest, code: &MachineCode) {
        if let Err(err) = self.try_store(digest, code.bytes()) {
            warn!(%digest, error = %err, "a compiled component could not be cached");
        }
    }

    fn try_store(&self, digest: Digest, code: &[u8]) -> io::Result<()> {
        let aside = self.folder.join(format!(
            "{}.{}",
            std::process::id(),
            self.writes.fetch_add(1, Ordering::Relaxed)
        ));
        let mut file = fs::File::create(&aside)?;
        file.write_all(code)?;
        file.write_all(self.seal.tag(digest, code).as_ref())?;
        drop(file);
        fs::rename(aside, self.path(digest))
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.folder.join(digest.to_string().replace(':', "-"))
    }
}

/// The key of this folder, made when there is none. With a new one, everything is compiled again.
fn key(file: &Path) -> io::Result<Seal> {
    if let Ok(Ok(key)) = fs::read(file).map(<[u8; KEY_BYTES]>::try_from) {
        return Ok(Seal::new(key));
    }
    let seal = Seal::random()?;
    let aside = file.with_extension(std::process::id().to_string());
    drop(fs::remove_file(&aside));
    let mut private = OpenOptions::new();
    private.write(true).create_new(true).mode(0o600);
    private.open(&aside)?.write_all(seal.key())?;
    fs::rename(aside, file)?;
    Ok(seal)
}
