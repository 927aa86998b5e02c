//! Masks personal data and secrets in arguments and results, and caps the size of results.
//!
//! Before it: admission and routing for arguments, the upstream for results. After it: the upstream, or the caller.
//! It changes the inside of JSON strings and the values of named keys, and nothing else by a single byte; what it
//! cannot read as JSON it refuses, for it cannot vouch for it.

mod json;
mod kind;
mod patterns;
mod scan;
mod sieve;
mod strings;
mod walk;

use portcullis_sdk::{Call, Denial, Manifest, Policy, Reply, config};
use serde::Deserialize;

use kind::Kind;
use scan::{Custom, Scanner};
use walk::Masker;

/// The configuration as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default = "yes")]
    arguments: bool,
    #[serde(default = "yes")]
    results: bool,
    #[serde(default = "Kind::defaults")]
    patterns: Vec<Kind>,
    #[serde(default)]
    custom: Vec<Custom>,
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default = "replacement")]
    replacement: String,
    max_result_bytes: Option<u64>,
}

fn yes() -> bool {
    true
}

fn replacement() -> String {
    "[redacted:<kind>]".to_owned()
}

/// The policy, as configured.
#[derive(Debug)]
pub struct Redact {
    arguments: bool,
    results: bool,
    result_bytes_max: Option<u64>,
    masker: Masker,
}

impl Policy for Redact {
    fn manifest() -> Manifest {
        portcullis_sdk::manifest!(include_str!("../schema.json"))
    }

    fn configure(text: &str) -> Result<Self, String> {
        let settings: Settings = config::parse(text)?;
        if settings.max_result_bytes == Some(0) {
            return Err("max_result_bytes: must be at least 1".to_owned());
        }
        let scanner = Scanner::new(&settings.patterns, settings.custom)?;
        Ok(Self {
            arguments: settings.arguments,
            results: settings.results,
            result_bytes_max: settings.max_result_bytes,
            masker: Masker::new(scanner, settings.keys, settings.replacement),
        })
    }

    fn transform_call(&self, call: &Call) -> Result<Option<String>, Denial> {
        if !self.arguments {
            return Ok(None);
        }
        let Some(arguments) = call.arguments() else {
            return Ok(None);
        };
        self.masker
            .mask(&arguments)
            .map_err(|_| Denial::invalid("The arguments cannot be read as JSON."))
    }

    fn transform_reply(&self, _call: &Call, reply: &Reply) -> Result<Option<String>, Denial> {
        if let Some(bytes_max) = self.result_bytes_max {
            let bytes = reply.size_bytes();
            if bytes > bytes_max {
                return Err(Denial::too_large(format!(
                    "The result has {bytes} bytes, and at most {bytes_max} may pass. Ask for less."
                )));
            }
        }
        if !self.results {
            return Ok(None);
        }
        self.masker
            .mask(&reply.json())
            .map_err(|_| Denial::unavailable("The result cannot be read as JSON."))
    }
}

portcullis_sdk::export!(Redact: transform_call, transform_reply);

#[cfg(test)]
mod tests;
