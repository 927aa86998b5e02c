//! Chooses among the healthy upstreams that could serve a call.
//!
//! Before it: the router, which found the candidates. After it: the upstream's pool. It never chooses an unhealthy
//! candidate; where it has no reason to choose, it keeps the host's choice.

mod chance;
mod strategy;

use portcullis_sdk::{Call, Candidate, Denial, Manifest, Policy, config};
use serde::Deserialize;

use chance::Chance;
use strategy::{Among, Settings, Strategy};

/// The policy, as configured.
#[derive(Debug)]
pub struct SmartRoute {
    strategy: Strategy,
    key: Option<Key>,
    chance: Chance,
}

/// What stays together on one upstream.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
enum Key {
    Subject,
    Team,
    Session,
    Tool,
    Argument(String),
}

impl TryFrom<String> for Key {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "subject" => Ok(Self::Subject),
            "team" => Ok(Self::Team),
            "session" => Ok(Self::Session),
            "tool" => Ok(Self::Tool),
            pointer if pointer.starts_with('/') => Ok(Self::Argument(text)),
            other => Err(format!(
                "`{other}` is none of subject, team, session, tool, or a JSON Pointer"
            )),
        }
    }
}

impl Key {
    fn of(&self, call: &Call) -> Option<String> {
        match self {
            Self::Subject => call.subject(),
            Self::Team => call.team(),
            Self::Session => call.session(),
            Self::Tool => call.target(),
            Self::Argument(pointer) => call.argument(pointer),
        }
    }
}

impl Policy for SmartRoute {
    fn manifest() -> Manifest {
        portcullis_sdk::manifest!(include_str!("../schema.json"))
    }

    fn configure(text: &str) -> Result<Self, String> {
        let mut settings: Settings<Key> = config::parse(text)?;
        let key = settings.key.take();
        Ok(Self {
            strategy: settings.strategy(key.is_some())?,
            key,
            chance: Chance::default(),
        })
    }

    fn route(&self, call: &Call, candidates: &[Candidate]) -> Result<Option<u32>, Denial> {
        let among = Among { call, candidates };
        let mut healthy = among.healthy();
        let (first, second) = (healthy.next(), healthy.next());
        Ok(match (first, second) {
            (None, _) => None,
            (Some((only, _)), None) => self.strategy.allows(&among, only).then_some(only),
            (Some(_), Some(_)) => {
                let key = self.key.as_ref().and_then(|key| key.of(call));
                self.strategy.choose(&among, key.as_deref(), &self.chance)
            }
        })
    }
}

portcullis_sdk::export!(SmartRoute: route);

#[cfg(test)]
mod tests;
