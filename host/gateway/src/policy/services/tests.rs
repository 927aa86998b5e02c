//! The services as bindings meet them, and the keys and tokens that their tests share.

#![allow(clippy::too_many_lines, reason = "tables of cases")]

mod binding;
mod fetched;
mod issuers;
mod signer;
mod tokens;

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus::Registry;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::jwt::Asked;
use super::{JwksTiming, ServicesParts, SharedServices, TenantServices};
use crate::model::{IssuerSpec, Secret};
use crate::state::{Clock, StateBounds, StateRoom};

const NOW_S: u64 = 1_700_000_000;
const ISS: &str = "https://issuer.example";

/// Services with a clock that stands still.
struct Bench {
    shared: Arc<SharedServices>,
    clock: Clock,
    registry: Registry,
    tracker: TaskTracker,
    shutdown: CancellationToken,
}

impl Bench {
    fn new(jwks_timing: JwksTiming) -> Self {
        let (clock, registry) = (Clock::manual(NOW_S * 1_000), Registry::new());
        let (tracker, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let state = StateRoom::new(StateBounds::default(), clock.clone(), &registry).unwrap();
        let parts = ServicesParts {
            state: Arc::new(state),
            registry: registry.clone(),
            runtime: Handle::current(),
            tracker: tracker.clone(),
            shutdown: shutdown.clone(),
            jwks_timing,
        };
        Self {
            shared: SharedServices::new(parts).unwrap(),
            clock,
            registry,
            tracker,
            shutdown,
        }
    }

    fn tenant(&self, issuers: &[(&str, IssuerSpec)]) -> Arc<TenantServices> {
        self.shared.tenant("acme", &named(issuers), &[]).unwrap()
    }

    fn verify(&self, tenant: &TenantServices, token: &str) -> Result<String, &'static str> {
        self.verify_for(tenant, token, (&[], &[]))
    }

    fn verify_for(
        &self,
        tenant: &TenantServices,
        token: &str,
        (issuers, audiences): (&[&str], &[&str]),
    ) -> Result<String, &'static str> {
        let owned = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| (*text).to_owned())
                .collect::<Vec<_>>()
        };
        let (issuers, audiences) = (owned(issuers), owned(audiences));
        let asked = Asked {
            issuers: &issuers,
            audiences: &audiences,
        };
        let claims = tenant
            .issuers()
            .verify(token, asked, self.clock.now_ms() / 1_000);
        claims
            .map(|token| token.claims.as_ref().to_owned())
            .map_err(|refusal| refusal.code())
    }
}

fn named(issuers: &[(&str, IssuerSpec)]) -> BTreeMap<String, IssuerSpec> {
    issuers
        .iter()
        .map(|(name, spec)| ((*name).to_owned(), spec.clone()))
        .collect()
}

fn spec(issuer: &str) -> IssuerSpec {
    IssuerSpec {
        issuer: issuer.to_owned(),
        jwks_url: None,
        jwks: None,
        secret: None,
    }
}

fn with_jwks(issuer: &str, keys: &[Value]) -> IssuerSpec {
    IssuerSpec {
        jwks: Some(json!({ "keys": keys })),
        ..spec(issuer)
    }
}

fn with_secret(issuer: &str, secret: &str) -> IssuerSpec {
    IssuerSpec {
        secret: Some(Secret::new(secret)),
        ..spec(issuer)
    }
}

fn with_url(issuer: &str, url: &str) -> IssuerSpec {
    IssuerSpec {
        jwks_url: Some(url.to_owned()),
        ..spec(issuer)
    }
}
