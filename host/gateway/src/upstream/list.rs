//! Whole lists of tools, prompts and resources, for the router's catalogue.
//!
//! Pages are followed on the gateway's own session, or without one. An upstream that does not offer a kind has none
//! of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;
use portcullis_protocol::bridge::{self, Sender};
use portcullis_protocol::error::METHOD_NOT_FOUND;
use portcullis_protocol::listing::{self, CacheHint, Entry, ListKind, Page};
use portcullis_protocol::revision::{Era, Revision};

use super::error::UpstreamError;
use super::http::{message_of, result_of};
use super::outgoing::{CAPABILITIES, CLIENT_INFO, Outgoing};
use super::{Conversation, Transport, Upstream};

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A whole list of an upstream.
#[derive(Debug)]
pub struct List {
    /// In the upstream's order.
    pub entries: Vec<Entry>,
    /// How long, and by whom, it may be reused; nothing where the upstream's era has no words for it.
    pub cache: Option<CacheHint>,
}

impl List {
    /// Of an upstream that does not offer such things.
    pub const NONE: List = List {
        entries: Vec::new(),
        cache: Some(CacheHint::UNBOUND),
    };
}

impl Upstream {
    /// Every entry of a list.
    ///
    /// # Errors
    /// When the upstream does not answer, or the list goes on for ever.
    pub async fn list(self: &Arc<Self>, kind: ListKind) -> Result<List, UpstreamError> {
        let limits = &self.limits;
        let List {
            mut entries,
            mut cache,
        } = List::NONE;
        let mut cursor: Option<String> = None;
        for _ in 0..limits.list_pages_max {
            let Some((era, page)) = self.page(kind, cursor.as_deref()).await? else {
                return Ok(List { entries, cache });
            };
            cache = match era {
                Era::Session => None,
                Era::Stateless => cache.map(|cache| cache.and(page.cache)),
            };
            if page.skipped_len > 0 {
                tracing::debug!(
                    upstream = %self.name, list = kind.method(), skipped = page.skipped_len, "entries without a name"
                );
            }
            entries.extend(page.entries);
            match page.next_cursor {
                Some(next) if entries.len() < limits.list_entries_max => cursor = Some(next),
                Some(_) => break,
                None if entries.len() <= limits.list_entries_max => {
                    return Ok(List { entries, cache });
                }
                None => break,
            }
        }
        Err(UpstreamError::ListTooLong {
            upstream: Arc::clone(&self.name),
            pages_max: limits.list_pages_max,
            entries_max: limits.list_entries_max,
        })
    }

    /// One page and the era that it is written in; `None` when the upstream does not know the method.
    async fn page(
        self: &Arc<Self>,
        kind: ListKind,
        cursor: Option<&str>,
    ) -> Result<Option<(Era, Page)>, UpstreamError> {
        let own = Conversation::default();
        let (era, conversation) = match &self.transport {
            Transport::Http(http) => (http.own_era().await?, http.own()),
            Transport::Stdio(stdio) => (stdio.own_era().await?, stdio.own()),
            Transport::Broken(_) => (Era::Session, &own),
        };
        let params = self.page_params(era, cursor)?;
        // Lists of one upstream may be asked for at the same time, in one session.
        let id = format!("\"pc-list-{}\"", NEXT_ID.fetch_add(1, Ordering::Relaxed));
        let headers = HeaderMap::new();
        let out = Outgoing {
            era,
            revision: Revision::newest_of(era),
            id: &id,
            method: kind.method(),
            params: Some(&params),
            original: None,
            headers: &headers,
            capabilities: CAPABILITIES,
            log_level: None,
            mirrored: None,
        };
        let reply = self.request(conversation, out).await?;
        let message = message_of(reply, &self.name, &self.limits).await?;
        let result = match result_of(&message, kind.method(), &self.name) {
            Err(UpstreamError::Refused { code, .. }) if code == i64::from(METHOD_NOT_FOUND) => {
                return Ok(None);
            }
            other => other?,
        };
        let page = listing::parse(kind, result.get(), self.limits.list_entries_max);
        page.map(|page| Some((era, page)))
            .map_err(|source| UpstreamError::Listing {
                upstream: Arc::clone(&self.name),
                source,
            })
    }

    fn page_params(&self, era: Era, cursor: Option<&str>) -> Result<String, UpstreamError> {
        let params = cursor.map_or_else(
            || "{}".to_owned(),
            |cursor| format!(r#"{{"cursor":{}}}"#, serde_json::Value::from(cursor)),
        );
        match era {
            Era::Session => Ok(params),
            Era::Stateless => {
                let sender = Sender {
                    revision: Revision::newest_of(era),
                    client_info: Some(CLIENT_INFO),
                    capabilities: CAPABILITIES,
                    log_level: None,
                };
                bridge::to_stateless_params(Some(&params), &sender).map_err(|source| {
                    UpstreamError::Params {
                        upstream: Arc::clone(&self.name),
                        source,
                    }
                })
            }
        }
    }
}
