//! What is known of one upstream's authorization, and when another token is obtained.
//!
//! Locked by the credential for as long as one renewal takes; whoever waited finds its outcome here. A failure is
//! remembered for a while that grows, so that an authorization server that is down is not asked by every call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Setup;
use super::challenge::{Challenge, Lack};
use super::error::OauthError;
use super::fresh::{Token, until_ms};
use crate::model::{Grant, GrantType, Registration, Secret};
use crate::telemetry::logs::chain;

/// Why another token is needed.
#[derive(Debug)]
pub(super) enum Need {
    /// The one that is shown ends.
    Renewal,
    /// A request was refused.
    Refused {
        lack: Lack,
        challenge: Challenge,
        /// What was shown.
        shown: Option<Arc<Token>>,
        /// Whether no other token will be tried for it.
        is_last: bool,
    },
}

/// What is known.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// The token of the caller whose authorization this is; none for the gateway's own.
    pub(super) subject: Option<Secret>,
    is_recalled: bool,
    pub(super) token: Option<Arc<Token>>,
    /// What outlives the process.
    pub(super) grant: Option<Grant>,
    /// A registration for which nobody has consented to anything yet, and at which server it is.
    pub(super) registration: Option<(String, Registration)>,
    /// What the upstream said when it last refused a request for want of a token.
    pub(super) challenge: Option<Challenge>,
    /// Scopes that it asked for, beyond those that the token was asked for with.
    pub(super) lacking: Vec<String>,
    /// How the last renewal failed, if it did.
    pub(super) failure: Option<Arc<OauthError>>,
    failures: u32,
    failed_at: Option<Instant>,
    retry_at: Option<Instant>,
}

type Outcome = Result<Arc<Token>, Arc<OauthError>>;

impl Book {
    /// That of a caller. What comes of it is worth no longer than the caller's own token, and is not stored.
    pub(super) fn of_caller(subject: Secret) -> Self {
        Self {
            subject: Some(subject),
            is_recalled: true,
            ..Self::default()
        }
    }

    /// Reads what the store has of an earlier time: once, and only what is of use for this definition.
    pub(super) async fn recall(&mut self, setup: &Setup) -> Result<(), OauthError> {
        if self.is_recalled {
            return Ok(());
        }
        let means = &setup.means;
        let kept = means.grants.grant(&setup.tenant, &setup.upstream).await?;
        self.is_recalled = true;
        self.grant = kept.filter(|grant| setup.fits(grant));
        let tokens = self.grant.as_ref().and_then(|grant| grant.tokens.as_ref());
        self.token = tokens.and_then(|tokens| {
            let lifetime = tokens
                .expires_at_ms
                .map(|at_ms| until_ms(at_ms).unwrap_or_default());
            Token::new(&tokens.access, lifetime).map(Arc::new)
        });
        Ok(())
    }

    /// Another token. `is_renewed` says that one was obtained, or was not, since it was known to be needed.
    pub(super) async fn renew(&mut self, setup: &Setup, need: Need, is_renewed: bool) -> Outcome {
        if let Err(error) = self.recall(setup).await {
            return Err(self.failed(setup, error));
        }
        if let Some(outcome) = self.outcome_for(&need, is_renewed) {
            return outcome;
        }
        match self.obtain(setup, need).await {
            Ok(token) => {
                setup.meters.tokens_ok.inc();
                self.succeeded(Arc::clone(&token));
                Ok(token)
            }
            Err(error) => Err(self.failed(setup, error)),
        }
    }

    /// What is there already, where that is an answer.
    fn outcome_for(&self, need: &Need, is_renewed: bool) -> Option<Outcome> {
        let is_met = |token: &&Arc<Token>| match need {
            Need::Renewal => !token.is_due(),
            Need::Refused {
                lack,
                challenge,
                shown,
                ..
            } => {
                let is_other = shown
                    .as_ref()
                    .is_none_or(|shown| !Arc::ptr_eq(shown, token));
                let is_enough = *lack == Lack::Token || self.more(&challenge.scopes).is_empty();
                is_other && is_enough && !token.has_ended()
            }
        };
        if let Some(token) = self.token.as_ref().filter(is_met) {
            return Some(Ok(Arc::clone(token)));
        }
        let is_paused = self.retry_at.is_some_and(|at| Instant::now() < at);
        let failure = self.failure.as_ref()?;
        let is_answer = is_paused || (is_renewed && !failure.is_for_people());
        is_answer.then(|| Err(Arc::clone(failure)))
    }

    async fn obtain(&mut self, setup: &Setup, need: Need) -> Result<Arc<Token>, OauthError> {
        let lack = match need {
            Need::Renewal => None,
            Need::Refused {
                lack,
                challenge,
                shown: _,
                is_last,
            } => {
                match lack {
                    Lack::Token => self.take_refusal(challenge, is_last)?,
                    Lack::Scope => self.take_lack(setup, challenge, is_last)?,
                }
                Some(lack)
            }
        };
        match (setup.spec.grant, lack) {
            (GrantType::ClientCredentials | GrantType::TokenExchange, _) => {
                self.by_itself(setup, lack.is_some()).await
            }
            // A refresh token is good for nothing that was not consented to.
            (GrantType::AuthorizationCode, Some(Lack::Scope)) => {
                Err(OauthError::MoreConsentRequired(self.lacking.join(" ")))
            }
            (GrantType::AuthorizationCode, Some(Lack::Token) | None) => {
                self.by_refresh(setup, lack.is_some()).await
            }
        }
    }

    /// The upstream does not take what it was shown. That stays in use until there is another: one request may be
    /// refused for reasons of its own, and nobody else is to suffer for it.
    fn take_refusal(&mut self, challenge: Challenge, is_last: bool) -> Result<(), OauthError> {
        self.challenge = Some(challenge);
        if is_last {
            return Err(OauthError::TokenRefused);
        }
        Ok(())
    }

    /// The upstream wants a token that is good for more.
    fn take_lack(
        &mut self,
        setup: &Setup,
        challenge: Challenge,
        is_last: bool,
    ) -> Result<(), OauthError> {
        let more = self.more(&challenge.scopes);
        if more.is_empty() || is_last {
            return Err(OauthError::ScopeRefused(challenge.scopes.join(" ")));
        }
        let lacking = union(&self.lacking, &more);
        let scopes_max = setup.means.limits.oauth_scopes_max;
        if self.asked().len() + lacking.len() > scopes_max {
            return Err(OauthError::TooManyScopes(scopes_max));
        }
        self.lacking = lacking;
        self.challenge.get_or_insert(challenge);
        Ok(())
    }

    /// Begins anew.
    pub(super) fn forget(&mut self) {
        *self = Self {
            is_recalled: true,
            challenge: self.challenge.take(),
            ..Self::default()
        };
    }

    /// Scopes that the token was asked for with.
    pub(super) fn asked(&self) -> &[String] {
        self.grant.as_ref().map_or(&[], |grant| &grant.scopes)
    }

    /// Those of `scopes` that the token was not asked for with.
    fn more(&self, scopes: &[String]) -> Vec<String> {
        let asked = self.asked();
        scopes
            .iter()
            .filter(|scope| !asked.contains(scope))
            .cloned()
            .collect()
    }

    pub(super) fn succeeded(&mut self, token: Arc<Token>) {
        self.token = Some(token);
        self.lacking = self.more(&self.lacking);
        // What was consented to was renewed; what was not is still missing.
        self.failure = self.failure.take().filter(|_| !self.lacking.is_empty());
        self.retry_at = None;
    }

    /// Notes a failure, and tells the operator of it once.
    pub(super) fn failed(&mut self, setup: &Setup, error: OauthError) -> Arc<OauthError> {
        let (tenant, upstream) = (&setup.tenant, &setup.upstream);
        if error.is_for_people() {
            let is_known = self
                .failure
                .as_ref()
                .is_some_and(|known| known.is_like(&error));
            if !is_known {
                tracing::warn!(tenant, upstream, %error, "an upstream waits for authorization");
            }
        } else {
            setup.meters.tokens_failed.inc();
            tracing::warn!(tenant, upstream, error = %chain(&error), "an upstream's access token could not be obtained");
            if setup.spec.grant != GrantType::AuthorizationCode {
                // What led here is not asked for again with the next renewal.
                self.lacking.clear();
            }
            self.pause(setup);
        }
        let error = Arc::new(error);
        self.failure = Some(Arc::clone(&error));
        error
    }

    /// Leaves the servers alone for a while, which grows until nothing went wrong for long.
    pub(super) fn pause(&mut self, setup: &Setup) {
        let limits = &setup.means.limits;
        let now = Instant::now();
        let long = Duration::from_millis(limits.backoff_max_ms.saturating_mul(2));
        let is_new = self
            .failed_at
            .is_none_or(|at| now.duration_since(at) > long);
        self.failures = if is_new {
            1
        } else {
            self.failures.saturating_add(1)
        };
        self.failed_at = Some(now);
        self.retry_at = Some(now + Duration::from_millis(limits.backoff_ms(self.failures)));
    }
}

/// Both lists, each scope once.
pub(super) fn union(first: &[String], second: &[String]) -> Vec<String> {
    let mut all = first.to_vec();
    for scope in second {
        if !all.contains(scope) {
            all.push(scope.clone());
        }
    }
    all
}
