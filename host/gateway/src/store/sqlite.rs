//! The store of a single node: one SQLite file in the data folder.
//!
//! Readers take a snapshot, and writers take the write lock when they begin, so that no transaction has to be
//! run again. The file and its folder belong to the gateway's user alone, since documents hold secrets.

use std::path::PathBuf;

use async_trait::async_trait;
use sqlx::{Sqlite, SqlitePool, Transaction};

use crate::model::{
    Grant, KeyRecord, PluginRef, Resource, ResourceKind, RolloutPlan, RolloutRecord, Signature,
    TenantSpec, TenantState, TrustSpec,
};

use super::{
    Counts, Grants, NewChain, NewPlugin, PluginPage, PluginRecord, Put, Revision, RolloutEnd,
    Store, StoreError,
};

mod chains;
mod grants;
mod open;
mod plugins;
mod resources;
mod rollouts;
mod rows;
mod signatures;
mod tenants;
#[cfg(test)]
mod tests;

/// The store in one SQLite file, `portcullis.db`.
#[derive(Debug)]
pub struct SqliteStore {
    pool: SqlitePool,
    path: PathBuf,
}

impl SqliteStore {
    /// Waits for running transactions, then closes the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// The database file.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// A transaction that holds the write lock from its first statement on.
    async fn write(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn put_plugin(&self, plugin: NewPlugin) -> Result<Put, StoreError> {
        plugins::put(self, plugin).await
    }

    async fn plugin(&self, plugin: &PluginRef) -> Result<Option<PluginRecord>, StoreError> {
        plugins::find(self, plugin).await
    }

    async fn plugin_bytes(&self, digest: &str) -> Result<Option<Vec<u8>>, StoreError> {
        plugins::bytes(self, digest).await
    }

    async fn plugins(&self, page: PluginPage) -> Result<Vec<PluginRecord>, StoreError> {
        plugins::list(self, page).await
    }

    async fn put_signature(&self, signature: &Signature) -> Result<Put, StoreError> {
        signatures::put(self, signature).await
    }

    async fn delete_plugin(&self, digest: &str) -> Result<bool, StoreError> {
        plugins::delete(self, digest).await
    }

    async fn tenants(
        &self,
        after: Option<String>,
        count_max: u32,
    ) -> Result<Vec<(String, TenantSpec)>, StoreError> {
        tenants::list(self, after, count_max).await
    }

    async fn tenant(&self, name: &str) -> Result<Option<TenantSpec>, StoreError> {
        tenants::find(self, name).await
    }

    async fn put_tenant(&self, name: &str, spec: &TenantSpec) -> Result<Put, StoreError> {
        tenants::put(self, name, spec).await
    }

    async fn delete_tenant(&self, name: &str) -> Result<bool, StoreError> {
        tenants::delete(self, name).await
    }

    async fn put_trust(&self, tenant: &str, trust: &TrustSpec) -> Result<(), StoreError> {
        tenants::put_trust(self, tenant, trust).await
    }

    async fn tenant_state(&self, name: &str) -> Result<Option<TenantState>, StoreError> {
        tenants::state(self, name).await
    }

    async fn put_resource(
        &self,
        tenant: &str,
        name: &str,
        resource: &Resource,
    ) -> Result<Put, StoreError> {
        resources::put(self, tenant, name, resource).await
    }

    async fn delete_resource(
        &self,
        tenant: &str,
        kind: ResourceKind,
        name: &str,
    ) -> Result<bool, StoreError> {
        resources::delete(self, tenant, kind, name).await
    }

    async fn put_key(&self, tenant: &str, key: &KeyRecord) -> Result<(), StoreError> {
        tenants::put_key(self, tenant, key).await
    }

    async fn delete_key(&self, tenant: &str, id: &str) -> Result<bool, StoreError> {
        tenants::delete_key(self, tenant, id).await
    }

    async fn put_chain(
        &self,
        tenant: &str,
        expected: Option<u64>,
        chain: NewChain,
    ) -> Result<u64, StoreError> {
        chains::put(self, tenant, expected, chain).await
    }

    async fn revisions(
        &self,
        tenant: &str,
        before: Option<u64>,
        count_max: u32,
    ) -> Result<Vec<Revision>, StoreError> {
        chains::list(self, tenant, before, count_max).await
    }

    async fn revision(&self, tenant: &str, number: u64) -> Result<Option<Revision>, StoreError> {
        chains::find(self, tenant, number).await
    }

    async fn start_rollout(
        &self,
        tenant: &str,
        plan: &RolloutPlan,
        candidate: NewChain,
    ) -> Result<RolloutRecord, StoreError> {
        rollouts::start(self, tenant, plan, candidate).await
    }

    async fn change_rollout(
        &self,
        tenant: &str,
        id: u64,
        plan: &RolloutPlan,
    ) -> Result<(), StoreError> {
        rollouts::change(self, tenant, id, plan).await
    }

    async fn end_rollout(&self, tenant: &str, id: u64, end: &RolloutEnd) -> Result<(), StoreError> {
        rollouts::end(self, tenant, id, end).await
    }

    async fn rollouts(
        &self,
        tenant: &str,
        before: Option<u64>,
        count_max: u32,
    ) -> Result<Vec<RolloutRecord>, StoreError> {
        rollouts::list(self, tenant, before, count_max).await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        tenants::counts(self).await
    }
}

#[async_trait]
impl Grants for SqliteStore {
    async fn grant(&self, tenant: &str, upstream: &str) -> Result<Option<Grant>, StoreError> {
        grants::find(self, tenant, upstream).await
    }

    async fn put_grant(
        &self,
        tenant: &str,
        upstream: &str,
        grant: &Grant,
    ) -> Result<(), StoreError> {
        grants::put(self, tenant, upstream, grant).await
    }

    async fn delete_grant(&self, tenant: &str, upstream: &str) -> Result<(), StoreError> {
        grants::delete(self, tenant, upstream).await
    }
}
