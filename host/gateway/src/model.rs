//! Desired state: what the admin plane writes, the store keeps, and `tenancy` compiles into generations.
//!
//! These are the shapes of the admin API, in JSON. They hold no behaviour beyond their own validity
//! and never a compiled or connected thing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

mod auth;
mod capture;
mod chain;
mod grant;
mod host_grant;
mod names;
mod plugin_ref;
mod public_key;
mod resource;
mod rollout;
mod secret;
mod secrets;
mod signature;
mod version;

pub use auth::{AuthSpec, GrantType, OauthClientSpec, OauthSpec};
pub use capture::{CaptureSpec, samples_max};
pub use chain::{BindingLimits, BindingSpec, ChainSpec, InstanceClass, OnFailure, Selector};
pub use grant::{AuthMethod, Grant, Registration, Tokens};
pub use host_grant::{BoundedGrant, FsAccess, FsGrant, HostGrant, HttpGrant, Network};
pub use names::{InvalidName, check_name};
pub use plugin_ref::{InvalidPluginRef, PluginRef};
pub use public_key::{InvalidPublicKey, PublicKey};
pub use resource::{Resource, ResourceKind, ResourceSpec};
pub use rollout::{
    PromoteAfter, RolloutBounds, RolloutPlan, RolloutRecord, RolloutSpec, RolloutState,
    RunningRollout, Strategy,
};
pub use secret::Secret;
pub use secrets::{
    HoldsSecrets, NothingToKeep, REDACTED, keep_redacted, pointer_segment, to_stored,
};
pub use signature::{Signature, StatementForm, TrustSpec, TrustedKey};
pub use version::compare_versions;

/// A tenant: the unit of isolation. Its upstreams, servers, keys, issuers and chain are its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantSpec {
    /// Shown to people.
    #[serde(default)]
    pub description: String,
    /// Which of its calls are kept as samples; none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture: Option<CaptureSpec>,
}

/// An MCP server that the gateway calls: by `url` (over HTTP) or by `command` (stdio, supervised).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamSpec {
    /// Endpoint of an HTTP server, `http` or `https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What is spoken at `url`.
    #[serde(default, skip_serializing_if = "UpstreamTransport::is_auto")]
    pub transport: UpstreamTransport,
    /// Program and arguments of a stdio server. It runs with the gateway's rights and an empty environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Who shares the process of the command.
    #[serde(default, skip_serializing_if = "ProcessScope::is_shared")]
    pub process: ProcessScope,
    /// Environment of the command. `PATH` and `HOME` are passed through unless set here. Values are never shown again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Secret>,
    /// Headers added to every request to `url`. Values are never shown again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Secret>,
    /// How the gateway proves itself to `url`, where static headers are not enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<AuthSpec>,
    /// Longest wait for a call's reply to begin, in milliseconds.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// Free labels that route hooks see.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

fn default_timeout_ms() -> u64 {
    30_000
}

/// What is spoken at an upstream's `url`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UpstreamTransport {
    /// Streamable HTTP, or HTTP+SSE where the upstream knows nothing newer: it is asked.
    #[default]
    Auto,
    /// Streamable HTTP.
    StreamableHttp,
    /// HTTP+SSE, as of 2024-11-05: `url` is where its stream is opened.
    Sse,
}

impl UpstreamTransport {
    /// Whether the upstream is asked.
    #[must_use]
    pub fn is_auto(&self) -> bool {
        matches!(self, Self::Auto)
    }
}

/// Who shares the process of a command.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProcessScope {
    /// Every caller. It can ask nobody anything; updates of resources go to whoever subscribed to them, and its log to
    /// every session that set a level.
    #[default]
    Shared,
    /// Nobody: each session gets a process of its own, and so does each caller without sessions. It may ask the
    /// session's client for what the client offers: sampling, elicitation, roots.
    Session,
}

impl ProcessScope {
    /// Whether it is the one for all callers.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Shared)
    }
}

/// What clients connect to: one merged catalogue of one or more upstreams.
///
/// Server names are unique in the whole gateway, since `/servers/{server}/mcp` names no tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerSpec {
    /// In order; each contributes its tools, prompts and resources.
    pub upstreams: Vec<Mount>,
    /// How tools and prompts are named; resources keep their URIs.
    #[serde(default)]
    pub naming: Naming,
    /// Host names for which `/mcp` means this server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
}

/// A namespace of a server and the interchangeable upstreams behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// Prefix of the names of its tools and prompts: `name__tool`.
    pub name: String,
    /// Upstreams that offer the same tools: a route hook picks one for each call. Empty means the upstream called `name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<String>,
}

/// How tools of a server are named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Naming {
    /// `upstream__tool`: stays the same when another upstream is added.
    #[default]
    Prefixed,
    /// The upstream's own names; for servers of one mount only.
    Plain,
}

/// Where the keys of a token issuer come from. Exactly one of `jwks_url`, `jwks` and `secret` is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IssuerSpec {
    /// The `iss` claim, compared as a string (RFC 7519, 4.1.1).
    pub issuer: String,
    /// A JWK Set (RFC 7517), fetched by the host and refreshed in the background.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_url: Option<String>,
    /// A JWK Set given in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub jwks: Option<serde_json::Value>,
    /// A shared secret for HS256, for development. Never shown again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
}

/// Who an API key speaks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeySpec {
    /// Shown in listings.
    pub name: String,
    /// Subject of the calls made with this key.
    pub subject: String,
    /// The caller's team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// The caller's roles.
    #[serde(default)]
    pub roles: Vec<String>,
    /// The caller's scopes.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Milliseconds since the Unix epoch; none for a key that does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
}

/// An API key as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Stable id, shown in listings.
    pub id: String,
    /// Who it speaks for.
    pub spec: KeySpec,
    /// SHA-256 of the presented key. Keys carry 256 random bits, so a plain hash is enough.
    pub sha256: [u8; 32],
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: u64,
}

/// Everything that a tenant's generation is built from, read in one transaction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TenantState {
    /// The tenant.
    pub name: String,
    /// By name.
    pub upstreams: BTreeMap<String, UpstreamSpec>,
    /// By name.
    pub servers: BTreeMap<String, ServerSpec>,
    /// By name.
    pub issuers: BTreeMap<String, IssuerSpec>,
    /// In the order in which they were made.
    pub keys: Vec<KeyRecord>,
    /// The live chain, its plugins resolved to digests and its bindings named; a new tenant has the empty chain, which refuses every caller.
    pub chain: ChainSpec,
    /// Revision of the chain; 0 before the first `PUT`.
    pub revision: u64,
    /// The newest revision; another than the live one while a candidate is rolled out, or after one was taken back.
    pub newest: u64,
    /// Which calls are kept as samples.
    pub capture: Option<CaptureSpec>,
    /// Rollouts so far: the number of the last one.
    pub rollouts: u64,
    /// The candidate that is rolled out.
    pub rollout: Option<RunningRollout>,
    /// Whose signatures count.
    pub trust: TrustSpec,
}
