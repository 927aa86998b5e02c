//! The store: desired state that survives a restart.
//!
//! The admin plane writes it, and `tenancy` is rebuilt from it at start. It is never read on the request path,
//! and it never interprets a document: validity is the admin plane's, uniqueness and references are the store's. Beside
//! it lies what upstreams were granted, which they write themselves.

use async_trait::async_trait;
use serde_json::Value;

use crate::model::{
    ChainSpec, Grant, KeyRecord, PluginRef, Resource, ResourceKind, RolloutPlan, RolloutRecord,
    RolloutState, Signature, TenantSpec, TenantState, TrustSpec,
};

mod error;
mod sqlite;

pub use error::StoreError;
pub use sqlite::SqliteStore;

/// Most signatures of one plugin.
pub const SIGNATURES_MAX: usize = 16;
/// Most revisions of one tenant that are kept; older ones are dropped.
pub const REVISIONS_KEPT_MAX: u64 = 1_000;

/// A plugin to publish.
#[derive(Debug, Clone)]
pub struct NewPlugin {
    /// `sha256:` and 64 hex digits.
    pub digest: String,
    /// As it describes itself.
    pub name: String,
    /// As it describes itself.
    pub version: String,
    /// What is shown of it.
    pub info: Value,
    /// The component.
    pub bytes: Vec<u8>,
}

/// A published plugin, without its bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginRecord {
    /// `sha256:` and 64 hex digits.
    pub digest: String,
    /// As it describes itself.
    pub name: String,
    /// As it describes itself.
    pub version: String,
    /// What is shown of it.
    pub info: Value,
    /// Who vouched for it, in the order in which they did.
    pub signatures: Vec<Signature>,
    /// Milliseconds since the Unix epoch.
    pub published_at_ms: u64,
}

/// A page of plugins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PluginPage {
    /// Of this name alone.
    pub name: Option<String>,
    /// Name and version that the page before ended with.
    pub after: Option<(String, String)>,
    /// Most plugins of the page.
    pub count_max: u32,
}

/// Whether a `put` made something or replaced it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It was not there.
    Created,
    /// It was there.
    Replaced,
}

/// A chain to make the live one.
#[derive(Debug, Clone)]
pub struct NewChain {
    /// As it was sent.
    pub written: ChainSpec,
    /// With plugins resolved to digests and bindings named.
    pub resolved: ChainSpec,
    /// Who sent it.
    pub author: String,
}

/// One revision of a tenant's chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    /// From 1.
    pub number: u64,
    /// As it was sent.
    pub written: ChainSpec,
    /// With plugins resolved to digests and bindings named.
    pub resolved: ChainSpec,
    /// Who sent it.
    pub author: String,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: u64,
}

/// How a rollout ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutEnd {
    /// Any but running.
    pub state: RolloutState,
    /// For people.
    pub reason: String,
}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Tenants.
    pub tenants: u64,
    /// Published plugins.
    pub plugins: u64,
}

/// Where desired state is kept. Every method is one transaction.
#[async_trait]
pub trait Store: Send + Sync {
    /// Publishes a plugin; [`Put::Replaced`] means that the same bytes were there already.
    ///
    /// # Errors
    /// [`StoreError::PluginMoved`] when `name@version` was ever published as another digest.
    async fn put_plugin(&self, plugin: NewPlugin) -> Result<Put, StoreError>;

    /// A published plugin.
    async fn plugin(&self, plugin: &PluginRef) -> Result<Option<PluginRecord>, StoreError>;

    /// A published plugin's component.
    async fn plugin_bytes(&self, digest: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// A page of plugins, ordered by name, newest version first.
    async fn plugins(&self, page: PluginPage) -> Result<Vec<PluginRecord>, StoreError>;

    /// Keeps a signature beside its plugin, in place of an earlier one by the same key.
    ///
    /// # Errors
    /// [`StoreError::NoSuchPlugin`]; [`StoreError::TooManySignatures`] when there are [`SIGNATURES_MAX`] by others.
    async fn put_signature(&self, signature: &Signature) -> Result<Put, StoreError>;

    /// Deletes a plugin with its signatures; `false` when there was none.
    ///
    /// # Errors
    /// [`StoreError::PluginInUse`] while a live chain uses it.
    async fn delete_plugin(&self, digest: &str) -> Result<bool, StoreError>;

    /// Tenants ordered by name, after `after`, at most `count_max`.
    async fn tenants(
        &self,
        after: Option<String>,
        count_max: u32,
    ) -> Result<Vec<(String, TenantSpec)>, StoreError>;

    /// One tenant.
    async fn tenant(&self, name: &str) -> Result<Option<TenantSpec>, StoreError>;

    /// Creates or replaces a tenant's own document.
    async fn put_tenant(&self, name: &str, spec: &TenantSpec) -> Result<Put, StoreError>;

    /// Deletes a tenant and all that is its own; `false` when there was none.
    async fn delete_tenant(&self, name: &str) -> Result<bool, StoreError>;

    /// Replaces whose signatures count for a tenant.
    ///
    /// # Errors
    /// [`StoreError::NoSuchTenant`].
    async fn put_trust(&self, tenant: &str, trust: &TrustSpec) -> Result<(), StoreError>;

    /// Everything that a tenant's generation is built from, of one moment.
    async fn tenant_state(&self, name: &str) -> Result<Option<TenantState>, StoreError>;

    /// Creates or replaces a document, with its secrets.
    ///
    /// # Errors
    /// [`StoreError::ServerTaken`] and [`StoreError::HostTaken`] for names that another tenant or server has.
    async fn put_resource(
        &self,
        tenant: &str,
        name: &str,
        resource: &Resource,
    ) -> Result<Put, StoreError>;

    /// Deletes a document; `false` when there was none.
    async fn delete_resource(
        &self,
        tenant: &str,
        kind: ResourceKind,
        name: &str,
    ) -> Result<bool, StoreError>;

    /// Keeps a new key.
    async fn put_key(&self, tenant: &str, key: &KeyRecord) -> Result<(), StoreError>;

    /// Deletes a key; `false` when there was none.
    async fn delete_key(&self, tenant: &str, id: &str) -> Result<bool, StoreError>;

    /// Makes a chain the live one, when the live revision is still `expected`, and returns its revision.
    ///
    /// # Errors
    /// [`StoreError::RevisionMoved`] when it is not; [`StoreError::NoSuchPlugin`] when a digest is not published.
    async fn put_chain(
        &self,
        tenant: &str,
        expected: Option<u64>,
        chain: NewChain,
    ) -> Result<u64, StoreError>;

    /// Revisions, newest first, before `before`, at most `count_max`.
    async fn revisions(
        &self,
        tenant: &str,
        before: Option<u64>,
        count_max: u32,
    ) -> Result<Vec<Revision>, StoreError>;

    /// One revision.
    async fn revision(&self, tenant: &str, number: u64) -> Result<Option<Revision>, StoreError>;

    /// Writes a candidate under the next revision, and starts to roll it out.
    ///
    /// # Errors
    /// [`StoreError::RolloutRunning`] while another one is rolled out.
    async fn start_rollout(
        &self,
        tenant: &str,
        plan: &RolloutPlan,
        candidate: NewChain,
    ) -> Result<RolloutRecord, StoreError>;

    /// Changes how a candidate meets traffic.
    ///
    /// # Errors
    /// [`StoreError::NoRolloutRuns`] when this rollout has ended.
    async fn change_rollout(
        &self,
        tenant: &str,
        id: u64,
        plan: &RolloutPlan,
    ) -> Result<(), StoreError>;

    /// Ends a rollout; a candidate that is promoted is the live revision.
    ///
    /// # Errors
    /// [`StoreError::NoRolloutRuns`] when it has ended already.
    async fn end_rollout(&self, tenant: &str, id: u64, end: &RolloutEnd) -> Result<(), StoreError>;

    /// Rollouts, newest first, before `before`, at most `count_max`.
    async fn rollouts(
        &self,
        tenant: &str,
        before: Option<u64>,
        count_max: u32,
    ) -> Result<Vec<RolloutRecord>, StoreError>;

    /// How much there is.
    async fn counts(&self) -> Result<Counts, StoreError>;
}

/// What came of upstreams' authorizations: not desired state, but what a person should not have to give again. Upstreams
/// read it once, and write it when a server gave them something that it would not give again.
#[async_trait]
pub trait Grants: std::fmt::Debug + Send + Sync {
    /// What is kept for an upstream.
    async fn grant(&self, tenant: &str, upstream: &str) -> Result<Option<Grant>, StoreError>;

    /// Keeps it, with its secrets, in place of what was there. Nothing is kept for an upstream that is not there.
    async fn put_grant(
        &self,
        tenant: &str,
        upstream: &str,
        grant: &Grant,
    ) -> Result<(), StoreError>;

    /// Forgets it.
    async fn delete_grant(&self, tenant: &str, upstream: &str) -> Result<(), StoreError>;
}
