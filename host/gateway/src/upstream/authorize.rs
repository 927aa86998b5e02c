//! What the admin plane may do about an upstream's authorization: look at it, have a person consent, forget it.
//!
//! Never on the request path.

use std::sync::Arc;

use portcullis_protocol::listing::ListKind;
use url::Url;

use super::oauth::{Asked, AuthorizationView, Callback, ConsentError, Credential};
use super::{Transport, Upstream, Upstreams};
use crate::store::StoreError;

impl Upstream {
    /// How things stand; none for an upstream without `auth`.
    pub async fn authorization(&self) -> Option<AuthorizationView> {
        Some(self.credential()?.view().await)
    }

    /// Forgets tokens and registration; `false` for an upstream without `auth`.
    ///
    /// # Errors
    /// When the store fails; nothing is forgotten then.
    pub async fn forget_authorization(&self) -> Result<bool, StoreError> {
        match self.credential() {
            Some(credential) => credential.forget().await.map(|()| true),
            None => Ok(false),
        }
    }

    fn credential(&self) -> Option<&Arc<Credential>> {
        match &self.transport {
            Transport::Http(http) => http.credential(),
            Transport::Stdio(_) | Transport::Broken(_) => None,
        }
    }
}

impl Upstreams {
    /// Begins a person's consent; none for an upstream without `auth`. People are sent back to `redirect_url`.
    ///
    /// # Errors
    /// Why there is nothing to consent to.
    pub async fn ask_consent(
        &self,
        upstream: &Arc<Upstream>,
        redirect_url: &Url,
    ) -> Option<Result<Asked, ConsentError>> {
        let credential = upstream.credential()?;
        if !credential.was_challenged().await {
            // Its refusal says where to ask, and for what. What else it answers does not matter here.
            drop(upstream.list(ListKind::Tools).await);
        }
        Some(self.consents.begin(credential, redirect_url).await)
    }

    /// Takes what a browser brought back: the tenant and the upstream that are authorized now.
    ///
    /// # Errors
    /// Why they are not.
    pub async fn take_consent(&self, callback: Callback) -> Result<(String, String), ConsentError> {
        let (tenant, name) = self.consents.end(callback).await?;
        for upstream in self.in_use(&tenant, &name) {
            upstream.announce();
        }
        Ok((tenant, name))
    }
}
