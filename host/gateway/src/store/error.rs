//! What can go wrong in the store: refusals that a caller can act on, and failures of the store itself.

use std::path::PathBuf;

use thiserror::Error;

/// Why the store did not do what it was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The data folder is not usable.
    #[error("the data folder {} cannot be used: {source}. Give this user write access to it, or choose another folder with --data-dir", .path.display())]
    Folder {
        /// The folder, or the file in it.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The database could not be opened or brought up to date.
    #[error("the store {} cannot be opened: {source}. Restore it from a backup, or choose another folder with --data-dir", .path.display())]
    Open {
        /// The database file.
        path: PathBuf,
        /// What the driver said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A newer Portcullis wrote it.
    #[error("the store {} was written by a newer Portcullis (it has migration {migration}, unknown here). Run that version or a later one", .path.display())]
    TooNew {
        /// The database file.
        path: PathBuf,
        /// The migration that this binary does not know.
        migration: i64,
    },
    /// `name@version` was published as another digest.
    #[error(
        "{name}@{version} was published as {published}, and a published version never changes: publish these bytes as a new version"
    )]
    PluginMoved {
        /// The plugin's name.
        name: String,
        /// Its version.
        version: String,
        /// What it was published as.
        published: String,
    },
    /// A live chain uses the plugin.
    #[error("the plugin is used by the policies of {}: change those first", .tenants.join(", "))]
    PluginInUse {
        /// Some of the tenants whose live chain uses it.
        tenants: Vec<String>,
    },
    /// A chain names a digest that is not published.
    #[error("the plugin {digest} is not published")]
    NoSuchPlugin {
        /// The digest.
        digest: String,
    },
    /// Others have signed the plugin as often as is kept.
    #[error(
        "the plugin {digest} has {count_max} signatures already, which is the most that is kept"
    )]
    TooManySignatures {
        /// The plugin's digest.
        digest: String,
        /// The bound.
        count_max: usize,
    },
    /// There is no such tenant.
    #[error("there is no tenant `{tenant}`: create it first")]
    NoSuchTenant {
        /// Its name.
        tenant: String,
    },
    /// Server names are unique in the whole gateway.
    #[error(
        "the server name `{name}` belongs to tenant `{owner}`: server names are unique in the whole gateway"
    )]
    ServerTaken {
        /// The name.
        name: String,
        /// Who has it.
        owner: String,
    },
    /// A host name leads to one server.
    #[error("the host `{host}` already leads to server `{server}`")]
    HostTaken {
        /// The host name.
        host: String,
        /// Where it leads.
        server: String,
    },
    /// Somebody else wrote the chain in between.
    #[error(
        "the policies are at revision {current}, not {expected}: read them again, and apply the change to that"
    )]
    RevisionMoved {
        /// What the writer had read.
        expected: u64,
        /// What is live.
        current: u64,
    },
    /// One rollout at a time.
    #[error("rollout {id} is under way: promote it or roll it back first")]
    RolloutRunning {
        /// Which one.
        id: u64,
    },
    /// It has ended, or never was.
    #[error("rollout {id} is not under way: GET /rollouts shows how it ended")]
    NoRolloutRuns {
        /// Which one.
        id: u64,
    },
    /// A stored document does not read.
    #[error("the stored {what} cannot be read: {source}")]
    Document {
        /// Which document.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// A stored number is out of its range.
    #[error("the stored {what} is out of range")]
    Range {
        /// Which number.
        what: &'static str,
    },
    /// The database failed.
    #[error("the store failed: {0}")]
    Backend(#[from] sqlx::Error),
}
