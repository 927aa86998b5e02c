//! An upstream's authorization as the admin API shows it: what is there, what is missing, and never a token.

use serde::Serialize;
use utoipa::ToSchema;

use super::Credential;
use super::fresh::Token;
use crate::model::GrantType;
use crate::telemetry::logs::chain;

/// Whether an upstream can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AuthorizationState {
    /// There is an access token.
    Authorized,
    /// The upstream has not asked for one yet.
    NotNeededYet,
    /// A person has to consent, or to consent to more.
    ConsentRequired,
    /// `error` says why there is none.
    Failed,
}

/// An upstream's authorization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AuthorizationView {
    /// Whether the upstream can be used.
    pub state: AuthorizationState,
    /// How tokens are obtained.
    pub grant: GrantType,
    /// The authorization server, once it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Who the gateway is there, once it is anybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// What was asked for.
    pub scopes: Vec<String>,
    /// What the upstream asks for beyond that.
    pub scopes_lacking: Vec<String>,
    /// Whether the token is renewed without a person.
    pub is_renewable: bool,
    /// When the access token ends, in milliseconds since the Unix epoch, where that was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
    /// What went wrong last; until another token is obtained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Credential {
    /// How things stand.
    pub(in crate::upstream) async fn view(&self) -> AuthorizationView {
        let mut book = self.book.lock().await;
        let recalled = book.recall(&self.setup).await;
        let failure = book.failure.clone();
        let error = match (&recalled, &failure) {
            (Err(error), _) => Some(chain(error)),
            (Ok(()), Some(failure)) => Some(chain(failure.as_ref())),
            (Ok(()), None) => None,
        };
        let by_person = self.setup.spec.grant == GrantType::AuthorizationCode;
        let has_token = book.token.as_ref().is_some_and(|token| !token.has_ended());
        let state = match &failure {
            Some(failure) if failure.is_consent() => AuthorizationState::ConsentRequired,
            _ if has_token => AuthorizationState::Authorized,
            Some(_) => AuthorizationState::Failed,
            None if by_person && book.grant.is_none() => AuthorizationState::ConsentRequired,
            None => AuthorizationState::NotNeededYet,
        };
        let grant = book.grant.as_ref();
        let tokens = grant.and_then(|grant| grant.tokens.as_ref());
        AuthorizationView {
            state,
            grant: self.setup.spec.grant,
            issuer: grant.map(|grant| grant.issuer.clone()),
            client_id: grant.map(|grant| grant.client_id.clone()),
            scopes: book.asked().to_vec(),
            scopes_lacking: book.lacking.clone(),
            is_renewable: !by_person || tokens.is_some_and(|tokens| tokens.refresh.is_some()),
            expires_at_ms: book.token.as_deref().and_then(Token::expires_at_ms),
            error,
        }
    }

    /// Whether the upstream has said what it wants.
    pub(in crate::upstream) async fn was_challenged(&self) -> bool {
        self.book.lock().await.challenge.is_some()
    }

    /// Forgets tokens, registration and the server that they belong to.
    pub(in crate::upstream) async fn forget(&self) -> Result<(), crate::store::StoreError> {
        let setup = &self.setup;
        let mut book = self.book.lock().await;
        setup
            .means
            .grants
            .delete_grant(&setup.tenant, &setup.upstream)
            .await?;
        book.forget();
        setup.server.store(None);
        self.publish(&book);
        Ok(())
    }
}
