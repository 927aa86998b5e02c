//! Trust: keys that are named as they are, once, and enough of them to be met.

use std::collections::BTreeSet;

use crate::config::PluginSettings;
use crate::model::TrustSpec;

use super::{Checked, Problem, TEXT_LEN_MAX, at_most, short};

const KEYS_MAX: usize = 64;

/// Whose signatures count for a tenant, beside those that count everywhere.
pub(in crate::admin) fn trust(spec: &TrustSpec, operator: &PluginSettings) -> Checked {
    at_most("/keys", "keys", spec.keys.len(), KEYS_MAX)?;
    let mut seen = BTreeSet::new();
    for (at, key) in spec.keys.iter().enumerate() {
        short(format!("/keys/{at}/name"), &key.name, TEXT_LEN_MAX)?;
        let id = key.public_key.id();
        if let Some(said) = key.id.as_ref().filter(|said| **said != id) {
            return Err(Problem::invalid(
                format!("/keys/{at}/id"),
                format!("`{said:.80}` is not this key's id, which is `{id}`: leave it out"),
            ));
        }
        if !seen.insert(key.public_key) {
            let pointer = format!("/keys/{at}/public_key");
            return Err(Problem::invalid(pointer, "this key is given twice"));
        }
    }
    if spec.require_signature && spec.keys.is_empty() && operator.trusted_keys.is_empty() {
        return Err(Problem::invalid(
            "/keys",
            "nothing could be signed by a trusted key: name at least one, since the gateway's settings name none (plugins.trusted_keys)",
        ));
    }
    Ok(())
}
