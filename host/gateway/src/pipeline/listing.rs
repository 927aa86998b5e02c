//! Lists: the merged catalogue, one kind of it, as the caller may see it.

use http::StatusCode;
use portcullis_protocol::error::INVALID_PARAMS;
use portcullis_protocol::listing::{self, CacheHint, CacheScope, ListKind};
use portcullis_protocol::splice;
use portcullis_sandbox::Entry;
use serde_json::value::RawValue;

use crate::listener::Reply;
use crate::listener::reply;
use crate::policy::Permitted;
use crate::refusal::Refusal;

use super::{Pipeline, lifecycle};

/// How long a stateless client may reuse a listing.
const LIST_TTL_MS: u64 = 5_000;

impl Pipeline {
    /// One page, since the whole catalogue is in memory.
    pub(super) async fn list(&self, call: &Permitted, kind: ListKind) -> Result<Reply, Refusal> {
        let cursor = call
            .message
            .params
            .as_deref()
            .and_then(|params| splice::get_member(params, "cursor"));
        if cursor.is_some_and(|cursor| cursor != "null") {
            let message = "this cursor is not from this listing; list again without one";
            return Err(Refusal::new(
                StatusCode::OK,
                INVALID_PARAMS,
                "invalid",
                message,
            ));
        }
        let server = &call.server;
        let catalogue = server
            .catalogue
            .get(server, &self.tracker)
            .await
            .map_err(|err| Refusal::from(&err))?;
        let cache = lifecycle::is_stateless(call).then_some(CacheHint {
            ttl_ms: LIST_TTL_MS,
            scope: CacheScope::Private,
        });
        let listed = catalogue.offers(kind).iter().filter_map(|offer| {
            let definition = offer.definition.as_deref()?;
            Some((offer.name.as_str(), definition))
        });
        let chain = &call.generation.chain;
        let result = if chain.transforms_listing(call) {
            let entries = listed.map(|(name, definition)| Entry {
                name: name.to_owned(),
                definition: definition.get().to_owned(),
            });
            let seen = chain.transform_listing(call, entries.collect())?;
            let raw: Vec<_> = seen
                .into_iter()
                .filter_map(|entry| RawValue::from_string(entry.definition).ok())
                .collect();
            listing::assemble(kind, raw.iter().map(AsRef::as_ref), None, cache)
        } else {
            listing::assemble(kind, listed.map(|(_, definition)| definition), None, cache)
        };
        Ok(reply::result(lifecycle::id(call), &result))
    }
}
