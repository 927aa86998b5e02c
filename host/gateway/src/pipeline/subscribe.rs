//! `subscriptions/listen`: a stateless client is told what changes for as long as it listens (MCP 2026-07-28,
//! "Subscriptions").
//!
//! Changes of lists come from the server's catalogue, changes of resources from the upstreams that have them.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use portcullis_protocol::listen::{self, Filter};
use portcullis_protocol::listing::ListKind;
use portcullis_protocol::sse;
use prometheus::IntCounter;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::listener::Reply;
use crate::listener::{Body, reply};
use crate::policy::Permitted;
use crate::refusal::Refusal;
use crate::router::Edition;
use crate::upstream::{Asker, Inbox, Upstream, Watch};

use super::{Pipeline, downward, lifecycle, streams};

/// Resources that one request may name.
const URIS_MAX: usize = 1_000;
/// Notifications that wait for one client; further ones are dropped, for the client will look anyway.
const WAITING_MAX: usize = 256;

impl Pipeline {
    /// Acknowledges, then tells.
    pub(super) async fn subscribe(&self, call: Permitted) -> Result<Reply, Refusal> {
        let params = call.message.params.as_deref().unwrap_or_default();
        let filter = Filter::parse(params, URIS_MAX).ok_or_else(|| {
            Refusal::params(format!(
                "`params.notifications` must be an object, with at most {URIS_MAX} URIs in `resourceSubscriptions`"
            ))
        })?;
        self.keeper.keep(&call.server);
        let edition = call.server.catalogue.edition();
        let told = *edition.borrow();
        let (waiting, updates) = mpsc::channel(WAITING_MAX);
        let dropped = self.sessions.meters().dropped.clone();
        let inbox = Arc::new(Updates { waiting, dropped });
        let (uris, watches) = self.watch(&call, filter.uris, inbox).await;
        let honoured = Filter { uris, ..filter };
        let id = lifecycle::id(&call).to_string();
        let first = streams::encoded(listen::acknowledgement(&id, &honoured));
        let subscription = Subscription {
            call,
            id,
            filter: honoured,
            told,
            edition,
            updates,
            ready: vec![first],
            stop: self.keeper.stop.clone(),
            is_over: false,
            _watches: watches,
        };
        let keep_alive = self.limits.keep_alive;
        let body = stream::unfold(subscription, move |mut subscription| async move {
            let chunk = subscription.next(keep_alive).await?;
            Some((Ok(chunk), subscription))
        });
        Ok(reply::events(Body::Events(Box::pin(body))))
    }

    /// Has the upstreams watch the resources that they have; the URIs of those that are watched.
    async fn watch(
        &self,
        call: &Permitted,
        uris: Vec<String>,
        inbox: Arc<dyn Inbox>,
    ) -> (Vec<String>, Vec<Watch>) {
        let mut by_upstream: Vec<(Arc<Upstream>, Vec<String>)> = Vec::new();
        for uri in uris {
            let Some(upstream) = self.upstream_of(call, &uri).await else {
                debug!(request_id = %call.request_id, uri, "nobody has a resource that a client would watch");
                continue;
            };
            match by_upstream
                .iter_mut()
                .find(|(known, _)| Arc::ptr_eq(known, &upstream))
            {
                Some((_, uris)) => uris.push(uri),
                None => by_upstream.push((upstream, vec![uri])),
            }
        }
        let held = self.sessions.conversation(call);
        let (mut watched, mut watches) = (Vec::new(), Vec::new());
        for (upstream, uris) in by_upstream {
            let caller = (held.conversation(), &*call.headers);
            let watch = upstream.watch(caller, uris.clone(), Arc::clone(&inbox));
            match watch.await {
                Ok(watch) => {
                    watched.extend(uris);
                    watches.push(watch);
                }
                Err(err) => {
                    warn!(request_id = %call.request_id, upstream = upstream.name(), error = %err, "resources are not watched");
                }
            }
        }
        (watched, watches)
    }

    async fn upstream_of(&self, call: &Permitted, uri: &str) -> Option<Arc<Upstream>> {
        let server = &call.server;
        let known = server
            .catalogue
            .find(server, &self.tracker, (ListKind::Resources, uri))
            .await;
        let mount = server.mounts.get(known.ok()??.mount)?;
        let mut replicas = mount.replicas.iter();
        let healthy = replicas.find(|replica| replica.healthy());
        healthy.or_else(|| mount.replicas.first()).cloned()
    }
}

/// One client that listens.
struct Subscription {
    call: Permitted,
    /// Of the request, as JSON text.
    id: String,
    filter: Filter,
    told: Edition,
    edition: watch::Receiver<Edition>,
    updates: mpsc::Receiver<String>,
    ready: Vec<Bytes>,
    stop: CancellationToken,
    is_over: bool,
    /// They end with the subscription.
    _watches: Vec<Watch>,
}

impl Subscription {
    async fn next(&mut self, keep_alive: std::time::Duration) -> Option<Bytes> {
        loop {
            if let Some(chunk) = self.ready.pop() {
                return Some(chunk);
            }
            if self.is_over {
                return None;
            }
            tokio::select! {
                Ok(()) = self.edition.changed() => self.tell_changes().await,
                Some(update) = self.updates.recv() => self.tell_update(&update).await,
                () = ended(&self.stop, &self.call.server.gone) => {
                    self.is_over = true;
                    return Some(streams::encoded(listen::end(&self.id)));
                }
                () = tokio::time::sleep(keep_alive) => {
                    let mut comment = Vec::new();
                    sse::comment("keep-alive", &mut comment);
                    return Some(comment.into());
                }
            }
        }
    }

    async fn tell_changes(&mut self) {
        let now = *self.edition.borrow_and_update();
        let mut methods = Vec::new();
        for (kind, (told, now)) in ListKind::ALL.into_iter().zip(self.told.iter().zip(&now)) {
            let method = listen::list_changed_method(kind);
            if told != now && self.filter.wants(kind) && !methods.contains(&method) {
                methods.push(method);
                let notification = listen::list_changed(kind, Some(&self.id));
                if downward::admit_own(self.call.call(), &notification)
                    .await
                    .is_ok()
                {
                    self.ready.push(streams::encoded(notification));
                }
            }
        }
        self.told = now;
    }

    async fn tell_update(&mut self, update: &str) {
        let told = downward::about(&self.call, update, &self.filter.uris).await;
        let told = told.and_then(|update| listen::under(&update, &self.id).ok());
        self.ready.extend(told.map(streams::encoded));
    }
}

/// The gateway stops, or the server is there no longer.
async fn ended(stop: &CancellationToken, gone: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = gone.cancelled() => {}
    }
}

/// Takes what upstreams say of the resources that a client watches.
#[derive(Debug)]
struct Updates {
    waiting: mpsc::Sender<String>,
    dropped: IntCounter,
}

impl Inbox for Updates {
    fn deliver(
        &self,
        _from: Option<Asker>,
        message: String,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        if self.waiting.try_send(message).is_err() {
            self.dropped.inc();
            debug!("an update of a resource is dropped: its client reads too slowly, or has left");
        }
        Box::pin(std::future::ready(()))
    }
}
