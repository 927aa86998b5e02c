//! Limits how often callers may send messages.
//!
//! Before it: authentication. After it: routing. The counters are the host's, so they outlive this component and
//! every swap of it; what is decided here is which limits a message falls under, and at which cost.

mod limit;

use portcullis_sdk::quota::{Limiter, Rule, Verdict};
use portcullis_sdk::{Call, Denial, Manifest, Policy, config};
use serde::Deserialize;

use limit::{Facts, Limit};

/// The configuration as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    limits: Vec<Limit>,
}

/// The policy, as configured.
#[derive(Debug)]
pub struct RateLimit {
    limits: Vec<Limit>,
    limiter: Limiter,
}

impl Policy for RateLimit {
    fn manifest() -> Manifest {
        portcullis_sdk::manifest!(include_str!("../schema.json"))
    }

    fn configure(text: &str) -> Result<Self, String> {
        let Settings { limits } = config::parse(text)?;
        for (index, limit) in limits.iter().enumerate() {
            limit
                .check()
                .map_err(|error| format!("limits[{index}].{error}"))?;
            let mut before = limits.iter().take(index);
            if before.any(|other| other.name == limit.name) {
                return Err(format!("limits[{index}].name: `{}` is taken", limit.name));
            }
        }
        let rules: Vec<Rule> = limits.iter().map(Limit::rule).collect();
        let limiter = Limiter::new(&rules);
        Ok(Self { limits, limiter })
    }

    fn admit(&self, call: &Call) -> Result<(), Denial> {
        let Some(method) = call.method() else {
            return Ok(());
        };
        let facts = Facts::new(call, &method);
        let costs: Vec<u32> = self.limits.iter().map(|limit| limit.cost(&facts)).collect();
        if costs.iter().all(|cost| *cost == 0) {
            return Ok(());
        }
        let limits = self.limits.iter().zip(&costs);
        let applied = limits
            .filter(|(_, cost)| **cost > 0)
            .map(|(limit, _)| limit);
        self.limiter
            .take(call, &costs)
            .map_err(|verdicts| refusal(&applied.collect::<Vec<_>>(), &verdicts))
    }
}

/// Refuses with the limit that takes longest to come back.
fn refusal(applied: &[&Limit], verdicts: &[Verdict]) -> Denial {
    let refusing = applied.iter().zip(verdicts).filter(|(_, v)| !v.allowed);
    match refusing.max_by_key(|(_, verdict)| verdict.retry_after_ms) {
        Some((limit, verdict)) if verdicts.len() == applied.len() => Denial::rate_limited(
            limit.refusal(verdict.retry_after_ms),
            verdict.retry_after_ms,
        ),
        _ => Denial::unavailable("Limits cannot be counted at the moment."),
    }
}

portcullis_sdk::export!(RateLimit: admit);

#[cfg(test)]
mod tests;
