//! Asks an external policy decision point whether a message may pass, in the words of OPA's data API.
//!
//! Before it: authentication. After it: routing. It waits for another host, so it is of the waiting class. Whatever is not
//! clearly a yes is a no; a decision point that does not decide is a no as well, unless the configuration says otherwise.

mod cache;
mod decision;
mod input;

use std::cell::RefCell;
use std::collections::BTreeMap;

use portcullis_sdk::http::{self, Request};
use portcullis_sdk::{Call, Denial, Glob, Manifest, Policy, clock, config, logging};
use serde::Deserialize;

use cache::Cache;
use decision::Decision;
use input::Part;

/// The configuration as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    url: String,
    #[serde(default = "tool_calls")]
    methods: Vec<Glob>,
    #[serde(default)]
    tools: Vec<Glob>,
    #[serde(default = "input::usual")]
    input: Vec<Part>,
    #[serde(default)]
    input_headers: Vec<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default = "half_a_second")]
    timeout_ms: u32,
    #[serde(default = "five_seconds")]
    cache_ms: u64,
    #[serde(default)]
    on_error: OnError,
}

/// What happens to a message that nobody decided about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OnError {
    #[default]
    Deny,
    Allow,
}

fn tool_calls() -> Vec<Glob> {
    vec![Glob::new("tools/call")]
}

fn half_a_second() -> u32 {
    500
}

fn five_seconds() -> u64 {
    5_000
}

/// The policy, as configured, and the decisions that it remembers.
#[derive(Debug)]
pub struct PolicyDecision {
    settings: Settings,
    cache: RefCell<Cache>,
}

impl Policy for PolicyDecision {
    fn manifest() -> Manifest {
        portcullis_sdk::manifest!(include_str!("../schema.json"))
    }

    fn configure(text: &str) -> Result<Self, String> {
        let mut settings: Settings = config::parse(text)?;
        if !settings.url.starts_with("http://") && !settings.url.starts_with("https://") {
            return Err("url: must begin with `http://` or `https://`".to_owned());
        }
        for header in &mut settings.input_headers {
            header.make_ascii_lowercase();
        }
        Ok(Self {
            settings,
            cache: RefCell::default(),
        })
    }

    fn admit(&self, call: &Call) -> Result<(), Denial> {
        let Some(method) = call.method() else {
            return Ok(());
        };
        let target = call.target();
        if !self.settings.asks_about(&method, target.as_deref()) {
            return Ok(());
        }
        let settings = &self.settings;
        let question = input::question(call, &settings.input, &settings.input_headers);
        let now_ms = clock::now_ms();
        let known = self.cache.borrow().get(&question, now_ms);
        let decision = match known {
            Some(known) => known,
            None => match self.ask(&question) {
                Ok(decision) => {
                    let until_ms = now_ms.saturating_add(settings.cache_ms);
                    let mut cache = self.cache.borrow_mut();
                    cache.keep(question, &decision, (now_ms, until_ms));
                    decision
                }
                Err(why) => return self.undecided(&why),
            },
        };
        match decision {
            Decision::Allow => Ok(()),
            Decision::Deny(reason) => Err(Denial::forbidden(
                reason.as_deref().unwrap_or("This is not allowed."),
            )),
        }
    }
}

impl Settings {
    fn asks_about(&self, method: &str, target: Option<&str>) -> bool {
        self.methods.iter().any(|glob| glob.matches(method))
            && (self.tools.is_empty()
                || target.is_some_and(|target| self.tools.iter().any(|glob| glob.matches(target))))
    }
}

impl PolicyDecision {
    /// What the decision point says, or why it says nothing.
    fn ask(&self, question: &str) -> Result<Decision, String> {
        let settings = &self.settings;
        let mut request = Request::new("POST", settings.url.as_str())
            .with_json(question)
            .with_timeout_ms(settings.timeout_ms);
        for (name, value) in &settings.headers {
            request = request.with_header(name, value);
        }
        let response = http::send(&request).map_err(|error| format!("{error:?}"))?;
        match response.status {
            200 => decision::read(&response.body),
            status => Err(format!("it answered {status}")),
        }
    }

    fn undecided(&self, why: &str) -> Result<(), Denial> {
        logging::warn(&format!("the decision point does not decide: {why}"));
        match self.settings.on_error {
            OnError::Allow => Ok(()),
            OnError::Deny => Err(Denial::unavailable(
                "Whether this is allowed cannot be found out at the moment; try again.",
            )),
        }
    }
}

portcullis_sdk::export!(PolicyDecision: admit);

#[cfg(test)]
mod tests;
