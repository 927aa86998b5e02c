//! The plugins of this process: every published digest, compiled and ready to be bound.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use portcullis_sandbox::{AdmitError, Digest, Grant, Hook, Plugin, Sandbox};
use serde::Serialize;
use tracing::info;
use utoipa::ToSchema;

/// What is known of an admitted plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PluginInfo {
    /// `sha256:` and 64 hex digits: the SHA-256 of the component's bytes.
    pub digest: String,
    /// Its own name.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// What it does, in its own words.
    pub description: String,
    /// Hooks that it exports: `authenticate`, `admit`, `route`, `transform-call`, `transform-reply`, `transform-listing`.
    pub hooks: Vec<String>,
    /// How its hooks run: `fast`, answered from memory, or `waiting`, set aside while it waits for other hosts, for files or
    /// for WASI.
    pub class: String,
    /// Grants that a binding must give for what it imports: `quota`, `jwt`, `keys`, `state`, `metrics`, `random`, `http`, `fs`.
    pub grants: Vec<String>,
    /// JSON Schema of its configuration.
    #[schema(value_type = Object)]
    pub config_schema: serde_json::Value,
    /// Size of the component.
    pub size_bytes: u64,
}

/// Why a component is not admitted. `code` is stable; `message` says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PluginRefused {
    /// `not-wasm`, `core-module`, `wrong-world`, `unknown-import`, `too-large`, `compile`, `compile-time`, `compile-memory`,
    /// `compile-output`, `describe`, ...
    pub code: &'static str,
    /// For people.
    pub message: String,
}

impl From<AdmitError> for PluginRefused {
    fn from(err: AdmitError) -> Self {
        Self {
            code: err.code(),
            message: err.to_string(),
        }
    }
}

/// A plugin with its schema compiled, ready to be bound.
pub struct Shelved {
    /// The component.
    pub plugin: Arc<Plugin>,
    /// Checks configurations.
    pub schema: jsonschema::Validator,
    /// What the admin API shows.
    pub info: PluginInfo,
}

/// Every published plugin of this process.
pub struct Shelf {
    sandbox: Arc<Sandbox>,
    plugins: RwLock<HashMap<String, Arc<Shelved>>>,
}

impl Shelf {
    /// An empty shelf over a sandbox.
    #[must_use]
    pub fn new(sandbox: Arc<Sandbox>) -> Self {
        Self {
            sandbox,
            plugins: RwLock::default(),
        }
    }

    /// Validates, compiles (off the runtime's threads, cached on disk by digest) and keeps a component.
    /// Admitting the same bytes again is cheap.
    ///
    /// # Errors
    /// [`PluginRefused`], for anything that is not a policy component.
    pub async fn admit(&self, component: Arc<[u8]>) -> Result<PluginInfo, PluginRefused> {
        let sandbox = Arc::clone(&self.sandbox);
        let known = self.get(&Digest::of(&component).to_string());
        if let Some(known) = known {
            return Ok(known.info.clone());
        }
        let compiled = tokio::task::spawn_blocking(move || sandbox.admit(&component)).await;
        let plugin = compiled.map_err(|err| PluginRefused {
            code: "compiler-failed",
            message: format!("the compiler gave up: {err}"),
        })??;
        let shelved = Arc::new(shelve(plugin)?);
        let info = shelved.info.clone();
        info!(
            plugin = info.name,
            version = info.version,
            digest = info.digest,
            "a plugin is admitted"
        );
        self.plugins
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(info.digest.clone(), shelved);
        Ok(info)
    }

    /// The plugin with this digest (`sha256:…`).
    #[must_use]
    pub fn get(&self, digest: &str) -> Option<Arc<Shelved>> {
        self.plugins
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(digest)
            .cloned()
    }

    /// Forgets a plugin. Generations that use it keep it alive until they are replaced.
    pub fn remove(&self, digest: &str) {
        self.plugins
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(digest);
    }
}

fn shelve(plugin: Arc<Plugin>) -> Result<Shelved, PluginRefused> {
    let manifest = plugin.manifest();
    let refused = |message: String| PluginRefused {
        code: "describe",
        message,
    };
    let config_schema: serde_json::Value = serde_json::from_str(&manifest.config_schema)
        .map_err(|err| refused(format!("the plugin's config-schema is not JSON: {err}")))?;
    let schema = jsonschema::validator_for(&config_schema).map_err(|err| {
        refused(format!(
            "the plugin's config-schema is not a JSON Schema: {err}"
        ))
    })?;
    let info = PluginInfo {
        digest: plugin.digest().to_string(),
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        description: manifest.description.clone(),
        hooks: plugin
            .hooks()
            .iter()
            .copied()
            .map(Hook::name)
            .map(str::to_owned)
            .collect(),
        class: plugin.class().name().to_owned(),
        grants: plugin
            .grants()
            .iter()
            .copied()
            .map(Grant::name)
            .map(str::to_owned)
            .collect(),
        config_schema,
        size_bytes: plugin.size_bytes(),
    };
    Ok(Shelved {
        plugin,
        schema,
        info,
    })
}
