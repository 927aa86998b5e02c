//! What one mount offers: asked for, put under the server's names, and kept for a while when it does not answer any more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_protocol::listing::{self, Entry, ListKind};
use portcullis_protocol::mirrored::Mirrored;
use tracing::{info, warn};

use super::freshness::Freshness;
use super::{CatalogueTiming, Offer, of_kind};
use crate::tenancy::{Mount, Server};
use crate::upstream::{List, UpstreamError};

/// How soon a mount is asked again that did not answer: it may be back.
const RETRY: Duration = Duration::from_secs(5);

/// A list of a mount, under the server's names.
pub(super) struct Listed {
    pub(super) offers: Vec<Arc<Offer>>,
    pub(super) freshness: Freshness,
}

impl Listed {
    const NONE: Self = Self {
        offers: Vec::new(),
        freshness: Freshness::UNBOUND,
    };
}

/// What a mount offered last, by kind.
pub(super) type Stock = [Listed; ListKind::ALL.len()];

/// All lists of a mount, each where it is known, or why there is none.
pub(super) type Answer =
    Result<[Result<Listed, UpstreamError>; ListKind::ALL.len()], UpstreamError>;

/// What is known of one mount.
#[derive(Default)]
pub(super) struct Standing {
    /// None before it has answered, and after it has not for too long.
    pub(super) stock: Option<Stock>,
    /// Why the last answer was not whole.
    pub(super) failure: Option<Arc<UpstreamError>>,
    /// When to ask next; at once where it was never asked.
    pub(super) due: Option<Instant>,
    /// When to ask next for somebody who wants a list: sooner where the upstream says so.
    pub(super) stale: Option<Instant>,
    pub(super) is_asking: bool,
    /// It has changed since it was asked.
    is_outdated: bool,
    failing_since: Option<Instant>,
}

impl Standing {
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due.is_none_or(|due| due <= now)
    }

    pub(super) fn is_stale(&self, now: Instant) -> bool {
        self.stale.is_none_or(|stale| stale <= now)
    }

    /// What is known is not true any more; what is being asked right now may not be either.
    pub(super) fn outdate(&mut self) {
        self.due = Some(Instant::now());
        self.stale = self.due;
        self.is_outdated = self.is_asking;
    }

    /// Whether it is being asked for the first time, so that what it offers is about to be known.
    pub(super) fn is_new(&self) -> bool {
        self.is_asking && self.stock.is_none() && self.failure.is_none()
    }

    pub(super) fn offers(&self, kind: ListKind) -> &[Arc<Offer>] {
        let stock = self.stock.as_ref();
        stock.map_or(&[], |stock| &of_kind(stock, kind).offers)
    }

    /// How long what is known of a kind may be reused: no longer than until the mount is asked again.
    pub(super) fn freshness(&self, kind: ListKind, now: Instant) -> Freshness {
        let due = Freshness::until(self.due.unwrap_or(now));
        match &self.stock {
            Some(stock) => of_kind(stock, kind).freshness.and(due),
            None => due,
        }
    }

    /// Takes in the answer to what was asked at `asked`. Lists that are not known stay as they were, until that has lasted
    /// for longer than the grace period.
    pub(super) fn learn(
        &mut self,
        answer: Answer,
        (asked, now): (Instant, Instant),
        timing: CatalogueTiming,
    ) {
        let since = self.failing_since.unwrap_or(asked);
        let is_graced = now.saturating_duration_since(since) < timing.grace;
        let kept = self.stock.take().filter(|_| is_graced);
        let (stock, failure) = match answer {
            Ok(lists) => {
                let mut stock = kept.unwrap_or([Listed::NONE; ListKind::ALL.len()]);
                let mut failure = None;
                for (known, listed) in stock.iter_mut().zip(lists) {
                    match listed {
                        Ok(listed) => *known = listed,
                        Err(err) => failure = Some(err),
                    }
                }
                (Some(stock), failure)
            }
            Err(err) => (kept, Some(err)),
        };
        let (soon, late) = (now + RETRY.min(timing.refresh), now + timing.refresh);
        let due = match &failure {
            _ if self.is_outdated => now,
            Some(_) => soon,
            None => late,
        };
        let lists = stock.iter().flatten();
        let stale = lists.filter_map(|list| list.freshness.ends()).min();
        // Not all the time, even where an upstream says that its lists are never fresh.
        let stale = stale.map_or(due, |stale| stale.max(soon)).min(due);
        *self = Self {
            stock,
            due: Some(due),
            stale: Some(stale),
            is_asking: false,
            is_outdated: false,
            failing_since: failure.as_ref().map(|_| since),
            failure: failure.map(Arc::new),
        };
    }

    /// The same for a mount that stands at another place, where nobody asks for it yet.
    pub(super) fn moved(&self, at: usize) -> Self {
        let moved = |offer: &Arc<Offer>| match offer.mount == at {
            true => Arc::clone(offer),
            false => Arc::new(Offer {
                mount: at,
                ..Offer::clone(offer)
            }),
        };
        let all = |list: &Listed| Listed {
            offers: list.offers.iter().map(moved).collect(),
            freshness: list.freshness,
        };
        Self {
            stock: self.stock.as_ref().map(|stock| stock.each_ref().map(all)),
            failure: self.failure.clone(),
            due: self.due.filter(|_| !self.is_asking),
            stale: self.stale.filter(|_| !self.is_asking),
            is_asking: false,
            is_outdated: false,
            failing_since: self.failing_since,
        }
    }
}

/// A mount, and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) server: &'a Server,
    pub(super) mount: &'a Mount,
    pub(super) at: usize,
}

impl Place<'_> {
    /// Asks the mount's replicas for their tools in turn, healthy ones first, and the one that answers for the rest.
    pub(super) async fn ask(self) -> Answer {
        let asked = Instant::now();
        let replicas = &self.mount.replicas;
        let healthy = replicas.iter().filter(|replica| replica.healthy());
        let others = replicas.iter().filter(|replica| !replica.healthy());
        let mut failure = None;
        for replica in healthy.chain(others) {
            match replica.list(ListKind::Tools).await {
                Ok(tools) => {
                    let (prompts, resources, templates) = tokio::join!(
                        replica.list(ListKind::Prompts),
                        replica.list(ListKind::Resources),
                        replica.list(ListKind::ResourceTemplates),
                    );
                    let answered = [
                        self.publish(ListKind::Tools, Ok(tools), asked),
                        self.publish(ListKind::Prompts, prompts, asked),
                        self.publish(ListKind::Resources, resources, asked),
                        self.publish(ListKind::ResourceTemplates, templates, asked),
                    ];
                    self.report(&answered);
                    return Ok(answered);
                }
                Err(err) => failure = Some(self.missing(ListKind::Tools, err)),
            }
        }
        Err(failure.unwrap_or_else(|| UpstreamError::Misconfigured {
            upstream: Arc::from(self.mount.name.as_str()),
            reason: "no upstream stands behind it".to_owned(),
        }))
    }

    fn publish(
        self,
        kind: ListKind,
        listed: Result<List, UpstreamError>,
        asked: Instant,
    ) -> Result<Listed, UpstreamError> {
        let list = match listed {
            // An error of the upstream's own says that it has no such thing, whatever the error's code.
            Err(UpstreamError::Refused { .. }) => List::NONE,
            Err(err) => return Err(self.missing(kind, err)),
            Ok(list) => list,
        };
        let offers = list
            .entries
            .iter()
            .filter_map(|entry| self.offer(kind, entry));
        Ok(Listed {
            offers: offers.collect(),
            freshness: Freshness::said(list.cache, asked),
        })
    }

    fn report(self, answered: &[Result<Listed, UpstreamError>; ListKind::ALL.len()]) {
        let lens = answered
            .each_ref()
            .map(|listed| listed.as_ref().map_or(0, |listed| listed.offers.len()));
        let [tools, prompts, resources, templates] = lens;
        info!(
            server = self.server.name,
            mount = self.mount.name,
            tools,
            prompts,
            resources,
            templates,
            "a mount says what it offers"
        );
    }

    fn missing(self, kind: ListKind, err: UpstreamError) -> UpstreamError {
        warn!(
            server = self.server.name, mount = self.mount.name, list = kind.method(), error = %err,
            "an upstream did not list what it offers"
        );
        err
    }

    /// An entry under its public name. URIs are nobody's to change; a tool that clients could not call is left out.
    fn offer(self, kind: ListKind, entry: &Entry) -> Option<Arc<Offer>> {
        let name = match kind {
            ListKind::Tools | ListKind::Prompts => self.server.public_name(self.mount, &entry.name),
            ListKind::Resources | ListKind::ResourceTemplates => entry.name.clone(),
        };
        let left_out = |reason: &str| {
            warn!(
                server = self.server.name,
                mount = self.mount.name,
                list = kind.method(),
                name = entry.name,
                reason,
                "an entry is left out"
            );
        };
        if kind == ListKind::Tools && !listing::is_tool_name(&name) {
            left_out("a tool's name has 1 to 128 letters, digits, `_`, `.` and `-`");
            return None;
        }
        let mirrored = match kind {
            ListKind::Tools => Mirrored::parse(entry.raw.get()),
            ListKind::Prompts | ListKind::Resources | ListKind::ResourceTemplates => {
                Ok(Mirrored::default())
            }
        };
        let mirrored = mirrored
            .map_err(|invalid| left_out(&invalid.to_string()))
            .ok()?;
        let definition = match name == entry.name {
            true => entry.raw.clone(),
            false => match listing::rename(kind, entry, &name) {
                Ok(renamed) => renamed.raw,
                Err(err) => {
                    left_out(&err.to_string());
                    return None;
                }
            },
        };
        Some(Arc::new(Offer {
            name,
            mount: self.at,
            upstream_name: entry.name.clone(),
            definition: Some(definition),
            mirrored,
        }))
    }
}
