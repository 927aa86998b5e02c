//! Opening the file: folder, permissions, pragmas, migrations. Each failure says what to do about it.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::model::compare_versions;
use crate::store::StoreError;

use super::SqliteStore;

const FILE: &str = "portcullis.db";
const CONNECTIONS_MAX: u32 = 4;
const BUSY_TIMEOUT_MS: u64 = 5_000;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

impl SqliteStore {
    /// Opens the store of a data folder; makes both when they are not there.
    ///
    /// # Errors
    /// [`StoreError::Folder`], [`StoreError::Open`] and [`StoreError::TooNew`], all of which say what to do.
    pub async fn open(data_dir: &Path) -> Result<Self, StoreError> {
        prepare_folder(data_dir)?;
        let path = data_dir.join(FILE);
        prepare_file(&path)?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            // What a client was told is durable stays so through a power cut.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_millis(BUSY_TIMEOUT_MS))
            .collation("version", compare_versions);
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .connect_with(options)
            .await
            .map_err(|source| StoreError::Open {
                path: path.clone(),
                source: source.into(),
            })?;
        if let Err(failed) = MIGRATIONS.run(&pool).await {
            pool.close().await;
            return Err(if let MigrateError::VersionMissing(migration) = failed {
                StoreError::TooNew { path, migration }
            } else {
                StoreError::Open {
                    path,
                    source: failed.into(),
                }
            });
        }
        Ok(Self { pool, path })
    }
}

/// Makes the folder, for this user alone, and tries whether it can be written.
fn prepare_folder(folder: &Path) -> Result<(), StoreError> {
    let unusable = |source: io::Error| StoreError::Folder {
        path: folder.to_owned(),
        source,
    };
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(unusable)?;
    // SQLite writes its log beside the database, so the folder itself has to be writable.
    let probe = folder.join(format!(".portcullis-write-{}", std::process::id()));
    std::fs::write(&probe, b"").map_err(unusable)?;
    std::fs::remove_file(&probe).map_err(unusable)
}

/// Makes the file with mode 0600; SQLite gives the files beside it the same.
fn prepare_file(file: &Path) -> Result<(), StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(file) {
        Ok(_) => Ok(()),
        Err(source) => Err(StoreError::Folder {
            path: file.to_owned(),
            source,
        }),
    }
}
