//! The named documents of a tenant that are kept and changed alike: upstreams, servers and issuers.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::{HoldsSecrets, IssuerSpec, ServerSpec, TenantState, UpstreamSpec};

/// Which kind of document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResourceKind {
    /// An MCP server that the gateway calls.
    Upstream,
    /// What clients connect to.
    Server,
    /// Where a token issuer's keys come from.
    Issuer,
}

impl ResourceKind {
    /// The kind in paths, tables and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Server => "server",
            Self::Issuer => "issuer",
        }
    }
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One document, with its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// An MCP server that the gateway calls.
    Upstream(UpstreamSpec),
    /// What clients connect to.
    Server(ServerSpec),
    /// Where a token issuer's keys come from.
    Issuer(IssuerSpec),
}

impl Resource {
    /// Which kind it is.
    #[must_use]
    pub fn kind(&self) -> ResourceKind {
        match self {
            Self::Upstream(_) => ResourceKind::Upstream,
            Self::Server(_) => ResourceKind::Server,
            Self::Issuer(_) => ResourceKind::Issuer,
        }
    }
}

/// A document type, its kind, and its place in a tenant's state.
pub trait ResourceSpec:
    HoldsSecrets + DeserializeOwned + ToSchema + Send + Into<Resource> + 'static
{
    /// Which kind it is.
    const KIND: ResourceKind;

    /// The tenant's documents of this kind, by name.
    fn all(state: &TenantState) -> &BTreeMap<String, Self>;
}

impl ResourceSpec for UpstreamSpec {
    const KIND: ResourceKind = ResourceKind::Upstream;

    fn all(state: &TenantState) -> &BTreeMap<String, Self> {
        &state.upstreams
    }
}

impl ResourceSpec for ServerSpec {
    const KIND: ResourceKind = ResourceKind::Server;

    fn all(state: &TenantState) -> &BTreeMap<String, Self> {
        &state.servers
    }
}

impl ResourceSpec for IssuerSpec {
    const KIND: ResourceKind = ResourceKind::Issuer;

    fn all(state: &TenantState) -> &BTreeMap<String, Self> {
        &state.issuers
    }
}

impl From<UpstreamSpec> for Resource {
    fn from(spec: UpstreamSpec) -> Self {
        Self::Upstream(spec)
    }
}

impl From<ServerSpec> for Resource {
    fn from(spec: ServerSpec) -> Self {
        Self::Server(spec)
    }
}

impl From<IssuerSpec> for Resource {
    fn from(spec: IssuerSpec) -> Self {
        Self::Issuer(spec)
    }
}
