//! What an upstream says of itself when it is opened: what it can do, and how it would like to be used.
//!
//! Sessions, probes and processes note it down; the pipeline makes the gateway's own answer to `initialize` and
//! `server/discover` of it. The last word counts, in each era by itself.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use portcullis_protocol::lifecycle::{DiscoverResult, InitializeResult};
use portcullis_protocol::listing::CacheHint;
use portcullis_protocol::revision::Era;
use serde_json::value::RawValue;

/// Most bytes of capabilities, and of instructions, that are kept. They reach every client of every session.
const WORDS_BYTES_MAX: usize = 64 << 10;

/// What an upstream said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introduction {
    /// What it can do, as JSON text.
    pub capabilities: Box<str>,
    /// How it would like to be used.
    pub instructions: Option<Box<str>>,
    /// How long, and by whom, this may be reused; nothing in the session era, which has no words for it.
    pub cache: Option<CacheHint>,
}

/// Where it is noted down.
#[derive(Debug)]
pub(super) struct Introduced {
    upstream: Arc<str>,
    session: ArcSwapOption<Introduction>,
    stateless: ArcSwapOption<Introduction>,
}

impl Introduced {
    pub(super) fn new(upstream: &Arc<str>) -> Self {
        Self {
            upstream: Arc::clone(upstream),
            session: ArcSwapOption::empty(),
            stateless: ArcSwapOption::empty(),
        }
    }

    /// What it said in this era, or else in the other.
    pub(super) fn in_era(&self, era: Era) -> Option<Arc<Introduction>> {
        let (session, stateless) = (self.session.load_full(), self.stateless.load_full());
        match era {
            Era::Session => session.or(stateless),
            Era::Stateless => stateless.or(session),
        }
    }

    /// The answer to `initialize`.
    pub(super) fn initialized(&self, said: &InitializeResult<'_>) {
        let said = Introduction {
            capabilities: self.capabilities(said.capabilities),
            instructions: self.instructions(said.instructions.as_deref()),
            cache: None,
        };
        note(&self.session, said);
    }

    /// The answer to `server/discover`.
    pub(super) fn discovered(&self, said: &DiscoverResult<'_>) {
        let said = Introduction {
            capabilities: self.capabilities(said.capabilities),
            instructions: self.instructions(said.instructions.as_deref()),
            cache: Some(said.cache),
        };
        note(&self.stateless, said);
    }

    fn capabilities(&self, said: Option<&RawValue>) -> Box<str> {
        let said = said.map_or("{}", RawValue::get);
        self.bounded("capabilities", said).unwrap_or("{}").into()
    }

    fn instructions(&self, said: Option<&str>) -> Option<Box<str>> {
        let said = said.filter(|said| !said.trim().is_empty())?;
        self.bounded("instructions", said).map(Box::from)
    }

    fn bounded<'a>(&self, what: &str, said: &'a str) -> Option<&'a str> {
        let is_bounded = said.len() <= WORDS_BYTES_MAX;
        if !is_bounded {
            tracing::warn!(
                upstream = %self.upstream, what, bytes = said.len(), bytes_max = WORDS_BYTES_MAX,
                "what an upstream says of itself is too long and left out"
            );
        }
        is_bounded.then_some(said)
    }
}

/// Every session says the same again, which is not worth an allocation that others have to load anew.
fn note(slot: &ArcSwapOption<Introduction>, said: Introduction) {
    if slot.load().as_deref() != Some(&said) {
        slot.store(Some(Arc::new(said)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn initialized(introduced: &Introduced, result: &str) {
        introduced.initialized(&InitializeResult::parse(result).unwrap());
    }

    fn discovered(introduced: &Introduced, result: &str) {
        introduced.discovered(&DiscoverResult::parse(result).unwrap());
    }

    #[test]
    fn the_last_word_counts_in_each_era() {
        let introduced = Introduced::new(&Arc::from("crm"));
        let said = |era| {
            introduced
                .in_era(era)
                .map(|said| said.capabilities.to_string())
        };
        assert_eq!(said(Era::Session), None);
        let old = r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}}}"#;
        initialized(&introduced, old);
        assert_eq!(said(Era::Stateless).as_deref(), Some(r#"{"tools":{}}"#));
        discovered(
            &introduced,
            r#"{"supportedVersions":[],"capabilities":{"prompts":{}}}"#,
        );
        assert_eq!(said(Era::Stateless).as_deref(), Some(r#"{"prompts":{}}"#));
        assert_eq!(said(Era::Session).as_deref(), Some(r#"{"tools":{}}"#));
        initialized(&introduced, r#"{"protocolVersion":"2025-11-25"}"#);
        assert_eq!(said(Era::Session).as_deref(), Some("{}"));
    }

    #[test]
    fn words_are_bounded() {
        let introduced = Introduced::new(&Arc::from("crm"));
        let long = "x".repeat(WORDS_BYTES_MAX + 1);
        for (instructions, kept) in [
            ("Be kind.", Some("Be kind.")),
            (" \n", None),
            ("", None),
            (&long, None),
            (&long[1..], Some(&long[1..])),
        ] {
            let result = serde_json::json!({
                "protocolVersion": "2025-11-25", "instructions": instructions,
                "capabilities": { "experimental": { "x": instructions } },
            });
            initialized(&introduced, &result.to_string());
            let said = introduced.in_era(Era::Session).unwrap();
            assert_eq!(said.instructions.as_deref(), kept);
            assert!(said.capabilities.len() <= WORDS_BYTES_MAX);
        }
    }
}
