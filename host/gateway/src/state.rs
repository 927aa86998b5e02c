//! State: the counters and values that policies keep in the host, outside of any instance or generation.
//!
//! Before it: the policy services, which hold a scope's handles for as long as a binding lives. After it: nothing;
//! memory is the backend, and [`QuotaScope`] and [`PluginState`] are the seam where a shared one would stand.
//! It never waits, it never forgets a counter because a chain changed, and it never lets one plugin's keys take
//! another's room.

mod bounds;
mod clock;
mod gcra;
mod meter;
mod plugin_state;
mod quotas;
mod sweep;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::Registry;

use meter::StateMeters;

pub use bounds::StateBounds;
pub use clock::{Clock, unix_ms};
pub use gcra::NEVER_MS;
pub use plugin_state::{PluginState, StateError};
pub use quotas::QuotaScope;

/// Counters and values of all tenants of this process.
pub struct StateRoom {
    bounds: StateBounds,
    clock: Clock,
    meters: StateMeters,
    tenants: Mutex<HashMap<String, HashMap<String, PluginScope>>>,
}

/// What one plugin of one tenant keeps.
struct PluginScope {
    quotas: Arc<QuotaScope>,
    state: Arc<PluginState>,
}

impl PluginScope {
    /// Nobody holds it, and nothing in it would be missed.
    fn is_idle(&self, now_ns: u64) -> bool {
        Arc::strong_count(&self.quotas) == 1
            && Arc::strong_count(&self.state) == 1
            && self.quotas.is_idle(now_ns)
            && self.state.is_idle(now_ns)
    }
}

impl StateRoom {
    /// An empty room whose metrics are in `registry`.
    ///
    /// # Errors
    /// When the registry has metrics of these names already.
    pub fn new(
        bounds: StateBounds,
        clock: Clock,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        Ok(Self {
            bounds,
            clock,
            meters: StateMeters::register(registry)?,
            tenants: Mutex::default(),
        })
    }

    /// The clock that counters and times to live are measured by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The plugin's counters: the same for as long as the tenant is known, whatever its chain.
    /// Asked for once per binding, not per call.
    #[must_use]
    pub fn quotas(&self, tenant: &str, plugin: &str) -> Arc<QuotaScope> {
        self.with_scope(tenant, plugin, |scope| Arc::clone(&scope.quotas))
    }

    /// The plugin's values: the same for as long as the tenant is known, whatever its chain.
    /// Asked for once per binding, not per call.
    #[must_use]
    pub fn plugin_state(&self, tenant: &str, plugin: &str) -> Arc<PluginState> {
        self.with_scope(tenant, plugin, |scope| Arc::clone(&scope.state))
    }

    /// Lets go of everything the tenant's plugins kept. Requests in flight end on what they hold.
    pub fn forget_tenant(&self, tenant: &str) {
        let Some(plugins) = self.lock().remove(tenant) else {
            return;
        };
        for plugin in plugins.keys() {
            self.meters.forget(tenant, plugin);
        }
    }

    fn with_scope<T>(&self, tenant: &str, plugin: &str, take: impl FnOnce(&PluginScope) -> T) -> T {
        let mut tenants = self.lock();
        let plugins = tenants.entry(tenant.to_owned()).or_default();
        if !plugins.contains_key(plugin) {
            self.drop_idle(tenant, plugins);
        }
        let scope = plugins
            .entry(plugin.to_owned())
            .or_insert_with(|| self.open(tenant, plugin));
        take(scope)
    }

    fn open(&self, tenant: &str, plugin: &str) -> PluginScope {
        let meter = self.meters.scope(tenant, plugin);
        PluginScope {
            quotas: Arc::new(QuotaScope::new(
                self.bounds,
                self.clock.clone(),
                meter.clone(),
            )),
            state: Arc::new(PluginState::new(self.bounds, self.clock.clone(), meter)),
        }
    }

    /// Keeps a tenant that tries many plugins, one after the other, from leaving a scope behind for each.
    fn drop_idle(&self, tenant: &str, plugins: &mut HashMap<String, PluginScope>) {
        let now_ns = self.clock.now_ns();
        plugins.retain(|plugin, scope| {
            let keep = !scope.is_idle(now_ns);
            if !keep {
                self.meters.forget(tenant, plugin);
            }
            keep
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, HashMap<String, PluginScope>>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
