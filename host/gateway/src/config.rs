//! Host settings: from file, environment and flags to one valid [`Settings`].
//!
//! Three layers of the same raw form are laid over one another, the file lowest and flags highest, and made valid
//! once. Nothing after this room reads the environment. Tenants, servers and chains are not settings: the admin
//! plane writes them, and the store keeps them.

mod admin_token;
mod environment;
mod error;
mod file;
mod interpolate;
mod keys;
mod raw;
mod settings;
#[cfg(test)]
mod tests;

pub use admin_token::{admin_token, stored_admin_token};
pub use environment::Environment;
pub use error::{ConfigError, explain, nearest};
pub use file::parse_yaml;
pub use raw::{RawCatalogue, RawLimits, RawLog, RawPlugins, RawRegistry, RawSandbox, RawSettings};
pub use settings::{
    CatalogueSettings, Limits, LogFormat, LogLevel, LogSettings, Login, PluginSettings,
    RegistrySettings, SandboxSettings, Settings,
};

use std::path::Path;

/// Every setting with its default, commented: what `portcullis check --print-defaults` prints.
pub const DEFAULTS: &str = include_str!("config/defaults.yaml");

/// Settings, and what the operator should hear about them.
#[derive(Debug)]
pub struct Loaded {
    /// Valid settings.
    pub settings: Settings,
    /// For example a `PORTCULLIS_` variable that no setting has.
    pub warnings: Vec<String>,
}

/// Reads the file (if any), lays the environment and then `flags` over it, and makes the result valid.
///
/// # Errors
/// [`ConfigError`], which names the file and line, the variable or the key, and the nearest known key.
pub fn load(
    file: Option<&Path>,
    environment: &Environment,
    flags: RawSettings,
) -> Result<Loaded, ConfigError> {
    let (text, from_file) = match file {
        Some(path) => file::read(path, environment)?,
        None => (None, RawSettings::default()),
    };
    let (from_environment, warnings) = keys::from_environment(environment)?;
    let layers = [flags, from_environment, from_file];
    let raw = layers
        .clone()
        .into_iter()
        .rev()
        .fold(RawSettings::default(), |under, layer| layer.over(under));
    match Settings::try_from(raw) {
        Ok(settings) => Ok(Loaded { settings, warnings }),
        Err(invalid) => {
            // The highest layer that is wrong in the same way by itself is where the value was written.
            let wrong = |layer: &RawSettings| {
                Settings::try_from(layer.clone()).is_err_and(|alone| alone == invalid)
            };
            let place = match layers.iter().position(wrong) {
                Some(1) => format!("{}: ", keys::variable(&invalid.key)),
                Some(2) => text
                    .as_deref()
                    .zip(file)
                    .and_then(|(text, path)| file::place_of(text, path, &invalid.key))
                    .unwrap_or_default(),
                Some(_) | None => String::new(),
            };
            Err(ConfigError::Invalid {
                place,
                key: invalid.key,
                message: invalid.message,
            })
        }
    }
}
