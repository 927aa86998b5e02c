//! A person's consent: the URL to open, and the answer that a browser brings back (RFC 6749, section 4.1; RFC 7636;
//! RFC 9207).
//!
//! Begun and ended through the admin API. What was begun is kept for a while under a `state` that nobody can guess, and
//! is taken out by the first answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use url::Url;

use super::Credential;
use super::book::{Book, union};
use super::client::{Client, random, register};
use super::discovery::Server;
use super::error::{OauthError, Refused};
use super::fresh::{Token, in_ms, until_ms};
use super::token::{Form, ask};
use crate::model::{GrantType, Registration, Secret};

const OFFLINE_ACCESS: &str = "offline_access";

/// Why an answer is not the consent that was asked for.
#[derive(Debug, Error)]
pub enum AnswerError {
    /// It comes from another server than the one that was asked (RFC 9207).
    #[error("the answer does not come from the authorization server that was asked")]
    Issuer,
    /// The person, or the server, said no.
    #[error("no consent was given: {0}")]
    Denied(Refused),
}

/// Why no consent was begun, or ended.
#[derive(Debug, Error)]
pub enum ConsentError {
    /// This upstream's tokens need none.
    #[error("this upstream's tokens need nobody's consent")]
    NotNeeded,
    /// Too many wait for people.
    #[error("too many consents are under way: try again later")]
    Busy,
    /// None that waits has this `state`.
    #[error("no consent is under way with this `state`, or it took too long: begin again")]
    UnknownState,
    /// It came to nothing.
    #[error(transparent)]
    Failed(Arc<OauthError>),
}

impl From<Arc<OauthError>> for ConsentError {
    fn from(error: Arc<OauthError>) -> Self {
        Self::Failed(error)
    }
}

/// A consent that waits for its answer.
#[derive(Debug)]
struct Pending {
    credential: Arc<Credential>,
    server: Arc<Server>,
    client: Client,
    /// What the code is worthless without.
    verifier: Secret,
    redirect_url: Url,
    scopes: Vec<String>,
    ends: Instant,
}

/// Consents under way, of all upstreams.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Consents(Mutex<HashMap<String, Pending>>);

/// What a person has to open, and how long it is of use.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The authorization server's page.
    pub url: Url,
    /// When the answer is no longer taken, in milliseconds since the Unix epoch.
    pub ends_at_ms: u64,
}

/// What a browser brought back.
#[derive(Debug, Default)]
pub struct Callback {
    /// Which consent it is of.
    pub state: String,
    /// What is exchanged for tokens.
    pub code: Option<Secret>,
    /// Who answers.
    pub issuer: Option<String>,
    /// Why there is no code.
    pub error: Option<String>,
    /// The same in words.
    pub error_description: Option<String>,
}

impl Consents {
    /// Begins a consent to the use of one upstream.
    pub(in crate::upstream) async fn begin(
        &self,
        credential: &Arc<Credential>,
        redirect_url: &Url,
    ) -> Result<Asked, ConsentError> {
        let setup = &credential.setup;
        if setup.spec.grant != GrantType::AuthorizationCode {
            return Err(ConsentError::NotNeeded);
        }
        let (state, verifier) = (random(), random());
        let mut book = credential.book.lock().await;
        let prepared = book.prepare(credential, redirect_url, &verifier).await;
        let (page, pending) = prepared.map_err(|error| book.failed(setup, error))?;
        let url = pending.url(page, (&state, &verifier));
        let limits = &setup.means.limits;
        self.keep(state, pending, limits.consents_max)?;
        Ok(Asked {
            url,
            ends_at_ms: in_ms(Duration::from_millis(limits.consent_ms)),
        })
    }

    fn keep(&self, state: String, pending: Pending, count_max: usize) -> Result<(), ConsentError> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        waiting.retain(|_, pending| pending.ends > now);
        if waiting.len() >= count_max {
            return Err(ConsentError::Busy);
        }
        waiting.insert(state, pending);
        Ok(())
    }

    /// Takes the answer to a consent: tenant and upstream that it was for.
    pub(in crate::upstream) async fn end(
        &self,
        callback: Callback,
    ) -> Result<(String, String), ConsentError> {
        let pending = {
            let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.remove(&callback.state)
        };
        let pending = pending.filter(|pending| pending.ends > Instant::now());
        let pending = pending.ok_or(ConsentError::UnknownState)?;
        let credential = Arc::clone(&pending.credential);
        let named = (
            credential.setup.tenant.clone(),
            credential.setup.upstream.clone(),
        );
        // A code is good once: what comes of it is kept, even when the browser leaves.
        let work = async move { pending.redeem(callback).await.map(drop) };
        credential.apart(work).await?;
        Ok(named)
    }
}

impl Pending {
    /// The page, with everything that the server has to know.
    fn url(&self, mut page: Url, (state, verifier): (&str, &str)) -> Url {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
        let mut query = page.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client.id)
            .append_pair("redirect_uri", self.redirect_url.as_str())
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .append_pair("state", state)
            .append_pair("resource", &self.server.resource);
        if !self.scopes.is_empty() {
            query.append_pair("scope", &self.scopes.join(" "));
        }
        drop(query);
        page
    }

    async fn redeem(self, callback: Callback) -> Result<Arc<Token>, Arc<OauthError>> {
        let credential = Arc::clone(&self.credential);
        let mut book = credential.book.lock().await;
        let setup = &credential.setup;
        match self.exchange(&mut book, callback).await {
            Ok(token) => {
                book.succeeded(Arc::clone(&token));
                credential.publish(&book);
                let (tenant, upstream) = (&setup.tenant, &setup.upstream);
                tracing::info!(
                    tenant,
                    upstream,
                    issuer = self.server.issuer,
                    "an upstream is authorized"
                );
                Ok(token)
            }
            Err(error) => Err(book.failed(setup, error)),
        }
    }

    async fn exchange(
        &self,
        book: &mut Book,
        callback: Callback,
    ) -> Result<Arc<Token>, OauthError> {
        let setup = &self.credential.setup;
        match &callback.issuer {
            Some(issuer) if *issuer != self.server.issuer => return Err(AnswerError::Issuer.into()),
            None if self.server.names_itself => return Err(AnswerError::Issuer.into()),
            Some(_) | None => {}
        }
        let Some(code) = callback.code else {
            let error = callback
                .error
                .as_deref()
                .unwrap_or("the answer holds no code");
            let denied = Refused::new(error, callback.error_description.as_deref());
            return Err(AnswerError::Denied(denied).into());
        };
        let mut form = Form::of_grant("authorization_code", &self.server, &[]);
        form.add("code", code.expose());
        form.add("redirect_uri", self.redirect_url.as_str());
        form.add("code_verifier", self.verifier.expose());
        let given = ask(&setup.web, (&self.server, &self.client), form).await?;
        let scopes = self.scopes.clone();
        book.keep(setup, (&self.server, &self.client), (given, scopes))
            .await
    }
}

impl Book {
    /// Everything that a consent needs: the server's page, and what its answer will be met with.
    async fn prepare(
        &mut self,
        credential: &Arc<Credential>,
        redirect_url: &Url,
        verifier: &str,
    ) -> Result<(Url, Pending), OauthError> {
        let setup = &credential.setup;
        self.recall(setup).await?;
        let server = self.server(setup, true).await?;
        let page = page_of(&server)?.clone();
        let client = self.client_for(credential, &server, redirect_url).await?;
        let mut scopes = self.scopes(setup, &server);
        if server.has_offline_access {
            scopes = union(&scopes, &[OFFLINE_ACCESS.to_owned()]);
        }
        let pending = Pending {
            credential: Arc::clone(credential),
            verifier: Secret::new(verifier),
            redirect_url: redirect_url.clone(),
            scopes,
            ends: Instant::now() + Duration::from_millis(setup.means.limits.consent_ms),
            server,
            client,
        };
        Ok((page, pending))
    }

    /// Who the gateway is at a server; registered there where it is nobody yet.
    async fn client_for(
        &mut self,
        credential: &Credential,
        server: &Server,
        redirect_url: &Url,
    ) -> Result<Client, OauthError> {
        let setup = &credential.setup;
        if let Some(client) = Client::of_spec(&setup.spec.client, server)? {
            return Ok(client);
        }
        let stored = self
            .grant
            .as_ref()
            .filter(|grant| grant.issuer == server.issuer);
        let stored = stored.and_then(|grant| grant.registration.as_ref());
        let made = self
            .registration
            .as_ref()
            .filter(|(issuer, _)| *issuer == server.issuer);
        let mut known = made.map(|(_, made)| made).into_iter().chain(stored);
        if let Some(registration) = known.find(|known| is_usable(known, redirect_url)) {
            return Ok(Client::of_registration(registration));
        }
        let registration = register(&setup.web, server, redirect_url).await?;
        let client = Client::of_registration(&registration);
        self.registration = Some((server.issuer.clone(), registration));
        Ok(client)
    }
}

/// Whether people can be sent back to where they are now, by a client that is still known.
fn is_usable(registration: &Registration, redirect_url: &Url) -> bool {
    registration.redirect_url == redirect_url.as_str()
        && registration
            .expires_at_ms
            .is_none_or(|at_ms| until_ms(at_ms).is_some())
}

/// The page where people consent, at a server that holds codes and those who asked for them together.
fn page_of(server: &Server) -> Result<&Url, OauthError> {
    let unsupported = |what| OauthError::Unsupported {
        issuer: server.issuer.clone(),
        what,
    };
    if !server.checks_code_challenge {
        return Err(unsupported(
            "PKCE with S256 (code_challenge_methods_supported)",
        ));
    }
    server
        .authorization_endpoint
        .as_ref()
        .ok_or_else(|| unsupported("page for consent (authorization_endpoint)"))
}
