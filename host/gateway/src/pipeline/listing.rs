//! Lists: the merged catalogue, one kind of it, as the caller may see it, in pages.
//!
//! Transforms see a part of the catalogue at a time, never all of it: what a guest is handed is bounded by the length of
//! a page. A page is filled from as many parts as it takes, and one entry is looked for beyond it. So whatever they hide,
//! only a list that is empty has an empty page, and a page that says there is more is followed by one that has it.

use std::sync::Arc;

use portcullis_protocol::listing::{self, ListKind};
use portcullis_sandbox::Entry;
use serde_json::value::RawValue;

use crate::listener::Reply;
use crate::listener::reply;
use crate::policy::Permitted;
use crate::refusal::Refusal;
use crate::router::Offer;

use super::{Pipeline, cache, lifecycle};

mod cursor;

impl Pipeline {
    /// One page of a list.
    pub(super) async fn list(&self, call: &Permitted, kind: ListKind) -> Result<Reply, Refusal> {
        self.keeper.keep(&call.server);
        let after = cursor::position(&self.seal, call, kind)?;
        let server = &call.server;
        let catalogue = server
            .catalogue
            .whole(server, &self.tracker)
            .await
            .map_err(|err| Refusal::from(&*err))?;
        let cache = cache::hint(call, catalogue.cache(kind));
        let offers = catalogue.offers_after(kind, after.as_deref());
        let entries_max = self.limits.page_entries_max;
        let seal = |name: &str| cursor::seal(&self.seal, call, kind, name);
        let chain = &call.generation.chain;
        let result = if chain.transforms_listing(call) {
            let see = |entries| chain.transform_listing(call, entries);
            let (shown, next) = fill(offers, entries_max, see).await?;
            let next = next.as_deref().map(seal).transpose()?;
            let entries = shown.iter().map(AsRef::as_ref);
            listing::assemble(kind, entries, next.as_deref(), cache)
        } else {
            let page = offers.get(..entries_max).unwrap_or(offers);
            let last = page.last().filter(|_| page.len() < offers.len());
            let next = last.map(|offer| seal(&offer.name)).transpose()?;
            let entries = page.iter().filter_map(|offer| offer.definition.as_deref());
            listing::assemble(kind, entries, next.as_deref(), cache)
        };
        Ok(reply::result_as_accepted(
            &call.headers,
            lifecycle::id(call),
            &result,
        ))
    }
}

/// The entries of a page that `see` leaves, and the name of the last one where another page follows.
async fn fill<S>(
    offers: &[Arc<Offer>],
    entries_max: usize,
    mut see: impl FnMut(Vec<Entry>) -> S,
) -> Result<(Vec<Box<RawValue>>, Option<String>), Refusal>
where
    S: Future<Output = Result<Vec<Entry>, Refusal>>,
{
    let mut shown = Vec::new();
    for part in offers.chunks(entries_max.saturating_add(1)) {
        let entries = part.iter().filter_map(|offer| {
            Some(Entry {
                name: offer.name.clone(),
                definition: offer.definition.as_ref()?.get().to_owned(),
            })
        });
        let left = see(entries.collect()).await?;
        shown.extend(left.into_iter().filter_map(|entry| {
            let raw = RawValue::from_string(entry.definition).ok()?;
            Some((entry.name, raw))
        }));
        if shown.len() > entries_max {
            break;
        }
    }
    let is_followed = shown.len() > entries_max;
    shown.truncate(entries_max);
    let (mut names, shown): (Vec<_>, Vec<_>) = shown.into_iter().unzip();
    Ok((shown, names.pop().filter(|_| is_followed)))
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use futures_util::FutureExt as _;
    use portcullis_protocol::mirrored::Mirrored;

    use super::*;

    /// Offers called `a`, `b`, … in this order.
    fn offers(names: &str) -> Vec<Arc<Offer>> {
        let offer = |name: char| Offer {
            name: name.to_string(),
            mount: 0,
            upstream_name: name.to_string(),
            definition: RawValue::from_string(format!(r#"{{"name":"{name}"}}"#)).ok(),
            mirrored: Mirrored::default(),
        };
        names.chars().map(offer).map(Arc::new).collect()
    }

    /// Every page of a list in which only `visible` is shown; `|` ends a page that is followed by another.
    fn pages(all: &str, visible: &str, entries_max: usize) -> String {
        let offers = offers(all);
        let (mut rest, mut read) = (&offers[..], String::new());
        loop {
            let filled = fill(rest, entries_max, |entries| {
                assert!(entries.len() <= entries_max + 1, "no more at once");
                let keep = |entry: &Entry| visible.contains(&entry.name);
                ready(Ok(entries.into_iter().filter(keep).collect()))
            });
            let (shown, next) = filled.now_or_never().unwrap().unwrap();
            read.extend(shown.iter().filter_map(|entry| entry.get().chars().nth(9)));
            let Some(next) = next else { return read };
            rest = &rest[rest.partition_point(|offer| offer.name <= next)..];
            read.push('|');
        }
    }

    #[test]
    fn pages_are_full_whatever_is_hidden() {
        for (all, visible, entries_max, want) in [
            ("", "", 2, ""),
            ("abcde", "abcde", 10, "abcde"),
            ("abcde", "abcde", 5, "abcde"),
            ("abcde", "abcde", 2, "ab|cd|e"),
            ("abcd", "abcd", 2, "ab|cd"),
            ("abcde", "", 2, ""),
            ("abcdefgh", "h", 2, "h"),
            ("abcdefgh", "ah", 1, "a|h"),
            ("abcdefgh", "abgh", 2, "ab|gh"),
            ("abcdefgh", "abc", 3, "abc"),
            ("abcdefgh", "bdfh", 3, "bdf|h"),
        ] {
            assert_eq!(
                pages(all, visible, entries_max),
                want,
                "{visible} of {all} by {entries_max}"
            );
        }
    }

    #[test]
    fn what_a_transform_refuses_is_refused() {
        let offers = offers("abc");
        let refused = fill(&offers, 2, |_| ready(Err(Refusal::params("no"))));
        let refused = refused.now_or_never().unwrap();
        assert_eq!(refused.unwrap_err().message, "no");
    }
}
