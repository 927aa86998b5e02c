//! From a plugin's name to the same policy in native code.

use std::sync::Arc;

use portcullis_gateway::policy::{Binder, Hooks};
use portcullis_sandbox::{BindError, BindingSettings, Plugin};

use crate::native::Native;

/// Binds the four policies of the whole walk; others have no native form here.
pub struct NativeBinder;

impl Binder for NativeBinder {
    fn bind(
        &self,
        plugin: &Arc<Plugin>,
        settings: BindingSettings,
    ) -> Result<Arc<dyn Hooks>, BindError> {
        let hooks = plugin.hooks().to_vec();
        match plugin.manifest().name.as_str() {
            "jwt-auth" => Native::<jwt_auth::JwtAuth>::bind(hooks, settings),
            "rate-limit" => Native::<rate_limit::RateLimit>::bind(hooks, settings),
            "smart-route" => Native::<smart_route::SmartRoute>::bind(hooks, settings),
            "redact" => Native::<redact::Redact>::bind(hooks, settings),
            other => Err(BindError::Config(format!(
                "`{other}` is not compiled into this gateway"
            ))),
        }
    }
}
