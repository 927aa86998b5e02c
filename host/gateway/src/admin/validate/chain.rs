//! Chains: bindings that are named and not too many. The rest is checked where plugins are known, at preparation.

use crate::model::{ChainSpec, check_name};

use super::{Checked, Problem, at_most};

const BINDINGS_MAX: usize = 64;

/// A chain whose plugins are resolved and whose bindings are named.
pub(in crate::admin) fn chain(spec: &ChainSpec) -> Checked {
    at_most("/bindings", "bindings", spec.bindings.len(), BINDINGS_MAX)?;
    for (at, binding) in spec.bindings.iter().enumerate() {
        check_name(binding.name())
            .map_err(|error| Problem::invalid(format!("/bindings/{at}/name"), error.to_string()))?;
        if !binding.config.is_object() {
            let pointer = format!("/bindings/{at}/config");
            return Err(Problem::invalid(pointer, "a configuration is an object"));
        }
    }
    Ok(())
}
