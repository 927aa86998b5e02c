//! The gateway as an OAuth client of its upstreams: access tokens, obtained when an upstream asks for one, renewed
//! before they end, and shown to that upstream alone.
//!
//! `Wire` comes here with every request of an upstream that has `auth`, and again with a refusal; a token that is fresh
//! costs it one header. Everything else happens on a task of its own, once for however many wait. What the client of
//! the gateway presented never gets here but to be exchanged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use url::Url;

mod book;
mod challenge;
mod client;
mod consent;
mod discovery;
mod error;
mod fresh;
mod grants;
mod token;
mod view;
mod web;

pub(in crate::upstream) use challenge::{Challenge, Lack, read};
pub(in crate::upstream) use consent::Consents;
pub use consent::{AnswerError, Asked, Callback, ConsentError};
pub use error::OauthError;
pub(in crate::upstream) use fresh::Token;
pub use view::{AuthorizationState, AuthorizationView};

use book::{Book, Need};
use discovery::Server;
use web::Web;

use super::http::Client;
use super::limits::UpstreamLimits;
use super::metrics::Meters;
use crate::model::{AuthSpec, GrantType, OauthSpec, Secret};
use crate::store::Grants;

/// What credentials share with the others of the process.
#[derive(Debug, Clone)]
pub(in crate::upstream) struct Means {
    pub(in crate::upstream) client: Client,
    pub(in crate::upstream) limits: Arc<UpstreamLimits>,
    pub(in crate::upstream) grants: Arc<dyn Grants>,
    pub(in crate::upstream) tracker: TaskTracker,
    /// Where tokens are obtained: callers come and go.
    pub(in crate::upstream) runtime: Handle,
}

/// What the gateway shows one upstream.
#[derive(Debug)]
pub(in crate::upstream) struct Credential {
    setup: Arc<Setup>,
    token: ArcSwapOption<Token>,
    /// Whether the store was asked for what is left of earlier.
    is_recalled: AtomicBool,
    /// Whether somebody renews the token ahead of time.
    is_renewing: AtomicBool,
    /// Renewals that have ended.
    renewals: AtomicU64,
    /// Locked by the one that renews.
    book: tokio::sync::Mutex<Book>,
}

/// What does not change in a credential's life.
#[derive(Debug)]
struct Setup {
    tenant: String,
    upstream: String,
    url: Url,
    spec: OauthSpec,
    web: Web,
    means: Means,
    meters: Arc<Meters>,
    /// As it was last found.
    server: ArcSwapOption<Server>,
}

/// How often one request was answered with another token.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Tries {
    tokens: u8,
    scopes: u8,
}

/// Most other tokens for one request, by what the ones before it lacked.
const TRIES_MAX: Tries = Tries {
    tokens: 1,
    scopes: 2,
};

impl Credential {
    /// Prepares one; nothing is asked. The error says what is wrong with the definition.
    pub(in crate::upstream) fn new(
        (tenant, upstream): (&str, &str),
        (url, spec): (&str, &AuthSpec),
        means: Means,
        meters: Arc<Meters>,
    ) -> Result<Arc<Self>, String> {
        let AuthSpec::Oauth(spec) = spec;
        let parse = |url: &str| Url::parse(url).map_err(|error| format!("`{url}`: {error}"));
        let url = parse(url)?;
        let issuer = spec.issuer.as_deref().map(parse).transpose()?;
        let written: Vec<&Url> = [&url].into_iter().chain(&issuer).collect();
        let web = Web::new(means.client.clone(), &means.limits, &written);
        let setup = Setup {
            tenant: tenant.to_owned(),
            upstream: upstream.to_owned(),
            url,
            spec: spec.clone(),
            web,
            means,
            meters,
            server: ArcSwapOption::empty(),
        };
        Ok(Arc::new(Self::of(Arc::new(setup), Book::default())))
    }

    /// Whether callers' own tokens are exchanged.
    pub(in crate::upstream) fn is_exchanged(&self) -> bool {
        self.setup.spec.grant == GrantType::TokenExchange
    }

    /// The credential of the caller who presented this token.
    pub(in crate::upstream) fn of_caller(&self, subject: Secret) -> Arc<Self> {
        Arc::new(Self::of(Arc::clone(&self.setup), Book::of_caller(subject)))
    }

    fn of(setup: Arc<Setup>, book: Book) -> Self {
        Self {
            setup,
            token: ArcSwapOption::empty(),
            is_recalled: AtomicBool::new(false),
            is_renewing: AtomicBool::new(false),
            renewals: AtomicU64::new(0),
            book: tokio::sync::Mutex::new(book),
        }
    }

    /// The token to show; none where the upstream has not asked for one yet.
    ///
    /// # Errors
    /// When the last one has ended and there is no other.
    pub(in crate::upstream) async fn token(
        self: &Arc<Self>,
    ) -> Result<Option<Arc<Token>>, Arc<OauthError>> {
        let token = match self.token.load_full() {
            Some(token) => token,
            None if self.is_recalled.load(Ordering::Acquire) => return Ok(None),
            None => match Box::pin(self.recall()).await? {
                Some(token) => token,
                None => return Ok(None),
            },
        };
        if !token.is_due() {
            return Ok(Some(token));
        }
        if token.has_ended() {
            return Box::pin(self.renew(Need::Renewal)).await.map(Some);
        }
        if !self.is_renewing.swap(true, Ordering::AcqRel) {
            self.renew_soon();
        }
        Ok(Some(token))
    }

    /// Another token, for a request that was refused with `shown`.
    ///
    /// # Errors
    /// When there is none, or others were refused before.
    pub(in crate::upstream) async fn answer(
        self: &Arc<Self>,
        tries: &mut Tries,
        (lack, challenge): (Lack, Challenge),
        shown: Option<Arc<Token>>,
    ) -> Result<Arc<Token>, Arc<OauthError>> {
        let (count, count_max) = match lack {
            Lack::Token => (&mut tries.tokens, TRIES_MAX.tokens),
            Lack::Scope => (&mut tries.scopes, TRIES_MAX.scopes),
        };
        *count += 1;
        let need = Need::Refused {
            lack,
            challenge,
            shown,
            is_last: *count > count_max,
        };
        Box::pin(self.renew(need)).await
    }

    /// Asks the store, once, for the token of an earlier time.
    async fn recall(self: &Arc<Self>) -> Result<Option<Arc<Token>>, Arc<OauthError>> {
        let this = Arc::clone(self);
        self.apart(async move {
            let mut book = this.book.lock().await;
            let recalled = book.recall(&this.setup).await;
            this.publish(&book);
            recalled.map(|()| book.token.clone()).map_err(Arc::new)
        })
        .await
    }

    /// Obtains a token, once for all who need one at the moment.
    async fn renew(self: &Arc<Self>, need: Need) -> Result<Arc<Token>, Arc<OauthError>> {
        let (this, before) = (Arc::clone(self), self.renewals.load(Ordering::Acquire));
        self.apart(async move {
            let mut book = this.book.lock().await;
            let is_renewed = this.renewals.load(Ordering::Acquire) != before;
            let outcome = book.renew(&this.setup, need, is_renewed).await;
            this.publish(&book);
            outcome
        })
        .await
    }

    /// Makes what is in the book what requests are sent with.
    fn publish(&self, book: &Book) {
        self.token.store(book.token.clone());
        self.is_recalled.store(true, Ordering::Release);
        self.renewals.fetch_add(1, Ordering::AcqRel);
    }

    /// Renews the token behind the callers' backs.
    fn renew_soon(self: &Arc<Self>) {
        let this = Arc::clone(self);
        let renewing = async move {
            // Those who find no token later learn why; until then there is one.
            drop(this.renew(Need::Renewal).await);
            this.is_renewing.store(false, Ordering::Release);
        };
        let means = &self.setup.means;
        means.tracker.spawn_on(renewing, &means.runtime);
    }

    /// Runs `work` to its end even when the caller leaves: a token that was rotated must be kept.
    async fn apart<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Arc<OauthError>>> + Send + 'static,
    ) -> Result<T, Arc<OauthError>> {
        let means = &self.setup.means;
        match means.tracker.spawn_on(work, &means.runtime).await {
            Ok(done) => done,
            Err(_cut_off) => Err(Arc::new(OauthError::Stopped)),
        }
    }
}
