//! What a server offers: everything that its mounts do, under the server's names.
//!
//! `stock` asks a mount, `cell` keeps what all of them answered and makes a [`Catalogue`] of it, which listings and calls
//! read. A catalogue never changes; one that knows more takes its place.

use std::sync::Arc;
use std::time::Instant;

use foldhash::HashMap;
use portcullis_protocol::listing::{CacheHint, ListKind};
use portcullis_protocol::mirrored::Mirrored;
use portcullis_protocol::uri_template;
use serde_json::value::RawValue;

mod cell;
mod freshness;
mod stock;

pub use cell::{CatalogueCell, CatalogueTiming, Edition};
use freshness::Freshness;
use stock::Standing;

/// A tool, prompt, resource or resource template as clients see it.
#[derive(Clone)]
pub struct Offer {
    /// Public name; of a resource its URI, of a template its URI template.
    pub name: String,
    /// Its mount's place in the server.
    pub mount: usize,
    /// The upstream's own name for it.
    pub upstream_name: String,
    /// Its definition under the public name, as JSON text; nothing else in it is changed. A resource may be read
    /// without having one.
    pub definition: Option<Box<RawValue>>,
    /// The arguments that calls of a tool repeat in headers.
    pub mirrored: Mirrored,
}

/// What a server offers of one kind, sorted by name: the order is the same for everybody and at any time, whatever the
/// order in which upstreams list and answer.
struct Shelf {
    offers: Vec<Arc<Offer>>,
    by_name: HashMap<String, usize>,
    freshness: Freshness,
}

/// Everything that a server offers.
pub struct Catalogue {
    shelves: [Shelf; ListKind::ALL.len()],
}

impl Shelf {
    /// Of all mounts' offers, in the order of the mounts.
    fn of<'a>(offers: impl Iterator<Item = &'a Arc<Offer>>, freshness: Freshness) -> Self {
        let mut offers: Vec<Arc<Offer>> = offers.cloned().collect();
        // A stable sort: of several with one name the first mount's comes first, and only that one stays.
        offers.sort_by(|one, other| one.name.cmp(&other.name));
        offers.dedup_by(|later, first| later.name == first.name);
        let places = offers.iter().enumerate();
        Self {
            by_name: places.map(|(at, offer)| (offer.name.clone(), at)).collect(),
            offers,
            freshness,
        }
    }
}

impl Catalogue {
    /// Of what is known of the mounts, in their order.
    fn of(standings: &[Standing], now: Instant) -> Self {
        let shelf = |kind| {
            let offers = standings.iter().flat_map(|standing| standing.offers(kind));
            let freshness = standings
                .iter()
                .map(|standing| standing.freshness(kind, now))
                .fold(Freshness::UNBOUND, Freshness::and);
            Shelf::of(offers, freshness)
        };
        Self {
            shelves: ListKind::ALL.map(shelf),
        }
    }

    /// What is offered of a kind, sorted by name.
    #[must_use]
    pub fn offers(&self, kind: ListKind) -> &[Arc<Offer>] {
        &self.shelf(kind).offers
    }

    /// The same from the first name after this one.
    #[must_use]
    pub fn offers_after(&self, kind: ListKind, name: Option<&str>) -> &[Arc<Offer>] {
        let offers = self.offers(kind);
        let is_before = |offer: &Arc<Offer>| name.is_some_and(|name| *offer.name <= *name);
        offers
            .get(offers.partition_point(is_before)..)
            .unwrap_or_default()
    }

    /// How long the list of a kind may be reused, and by whom, as far as its upstreams are concerned.
    #[must_use]
    pub fn cache(&self, kind: ListKind) -> CacheHint {
        self.shelf(kind).freshness.hint(Instant::now())
    }

    /// What a message means that names a tool, a prompt or a resource.
    #[must_use]
    pub fn find(&self, kind: ListKind, name: &str) -> Option<&Arc<Offer>> {
        match kind {
            ListKind::Tools | ListKind::Prompts => self.of_name(kind, name),
            ListKind::Resources | ListKind::ResourceTemplates => self.resource(name),
        }
    }

    fn of_name(&self, kind: ListKind, name: &str) -> Option<&Arc<Offer>> {
        let shelf = self.shelf(kind);
        shelf.by_name.get(name).and_then(|at| shelf.offers.get(*at))
    }

    /// The resource of this URI, the template of this name, or the first mount's template that the URI could be made of.
    fn resource(&self, uri: &str) -> Option<&Arc<Offer>> {
        let could_be = |template: &&Arc<Offer>| uri_template::matches(&template.name, uri);
        self.of_name(ListKind::Resources, uri)
            .or_else(|| self.of_name(ListKind::ResourceTemplates, uri))
            .or_else(|| {
                self.offers(ListKind::ResourceTemplates)
                    .iter()
                    .filter(could_be)
                    .min_by_key(|template| template.mount)
            })
    }

    /// Whether nobody could tell the two lists apart.
    fn lists_the_same(&self, other: &Self, kind: ListKind) -> bool {
        let (ours, theirs) = (self.offers(kind), other.offers(kind));
        ours.len() == theirs.len()
            && ours.iter().zip(theirs).all(|(ours, theirs)| {
                ours.name == theirs.name
                    && match (&ours.definition, &theirs.definition) {
                        (Some(ours), Some(theirs)) => ours.get() == theirs.get(),
                        (None, None) => true,
                        (Some(_), None) | (None, Some(_)) => false,
                    }
            })
    }

    fn shelf(&self, kind: ListKind) -> &Shelf {
        of_kind(&self.shelves, kind)
    }
}

/// The entry of a table of kinds.
fn of_kind<T>(table: &[T; ListKind::ALL.len()], kind: ListKind) -> &T {
    let [tools, prompts, resources, templates] = table;
    match kind {
        ListKind::Tools => tools,
        ListKind::Prompts => prompts,
        ListKind::Resources => resources,
        ListKind::ResourceTemplates => templates,
    }
}

#[cfg(test)]
mod tests;
