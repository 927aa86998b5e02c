//! Router: one merged catalogue for a server's upstreams, and the way from a public name to an upstream.
//!
//! Before it: the chain, with a permitted call. After it: the upstream. Names resolve by table, never by splitting,
//! and a mount that is down keeps what it offered for a while: it never costs another's tools, prompts or resources.

mod catalogue;
mod choose;
mod keeper;

pub use catalogue::{Catalogue, CatalogueCell, CatalogueTiming, Edition, Offer};
pub use choose::{Route, candidates_of, find};
pub use keeper::Keeper;
