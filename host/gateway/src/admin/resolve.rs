//! From a chain as written to one that names digests: what a revision means can then never change.

use crate::model::{ChainSpec, PluginRef};
use crate::store::Store;

use super::Problem;

/// Resolves every plugin reference of `written` to a published digest, and names every binding.
pub(super) async fn resolve(store: &dyn Store, written: &ChainSpec) -> Result<ChainSpec, Problem> {
    let mut resolved = written.clone();
    for (at, binding) in resolved.bindings.iter_mut().enumerate() {
        let pointer = format!("/bindings/{at}/plugin");
        let reference: PluginRef =
            binding
                .plugin
                .parse()
                .map_err(|error: crate::model::InvalidPluginRef| {
                    Problem::invalid(&pointer, error.to_string())
                })?;
        let Some(plugin) = store.plugin(&reference).await? else {
            return Err(Problem::invalid(
                pointer,
                format!(
                    "the plugin {reference} is not published: push it first, or see GET /api/v1/plugins"
                ),
            ));
        };
        binding.plugin = plugin.digest;
        binding.name.get_or_insert(plugin.name);
    }
    Ok(resolved)
}
