//! What operators see of the state room: how full each plugin's share is, and which bound refused.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

const BOUNDS: [&str; 6] = [
    "quota_keys",
    "quota_requests",
    "state_keys",
    "state_bytes",
    "state_value_bytes",
    "state_key_bytes",
];

/// The room's metrics, by tenant and plugin.
pub(super) struct StateMeters {
    quota_keys: IntGaugeVec,
    state_keys: IntGaugeVec,
    state_bytes: IntGaugeVec,
    refused: IntCounterVec,
}

/// One plugin's share of them, resolved once.
#[derive(Clone)]
pub(super) struct ScopeMeter {
    pub(super) quota_keys: IntGauge,
    pub(super) state_keys: IntGauge,
    pub(super) state_bytes: IntGauge,
    pub(super) quota_keys_refused: IntCounter,
    pub(super) quota_requests_refused: IntCounter,
    pub(super) state_keys_refused: IntCounter,
    pub(super) state_bytes_refused: IntCounter,
    pub(super) state_value_bytes_refused: IntCounter,
    pub(super) state_key_bytes_refused: IntCounter,
}

impl StateMeters {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| -> Result<IntGaugeVec, prometheus::Error> {
            let vec = IntGaugeVec::new(Opts::new(name, help), &["tenant", "plugin"])?;
            registry.register(Box::new(vec.clone()))?;
            Ok(vec)
        };
        let refused = IntCounterVec::new(
            Opts::new(
                "portcullis_state_refused_total",
                "Writes refused because a plugin's share was used up, by bound.",
            ),
            &["tenant", "plugin", "bound"],
        )?;
        registry.register(Box::new(refused.clone()))?;
        Ok(Self {
            quota_keys: gauge(
                "portcullis_quota_keys",
                "Counters that a plugin's limits keep.",
            )?,
            state_keys: gauge("portcullis_state_keys", "Keys of a plugin's state.")?,
            state_bytes: gauge(
                "portcullis_state_bytes",
                "Bytes of a plugin's state, keys and values.",
            )?,
            refused,
        })
    }

    pub(super) fn scope(&self, tenant: &str, plugin: &str) -> ScopeMeter {
        let labels = [tenant, plugin];
        let refused = |bound: &str| self.refused.with_label_values(&[tenant, plugin, bound]);
        let [
            quota_keys,
            quota_requests,
            state_keys,
            state_bytes,
            state_value_bytes,
            state_key_bytes,
        ] = BOUNDS.map(refused);
        ScopeMeter {
            quota_keys: self.quota_keys.with_label_values(&labels),
            state_keys: self.state_keys.with_label_values(&labels),
            state_bytes: self.state_bytes.with_label_values(&labels),
            quota_keys_refused: quota_keys,
            quota_requests_refused: quota_requests,
            state_keys_refused: state_keys,
            state_bytes_refused: state_bytes,
            state_value_bytes_refused: state_value_bytes,
            state_key_bytes_refused: state_key_bytes,
        }
    }

    /// Metrics of a scope that is gone. That one of them was never written is fine.
    pub(super) fn forget(&self, tenant: &str, plugin: &str) {
        let labels = [tenant, plugin];
        for vec in [&self.quota_keys, &self.state_keys, &self.state_bytes] {
            let _ = vec.remove_label_values(&labels);
        }
        for bound in BOUNDS {
            let _ = self.refused.remove_label_values(&[tenant, plugin, bound]);
        }
    }
}

/// A length as a gauge shows it.
pub(super) fn gauge(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}
