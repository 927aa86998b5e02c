//! One limit: which messages fall under it, and what they cost.

use std::collections::BTreeMap;

use portcullis_sdk::{Glob, quota};
use serde::Deserialize;

use crate::key::{Facts, Part};

/// A limit, as written in the configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    pub name: String,
    #[serde(default)]
    pub key: Vec<Part>,
    rate: u32,
    period_ms: u64,
    burst: Option<u32>,
    #[serde(default = "tool_calls")]
    methods: Vec<Glob>,
    tools: Option<Vec<Glob>>,
    #[serde(default)]
    costs: BTreeMap<String, u32>,
}

fn tool_calls() -> Vec<Glob> {
    vec![Glob::new("tools/call")]
}

impl Limit {
    /// What the schema cannot say, and what it can, again: a limit that admits nothing is a mistake.
    pub fn check(&self) -> Result<(), String> {
        let positive = [
            ("rate", u64::from(self.rate)),
            ("period_ms", self.period_ms),
            ("burst", u64::from(self.burst())),
        ];
        for (field, value) in positive {
            if value == 0 {
                return Err(format!("{field}: must be at least 1"));
            }
        }
        let dear = self.costs.iter().find(|(_, cost)| **cost > self.burst());
        dear.map_or(Ok(()), |(tool, cost)| {
            let burst = self.burst();
            Err(format!("costs: `{tool}` costs {cost}, and no more than the burst of {burst} can ever be taken"))
        })
    }

    /// The tokens that a message takes, or none when it does not fall under this limit.
    pub fn cost(&self, facts: &Facts<'_>) -> Option<u32> {
        if !self.methods.iter().any(|glob| glob.matches(facts.method)) {
            return None;
        }
        if self.tools.is_none() && self.costs.is_empty() {
            return Some(1);
        }
        let target = facts.target();
        if let Some(tools) = &self.tools {
            let target = target?;
            if !tools.iter().any(|glob| glob.matches(target)) {
                return None;
            }
        }
        let cost = target.map_or(1, |target| self.cost_of(target));
        (cost > 0).then_some(cost)
    }

    fn cost_of(&self, target: &str) -> u32 {
        if let Some(cost) = self.costs.get(target) {
            return *cost;
        }
        let patterns = self.costs.iter().filter(|(tool, _)| tool.contains('*'));
        patterns
            .filter(|(tool, _)| Glob::new(tool.as_str()).matches(target))
            .map(|(_, cost)| *cost)
            .max()
            .unwrap_or(1)
    }

    fn burst(&self) -> u32 {
        self.burst.unwrap_or(self.rate)
    }

    /// The numbers as the host counts them.
    pub fn quota(&self) -> quota::Limit {
        quota::Limit {
            rate: self.rate,
            period_ms: self.period_ms,
            burst: self.burst(),
        }
    }

    /// What the caller is told.
    pub fn refusal(&self, retry_after_ms: u64) -> String {
        let seconds = retry_after_ms.div_ceil(1_000);
        format!(
            "Rate limit `{name}` is used up: {rate} per {period}. Try again in {seconds} s.",
            name = self.name,
            rate = self.rate,
            period = period(self.period_ms),
        )
    }
}

fn period(period_ms: u64) -> String {
    let units = [
        (86_400_000, "day"),
        (3_600_000, "hour"),
        (60_000, "minute"),
        (1_000, "second"),
    ];
    let whole = units
        .into_iter()
        .find(|(unit_ms, _)| period_ms % unit_ms == 0);
    match whole.map(|(unit_ms, unit)| (period_ms / unit_ms, unit)) {
        Some((1, unit)) => unit.to_owned(),
        Some((count, unit)) => format!("{count} {unit}s"),
        None => format!("{period_ms} ms"),
    }
}
