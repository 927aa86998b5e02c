//! What a server offers, merged over its mounts and cached.
//!
//! The first caller waits for discovery, once for all who wait; later ones get what is there, and a stale catalogue
//! is refreshed behind their backs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use foldhash::HashMap;
use futures_util::future::join_all;
use portcullis_protocol::listing::{self, Entry, ListKind};
use portcullis_protocol::uri_template;
use serde_json::value::RawValue;
use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::tenancy::{Mount, Server};
use crate::upstream::UpstreamError;

/// How long a complete catalogue is fresh.
const FRESH: Duration = Duration::from_secs(300);
/// How long one is that lacks an upstream's answer: it may be back soon.
const FRESH_PARTIAL: Duration = Duration::from_secs(5);

/// A tool, prompt, resource or resource template as clients see it.
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
}

/// What a server offers of one kind, sorted by name: the order is the same for everybody and at any time, whatever the
/// order in which upstreams list and answer.
#[derive(Default)]
struct Shelf {
    offers: Vec<Arc<Offer>>,
    by_name: HashMap<String, usize>,
}

/// Everything that a server offers.
pub struct Catalogue {
    shelves: [Shelf; ListKind::ALL.len()],
    fresh_until: Instant,
}

impl Shelf {
    fn of(mounts: Vec<Vec<Arc<Offer>>>) -> Self {
        let mut offers: Vec<Arc<Offer>> = mounts.into_iter().flatten().collect();
        // A stable sort: of several with one name the first mount's comes first, and only that one stays.
        offers.sort_by(|one, other| one.name.cmp(&other.name));
        offers.dedup_by(|later, first| later.name == first.name);
        let places = offers.iter().enumerate();
        Self {
            by_name: places.map(|(at, offer)| (offer.name.clone(), at)).collect(),
            offers,
        }
    }
}

impl Catalogue {
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

    fn shelf(&self, kind: ListKind) -> &Shelf {
        let [tools, prompts, resources, templates] = &self.shelves;
        match kind {
            ListKind::Tools => tools,
            ListKind::Prompts => prompts,
            ListKind::Resources => resources,
            ListKind::ResourceTemplates => templates,
        }
    }
}

/// The catalogue of a server, shared by its generations.
#[derive(Default)]
pub struct CatalogueCell {
    current: ArcSwapOption<Catalogue>,
    discovery: Mutex<()>,
    refreshing: AtomicBool,
}

impl CatalogueCell {
    /// What is there, from memory.
    #[must_use]
    pub fn peek(&self) -> Option<Arc<Catalogue>> {
        self.current.load_full()
    }

    /// The catalogue: from memory if it is there, else from the upstreams.
    ///
    /// # Errors
    /// When nothing is known and no upstream answers.
    pub async fn get(
        &self,
        server: &Arc<Server>,
        tracker: &TaskTracker,
    ) -> Result<Arc<Catalogue>, UpstreamError> {
        if let Some(catalogue) = self.peek() {
            if catalogue.fresh_until <= Instant::now()
                && !self.refreshing.swap(true, Ordering::AcqRel)
            {
                let server = Arc::clone(server);
                tracker.spawn(async move {
                    let cell = Arc::clone(&server.catalogue);
                    if let Err(err) = cell.refresh(&server).await {
                        warn!(server = server.name, error = %err, "a stale catalogue could not be refreshed");
                    }
                    cell.refreshing.store(false, Ordering::Release);
                });
            }
            return Ok(catalogue);
        }
        let _one_at_a_time = self.discovery.lock().await;
        match self.peek() {
            Some(catalogue) => Ok(catalogue),
            None => self.refresh(server).await,
        }
    }

    async fn refresh(&self, server: &Server) -> Result<Arc<Catalogue>, UpstreamError> {
        let before = self.peek();
        let answers = join_all(server.mounts.iter().map(discover)).await;
        let mut survey = Survey::default();
        let mut found: [Vec<Vec<Arc<Offer>>>; ListKind::ALL.len()] = Default::default();
        for (at, (mount, answers)) in server.mounts.iter().zip(answers).enumerate() {
            for ((kind, found), answer) in ListKind::ALL.into_iter().zip(&mut found).zip(answers) {
                let known = before
                    .as_deref()
                    .map_or(&[][..], |known| known.offers(kind));
                found.push(survey.take(server, kind, (at, mount), (answer, known)));
            }
        }
        match survey.failure {
            Some(err) if !survey.is_answered && before.is_none() => Err(err),
            failure => {
                let fresh = if failure.is_some() {
                    FRESH_PARTIAL
                } else {
                    FRESH
                };
                let catalogue = Arc::new(Catalogue {
                    shelves: found.map(Shelf::of),
                    fresh_until: Instant::now() + fresh,
                });
                let count = |kind| catalogue.offers(kind).len();
                info!(
                    server = server.name,
                    tools = count(ListKind::Tools),
                    prompts = count(ListKind::Prompts),
                    resources = count(ListKind::Resources),
                    templates = count(ListKind::ResourceTemplates),
                    "a catalogue is refreshed"
                );
                self.current.store(Some(Arc::clone(&catalogue)));
                Ok(catalogue)
            }
        }
    }
}

/// A list of a mount: what is in it, or why it is not known. Nothing where it was not asked for.
type Answer = Option<Result<Vec<Entry>, UpstreamError>>;

/// How the mounts of a server answered, all kinds together.
#[derive(Default)]
struct Survey {
    is_answered: bool,
    failure: Option<UpstreamError>,
}

impl Survey {
    /// Publishes a list of a mount; one that did not answer keeps what it offered last.
    fn take(
        &mut self,
        server: &Server,
        kind: ListKind,
        (at, mount): (usize, &Mount),
        (answer, known): (Answer, &[Arc<Offer>]),
    ) -> Vec<Arc<Offer>> {
        match answer {
            Some(Ok(entries)) => {
                self.is_answered = true;
                let published = entries
                    .iter()
                    .filter_map(|entry| publish(server, kind, (at, mount), entry));
                return published.collect();
            }
            Some(Err(err)) => {
                warn!(server = server.name, mount = mount.name, list = kind.method(), error = %err, "an upstream did not list what it offers");
                self.failure.get_or_insert(err);
            }
            None => {}
        }
        let kept = known.iter().filter(|offer| offer.mount == at);
        kept.cloned().collect()
    }
}

/// Asks a mount's replicas for their tools in turn, healthy ones first, and the one that answers for the rest.
async fn discover(mount: &Mount) -> [Answer; ListKind::ALL.len()] {
    let healthy = mount.replicas.iter().filter(|replica| replica.healthy());
    let others = mount.replicas.iter().filter(|replica| !replica.healthy());
    let mut failure = None;
    for replica in healthy.chain(others) {
        match replica.list(ListKind::Tools).await {
            Ok(tools) => {
                let (prompts, resources, templates) = tokio::join!(
                    replica.list(ListKind::Prompts),
                    replica.list(ListKind::Resources),
                    replica.list(ListKind::ResourceTemplates),
                );
                let [prompts, resources, templates] =
                    [prompts, resources, templates].map(none_where_refused);
                return [Ok(tools), prompts, resources, templates].map(Some);
            }
            Err(err) => failure = Some(Err(err)),
        }
    }
    [failure, None, None, None]
}

/// An upstream that answers a list with an error of its own does not offer such things, whatever the error's code.
fn none_where_refused(
    answer: Result<Vec<Entry>, UpstreamError>,
) -> Result<Vec<Entry>, UpstreamError> {
    match answer {
        Err(UpstreamError::Refused { .. }) => Ok(Vec::new()),
        other => other,
    }
}

/// An offer under its public name. URIs are nobody's to change; a tool that cannot have a valid name is left out.
fn publish(
    server: &Server,
    kind: ListKind,
    (at, mount): (usize, &Mount),
    entry: &Entry,
) -> Option<Arc<Offer>> {
    let name = match kind {
        ListKind::Tools | ListKind::Prompts => server.public_name(mount, &entry.name),
        ListKind::Resources | ListKind::ResourceTemplates => entry.name.clone(),
    };
    if kind == ListKind::Tools && !listing::is_tool_name(&name) {
        warn!(
            server = server.name,
            mount = mount.name,
            tool = entry.name,
            "a tool is left out: its name is not valid"
        );
        return None;
    }
    let definition = match name == entry.name {
        true => entry.raw.clone(),
        false => match listing::rename(kind, entry, &name) {
            Ok(renamed) => renamed.raw,
            Err(err) => {
                warn!(server = server.name, name = entry.name, error = %err, "an entry is left out: it is no JSON object");
                return None;
            }
        },
    };
    Some(Arc::new(Offer {
        name,
        mount: at,
        upstream_name: entry.name.clone(),
        definition: Some(definition),
    }))
}
