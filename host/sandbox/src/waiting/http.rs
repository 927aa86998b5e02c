//! The host's side of `http`: from a guest's request to whoever may send it.

use async_trait::async_trait;

use super::state::WaitingState;
use crate::Scope;
use crate::bindings::portcullis::policy::http as wit;

/// What waiting guests reach beyond the gateway's memory. The gateway implements it.
#[async_trait]
pub trait Outside: Send + Sync {
    /// Sends a request, if the binding's grant covers it.
    async fn send(&self, scope: &Scope, request: wit::Request)
    -> Result<wit::Response, wit::Error>;
}

/// Where nothing is granted.
pub(super) struct Nowhere;

#[async_trait]
impl Outside for Nowhere {
    async fn send(&self, _: &Scope, _: wit::Request) -> Result<wit::Response, wit::Error> {
        Err(wit::Error::Denied("nothing is granted here".into()))
    }
}

impl wit::Host for WaitingState {
    async fn send(
        &mut self,
        request: wit::Request,
    ) -> wasmtime::Result<Result<wit::Response, wit::Error>> {
        self.guest.spend()?;
        Ok(self.outside.send(&self.guest.scope, request).await)
    }
}
