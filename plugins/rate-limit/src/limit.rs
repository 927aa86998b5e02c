//! One limit: which messages fall under it, and what they cost.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use portcullis_sdk::{Call, Glob, quota};
use serde::Deserialize;

/// One thing that a counter is kept apart by.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    Tenant,
    Server,
    Team,
    Subject,
    Session,
    Peer,
    Method,
    Tool,
}

impl From<Part> for quota::Part {
    fn from(part: Part) -> Self {
        match part {
            Part::Tenant => Self::Tenant,
            Part::Server => Self::Server,
            Part::Team => Self::Team,
            Part::Subject => Self::Subject,
            Part::Session => Self::Session,
            Part::Peer => Self::Peer,
            Part::Method => Self::Method,
            Part::Tool => Self::Target,
        }
    }
}

/// What decides which limits a message falls under: the tool is asked for when a limit first needs it, and once.
pub struct Facts<'a> {
    call: &'a Call,
    method: &'a str,
    target: OnceCell<Option<String>>,
}

impl<'a> Facts<'a> {
    pub fn new(call: &'a Call, method: &'a str) -> Self {
        Self {
            call,
            method,
            target: OnceCell::new(),
        }
    }

    /// The tool, prompt or resource.
    fn target(&self) -> Option<&str> {
        self.target.get_or_init(|| self.call.target()).as_deref()
    }
}

/// A limit, as written in the configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    pub name: String,
    #[serde(default)]
    key: Vec<Part>,
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

    /// The tokens that a message takes; 0 when it does not fall under this limit.
    pub fn cost(&self, facts: &Facts<'_>) -> u32 {
        if !self.methods.iter().any(|glob| glob.matches(facts.method)) {
            return 0;
        }
        if self.tools.is_none() && self.costs.is_empty() {
            return 1;
        }
        let target = facts.target();
        if let Some(tools) = &self.tools {
            if !target.is_some_and(|target| tools.iter().any(|glob| glob.matches(target))) {
                return 0;
            }
        }
        target.map_or(1, |target| self.cost_of(target))
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

    /// As the host counts it.
    pub fn rule(&self) -> quota::Rule {
        quota::Rule {
            name: self.name.clone(),
            parts: self.key.iter().copied().map(Into::into).collect(),
            limit: quota::Limit {
                rate: self.rate,
                period_ms: self.period_ms,
                burst: self.burst(),
            },
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
