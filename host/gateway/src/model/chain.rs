//! A tenant's policy chain as it is written: an ordered list of bindings.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::HostGrant;

/// The ordered policies of a tenant. Hooks of one kind run in the order of their bindings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChainSpec {
    /// In order.
    pub bindings: Vec<BindingSpec>,
    /// Let callers through whom no authenticator recognises, as subject `anonymous`. Off: they get 401.
    #[serde(default)]
    pub anonymous: bool,
}

/// A plugin with configuration, grants, limits and a selector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BindingSpec {
    /// Unique in the chain; shown in logs, metrics and errors. Defaults to the plugin's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `name@version`, or `sha256:<64 hex digits>`.
    pub plugin: String,
    /// Checked against the plugin's JSON Schema, then by its `configure`.
    #[serde(default = "empty_object")]
    #[schema(value_type = Object)]
    pub config: Value,
    /// Host interfaces the plugin may import: `quota`, `jwt`, `keys`, `state`, `metrics`, `random` by name, `http` and `fs`
    /// with their bounds.
    #[serde(default)]
    pub grants: Vec<HostGrant>,
    /// Bounds on every call of a hook.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: BindingLimits,
    /// What a caller gets when the plugin fails.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// How instances live.
    #[serde(default)]
    pub instances: InstanceClass,
    /// Which messages the binding sees.
    #[serde(default, skip_serializing_if = "is_default")]
    pub select: Selector,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn empty_object() -> Value {
    Value::Object(serde_json::Map::new())
}

/// Bounds on every call of a hook; what is absent is the host's default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BindingLimits {
    /// Longest time one hook may take, in milliseconds (default 10, 1 to 1,000; for a plugin that waits default 1,000, 1 to
    /// 30,000, on the clock).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u32>,
    /// Most memory one instance may hold over all its linear memories, in bytes (default 16 MiB, 64 KiB to 64 MiB).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes_max: Option<u64>,
    /// Largest text that one hook may hand back, in bytes (default 4 MiB).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_bytes_max: Option<u64>,
}

/// What a caller gets when the plugin fails. Authenticators always fail closed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// The message is refused.
    #[default]
    Closed,
    /// The hook counts as if it were not there.
    Open,
}

/// How instances live.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceClass {
    /// Pooled per binding, retired after a number of calls or at a memory mark.
    #[default]
    Warm,
    /// One call, one instance.
    Fresh,
}

/// Which messages a binding sees; an empty list means all. Globs with `*`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// Server names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<String>,
    /// MCP methods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Tool names as clients see them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
}

impl BindingSpec {
    /// The binding's name in logs and metrics.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.name {
            Some(name) => name,
            None => self.plugin.split('@').next().unwrap_or(&self.plugin),
        }
    }
}
