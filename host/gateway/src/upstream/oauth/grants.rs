//! How tokens are obtained without a person: by client credentials, for a caller's token, by a refresh token.
//!
//! The book comes here when it has nothing that would do. What must outlive the process is stored before it is used.

use std::sync::Arc;

use super::Setup;
use super::book::{Book, union};
use super::client::{Client, ClientError};
use super::discovery::{Bound, Known, Server, discover};
use super::error::{OauthError, Refused};
use super::fresh::{Token, in_ms};
use super::token::{Form, Given, ask};
use crate::model::{Grant, GrantType, Tokens};

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

impl Setup {
    /// Whether what was stored is of use for this definition: tokens go to the upstream that they were given for.
    pub(super) fn fits(&self, grant: &Grant) -> bool {
        let spec = &self.spec;
        let is_same_client = match (&spec.client.id, &grant.registration) {
            (Some(id), _) => *id == grant.client_id,
            (None, Some(_registered)) => true,
            (None, None) => spec.client.metadata_url.as_ref() == Some(&grant.client_id),
        };
        let is_same_server = spec
            .issuer
            .as_ref()
            .is_none_or(|issuer| *issuer == grant.issuer);
        grant.url == self.url.as_str()
            && grant.grant == spec.grant
            && is_same_client
            && is_same_server
    }
}

impl Book {
    /// By client credentials (RFC 6749, section 4.4), or in exchange for a caller's token (RFC 8693, section 2.1).
    /// `is_told` says that the upstream has just refused a request.
    pub(super) async fn by_itself(
        &mut self,
        setup: &Setup,
        is_told: bool,
    ) -> Result<Arc<Token>, OauthError> {
        // The gateway's own requests find out where to ask, for its callers too.
        let is_asked = is_told && self.subject.is_none();
        let server = self.server(setup, is_asked).await?;
        let client = self
            .client(setup, &server)?
            .ok_or_else(|| ClientError::Unknown {
                issuer: server.issuer.clone(),
            })?;
        let scopes = self.scopes(setup, &server);
        let form = match &self.subject {
            None => Form::of_grant("client_credentials", &server, &scopes),
            Some(subject) => {
                let mut form = Form::of_grant(TOKEN_EXCHANGE, &server, &scopes);
                form.add("subject_token", subject.expose());
                form.add("subject_token_type", ACCESS_TOKEN);
                form
            }
        };
        let given = ask(&setup.web, (&server, &client), form).await?;
        self.keep(setup, (&server, &client), (given, scopes)).await
    }

    /// RFC 6749, section 6.
    pub(super) async fn by_refresh(
        &mut self,
        setup: &Setup,
        is_told: bool,
    ) -> Result<Arc<Token>, OauthError> {
        let tokens = self.grant.as_ref().and_then(|grant| grant.tokens.as_ref());
        let Some(refresh) = tokens.and_then(|tokens| tokens.refresh.clone()) else {
            return Err(self.lost(setup).await);
        };
        let server = self.server(setup, is_told).await?;
        let is_same = self
            .grant
            .as_ref()
            .is_some_and(|grant| grant.issuer == server.issuer);
        let client = match self.client(setup, &server)? {
            Some(client) if is_same => client,
            // Another server gave them, and no other may see them. The upstream may still come back to that one.
            Some(_) | None => {
                self.pause(setup);
                return Err(OauthError::ConsentRequired);
            }
        };
        let mut form = Form::of_grant("refresh_token", &server, &[]);
        form.add("refresh_token", refresh.expose());
        match ask(&setup.web, (&server, &client), form).await {
            Ok(mut given) => {
                // A server that gives no other means the old one to be used again.
                given.refresh_token.get_or_insert(refresh);
                let scopes = self.asked().to_vec();
                self.keep(setup, (&server, &client), (given, scopes)).await
            }
            Err(OauthError::Refused(refused)) if self.is_final(&refused) => {
                let (tenant, upstream) = (&setup.tenant, &setup.upstream);
                tracing::warn!(tenant, upstream, %refused, "an upstream's refresh token is not taken any more");
                Err(self.lost(setup).await)
            }
            Err(other) => Err(other),
        }
    }

    /// Whether a refusal ends what a person consented to. A client that was registered by hand may have a new secret.
    fn is_final(&mut self, refused: &Refused) -> bool {
        let registration = self.grant.as_mut().map(|grant| &mut grant.registration);
        let is_unknown = match registration {
            Some(registration) if refused.is_about_client() => registration.take().is_some(),
            Some(_) | None => false,
        };
        is_unknown || refused.is_about_grant()
    }

    /// Nothing is left that another token could be obtained with.
    async fn lost(&mut self, setup: &Setup) -> OauthError {
        let has_token = self.token.as_ref().is_some_and(|token| !token.has_ended());
        let Some(grant) = &mut self.grant else {
            return OauthError::ConsentRequired;
        };
        let is_changed = match &mut grant.tokens {
            Some(tokens) if has_token => tokens.refresh.take().is_some(),
            tokens => tokens.take().is_some(),
        };
        if !has_token {
            self.token = None;
        }
        if is_changed {
            self.store(setup).await;
        }
        OauthError::ConsentRequired
    }

    /// Takes in what was given, and stores it where it could not be had again without a person.
    pub(super) async fn keep(
        &mut self,
        setup: &Setup,
        (server, client): (&Server, &Client),
        (given, scopes): (Given, Vec<String>),
    ) -> Result<Arc<Token>, OauthError> {
        let token =
            Token::new(&given.access_token, given.lifetime()).ok_or(OauthError::TokenType)?;
        let before = self.grant.take();
        let registration = match self.registration.take() {
            Some((issuer, made)) if issuer == server.issuer && made.client_id == client.id => {
                Some(made)
            }
            Some(_) | None => before
                .as_ref()
                .and_then(|grant| grant.registration.clone())
                .filter(|registration| registration.client_id == client.id),
        };
        let is_lasting = setup.spec.grant == GrantType::AuthorizationCode;
        let tokens = is_lasting.then(|| Tokens {
            expires_at_ms: given.lifetime().map(in_ms),
            access: given.access_token,
            refresh: given.refresh_token,
        });
        let is_new = before
            .is_none_or(|grant| grant.issuer != server.issuer || grant.client_id != client.id);
        self.grant = Some(Grant {
            url: setup.url.to_string(),
            grant: setup.spec.grant,
            issuer: server.issuer.clone(),
            client_id: client.id.clone(),
            scopes,
            registration,
            tokens,
        });
        if is_lasting || (is_new && self.subject.is_none()) {
            self.store(setup).await;
        }
        Ok(Arc::new(token))
    }

    /// A failure costs a consent after a restart, and nothing now.
    async fn store(&self, setup: &Setup) {
        let Some(grant) = &self.grant else { return };
        let (tenant, upstream) = (&setup.tenant, &setup.upstream);
        if let Err(error) = setup.means.grants.put_grant(tenant, upstream, grant).await {
            tracing::error!(tenant, upstream, %error, "an upstream's authorization could not be stored");
        }
    }

    /// The authorization server: asked for anew where the upstream has refused something, since it may name another.
    pub(super) async fn server(
        &self,
        setup: &Setup,
        is_told: bool,
    ) -> Result<Arc<Server>, OauthError> {
        if let Some(server) = setup.server.load_full().filter(|_| !is_told) {
            return Ok(server);
        }
        let bound = if setup.spec.client.id.is_some() {
            Bound::ToServer
        } else {
            Bound::Nowhere
        };
        let told = self.challenge.as_ref();
        let known = Known {
            url: &setup.url,
            resource_metadata: told.and_then(|challenge| challenge.resource_metadata.as_deref()),
            issuer: setup.spec.issuer.as_deref(),
            before: self
                .grant
                .as_ref()
                .map(|grant| (grant.issuer.as_str(), bound)),
        };
        let server = Arc::new(discover(&setup.web, &known).await?);
        setup.server.store(Some(Arc::clone(&server)));
        Ok(server)
    }

    /// Who the gateway is at a server, where it is anybody yet.
    pub(super) fn client(
        &self,
        setup: &Setup,
        server: &Server,
    ) -> Result<Option<Client>, OauthError> {
        if let Some(client) = Client::of_spec(&setup.spec.client, server)? {
            return Ok(Some(client));
        }
        let grant = self
            .grant
            .as_ref()
            .filter(|grant| grant.issuer == server.issuer);
        let registration = grant.and_then(|grant| grant.registration.as_ref());
        Ok(registration.map(Client::of_registration))
    }

    /// What to ask for: what the operator says, else what the upstream asks for, else what it says that it knows; and
    /// whatever was asked for before (MCP, "Scope Selection Strategy" and "Scope Challenge Handling").
    pub(super) fn scopes(&self, setup: &Setup, server: &Server) -> Vec<String> {
        let told = self
            .challenge
            .as_ref()
            .map_or(&[][..], |challenge| &challenge.scopes);
        let first = [&setup.spec.scopes, told, &server.resource_scopes]
            .into_iter()
            .find(|scopes| !scopes.is_empty())
            .unwrap_or_default();
        let asked = self
            .grant
            .as_ref()
            .filter(|grant| grant.issuer == server.issuer);
        let asked = asked.map_or(&[][..], |grant| &grant.scopes);
        union(&union(asked, first), &self.lacking)
    }
}
