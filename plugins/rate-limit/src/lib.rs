//! Limits how often callers may send messages.
//!
//! Before it: authentication. After it: routing. The counters are the host's, so they outlive this component and
//! every swap of it; what is decided here is which limits a message falls under, by which key, at which cost.

mod key;
mod limit;

use portcullis_sdk::quota::{self, Request, Verdict};
use portcullis_sdk::{Call, Denial, Manifest, Policy, config};
use serde::Deserialize;

use key::Facts;
use limit::Limit;

/// The policy, as configured.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    limits: Vec<Limit>,
}

impl Policy for RateLimit {
    fn manifest() -> Manifest {
        portcullis_sdk::manifest!(include_str!("../schema.json"))
    }

    fn configure(text: &str) -> Result<Self, String> {
        let policy: Self = config::parse(text)?;
        for (index, limit) in policy.limits.iter().enumerate() {
            limit
                .check()
                .map_err(|error| format!("limits[{index}].{error}"))?;
            let mut before = policy.limits.iter().take(index);
            if before.any(|other| other.name == limit.name) {
                return Err(format!("limits[{index}].name: `{}` is taken", limit.name));
            }
        }
        Ok(policy)
    }

    fn admit(&self, call: &Call) -> Result<(), Denial> {
        let Some(method) = call.method() else {
            return Ok(());
        };
        let facts = Facts::new(call, &method);
        let mut applied = Vec::new();
        let mut requests = Vec::new();
        for limit in &self.limits {
            if let Some(cost) = limit.cost(&facts) {
                requests.push(Request {
                    key: facts.key(&limit.name, &limit.key),
                    cost,
                    limit: limit.quota(),
                });
                applied.push(limit);
            }
        }
        if requests.is_empty() {
            return Ok(());
        }
        verdict(&applied, &quota::take(&requests))
    }
}

/// Refuses with the limit that takes longest to come back.
fn verdict(applied: &[&Limit], verdicts: &[Verdict]) -> Result<(), Denial> {
    if verdicts.len() != applied.len() {
        return Err(Denial::unavailable(
            "Limits cannot be counted at the moment.",
        ));
    }
    let refusing = applied.iter().zip(verdicts).filter(|(_, v)| !v.allowed);
    match refusing.max_by_key(|(_, verdict)| verdict.retry_after_ms) {
        None => Ok(()),
        Some((limit, verdict)) => Err(Denial::rate_limited(
            limit.refusal(verdict.retry_after_ms),
            verdict.retry_after_ms,
        )),
    }
}

portcullis_sdk::export!(RateLimit: admit);

#[cfg(test)]
mod tests;
