//! Samples of a tenant's calls: a bounded ring in memory, with secrets taken out before anything is kept.
//!
//! Before it: the walk, when it is done with a call. After it: the admin API, which shows them, and explanations and replays,
//! which run them again.

mod redact;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_protocol::revision::Era;
use portcullis_sandbox::Identity;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::call::Call;
use crate::model::CaptureSpec;
use crate::state::unix_ms;

/// Longer texts are left out of a sample.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// A call as it was, without its secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Sample {
    /// The request's id in the log.
    pub id: String,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Revision of the chain that served it.
    pub revision: u64,
    /// What it came to.
    pub server: String,
    /// `session` or `stateless`.
    pub era: String,
    /// JSON-RPC method.
    pub method: String,
    /// `params`; absent where they are too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub params: Option<Value>,
    /// Headers, by name. Those that may hold secrets have none of their value.
    pub headers: BTreeMap<String, String>,
    /// The client's address.
    pub peer: String,
    /// Who called; absent where nobody was recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Caller>,
    /// Which policy ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedBy>,
    /// The arguments as the chain left them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub arguments: Option<Value>,
    /// The result as its upstream gave it; absent where it was streamed or is too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub result: Option<Value>,
}

/// Who called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Caller {
    /// The subject.
    pub subject: String,
    /// The team that limits and grants are counted against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Roles.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Scopes.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Further claims.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub claims: Value,
}

/// A policy that refused a call, or failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedBy {
    /// The binding's name; absent where no authenticator recognised the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The denial's code, or the failure's.
    pub code: String,
}

impl From<&Identity> for Caller {
    fn from(identity: &Identity) -> Self {
        Self {
            subject: identity.subject.clone(),
            team: identity.team.clone(),
            roles: identity.roles.clone(),
            scopes: identity.scopes.clone(),
            claims: serde_json::from_str(&identity.claims).unwrap_or_default(),
        }
    }
}

impl From<Caller> for Identity {
    fn from(caller: Caller) -> Self {
        let claims = match caller.claims.is_object() {
            true => caller.claims.to_string(),
            false => "{}".to_owned(),
        };
        Self {
            subject: caller.subject,
            team: caller.team,
            roles: caller.roles,
            scopes: caller.scopes,
            claims,
        }
    }
}

impl Sample {
    /// A call that the chain is done with.
    fn of(call: &Call) -> Self {
        let (message, witness) = (&call.message, call.witness.as_deref());
        let read = |text: Option<&str>| {
            let text = text.filter(|text| text.len() <= TEXT_BYTES_MAX)?;
            let value = serde_json::from_str(text).ok()?;
            Some(redact::value(value))
        };
        let era = match call.era {
            Era::Session => "session",
            Era::Stateless => "stateless",
        };
        let identity = call
            .identity
            .get()
            .map(|identity| Caller::from(&**identity));
        let identity = identity.map(|caller| Caller {
            claims: redact::value(caller.claims),
            ..caller
        });
        Self {
            id: call.request_id.to_string(),
            at_ms: unix_ms(),
            revision: call.generation.revision,
            server: call.server.name.clone(),
            era: era.to_owned(),
            method: message.method.as_deref().unwrap_or_default().to_owned(),
            params: read(message.params.as_deref()),
            headers: redact::headers(&call.headers),
            peer: call.peer.ip().to_string(),
            identity,
            refused: witness.and_then(|witness| witness.refused.get().cloned()),
            arguments: read(
                witness
                    .and_then(|witness| witness.arguments.get())
                    .map(|text| &**text),
            ),
            result: read(
                witness
                    .and_then(|witness| witness.raw.get())
                    .map(String::as_str),
            ),
        }
    }
}

/// The latest samples of one tenant.
#[derive(Debug)]
pub struct Samples {
    spec: CaptureSpec,
    ring: Arc<Mutex<VecDeque<Arc<Sample>>>>,
}

impl Samples {
    /// None so far.
    #[must_use]
    pub fn new(spec: CaptureSpec) -> Self {
        Self {
            spec,
            ring: Arc::default(),
        }
    }

    /// The same samples under other rules.
    #[must_use]
    pub fn following(&self, spec: CaptureSpec) -> Self {
        Self {
            spec,
            ring: Arc::clone(&self.ring),
        }
    }

    /// Whether the next call is to be one.
    #[must_use]
    pub fn wants(&self) -> bool {
        rand::random::<f64>() * 100.0 < self.spec.percent
    }

    /// Keeps a call.
    pub fn keep(&self, call: &Call) {
        if call.message.method.is_none() {
            return;
        }
        let sample = Arc::new(Sample::of(call));
        let samples_max = usize::try_from(self.spec.samples_max).unwrap_or(usize::MAX);
        let mut ring = self.lock();
        ring.truncate(samples_max.saturating_sub(1));
        ring.push_front(sample);
    }

    /// All of them, newest first.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Sample>> {
        self.lock().iter().cloned().collect()
    }

    /// The one of this id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<Arc<Sample>> {
        self.lock().iter().find(|sample| sample.id == id).cloned()
    }

    /// Forgets all of them.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Sample>>> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
